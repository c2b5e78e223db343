// Standardise series, which lie in columns: mean 0 and norm 1.
//
// A block takes blockDim.x neighbouring columns, so that each row of its threads reads whole sectors of memory, and
// blockDim.y threads share the time points of a column. The columns are read from memory once and held in shared memory
// where they fit: a thread reads back only what it has put there itself, which needs no barrier.

template <typename T>
__device__ __forceinline__ void standardize(const T* __restrict__ series, T* __restrict__ unit,
                                            bool* __restrict__ varies, double rounding, int n_timepoints,
                                            int n_series, bool is_held) {
    extern __shared__ double shared[];
    double* scratch = shared;
    T* held = reinterpret_cast<T*>(shared + blockDim.x * blockDim.y) + threadIdx.x;
    const long long column = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int end = column < n_series ? n_timepoints : 0;  // a column beyond the last takes part in folds alone

    double peak = 0;
    for (int t = threadIdx.y; t < end; t += blockDim.y) {
        const T value = series[(long long)t * n_series + column];
        if (is_held) held[t * blockDim.x] = value;
        peak = fmax(peak, fabs((double)value));
    }
    peak = over_column(peak, scratch, Larger());

    // A power of two brings the largest value into [0.5, 1): exact, and no square can overflow or vanish.
    int exponent = 0;
    frexp(peak, &exponent);
    const double scale = ldexp(1.0, -max(exponent, -1000));
    const T* from = is_held ? held : series + column;
    const long long stride = is_held ? blockDim.x : n_series;
    const double first = end > 0 ? series[column] * scale : 0;  // taken off first: exact for a constant

    double sum = 0;
    for (int t = threadIdx.y; t < end; t += blockDim.y) sum += from[t * stride] * scale - first;
    const double mean = over_column(sum, scratch, Sum()) / n_timepoints;

    double squares = 0;
    for (int t = threadIdx.y; t < end; t += blockDim.y) {
        const double centred = from[t * stride] * scale - first - mean;
        squares += centred * centred;
    }
    const double norm = sqrt(over_column(squares, scratch, Sum()));

    const bool is_varying = norm > rounding * (peak * scale);  // not where NaN or infinity has made the norm NaN
    const double inverse = is_varying ? 1 / norm : 0;
    for (int t = threadIdx.y; t < end; t += blockDim.y) {
        const double centred = from[t * stride] * scale - first - mean;
        unit[(long long)t * n_series + column] = is_varying ? (T)(centred * inverse) : T(0);
    }
    if (end > 0 && threadIdx.y == 0) varies[column] = is_varying;
}

extern "C" __global__ void __launch_bounds__(256) standardize_f32(
    const float* __restrict__ series, float* __restrict__ unit, bool* __restrict__ varies, double rounding,
    int n_timepoints, int n_series, bool is_held) {
    standardize(series, unit, varies, rounding, n_timepoints, n_series, is_held);
}

extern "C" __global__ void __launch_bounds__(256) standardize_f64(
    const double* __restrict__ series, double* __restrict__ unit, bool* __restrict__ varies, double rounding,
    int n_timepoints, int n_series, bool is_held) {
    standardize(series, unit, varies, rounding, n_timepoints, n_series, is_held);
}
