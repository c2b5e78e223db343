// What every kernel file begins with: this text is put before it, so no file includes another.
// Data are float unless a name says otherwise; sums are double, in a fixed tree, so that a result is the same bits in every run.

constexpr unsigned WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

// Position of this thread in a one-dimensional grid, and the number of threads in it: for (i = grid_rank(); i < n; i += grid_size())
__device__ __forceinline__ long long grid_rank() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ long long grid_size() { return (long long)gridDim.x * blockDim.x; }

// Sum over the 32 lanes of a full warp; every lane receives it. Lanes are paired 16, 8, 4, 2, 1 apart.
template <typename T>
__device__ __forceinline__ T warp_sum(T value) {
    for (unsigned apart = WARP / 2; apart > 0; apart /= 2) value += __shfl_xor_sync(ALL_LANES, value, apart);
    return value;
}

// Sum over a one-dimensional block of whole warps; every thread receives it. `scratch` is shared memory of 32 elements,
// free for another use, or another sum, after the block's next barrier.
template <typename T>
__device__ __forceinline__ T block_sum(T value, T* scratch) {
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    value = warp_sum(value);
    if (lane == 0) scratch[warp] = value;
    __syncthreads();
    return warp_sum(lane < blockDim.x / WARP ? scratch[lane] : T(0));
}

// Largest over the 32 lanes of a full warp; every lane receives it.
template <typename T>
__device__ __forceinline__ T warp_max(T value) {
    for (unsigned apart = WARP / 2; apart > 0; apart /= 2) value = max(value, __shfl_xor_sync(ALL_LANES, value, apart));
    return value;
}

// |x|, and infinity also for NaN, which a maximum would pass over.
template <typename T>
__device__ __forceinline__ T magnitude(T x) {
    return isfinite(x) ? T(fabs(x)) : T(__int_as_float(0x7f800000));
}

struct Larger {
    __device__ double operator()(double a, double b) const { return fmax(a, b); }
};
struct Sum {
    __device__ double operator()(double a, double b) const { return a + b; }
};

// Fold over the threads of a two-dimensional block that share a column (threadIdx.x), in a fixed tree; all of them receive
// it. blockDim.y is a power of two; `scratch` has an element for each thread, free for another fold as soon as this returns.
template <typename Fold>
__device__ __forceinline__ double over_column(double value, double* scratch, Fold fold) {
    const unsigned here = threadIdx.y * blockDim.x + threadIdx.x;
    scratch[here] = value;
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();  // before the next level of the tree
        if (threadIdx.y < half) scratch[here] = fold(scratch[here], scratch[here + half * blockDim.x]);
    }
    __syncthreads();  // before the root is read
    value = scratch[threadIdx.x];
    __syncthreads();  // before another fold writes
    return value;
}
