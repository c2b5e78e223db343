// Affinity over a Gram matrix, in one pass: the lower triangle is read, and each of its tiles is written to both halves,
// to the upper one transposed through shared memory, so that all of it is coalesced. A pair is worked out once, hence
// exact symmetry.

constexpr int TILE = 32;
constexpr int ROWS_AT_ONCE = 8;

// Fill tile (blockIdx.y, blockIdx.x) and its mirror image with `pair` of the product, the row and the column.
// Rows that are not `present` have no affinity, not even with themselves. NaN stays NaN.
template <typename T, typename Pair>
__device__ __forceinline__ void fill_both_halves(T* gram, const bool* present, int n, bool non_negative, Pair pair) {
    __shared__ T tile[TILE][TILE + 1];  // one more than a row, so that a column lies in different banks
    if (blockIdx.x > blockIdx.y) return;
    const int first_row = blockIdx.y * TILE, first_column = blockIdx.x * TILE;
    const int column = first_column + threadIdx.x;
    for (int r = threadIdx.y; r < TILE; r += ROWS_AT_ONCE) {
        const int row = first_row + r;
        if (column > row || row >= n) continue;
        const long long place = (long long)row * n + column;
        T value = T(row == column);
        if (column < row) value = pair(gram[place], row, column);
        if (non_negative && value < T(0)) value = T(0);
        if (!present[row] || !present[column]) value = T(0);
        gram[place] = value;
        tile[threadIdx.x][r] = value;
    }
    __syncthreads();
    const int row = first_row + threadIdx.x;
    for (int c = threadIdx.y; c < TILE; c += ROWS_AT_ONCE) {
        const int mirrored = first_column + c;
        if (mirrored < row && row < n) gram[(long long)mirrored * n + row] = tile[c][threadIdx.x];
    }
}

// g is the product of two rows, q of a row with itself, and offset its mean less the mean of all, times √p.
template <typename T>
__device__ __forceinline__ T cosine(T g, T scale_a, T scale_b) {
    const T value = g * scale_a * scale_b;
    return value < T(-1) ? T(-1) : value > T(1) ? T(1) : value;
}
__device__ __forceinline__ float angle(float cosine) { return 1.0f - acosf(cosine) * 0.318309886f; }
__device__ __forceinline__ double angle(double cosine) { return 1.0 - acos(cosine) * 0.31830988618379067; }

template <typename T>
__device__ __forceinline__ T squared_distance(T g, T q_a, T q_b, T offset_a, T offset_b) {
    const T apart = offset_a - offset_b, square = (q_a + q_b) - T(2) * g + apart * apart;
    return square < T(0) ? T(0) : square;
}
template <typename T>
__device__ __forceinline__ T eta2(T g, T q_a, T q_b, T offset_a, T offset_b) {
    const T apart = offset_a - offset_b, both = q_a + q_b, total = both + apart * apart / T(2);
    return total > T(0) ? (g + both / T(2)) / total : T(1);
}

extern "C" __global__ void __launch_bounds__(256) cosine_f32(
    float* gram, const float* __restrict__ scale, const bool* __restrict__ present, int n, bool non_negative) {
    fill_both_halves(gram, present, n, non_negative,
                     [=](float g, int a, int b) { return cosine(g, scale[a], scale[b]); });
}
extern "C" __global__ void __launch_bounds__(256) cosine_f64(
    double* gram, const double* __restrict__ scale, const bool* __restrict__ present, int n, bool non_negative) {
    fill_both_halves(gram, present, n, non_negative,
                     [=](double g, int a, int b) { return cosine(g, scale[a], scale[b]); });
}

extern "C" __global__ void __launch_bounds__(256) normalized_angle_f32(
    float* gram, const float* __restrict__ scale, const bool* __restrict__ present, int n, bool non_negative) {
    fill_both_halves(gram, present, n, non_negative,
                     [=](float g, int a, int b) { return angle(cosine(g, scale[a], scale[b])); });
}
extern "C" __global__ void __launch_bounds__(256) normalized_angle_f64(
    double* gram, const double* __restrict__ scale, const bool* __restrict__ present, int n, bool non_negative) {
    fill_both_halves(gram, present, n, non_negative,
                     [=](double g, int a, int b) { return angle(cosine(g, scale[a], scale[b])); });
}

extern "C" __global__ void __launch_bounds__(256) gaussian_f32(
    float* gram, const float* __restrict__ q, const float* __restrict__ offset, const bool* __restrict__ present, int n,
    bool non_negative, float gamma) {
    fill_both_halves(gram, present, n, non_negative, [=](float g, int a, int b) {
        return expf(-gamma * squared_distance(g, q[a], q[b], offset[a], offset[b]));
    });
}
extern "C" __global__ void __launch_bounds__(256) gaussian_f64(
    double* gram, const double* __restrict__ q, const double* __restrict__ offset, const bool* __restrict__ present, int n,
    bool non_negative, double gamma) {
    fill_both_halves(gram, present, n, non_negative, [=](double g, int a, int b) {
        return exp(-gamma * squared_distance(g, q[a], q[b], offset[a], offset[b]));
    });
}

extern "C" __global__ void __launch_bounds__(256) eta2_f32(
    float* gram, const float* __restrict__ q, const float* __restrict__ offset, const bool* __restrict__ present, int n,
    bool non_negative) {
    fill_both_halves(gram, present, n, non_negative,
                     [=](float g, int a, int b) { return eta2(g, q[a], q[b], offset[a], offset[b]); });
}
extern "C" __global__ void __launch_bounds__(256) eta2_f64(
    double* gram, const double* __restrict__ q, const double* __restrict__ offset, const bool* __restrict__ present, int n,
    bool non_negative) {
    fill_both_halves(gram, present, n, non_negative,
                     [=](double g, int a, int b) { return eta2(g, q[a], q[b], offset[a], offset[b]); });
}
