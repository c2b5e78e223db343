// Little kernels without a fault, each of which uses another part of CUDA.

// One block a row; dynamic shared memory, a fixed tree.
extern "C" __global__ void standardize_rows(const float* __restrict__ x, float* __restrict__ unit, int n_columns) {
    __shared__ double scratch[32];
    const float* row = x + (long long)blockIdx.x * n_columns;
    double sum = 0;
    for (int i = threadIdx.x; i < n_columns; i += blockDim.x) sum += row[i];
    const double mean = block_sum(sum, scratch) / n_columns;
    double squares = 0;
    for (int i = threadIdx.x; i < n_columns; i += blockDim.x) squares += (row[i] - mean) * (row[i] - mean);
    __syncthreads();  // before the second sum takes the room of the first
    const double norm = sqrt(block_sum(squares, scratch));
    for (int i = threadIdx.x; i < n_columns; i += blockDim.x)
        unit[(long long)blockIdx.x * n_columns + i] = (float)((row[i] - mean) / norm);
}

// C = A B in tiles of shared memory, several of them in one declaration.
constexpr int TILE = 8;
extern "C" __global__ void __launch_bounds__(TILE * TILE) product(const float* __restrict__ a, const float* __restrict__ b,
                                                                  float* __restrict__ c, int m, int n, int k) {
    __shared__ float left[TILE][TILE + 1], right[TILE][TILE];
    const int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int start = 0; start < k; start += TILE) {
        const int i = start + threadIdx.x, j = start + threadIdx.y;
        left[threadIdx.y][threadIdx.x] = row < m && i < k ? a[(long long)row * k + i] : 0;
        right[threadIdx.y][threadIdx.x] = column < n && j < k ? b[(long long)j * n + column] : 0;
        __syncthreads();
        for (int l = 0; l < TILE; ++l) sum = fmaf(left[threadIdx.y][l], right[l][threadIdx.x], sum);
        __syncthreads();
    }
    if (row < m && column < n) c[(long long)row * n + column] = sum;
}

// Connected components by union-find without locks: compare-and-swap, and reads that may be old but never wrong.
__device__ int root(const int* parents, int i) {
    for (int parent; (parent = *(const volatile int*)(parents + i)) != i;) i = parent;
    return i;
}
extern "C" __global__ void join(const int* __restrict__ edges, int n_edges, int* parents) {
    for (long long e = grid_rank(); e < n_edges; e += grid_size()) {
        int a = edges[2 * e], b = edges[2 * e + 1];
        while (true) {
            a = root(parents, a), b = root(parents, b);
            if (a == b) break;
            const int high = max(a, b), low = min(a, b);
            if (atomicCAS(&parents[high], high, low) == high) break;
        }
    }
}
extern "C" __global__ void flatten(const int* __restrict__ parents, int* __restrict__ roots, int n) {
    for (long long i = grid_rank(); i < n; i += grid_size()) roots[i] = root(parents, (int)i);
}

// Warp-synchronous sum in shared memory, where __syncwarp stands in for __syncthreads.
extern "C" __global__ void sum_in_warps(const float* __restrict__ x, float* __restrict__ sums, int n) {
    __shared__ float partial[64];
    float* mine = partial + threadIdx.x / WARP * WARP;
    const unsigned lane = threadIdx.x % WARP;
    const long long i = grid_rank();
    mine[lane] = i < n ? x[i] : 0;
    __syncwarp();
    for (unsigned apart = WARP / 2; apart > 0; apart /= 2) {
        const float other = lane < apart ? mine[lane + apart] : 0;
        __syncwarp();
        if (lane < apart) mine[lane] += other;
        __syncwarp();
    }
    if (lane == 0) sums[i / WARP] = mine[0];
}

// Dynamic shared memory of a size known at launch.
extern "C" __global__ void reverse_rows(const double* __restrict__ x, double* __restrict__ reversed, int n) {
    extern __shared__ __align__(16) unsigned char raw[];
    double* row = reinterpret_cast<double*>(raw);
    for (int i = threadIdx.x; i < n; i += blockDim.x) row[i] = x[blockIdx.x * n + i];
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x) reversed[blockIdx.x * n + i] = row[n - 1 - i];
}

