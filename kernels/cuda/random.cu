// Philox4x32 with ten rounds (Salmon et al. 2011), and what is drawn from it. A counter is (block, purpose, number's lower
// word, its upper word); its key is the seed. Integers only: the bits are those of the CPU.

constexpr unsigned FOR_PERMUTATIONS = 0, FOR_FLIPS = 1;
constexpr int FLIPS_A_BLOCK = 128;
constexpr int MOST_THREADS = 256;

__device__ __forceinline__ uint4 philox(uint4 counter, unsigned long long seed) {
    unsigned key0 = (unsigned)seed, key1 = (unsigned)(seed >> 32);
    for (int round = 0; round < 10; ++round) {
        const unsigned long long first = 0xD2511F53ull * counter.x, second = 0xCD9E8D57ull * counter.z;
        counter = make_uint4((unsigned)(second >> 32) ^ counter.y ^ key0, (unsigned)second,
                             (unsigned)(first >> 32) ^ counter.w ^ key1, (unsigned)first);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return counter;
}

__device__ __forceinline__ uint4 draw(unsigned block, unsigned purpose, unsigned long long number, unsigned long long seed) {
    return philox(make_uint4(block, purpose, (unsigned)number, (unsigned)(number >> 32)), seed);
}

__device__ __forceinline__ unsigned long long joined(unsigned low, unsigned high) {
    return (unsigned long long)high << 32 | low;
}

// One thread a counter.
extern "C" __global__ void __launch_bounds__(256) random_bits(const unsigned* __restrict__ counters,
                                                              unsigned* __restrict__ words, unsigned long long seed,
                                                              int n_counters) {
    const long long i = grid_rank();
    if (i >= n_counters) return;
    const unsigned* counter = counters + 4 * i;
    const uint4 drawn = philox(make_uint4(counter[0], counter[1], counter[2], counter[3]), seed);
    words[4 * i] = drawn.x;
    words[4 * i + 1] = drawn.y;
    words[4 * i + 2] = drawn.z;
    words[4 * i + 3] = drawn.w;
}

// One block a permutation, one item a thread at a time: its place is the number of keys below its own, or equal to it and
// of an earlier item. Keys are drawn anew for each tile of two a thread, so that any number of items fits.
extern "C" __global__ void __launch_bounds__(256) permutations(int* __restrict__ permuted, unsigned long long seed,
                                                               unsigned long long start, int n) {
    __shared__ unsigned long long keys[2 * MOST_THREADS];
    const int tile_size = 2 * blockDim.x, own_pair = 2 * threadIdx.x;
    const unsigned long long number = start + blockIdx.x;
    int* row = permuted + (long long)blockIdx.x * n;
    for (int first = 0; first < n; first += blockDim.x) {
        const int item = first + threadIdx.x;
        const uint4 drawn = draw(item / 2, FOR_PERMUTATIONS, number, seed);
        const unsigned long long own = item % 2 ? joined(drawn.z, drawn.w) : joined(drawn.x, drawn.y);
        int place = 0;
        for (int tile = 0; tile < n; tile += tile_size) {
            const uint4 two = draw((tile + own_pair) / 2, FOR_PERMUTATIONS, number, seed);
            keys[own_pair] = joined(two.x, two.y);
            keys[own_pair + 1] = joined(two.z, two.w);
            __syncthreads();  // before others read them
            const int n_keys = min(tile_size, n - tile);
            for (int k = 0; k < n_keys; ++k) place += keys[k] < own || (keys[k] == own && tile + k < item);
            __syncthreads();  // before the next tile takes their room
        }
        if (item < n) row[place] = item;
    }
}

// One warp for 128 flips: every lane draws the same four words and takes its own bit of each.
extern "C" __global__ void __launch_bounds__(256) sign_flips(signed char* __restrict__ flips, unsigned long long seed,
                                                             unsigned long long start, int n_rows, int n) {
    const int blocks_a_row = n / FLIPS_A_BLOCK + (n % FLIPS_A_BLOCK > 0);
    const long long warp = grid_rank() / WARP;
    if (warp >= (long long)n_rows * blocks_a_row) return;
    const long long row = warp / blocks_a_row;
    const int block = (int)(warp % blocks_a_row), lane = threadIdx.x % WARP;
    const uint4 drawn = draw(block, FOR_FLIPS, start + row, seed);
    const unsigned words[4] = {drawn.x, drawn.y, drawn.z, drawn.w};
    for (int w = 0; w < 4; ++w) {
        const int item = block * FLIPS_A_BLOCK + w * (int)WARP + lane;
        if (item < n) flips[row * n + item] = words[w] >> lane & 1u ? -1 : 1;
    }
}
