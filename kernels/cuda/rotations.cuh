// Eigenpairs of a small symmetric matrix A by Jacobi's method, by all threads of a block: in each round of a tournament, n / 2
// rotations of disjoint pairs of rows and columns, which cannot disturb each other. V collects the rotations; its ROWS are
// the vectors, so that a warp turns two of them along contiguous memory. Rows have an odd stride: no two in a bank.
// This text is put between common.cuh and the kernel files that need it.

constexpr int MOST_SWEEPS = 30;
constexpr int MOST_PAIRS = 64;  // of 128 rows
enum Status { SOLVED, NOT_CONVERGED, NOT_FINITE, DEPENDENT };

// Elements off the diagonal that count as zero, of a matrix whose largest element is below 1.
template <typename T>
constexpr T NEGLIGIBLE = sizeof(T) == 4 ? T(6e-08) : T(1.1e-16);

// Room for one matrix: A and V, and the rotations of a round.
template <typename T>
struct Problem {
    T *a, *v, *cosines, *sines;
    int n, even, stride;  // rows; rows with the one of zeros that makes them even; distance of rows
};

// Pair `k` of round `round` in a tournament of `n_players`, an even number: in n_players − 1 rounds of n_players / 2 pairs
// everyone meets everyone once, and nobody is in two pairs of a round.
__device__ __forceinline__ int2 tournament_pair(int round, int k, int n_players) {
    const int last = n_players - 1;
    if (k == 0) return make_int2(round, last);
    return make_int2((round + k) % last, (round + last - k) % last);
}

// A and V where there is room: `n_kept` of them in shared memory, the others in this block's part of `work`.
template <typename T>
__device__ __forceinline__ Problem<T> placed(T* shared, T* work, int n, int n_kept) {
    Problem<T> problem;
    problem.n = n;
    problem.even = n + n % 2;
    problem.stride = problem.even + 1;
    const int size = problem.even * problem.stride;
    T* elsewhere = work + (long long)blockIdx.x * (2 - n_kept) * size;
    problem.cosines = shared;
    problem.sines = problem.cosines + MOST_PAIRS;
    T* kept = problem.sines + MOST_PAIRS;
    problem.a = n_kept > 0 ? kept : elsewhere;
    problem.v = n_kept > 1 ? kept + size : elsewhere + (1 - n_kept) * size;
    return problem;
}

// Read the lower triangle, scaled by a power of two to magnitudes below 1, and start V as the identity. Every warp looks for
// the largest magnitude itself; the exponent of the power, or NOT_FINITE.
template <typename T>
__device__ __forceinline__ Status load(const Problem<T>& problem, const T* __restrict__ matrix, int* exponent) {
    const int n = problem.n, stride = problem.stride;
    T peak = 0;
    for (int i = threadIdx.x % WARP; i < n * n; i += WARP) peak = max(peak, magnitude(matrix[i]));
    peak = warp_max(peak);
    if (!isfinite(peak)) return NOT_FINITE;
    frexp(peak, exponent);
    for (int i = threadIdx.x; i < problem.even * problem.even; i += blockDim.x) {
        const int row = i / problem.even, column = i % problem.even;
        if (column > row) continue;
        const T x = row < n ? T(ldexp(matrix[row * n + column], -*exponent)) : T(0);
        problem.a[row * stride + column] = problem.a[column * stride + row] = x;
        problem.v[row * stride + column] = problem.v[column * stride + row] = row == column;
    }
    __syncthreads();  // before the first rotations are chosen
    return SOLVED;
}

// Choose the rotation that makes the element between two rows zero, and apply it to what lies between these two alone.
template <typename T>
__device__ __forceinline__ bool choose(const Problem<T>& problem, int2 pair, int k) {
    T& off = problem.a[pair.x * problem.stride + pair.y];
    const bool is_turned = fabs(off) > NEGLIGIBLE<T>;
    T cosine = 1, sine = 0;
    if (is_turned) {
        T &first = problem.a[pair.x * problem.stride + pair.x], &second = problem.a[pair.y * problem.stride + pair.y];
        const T theta = (second - first) / (2 * off);
        const T tangent = copysign(T(1), theta) / (T(fabs(theta)) + sqrt(theta * theta + 1));
        cosine = 1 / sqrt(tangent * tangent + 1);
        sine = tangent * cosine;
        first -= tangent * off;
        second += tangent * off;
        off = problem.a[pair.y * problem.stride + pair.x] = 0;
    }
    problem.cosines[k] = cosine;
    problem.sines[k] = sine;
    return is_turned;
}

template <typename T>
__device__ __forceinline__ void turn(T& x, T& y, T cosine, T sine) {
    const T before = x;
    x = cosine * x - sine * y;
    y = sine * before + cosine * y;
}

