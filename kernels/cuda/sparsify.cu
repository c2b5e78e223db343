// Select the k largest entries of each row: radix select on keys that are ordered as the numbers are.
//
// One block a row. Counts are integers, so that the order of atomic additions leaves no trace.

constexpr int DIGIT = 11;
constexpr unsigned BINS = 1u << DIGIT;

// Keys: the sign bit is flipped, and all others of negative numbers, so that unsigned integers sort as the numbers do.
// Zeros of both signs are one number, hence one key.
__device__ __forceinline__ unsigned key_of(float value) {
    const unsigned bits = value == 0 ? 0 : __float_as_uint(value);
    return bits >> 31 ? ~bits : bits | 1u << 31;
}
__device__ __forceinline__ unsigned long long key_of(double value) {
    const unsigned long long bits = value == 0 ? 0 : __double_as_longlong(value);
    return bits >> 63 ? ~bits : bits | 1ull << 63;
}
__device__ __forceinline__ float value_of(unsigned key) {
    return __uint_as_float(key >> 31 ? key ^ 1u << 31 : ~key);
}
__device__ __forceinline__ double value_of(unsigned long long key) {
    return __longlong_as_double(key >> 63 ? key ^ 1ull << 63 : ~key);
}

// Sum of `count` over the threads before this one, in a one-dimensional block of whole warps; `total` is that over all.
// `scratch` has 32 elements and is free for another use as soon as this returns.
__device__ __forceinline__ unsigned sum_before(unsigned count, unsigned* scratch, unsigned& total) {
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    unsigned before = count;
    for (unsigned apart = 1; apart < WARP; apart *= 2) {
        const unsigned other = __shfl_up_sync(ALL_LANES, before, apart);
        if (lane >= apart) before += other;
    }
    if (lane == WARP - 1) scratch[warp] = before;
    before -= count;
    __syncthreads();  // before the totals are read
    total = 0;
    for (unsigned other = 0; other < blockDim.x / WARP; ++other) {
        if (other < warp) before += scratch[other];
        total += scratch[other];
    }
    __syncthreads();  // before another sum
    return before;
}

// What is left to find after a digit: its value, how many of the entries that share it are kept, and how many share it.
struct Found {
    unsigned digit, n_kept, n_equal;
};

// The digit of the n_kept-th largest entry, from the number of entries in each bin. blockDim.x divides BINS.
__device__ __forceinline__ Found find_digit(const unsigned* bins, unsigned n_kept, unsigned* scratch, Found* found) {
    const unsigned per_thread = BINS / blockDim.x, top = BINS - 1 - threadIdx.x * per_thread;
    unsigned own = 0, total;
    for (unsigned i = 0; i < per_thread; ++i) own += bins[top - i];
    unsigned above = sum_before(own, scratch, total);
    if (above < n_kept && n_kept <= above + own) {  // one thread only
        unsigned bin = top;
        while (above + bins[bin] < n_kept) above += bins[bin--];
        *found = {bin, n_kept - above, bins[bin]};
    }
    __syncthreads();  // before what was found is read
    return *found;
}

template <typename T>
__device__ __forceinline__ void row_threshold(const T* __restrict__ x, T* __restrict__ threshold,
                                              long long* __restrict__ ties, int n_columns, int k) {
    using Key = decltype(key_of(T(0)));
    __shared__ unsigned bins[BINS];
    __shared__ unsigned scratch[WARP];
    __shared__ Found found;
    const T* row = x + (long long)blockIdx.x * n_columns;
    Key prefix = 0;  // the digits found so far
    Found last = {0, (unsigned)k, 0};
    constexpr int BITS = 8 * sizeof(Key);
    for (int high = BITS; high > 0;) {
        const int low = max(high - DIGIT, 0);
        const Key mask = (Key(1) << (high - low)) - 1;
        for (unsigned bin = threadIdx.x; bin < BINS; bin += blockDim.x) bins[bin] = 0;
        __syncthreads();  // before entries are counted
        for (int i = threadIdx.x; i < n_columns; i += blockDim.x) {
            const Key key = key_of(row[i]);
            if (high == BITS || key >> high == prefix) atomicAdd(&bins[key >> low & mask], 1u);
        }
        __syncthreads();  // before counts are read
        last = find_digit(bins, last.n_kept, scratch, &found);
        prefix = prefix << (high - low) | last.digit;
        high = low;
    }
    if (threadIdx.x == 0) {
        threshold[blockIdx.x] = value_of(prefix);
        ties[blockIdx.x] = last.n_kept == last.n_equal ? -1 : (long long)last.n_kept;
    }
}

// Of the entries equal to the threshold, those of the lowest columns are kept: they are numbered from left to right.
template <typename T>
__device__ __forceinline__ void keep_mask(const T* __restrict__ x, const T* __restrict__ thresholds,
                                          long long* __restrict__ ties, bool* __restrict__ kept, int n_columns) {
    __shared__ unsigned scratch[WARP];
    const long long start = (long long)blockIdx.x * n_columns;
    const T threshold = thresholds[blockIdx.x];
    const long long left = ties[blockIdx.x];
    if (left < 0) {  // all of them
        for (int i = threadIdx.x; i < n_columns; i += blockDim.x) kept[start + i] = x[start + i] >= threshold;
        return;
    }
    long long seen = 0;
    for (int first = 0; first < n_columns; first += blockDim.x) {
        const int i = first + threadIdx.x;
        const bool is_inside = i < n_columns;
        const bool is_tied = is_inside && x[start + i] == threshold;
        unsigned total;
        const long long number = seen + sum_before(is_tied, scratch, total);
        if (is_inside) kept[start + i] = is_tied ? number < left : x[start + i] > threshold;
        seen += total;
    }
    if (threadIdx.x == 0) ties[blockIdx.x] = seen < left ? left - seen : 0;
}

extern "C" __global__ void __launch_bounds__(1024) row_thresholds_f32(
    const float* __restrict__ x, float* __restrict__ threshold, long long* __restrict__ ties, int n_columns, int k) {
    row_threshold(x, threshold, ties, n_columns, k);
}

extern "C" __global__ void __launch_bounds__(1024) row_thresholds_f64(
    const double* __restrict__ x, double* __restrict__ threshold, long long* __restrict__ ties, int n_columns, int k) {
    row_threshold(x, threshold, ties, n_columns, k);
}

extern "C" __global__ void __launch_bounds__(256) keep_mask_f32(
    const float* __restrict__ x, const float* __restrict__ thresholds, long long* __restrict__ ties,
    bool* __restrict__ kept, int n_columns) {
    keep_mask(x, thresholds, ties, kept, n_columns);
}

extern "C" __global__ void __launch_bounds__(256) keep_mask_f64(
    const double* __restrict__ x, const double* __restrict__ thresholds, long long* __restrict__ ties,
    bool* __restrict__ kept, int n_columns) {
    keep_mask(x, thresholds, ties, kept, n_columns);
}
