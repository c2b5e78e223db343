// Fisher's z of correlations, in place: what a matrix product leaves is read and written once.

template <typename T>
__device__ __forceinline__ T fisher_z(T r, T largest) {
    const T clipped = r > largest ? largest : r < -largest ? -largest : r;
    return T(0.5) * log((1 + clipped) / (1 - clipped));
}

template <typename T>
__device__ __forceinline__ void fisher_z_everywhere(T* __restrict__ r, T largest, long long n_entries) {
    for (long long i = grid_rank(); i < n_entries; i += grid_size()) r[i] = fisher_z(r[i], largest);
}

// One block a row.
template <typename T>
__device__ __forceinline__ void fisher_z_of_row(T* __restrict__ r, double* __restrict__ sums, T largest,
                                                int n_columns) {
    __shared__ double scratch[WARP];
    T* row = r + (long long)blockIdx.x * n_columns;
    double sum = 0;
    for (int i = threadIdx.x; i < n_columns; i += blockDim.x) {
        const T z = fisher_z(row[i], largest);
        row[i] = z;
        sum += z;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(256) fisher_z_f32(
    float* __restrict__ r, float largest, long long n_entries) {
    fisher_z_everywhere(r, largest, n_entries);
}

extern "C" __global__ void __launch_bounds__(256) fisher_z_f64(
    double* __restrict__ r, double largest, long long n_entries) {
    fisher_z_everywhere(r, largest, n_entries);
}

extern "C" __global__ void __launch_bounds__(256) fisher_z_sums_f32(
    float* __restrict__ r, double* __restrict__ sums, float largest, int n_columns) {
    fisher_z_of_row(r, sums, largest, n_columns);
}

extern "C" __global__ void __launch_bounds__(256) fisher_z_sums_f64(
    double* __restrict__ r, double* __restrict__ sums, double largest, int n_columns) {
    fisher_z_of_row(r, sums, largest, n_columns);
}
