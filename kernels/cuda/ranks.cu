// Average ranks of the entries of each row, one block a row.

// Rank, from 1, of entry i of n ascending entries; those that are equal share the mean of theirs.
template <typename T>
__device__ __forceinline__ T average_rank(const T* ascending, int n, int i) {
    const T value = ascending[i];
    int first = i > 0 && ascending[i - 1] == value ? 0 : i, high = i;
    while (first < high) {
        const int middle = (first + high) / 2;
        if (ascending[middle] < value) first = middle + 1;
        else high = middle;
    }
    int low = i + 1, end = low < n && ascending[low] == value ? n : low;
    while (low < end) {
        const int middle = (low + end) / 2;
        if (ascending[middle] > value) end = middle;
        else low = middle + 1;
    }
    return T(first + 1 + end) / 2;
}

// Sorts a row in shared memory by Batcher's bitonic network; `size` is a power of two, at least n_columns.
template <typename T>
__device__ __forceinline__ void rank_row(const T* __restrict__ x, T* __restrict__ ranks, int n_columns, int size) {
    extern __shared__ double shared[];
    T* values = reinterpret_cast<T*>(shared);
    int* columns = reinterpret_cast<int*>(values + size);
    const long long start = (long long)blockIdx.x * n_columns;
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        values[i] = i < n_columns ? x[start + i] : T(__int_as_float(0x7f800000));  // infinity: after all others
        columns[i] = i;
    }
    __syncthreads();  // before the row is sorted
    for (int width = 2; width <= size; width *= 2) {
        for (int apart = width / 2; apart > 0; apart /= 2) {
            for (int pair = threadIdx.x; pair < size / 2; pair += blockDim.x) {
                const int low = 2 * pair - (pair & (apart - 1)), high = low + apart;
                const bool is_rising = (low & width) == 0;
                if ((values[low] > values[high]) == is_rising) {
                    const T value = values[low];
                    const int column = columns[low];
                    values[low] = values[high], values[high] = value;
                    columns[low] = columns[high], columns[high] = column;
                }
            }
            __syncthreads();  // before the next pairs are compared
        }
    }
    for (int i = threadIdx.x; i < n_columns; i += blockDim.x)
        ranks[start + columns[i]] = average_rank(values, n_columns, i);
}

// The same of rows that have been sorted: `columns` says where an entry was.
template <typename T>
__device__ __forceinline__ void rank_sorted_row(const T* __restrict__ ascending, const long long* __restrict__ columns,
                                                T* __restrict__ ranks, int n_columns) {
    const long long start = (long long)blockIdx.x * n_columns;
    for (int i = threadIdx.x; i < n_columns; i += blockDim.x)
        ranks[start + columns[start + i]] = average_rank(ascending + start, n_columns, i);
}

extern "C" __global__ void __launch_bounds__(1024) rank_rows_f32(
    const float* __restrict__ x, float* __restrict__ ranks, int n_columns, int size) {
    rank_row(x, ranks, n_columns, size);
}

extern "C" __global__ void __launch_bounds__(1024) rank_rows_f64(
    const double* __restrict__ x, double* __restrict__ ranks, int n_columns, int size) {
    rank_row(x, ranks, n_columns, size);
}

extern "C" __global__ void __launch_bounds__(1024) rank_sorted_rows_f32(
    const float* __restrict__ ascending, const long long* __restrict__ columns, float* __restrict__ ranks,
    int n_columns) {
    rank_sorted_row(ascending, columns, ranks, n_columns);
}

extern "C" __global__ void __launch_bounds__(1024) rank_sorted_rows_f64(
    const double* __restrict__ ascending, const long long* __restrict__ columns, double* __restrict__ ranks,
    int n_columns) {
    rank_sorted_row(ascending, columns, ranks, n_columns);
}
