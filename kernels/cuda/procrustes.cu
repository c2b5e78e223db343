// Rotations U V' from small products U S V', by Hestenes' one-sided Jacobi method: pairs of columns of W = M V are rotated
// until all are orthogonal; then W = U S. One warp a product, one lane a row of W and V, so lanes meet in sums alone.
// Columns are 32 numbers long in shared memory, zeros below the product's last row.

constexpr int MOST_SWEEPS = 30;
enum Status { SOLVED, NOT_CONVERGED, NOT_FINITE };

template <typename T>
constexpr T EPSILON = sizeof(T) == 4 ? T(1.1920929e-07) : T(2.220446049250313e-16);

__device__ __forceinline__ int lane_rank() { return threadIdx.x % WARP; }

// Read a product into W, scaled by a power of two to magnitudes below 1, and start V as the identity.
template <typename T>
__device__ Status load(const T* __restrict__ product, T* w, T* v, int k) {
    const int row = lane_rank();
    T peak = 0;
    for (int j = 0; j < k; ++j) {
        const T x = row < k ? product[row * k + j] : T(0);
        w[j * WARP + row] = x;
        v[j * WARP + row] = row == j;
        peak = max(peak, magnitude(x));
    }
    peak = warp_max(peak);
    if (!isfinite(peak)) return NOT_FINITE;
    int exponent = 0;
    frexp(peak, &exponent);
    for (int j = 0; j < k; ++j) w[j * WARP + row] = ldexp(w[j * WARP + row], -exponent);
    return SOLVED;
}

template <typename T>
__device__ __forceinline__ void turn(T& x, T& y, T cosine, T sine) {
    const T before = x;
    x = cosine * x - sine * y;
    y = sine * before + cosine * y;
}

// Make two columns orthogonal; false where they are, or where one is nothing but rounding beside the largest.
template <typename T>
__device__ bool rotate(T* w, T* v, int p, int q) {
    const int row = lane_rank();
    T &x = w[p * WARP + row], &y = w[q * WARP + row];
    const T xx = warp_sum(x * x), yy = warp_sum(y * y), xy = warp_sum(x * y);
    const T nothing = EPSILON<T> * EPSILON<T>;
    if (xx <= nothing || yy <= nothing || fabs(xy) <= 8 * EPSILON<T> * sqrt(xx) * sqrt(yy)) return false;
    const T zeta = (yy - xx) / (2 * xy);
    const T tangent = copysign(T(1), zeta) / (T(fabs(zeta)) + sqrt(zeta * zeta + 1));
    const T cosine = 1 / sqrt(tangent * tangent + 1), sine = tangent * cosine;
    turn(x, y, cosine, sine);
    turn(v[p * WARP + row], v[q * WARP + row], cosine, sine);
    return true;
}

template <typename T>
__device__ Status orthogonalise(T* w, T* v, int k) {
    for (int sweep = 0; sweep < MOST_SWEEPS; ++sweep) {
        bool is_done = true;
        for (int p = 0; p < k; ++p) {
            for (int q = p + 1; q < k; ++q) is_done &= !rotate(w, v, p, q);
        }
        if (is_done) return SOLVED;
    }
    return NOT_CONVERGED;
}

// Scale the columns of W to unit norm; a bit for each whose norm is more than k eps times the largest's.
template <typename T>
__device__ unsigned normalise(T* w, int k) {
    const int row = lane_rank();
    T largest = 0;
    for (int j = 0; j < k; ++j) {
        const T x = w[j * WARP + row];
        largest = max(largest, T(sqrt(warp_sum(x * x))));
    }
    unsigned present = 0;
    for (int j = 0; j < k; ++j) {
        const T x = w[j * WARP + row], norm = sqrt(warp_sum(x * x));
        if (norm <= k * EPSILON<T> * largest) continue;
        w[j * WARP + row] = x / norm;
        present |= 1u << j;
    }
    return present;
}

// Replace the columns without a bit in `present` by unit vectors made orthogonal to all others: each time the first one of
// which at least half as much is left as is on average.
template <typename T>
__device__ void complete(T* columns, unsigned present, int k) {
    const int row = lane_rank();
    for (int j = 0; j < k; ++j) {
        if (present >> j & 1u) continue;
        T left = row < k;
        for (int i = 0; i < k; ++i) {
            if (present >> i & 1u) left -= columns[i * WARP + row] * columns[i * WARP + row];
        }
        const unsigned candidates = __ballot_sync(ALL_LANES, left * 2 * k >= k - __popc(present));
        T x = row == __ffs(candidates) - 1;
        for (int pass = 0; pass < 2; ++pass) {
            for (int i = 0; i < k; ++i) {
                if (present >> i & 1u) x -= columns[i * WARP + row] * warp_sum(columns[i * WARP + row] * x);
            }
        }
        columns[j * WARP + row] = x / sqrt(warp_sum(x * x));
        present |= 1u << j;
    }
}

template <typename T>
__device__ void procrustes(const T* __restrict__ products, T* __restrict__ rotations, int* __restrict__ status, T* shared,
                           int batch, int k) {
    const long long matrix = grid_rank() / WARP;
    if (matrix >= batch) return;
    const int lane = lane_rank();
    T* w = shared + threadIdx.x / WARP * 2 * k * WARP;
    T* v = w + k * WARP;
    Status found = load(products + matrix * k * k, w, v, k);
    if (found == SOLVED) found = orthogonalise(w, v, k);
    if (lane == 0) status[matrix] = found;
    if (found != SOLVED) return;
    const unsigned present = normalise(w, k);
    complete(w, present, k);
    complete(v, present, k);
    __syncwarp();  // before lanes read each other's rows
    for (int i = 0; i < k; ++i) {
        T sum = 0;
        for (int j = 0; j < k; ++j) sum += w[j * WARP + i] * v[j * WARP + lane];
        if (lane < k) rotations[(matrix * k + i) * k + lane] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(256) batched_procrustes_f32(
    const float* __restrict__ products, float* __restrict__ rotations, int* __restrict__ status, int batch, int k) {
    extern __shared__ float shared_f32[];
    procrustes(products, rotations, status, shared_f32, batch, k);
}

extern "C" __global__ void __launch_bounds__(256) batched_procrustes_f64(
    const double* __restrict__ products, double* __restrict__ rotations, int* __restrict__ status, int batch, int k) {
    extern __shared__ double shared_f64[];
    procrustes(products, rotations, status, shared_f64, batch, k);
}
