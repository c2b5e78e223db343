// Degrees of a weighted graph and its symmetric normalisation: one block a row, one pass over the weights each.

// Sum of a row's weights, each times `factor` of its column, in double. Thread t adds up columns t, t + 256, … in order;
// then the threads fold as `block_sum` does.
template <typename T, typename Factor>
__device__ __forceinline__ void sum_row(const T* weights, double* sums, int n, bool self_loops, Factor factor) {
    __shared__ double scratch[WARP];
    const int row = blockIdx.x;
    const T* entries = weights + (long long)row * n;
    double sum = 0;
#pragma unroll 4
    for (int column = threadIdx.x; column < n; column += blockDim.x)
        if (self_loops || column != row) sum += entries[column] * factor(column);
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) sums[row] = sum;
}

template <typename T>
__device__ __forceinline__ void normalise_row(const T* weights, const double* factor, double* normalised, int n,
                                              bool self_loops) {
    const int row = blockIdx.x;
    const long long start = (long long)row * n;
    const double own = factor[row];
#pragma unroll 4
    for (int column = threadIdx.x; column < n; column += blockDim.x) {
        const bool counts = self_loops || column != row;
        normalised[start + column] = counts ? weights[start + column] * own * factor[column] : 0.0;
    }
}

extern "C" __global__ void __launch_bounds__(256) degrees_f32(
    const float* __restrict__ weights, double* __restrict__ degrees, int n, bool self_loops) {
    sum_row(weights, degrees, n, self_loops, [](int) { return 1.0; });
}
extern "C" __global__ void __launch_bounds__(256) degrees_f64(
    const double* __restrict__ weights, double* __restrict__ degrees, int n, bool self_loops) {
    sum_row(weights, degrees, n, self_loops, [](int) { return 1.0; });
}

extern "C" __global__ void __launch_bounds__(256) damped_degrees_f32(
    const float* __restrict__ weights, const double* __restrict__ damped, double* __restrict__ degrees, int n,
    bool self_loops) {
    sum_row(weights, degrees, n, self_loops, [=](int column) { return damped[column]; });
}
extern "C" __global__ void __launch_bounds__(256) damped_degrees_f64(
    const double* __restrict__ weights, const double* __restrict__ damped, double* __restrict__ degrees, int n,
    bool self_loops) {
    sum_row(weights, degrees, n, self_loops, [=](int column) { return damped[column]; });
}

extern "C" __global__ void __launch_bounds__(256) normalise_f32(
    const float* __restrict__ weights, const double* __restrict__ factor, double* __restrict__ normalised, int n,
    bool self_loops) {
    normalise_row(weights, factor, normalised, n, self_loops);
}
extern "C" __global__ void __launch_bounds__(256) normalise_f64(
    const double* __restrict__ weights, const double* __restrict__ factor, double* __restrict__ normalised, int n,
    bool self_loops) {
    normalise_row(weights, factor, normalised, n, self_loops);
}
