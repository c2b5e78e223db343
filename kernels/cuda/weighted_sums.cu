// Weighted sums of the members of a stack: W (sets x members) times the stack (members x entries). A block sums up one TILE of
// sets and entries, DEPTH members at a time, and a thread PATCH x PATCH of it. Each sum is added up in the order of the
// members by one thread, so its bits depend neither on its place nor on the other sets.

constexpr int TILE = 64;
constexpr int DEPTH = 16;
constexpr int PATCH = 4;
constexpr int SIDE = TILE / PATCH;  // threads along each side of a tile

template <typename T>
__device__ void sum_tile(const T* __restrict__ weights, const T* __restrict__ stack, T* __restrict__ sums, int n_sets,
                         int n_members, long long n_entries) {
    __shared__ T some_weights[DEPTH][TILE + 1];  // one more than a row, as they are read along columns
    __shared__ T some_entries[DEPTH][TILE];
    const int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE, first_set = blockIdx.y * TILE;
    const long long first_entry = (long long)blockIdx.x * TILE;
    T patch[PATCH][PATCH] = {};
    for (int first = 0; first < n_members; first += DEPTH) {
        for (int i = threadIdx.x; i < DEPTH * TILE; i += blockDim.x) {
            const int set = first_set + i / DEPTH, its_member = first + i % DEPTH;
            const bool is_weight = set < n_sets && its_member < n_members;
            some_weights[i % DEPTH][i / DEPTH] = is_weight ? weights[(long long)set * n_members + its_member] : T(0);
            const int member = first + i / TILE;
            const long long entry = first_entry + i % TILE;
            const bool is_entry = member < n_members && entry < n_entries;
            some_entries[i / TILE][i % TILE] = is_entry ? stack[member * n_entries + entry] : T(0);
        }
        __syncthreads();  // before they are read
        const int depth = min(DEPTH, n_members - first);
        for (int member = 0; member < depth; ++member) {
            for (int r = 0; r < PATCH; ++r) {
                const T weight = some_weights[member][y + r * SIDE];
                for (int c = 0; c < PATCH; ++c) patch[r][c] += weight * some_entries[member][x + c * SIDE];
            }
        }
        __syncthreads();  // before the next members take their place
    }
    for (int r = 0; r < PATCH; ++r) {
        for (int c = 0; c < PATCH; ++c) {
            const int set = first_set + y + r * SIDE;
            const long long entry = first_entry + x + c * SIDE;
            if (set < n_sets && entry < n_entries) sums[set * n_entries + entry] = patch[r][c];
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) weighted_sums_f32(
    const float* __restrict__ weights, const float* __restrict__ stack, float* __restrict__ sums, int n_sets,
    int n_members, long long n_entries) {
    sum_tile(weights, stack, sums, n_sets, n_members, n_entries);
}

extern "C" __global__ void __launch_bounds__(256) weighted_sums_f64(
    const double* __restrict__ weights, const double* __restrict__ stack, double* __restrict__ sums, int n_sets,
    int n_members, long long n_entries) {
    sum_tile(weights, stack, sums, n_sets, n_members, n_entries);
}