// Philox4x32-10: Salmon et al. 2011, doi:10.1145/2063384.2063405.
__constant__ unsigned PHILOX_MULTIPLIERS[2] = {0xD2511F53u, 0xCD9E8D57u};
__constant__ unsigned PHILOX_STEPS[2] = {0x9E3779B9u, 0xBB67AE85u};
extern "C" __global__ void philox(const unsigned* __restrict__ counters, const unsigned* __restrict__ keys,
                                  unsigned* __restrict__ bits, int n) {
    const long long i = grid_rank();
    if (i >= n) return;
    uint4 c = make_uint4(counters[4 * i], counters[4 * i + 1], counters[4 * i + 2], counters[4 * i + 3]);
    unsigned k0 = keys[2 * i], k1 = keys[2 * i + 1];
    for (int round = 0; round < 10; ++round) {
        const unsigned high0 = __umulhi(PHILOX_MULTIPLIERS[0], c.x), low0 = PHILOX_MULTIPLIERS[0] * c.x;
        const unsigned high1 = __umulhi(PHILOX_MULTIPLIERS[1], c.z), low1 = PHILOX_MULTIPLIERS[1] * c.z;
        c = make_uint4(high1 ^ c.y ^ k0, low1, high0 ^ c.w ^ k1, low0);
        k0 += PHILOX_STEPS[0], k1 += PHILOX_STEPS[1];
    }
    bits[4 * i] = c.x, bits[4 * i + 1] = c.y, bits[4 * i + 2] = c.z, bits[4 * i + 3] = c.w;
}

// Every kind of atomic, on numbers whose sums are exact in any order.
extern "C" __global__ void atomics(const int* __restrict__ x, int n, int* ints, unsigned* unsigneds,
                                   unsigned long long* longs, float* floats, double* doubles) {
    const long long i = grid_rank();
    if (i >= n) return;
    const int value = x[i];
    atomicAdd(&ints[0], value), atomicSub(&ints[1], value), atomicMin(&ints[2], value), atomicMax(&ints[3], value);
    atomicOr(&unsigneds[0], 1u << value % 32), atomicAnd(&unsigneds[1], ~(1u << value % 32));
    atomicXor(&unsigneds[2], (unsigned)value), atomicInc(&unsigneds[3], 6u);
    atomicAdd(&longs[0], (unsigned long long)value << 33), atomicMax(&longs[1], (unsigned long long)value);
    atomicAdd(&floats[0], (float)value), atomicAdd(&doubles[0], (double)value);
}

// Votes, shuffles and reductions of one warp, of which the last lanes may be missing.
extern "C" __global__ void warps(const int* __restrict__ x, int* __restrict__ out) {
    const int lane = threadIdx.x, value = x[lane];
    const unsigned lanes = __ballot_sync(ALL_LANES, 1);
    int* mine = out + 12 * lane;
    mine[0] = (int)__ballot_sync(lanes, value > 0);
    mine[1] = __any_sync(lanes, value > 100);
    mine[2] = __all_sync(lanes, value < 100);
    mine[3] = __shfl_sync(lanes, value, 3);
    mine[4] = __shfl_up_sync(lanes, value, 2);
    mine[5] = __shfl_down_sync(lanes, value, 1, 4);
    mine[6] = __shfl_xor_sync(lanes, value, 1, 8);
    mine[7] = __reduce_add_sync(lanes, value);
    mine[8] = __reduce_min_sync(lanes, value);
    mine[9] = __reduce_max_sync(lanes, value);
    mine[10] = __syncthreads_count(value > 0);
    mine[11] = __syncthreads_or(value > 100) + 2 * __syncthreads_and(value < 100);
}

// Bits, conversions and the like.
extern "C" __global__ void bits(const unsigned* __restrict__ x, const float* __restrict__ y, int* __restrict__ out, int n) {
    const long long i = grid_rank();
    if (i >= n) return;
    int* mine = out + 10 * i;
    mine[0] = __popc(x[i]), mine[1] = __clz((int)x[i]), mine[2] = __ffs((int)x[i]), mine[3] = (int)__brev(x[i]);
    mine[4] = __float_as_int(y[i]), mine[5] = __float_as_int(__int_as_float(mine[4])), mine[6] = __float2int_rn(y[i]);
    mine[7] = (int)__umulhi(x[i], x[i]), mine[8] = (int)__ldg(&x[i]), mine[9] = min((int)i, 2) + max(1u, x[i] % 5u);
}
