// What a projection leaves of series, standardised: series - fitted, mean 0 and norm 1.
//
// Blocks share columns as in standardize.cu. What is left is held in float64 in shared memory where it fits, so that
// series and fit are read once; a thread reads back only what it has put there itself, which needs no barrier.

template <typename T>
__device__ __forceinline__ void residual(const T* __restrict__ series, const double* __restrict__ fitted,
                                         T* __restrict__ unit, bool* __restrict__ varies, double rounding,
                                         int n_timepoints, int n_series, bool is_held) {
    extern __shared__ double shared[];
    double* scratch = shared;
    double* held = shared + blockDim.x * blockDim.y + threadIdx.x;
    const long long column = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int end = column < n_series ? n_timepoints : 0;  // a column beyond the last takes part in folds alone

    const auto left = [=](int t) {
        const long long entry = (long long)t * n_series + column;
        return is_held ? held[t * blockDim.x] : (double)series[entry] - fitted[entry];
    };

    double peak = 0;  // of the series, whose rounding is in what is left
    for (int t = threadIdx.y; t < end; t += blockDim.y) {
        const long long entry = (long long)t * n_series + column;
        const double value = series[entry];
        if (is_held) held[t * blockDim.x] = value - fitted[entry];
        peak = fmax(peak, fabs(value));
    }
    peak = over_column(peak, scratch, Larger());

    // A power of two brings the largest value into [0.5, 1): exact, and no square can overflow or vanish.
    int exponent = 0;
    frexp(peak, &exponent);
    const double scale = ldexp(1.0, -max(exponent, -1000));

    double sum = 0;
    for (int t = threadIdx.y; t < end; t += blockDim.y) sum += left(t) * scale;
    const double mean = over_column(sum, scratch, Sum()) / n_timepoints;

    double squares = 0;
    for (int t = threadIdx.y; t < end; t += blockDim.y) {
        const double centred = left(t) * scale - mean;
        squares += centred * centred;
    }
    const double norm = sqrt(over_column(squares, scratch, Sum()));

    const bool is_varying = norm > rounding * (peak * scale);  // not where NaN or infinity has made the norm NaN
    const double inverse = is_varying ? 1 / norm : 0;
    for (int t = threadIdx.y; t < end; t += blockDim.y) {
        const double centred = left(t) * scale - mean;
        unit[(long long)t * n_series + column] = is_varying ? (T)(centred * inverse) : T(0);
    }
    if (end > 0 && threadIdx.y == 0) varies[column] = is_varying;
}

extern "C" __global__ void __launch_bounds__(256) residual_f32(
    const float* __restrict__ series, const double* __restrict__ fitted, float* __restrict__ unit,
    bool* __restrict__ varies, double rounding, int n_timepoints, int n_series, bool is_held) {
    residual(series, fitted, unit, varies, rounding, n_timepoints, n_series, is_held);
}

extern "C" __global__ void __launch_bounds__(256) residual_f64(
    const double* __restrict__ series, const double* __restrict__ fitted, double* __restrict__ unit,
    bool* __restrict__ varies, double rounding, int n_timepoints, int n_series, bool is_held) {
    residual(series, fitted, unit, varies, rounding, n_timepoints, n_series, is_held);
}
