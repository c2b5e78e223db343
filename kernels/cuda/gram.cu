// What Gram matrices need besides matrix products.

constexpr int TILE = 32;
constexpr int ROWS_AT_ONCE = 8;

// Copy tile (blockIdx.y, blockIdx.x) of the lower triangle onto its mirror image, transposed through shared memory so
// that reads and writes are coalesced.
template <typename T>
__device__ __forceinline__ void mirror_tile(T* square, int n) {
    __shared__ T tile[TILE][TILE + 1];  // one more than a row, so that a column lies in different banks
    if (blockIdx.x > blockIdx.y) return;
    const int first_row = blockIdx.y * TILE, first_column = blockIdx.x * TILE;
    const int column = first_column + threadIdx.x;
    for (int r = threadIdx.y; r < TILE; r += ROWS_AT_ONCE) {
        const int row = first_row + r;
        if (column < row && row < n) tile[threadIdx.x][r] = square[(long long)row * n + column];
    }
    __syncthreads();
    const int row = first_row + threadIdx.x;
    for (int c = threadIdx.y; c < TILE; c += ROWS_AT_ONCE) {
        const int mirrored = first_column + c;
        if (mirrored < row && row < n) square[(long long)mirrored * n + row] = tile[c][threadIdx.x];
    }
}

// One block a row: its sum, in double, and then its mean off each entry.
template <typename T>
__device__ __forceinline__ void centre_row(T* rows, double* sums, int n_columns) {
    __shared__ double scratch[WARP];
    T* row = rows + (long long)blockIdx.x * n_columns;
    double sum = 0;
    for (int column = threadIdx.x; column < n_columns; column += blockDim.x) sum += row[column];
    sum = block_sum(sum, scratch);
    const T mean = T(sum / n_columns);
    for (int column = threadIdx.x; column < n_columns; column += blockDim.x) row[column] -= mean;
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(256) mirror_f32(float* square, int n) { mirror_tile(square, n); }
extern "C" __global__ void __launch_bounds__(256) mirror_f64(double* square, int n) { mirror_tile(square, n); }

extern "C" __global__ void __launch_bounds__(256) centre_rows_f32(
    float* rows, double* __restrict__ sums, int n_columns) {
    centre_row(rows, sums, n_columns);
}
extern "C" __global__ void __launch_bounds__(256) centre_rows_f64(
    double* rows, double* __restrict__ sums, int n_columns) {
    centre_row(rows, sums, n_columns);
}
