// Sums and extremes over the rows or the columns of a matrix, in the tree that reduce.py describes: a block takes a
// segment of at most LANE_ENTRIES entries a lane, each lane goes through its entries in order, and the lanes fold by halves.
// A block is THREADS / WIDTH lanes of WIDTH series: a row alone (WIDTH 1), or 32 columns side by side.

constexpr int THREADS = 256;
constexpr int LANE_ENTRIES = 64;
constexpr int COLUMNS = 32;

// The entries of a block: `length` of them, `apart` elements from one to the next, beginning at element `first` of the
// matrix; `position` is that of the first within its whole row or column, and `partial` where its result goes.
struct Segment {
    long long first, partial, apart;
    int position, length;
};
__device__ __forceinline__ Segment row_segment(int n_columns) {
    const int size = LANE_ENTRIES * THREADS, start = blockIdx.y * size;
    const long long row = blockIdx.x;
    return {row * n_columns + start, row * gridDim.y + blockIdx.y, 1, start, min(size, n_columns - start)};
}
// Columns beyond the last have no entries.
__device__ __forceinline__ Segment column_segment(int n_rows, int n_columns) {
    const int size = LANE_ENTRIES * (THREADS / COLUMNS), start = blockIdx.y * size;
    const int column = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    return {(long long)start * n_columns + column, (long long)blockIdx.y * n_columns + column, n_columns, start,
            column < n_columns ? min(size, n_rows - start) : 0};
}

// Fold what the lanes found: lane i with lane i + half, for half of the lanes, then a quarter, down to the first, whose
// threads receive the result.
template <int WIDTH, typename Found, typename Combine>
__device__ __forceinline__ Found fold_lanes(Found found, Found* scratch, Combine combine) {
    scratch[threadIdx.x] = found;
    for (unsigned half = THREADS / 2; half >= WIDTH; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) scratch[threadIdx.x] = combine(scratch[threadIdx.x], scratch[threadIdx.x + half]);
    }
    return scratch[threadIdx.x];
}

template <int WIDTH, typename T>
__device__ __forceinline__ void sum_segment(const T* x, double* sums, Segment segment) {
    __shared__ double scratch[THREADS];
    double sum = 0;
#pragma unroll 4
    for (int i = threadIdx.x / WIDTH; i < segment.length; i += THREADS / WIDTH) sum += x[segment.first + i * segment.apart];
    sum = fold_lanes<WIDTH>(sum, scratch, [](double a, double b) { return a + b; });
    if (threadIdx.x < WIDTH && segment.length > 0) sums[segment.partial] = sum;
}

// An entry and its position; a negative position is none.
template <typename T>
struct Extreme {
    T value;
    int position;
};
// The further out of two: the larger, or the smaller; NaN before numbers; of equals, the one that comes first.
template <typename T>
__device__ __forceinline__ Extreme<T> further(Extreme<T> a, Extreme<T> b, bool largest) {
    if (a.position < 0 || b.position < 0) return a.position < 0 ? b : a;
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan ? a : b;
    if (a_nan || a.value == b.value) return a.position < b.position ? a : b;
    return (a.value > b.value) == largest ? a : b;
}

template <int WIDTH, typename T>
__device__ __forceinline__ void find_extreme(const T* x, T* values, long long* positions, Segment segment, bool largest) {
    __shared__ Extreme<T> scratch[THREADS];
    Extreme<T> found = {T(0), -1};
    for (int i = threadIdx.x / WIDTH; i < segment.length; i += THREADS / WIDTH)
        found = further(found, {x[segment.first + i * segment.apart], segment.position + i}, largest);
    found = fold_lanes<WIDTH>(found, scratch, [=](Extreme<T> a, Extreme<T> b) { return further(a, b, largest); });
    if (threadIdx.x < WIDTH && segment.length > 0) {
        values[segment.partial] = found.value;
        positions[segment.partial] = found.position;
    }
}

extern "C" __global__ void __launch_bounds__(256) row_sums_f32(
    const float* __restrict__ x, double* __restrict__ sums, int n_columns) {
    sum_segment<1>(x, sums, row_segment(n_columns));
}
extern "C" __global__ void __launch_bounds__(256) row_sums_f64(
    const double* __restrict__ x, double* __restrict__ sums, int n_columns) {
    sum_segment<1>(x, sums, row_segment(n_columns));
}
extern "C" __global__ void __launch_bounds__(256) column_sums_f32(
    const float* __restrict__ x, double* __restrict__ sums, int n_rows, int n_columns) {
    sum_segment<COLUMNS>(x, sums, column_segment(n_rows, n_columns));
}
extern "C" __global__ void __launch_bounds__(256) column_sums_f64(
    const double* __restrict__ x, double* __restrict__ sums, int n_rows, int n_columns) {
    sum_segment<COLUMNS>(x, sums, column_segment(n_rows, n_columns));
}

extern "C" __global__ void __launch_bounds__(256) row_extremes_f32(
    const float* __restrict__ x, float* __restrict__ values, long long* __restrict__ positions, int n_columns,
    bool largest) {
    find_extreme<1>(x, values, positions, row_segment(n_columns), largest);
}
extern "C" __global__ void __launch_bounds__(256) row_extremes_f64(
    const double* __restrict__ x, double* __restrict__ values, long long* __restrict__ positions, int n_columns,
    bool largest) {
    find_extreme<1>(x, values, positions, row_segment(n_columns), largest);
}
extern "C" __global__ void __launch_bounds__(256) column_extremes_f32(
    const float* __restrict__ x, float* __restrict__ values, long long* __restrict__ positions, int n_rows,
    int n_columns, bool largest) {
    find_extreme<COLUMNS>(x, values, positions, column_segment(n_rows, n_columns), largest);
}
extern "C" __global__ void __launch_bounds__(256) column_extremes_f64(
    const double* __restrict__ x, double* __restrict__ values, long long* __restrict__ positions, int n_rows,
    int n_columns, bool largest) {
    find_extreme<COLUMNS>(x, values, positions, column_segment(n_rows, n_columns), largest);
}