// The two-by-two block of A between the rows of pair k and the columns of pair l: rotated from both sides, and mirrored.
template <typename T>
__device__ __forceinline__ void turn_block(const Problem<T>& problem, int round, int k, int l) {
    const int2 rows = tournament_pair(round, k, problem.even), columns = tournament_pair(round, l, problem.even);
    T *upper = problem.a + rows.x * problem.stride, *lower = problem.a + rows.y * problem.stride;
    T xx = upper[columns.x], xy = upper[columns.y], yx = lower[columns.x], yy = lower[columns.y];
    turn(xx, xy, problem.cosines[l], problem.sines[l]);
    turn(yx, yy, problem.cosines[l], problem.sines[l]);
    turn(xx, yx, problem.cosines[k], problem.sines[k]);
    turn(xy, yy, problem.cosines[k], problem.sines[k]);
    T *left = problem.a + columns.x * problem.stride, *right = problem.a + columns.y * problem.stride;
    upper[columns.x] = left[rows.x] = xx;
    upper[columns.y] = right[rows.x] = xy;
    lower[columns.x] = left[rows.y] = yx;
    lower[columns.y] = right[rows.y] = yy;
}

// All pairs k < l of a round, a warp a row of them; the triangle is folded into a rectangle to leave no lane idle.
template <typename T>
__device__ __forceinline__ void turn_matrix(const Problem<T>& problem, int round) {
    const int rest = problem.even / 2 - 1, is_even = 1 - rest % 2, width = rest + is_even;
    const int lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    for (int row = threadIdx.x / WARP; row < (rest + 1) / 2; row += n_warps) {
        for (int column = lane; column < width; column += WARP) {
            if (column - is_even >= row)
                turn_block(problem, round, row, column - is_even + 1);
            else
                turn_block(problem, round, rest - row - is_even, rest - column);
        }
    }
}

template <typename T>
__device__ __forceinline__ void turn_vectors(const Problem<T>& problem, int round) {
    const int lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    for (int k = threadIdx.x / WARP; k < problem.even / 2; k += n_warps) {
        const T cosine = problem.cosines[k], sine = problem.sines[k];
        if (sine == 0) continue;
        const int2 pair = tournament_pair(round, k, problem.even);
        T *first = problem.v + pair.x * problem.stride, *second = problem.v + pair.y * problem.stride;
        for (int i = lane; i < problem.n; i += WARP) turn(first[i], second[i], cosine, sine);
    }
}

// Sweep until one finds nothing to rotate.
template <typename T>
__device__ __forceinline__ Status diagonalise(const Problem<T>& problem) {
    for (int sweep = 0; sweep < MOST_SWEEPS; ++sweep) {
        bool is_done = true;
        for (int round = 0; round < problem.even - 1; ++round) {
            bool is_turned = false;
            for (int k = threadIdx.x; k < problem.even / 2; k += blockDim.x)
                is_turned |= choose(problem, tournament_pair(round, k, problem.even), k);
            if (!__syncthreads_or(is_turned)) continue;
            is_done = false;
            turn_matrix(problem, round);
            turn_vectors(problem, round);
            __syncthreads();  // before the next round's rotations are chosen
        }
        if (is_done) return SOLVED;
    }
    return NOT_CONVERGED;
}

// Whether the element of largest magnitude in a row is negative, the first of equals; for all lanes of a warp.
template <typename T>
__device__ __forceinline__ bool is_peak_negative(const T* row, int n) {
    T peak = 0;
    int place = n;
    for (int i = threadIdx.x % WARP; i < n; i += WARP) {
        if (fabs(row[i]) > fabs(peak)) peak = row[i], place = i;
    }
    for (unsigned apart = WARP / 2; apart > 0; apart /= 2) {
        const T other = __shfl_xor_sync(ALL_LANES, peak, apart);
        const int its_place = __shfl_xor_sync(ALL_LANES, place, apart);
        const bool is_larger = fabs(other) > fabs(peak) || (fabs(other) == fabs(peak) && its_place < place);
        if (is_larger) peak = other, place = its_place;
    }
    return peak < 0;
}

// A warp a pair: its place is the number of values above it, or equal to it and earlier.
template <typename T>
__device__ __forceinline__ void write_sorted(const Problem<T>& problem, int exponent, T* __restrict__ values, T* __restrict__ vectors) {
    const int n = problem.n, lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    for (int j = threadIdx.x / WARP; j < n; j += n_warps) {
        const T value = problem.a[j * problem.stride + j];
        int place = 0;
        for (int i = lane; i < n; i += WARP) {
            const T other = problem.a[i * problem.stride + i];
            place += other > value || (other == value && i < j);
        }
        place = warp_sum(place);
        const T* row = problem.v + j * problem.stride;
        const T sign = is_peak_negative(row, n) ? T(-1) : T(1);
        if (lane == 0) values[place] = ldexp(value, exponent);
        for (int i = lane; i < n; i += WARP) vectors[i * n + place] = sign * row[i];
    }
}
