// Leading pairs of A y = λ M y by block Davidson without growth: one block a problem, which leaves when its wanted pairs have
// converged. The small problems inside are in double, H z = λ G z with H = Y'A Y and G = Y'M Y, by Cholesky's triangle of G
// and Jacobi's rotations. A and M stay where they are; the rest lies in shared memory as far as there is room.

constexpr int GROUP = 8;   // vectors that a thread multiplies at once
constexpr int A_LANE = 2;  // vectors that a lane turns, of 64 at most

// A small problem: H, which becomes the vectors; G, which becomes its triangle; and what else is needed on the way.
struct Pencil {
    double *projected, *gram, *roots, *pivots, *values, *sizes;
    Problem<double> rotated;
    int m;
};

// Y, its image A Y, which becomes the residual, and M Y, which is Y where there is no M. Rows are padded by zeros to whole
// groups, and one more, so that a column lies in different banks.
template <typename T>
struct Space {
    T *vectors, *image, *weighted;
    int n_rows, n_vectors, stride;
};

__device__ __forceinline__ Pencil pencil_at(double* room, int m) {
    Pencil p;
    p.m = m;
    p.rotated = placed(room, room, m, 2);
    p.projected = p.rotated.v + p.rotated.even * p.rotated.stride;
    p.gram = p.projected + m * m;
    p.roots = p.gram + m * m;
    p.pivots = p.roots + m;
    p.values = p.pivots + m;
    p.sizes = p.values + m;
    return p;
}

// Scale G to a diagonal of ones, and H alike; then G's lower triangle becomes Cholesky's L, in units of the roots of its
// pivots, column by column. A pivot that is not positive belongs to a vector that depends on those before it.
__device__ __forceinline__ Status factorise(const Pencil& p) {
    const int m = p.m;
    for (int i = threadIdx.x; i < m; i += blockDim.x) p.roots[i] = 1 / sqrt(p.gram[i * m + i]);
    __syncthreads();  // before rows and columns are scaled
    for (int i = threadIdx.x; i < m * m; i += blockDim.x) {
        const double scale = p.roots[i / m] * p.roots[i % m];
        p.gram[i] *= scale;
        p.projected[i] *= scale;
    }
    __syncthreads();  // before the first column of the triangle
    for (int j = 0; j < m; ++j) {
        for (int i = j + threadIdx.x; i < m; i += blockDim.x) {
            double left = p.gram[i * m + j];
            for (int k = 0; k < j; ++k) left -= p.gram[i * m + k] * p.gram[j * m + k] / p.gram[k * m + k];
            p.gram[i * m + j] = left;
        }
        __syncthreads();  // before the next column of the triangle
        if (!(p.gram[j * m + j] > 0)) return DEPENDENT;
    }
    for (int i = threadIdx.x; i < m * m; i += blockDim.x) {
        const int row = i / m, column = i % m;
        if (row == column) p.pivots[row] = 1 / sqrt(p.gram[i]);
        if (row > column) p.gram[i] /= sqrt(p.gram[column * m + column]);
    }
    __syncthreads();  // before equations are solved with it
    return SOLVED;
}

// H becomes C = L⁻¹ H L⁻ᵀ: a thread a column, and then a thread a row.
__device__ __forceinline__ void bring_to_unit_metric(const Pencil& p) {
    const int m = p.m;
    for (int column = threadIdx.x; column < m; column += blockDim.x) {
        for (int i = 0; i < m; ++i) {
            double left = p.projected[i * m + column];
            for (int k = 0; k < i; ++k) left -= p.gram[i * m + k] * p.projected[k * m + column];
            p.projected[i * m + column] = left * p.pivots[i];
        }
    }
    __syncthreads();  // before rows are solved
    for (int row = threadIdx.x; row < m; row += blockDim.x) {
        for (int i = 0; i < m; ++i) {
            double left = p.projected[row * m + i];
            for (int k = 0; k < i; ++k) left -= p.gram[i * m + k] * p.projected[row * m + k];
            p.projected[row * m + i] = left * p.pivots[i];
        }
    }
    __syncthreads();  // before the whole of it is read
}

// The vectors V of C become Z = L⁻ᵀ V, a thread a column, in the scale that G had.
__device__ __forceinline__ void bring_back(const Pencil& p) {
    const int m = p.m;
    for (int column = threadIdx.x; column < m; column += blockDim.x) {
        for (int i = m - 1; i >= 0; --i) {
            double left = p.projected[i * m + column];
            for (int k = i + 1; k < m; ++k) left -= p.gram[k * m + i] * p.projected[k * m + column];
            p.projected[i * m + column] = left * p.pivots[i];
        }
        for (int i = 0; i < m; ++i) p.projected[i * m + column] *= p.roots[i];
    }
}

// Values, descending, and vectors of H z = λ G z; for all threads to read.
__device__ __forceinline__ Status solve(const Pencil& p) {
    Status found = factorise(p);
    if (found != SOLVED) return found;
    bring_to_unit_metric(p);
    int exponent = 0;
    found = load(p.rotated, p.projected, &exponent);
    if (found == SOLVED) found = diagonalise(p.rotated);
    if (found != SOLVED) return found;
    write_sorted(p.rotated, exponent, p.values, p.projected);
    __syncthreads();  // before vectors are brought back
    bring_back(p);
    __syncthreads();  // before pairs are read
    return SOLVED;
}

// Product of a matrix with Y: a thread a row and a group of columns. The matrix is symmetric: threads read along its rows.
template <typename T>
__device__ __forceinline__ void multiply(const T* __restrict__ matrix, const Space<T>& space, T* product) {
    const int n_rows = space.n_rows, n_groups = space.stride / GROUP;
    for (int task = threadIdx.x; task < n_rows * n_groups; task += blockDim.x) {
        const int row = task % n_rows, first = task / n_rows * GROUP;
        T sums[GROUP] = {};
        for (int k = 0; k < n_rows; ++k) {
            const T entry = matrix[(long long)k * n_rows + row];
            for (int g = 0; g < GROUP; ++g) sums[g] += entry * space.vectors[k * space.stride + first + g];
        }
        for (int g = 0; g < GROUP; ++g) product[row * space.stride + first + g] = sums[g];
    }
}

// H = Y'(A Y) and G = Y'(M Y), symmetric to the bit: a warp an element and its mirror image.
template <typename T>
__device__ __forceinline__ void project(const Space<T>& space, const Pencil& p) {
    const int lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP, m = p.m;
    for (int pair = threadIdx.x / WARP; pair < m * m; pair += n_warps) {
        const int i = pair / m, j = pair % m;
        if (j > i) continue;
        double projected = 0, gram = 0;
        for (int k = lane; k < space.n_rows; k += WARP) {
            const T *y = space.vectors + k * space.stride, *a = space.image + k * space.stride,
                    *w = space.weighted + k * space.stride;
            projected += (double(y[i]) * a[j] + double(y[j]) * a[i]) / 2;
            gram += (double(y[i]) * w[j] + double(y[j]) * w[i]) / 2;
        }
        projected = warp_sum(projected);
        gram = warp_sum(gram);
        if (lane == 0) p.projected[i * m + j] = p.projected[j * m + i] = projected;
        if (lane == 0) p.gram[i * m + j] = p.gram[j * m + i] = gram;
    }
}

// Y becomes Y Z, and the image the residual A Y Z − M Y Z Λ: a warp a row, a lane a column or two.
template <typename T>
__device__ __forceinline__ void turn_space(const Space<T>& space, const Pencil& p) {
    const int lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP, m = p.m;
    for (int row = threadIdx.x / WARP; row < space.n_rows; row += n_warps) {
        T *vector = space.vectors + row * space.stride, *image = space.image + row * space.stride;
        const T* weighted = space.weighted + row * space.stride;
        T turned[A_LANE] = {}, image_turned[A_LANE] = {}, weighted_turned[A_LANE] = {};
        for (int i = 0; i < m; ++i) {
            for (int c = 0; c < A_LANE; ++c) {
                const int j = lane + c * WARP;
                const T z = j < m ? T(p.projected[i * m + j]) : T(0);
                turned[c] += vector[i] * z;
                image_turned[c] += image[i] * z;
                weighted_turned[c] += weighted[i] * z;
            }
        }
        __syncwarp();  // before the row is written over
        for (int c = 0; c < A_LANE; ++c) {
            const int j = lane + c * WARP;
            if (j < m) vector[j] = turned[c];
            if (j < m) image[j] = image_turned[c] - T(p.values[j]) * weighted_turned[c];
        }
    }
}

// ‖A y − λ M y‖ / |λ| of each pair, a warp a pair; for all threads the largest of those wanted.
template <typename T>
__device__ __forceinline__ double measure(const Space<T>& space, const Pencil& p, int n_wanted) {
    const int lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    for (int j = threadIdx.x / WARP; j < p.m; j += n_warps) {
        double squares = 0;
        for (int k = lane; k < space.n_rows; k += WARP) {
            const double left = space.image[k * space.stride + j];
            squares += left * left;
        }
        squares = warp_sum(squares);
        if (lane == 0) p.sizes[j] = sqrt(squares) / fabs(p.values[j]);
    }
    __syncthreads();  // before the residuals are judged
    double worst = 0;
    for (int j = 0; j < n_wanted; ++j) worst = fmax(worst, p.sizes[j]);
    return worst;
}

// Each vector moves by its residual over the distance of its value from the diagonal, along unit vectors outside of the block.
template <typename T>
__device__ __forceinline__ void step(const T* __restrict__ matrix, const T* __restrict__ metric, const Space<T>& space, const Pencil& p) {
    const T least_distance = T(0.3);
    for (int i = threadIdx.x; i < (space.n_rows - p.m) * p.m; i += blockDim.x) {
        const int row = p.m + i / p.m, j = i % p.m, place = row * space.stride + j;
        const long long on_diagonal = (long long)row * space.n_rows + row;
        const T diagonal = metric ? matrix[on_diagonal] / metric[on_diagonal] : matrix[on_diagonal];
        const T goal = T(p.values[j]);
        space.vectors[place] += space.image[place] / max(goal - diagonal, least_distance * T(fabs(goal)));
    }
}

template <typename T>
__device__ __forceinline__ Status iterate(const T* __restrict__ matrix, const T* __restrict__ metric, const Space<T>& space, const Pencil& p,
                          double tolerance, int n_wanted, int max_iterations) {
    for (int i = threadIdx.x; i < space.n_rows * space.stride; i += blockDim.x)
        space.vectors[i] = i / space.stride == i % space.stride && i % space.stride < p.m;
    __syncthreads();  // before the first products
    for (int iteration = 0;; ++iteration) {
        multiply(matrix, space, space.image);
        if (metric) multiply(metric, space, space.weighted);
        __syncthreads();  // before products are projected
        project(space, p);
        __syncthreads();  // before the small problem is solved
        const Status found = solve(p);
        if (found != SOLVED) return found;
        turn_space(space, p);
        __syncthreads();  // before residuals are measured
        const double worst = measure(space, p, n_wanted);
        if (iteration == max_iterations || !(worst > tolerance)) return SOLVED;
        step(matrix, metric, space, p);
        __syncthreads();  // before the next products
    }
}

// `n_kept`: 1 if there is room for the small problem in shared memory, 2 if for the space, too; what is left is in this
// block's `n_elsewhere` numbers of `work`.
template <typename T>
__device__ void small_eigen(const T* __restrict__ matrices, const T* __restrict__ metrics, double* __restrict__ values,
                            T* __restrict__ vectors, double* __restrict__ residuals, int* __restrict__ status, double* work,
                            double* shared, long long n_elsewhere, double tolerance, int n_rows, int m, int n_wanted,
                            int max_iterations, int n_kept, bool has_metrics) {
    const long long problem = blockIdx.x, matrix = problem * n_rows * n_rows;
    double* elsewhere = work + problem * n_elsewhere;
    const Pencil p = pencil_at(n_kept > 0 ? shared : elsewhere, m);
    Space<T> space;
    space.n_rows = n_rows;
    space.n_vectors = m;
    space.stride = (m + GROUP - 1) / GROUP * GROUP + 1;
    space.vectors = reinterpret_cast<T*>(n_kept == 1 ? elsewhere : p.sizes + m);
    space.image = space.vectors + n_rows * space.stride;
    space.weighted = has_metrics ? space.image + n_rows * space.stride : space.vectors;
    const Status found = iterate(matrices + matrix, has_metrics ? metrics + matrix : nullptr, space, p, tolerance, n_wanted,
                                 max_iterations);
    if (threadIdx.x == 0) status[problem] = found;
    if (found != SOLVED) return;
    for (int j = threadIdx.x; j < m; j += blockDim.x) {
        values[problem * m + j] = p.values[j];
        residuals[problem * m + j] = p.sizes[j];
    }
    for (int i = threadIdx.x; i < n_rows * m; i += blockDim.x)
        vectors[problem * n_rows * m + i] = space.vectors[i / m * space.stride + i % m];
}

extern "C" __global__ void __launch_bounds__(256, 2) small_eigen_f32(
    const float* __restrict__ matrices, const float* __restrict__ metrics, double* __restrict__ values,
    float* __restrict__ vectors, double* __restrict__ residuals, int* __restrict__ status, double* __restrict__ work,
    long long n_elsewhere, double tolerance, int n_rows, int m, int n_wanted, int max_iterations, int n_kept,
    bool has_metrics) {
    extern __shared__ double shared[];
    small_eigen(matrices, metrics, values, vectors, residuals, status, work, shared, n_elsewhere, tolerance, n_rows, m,
                n_wanted, max_iterations, n_kept, has_metrics);
}

extern "C" __global__ void __launch_bounds__(256, 2) small_eigen_f64(
    const double* __restrict__ matrices, const double* __restrict__ metrics, double* __restrict__ values,
    double* __restrict__ vectors, double* __restrict__ residuals, int* __restrict__ status, double* __restrict__ work,
    long long n_elsewhere, double tolerance, int n_rows, int m, int n_wanted, int max_iterations, int n_kept,
    bool has_metrics) {
    extern __shared__ double shared[];
    small_eigen(matrices, metrics, values, vectors, residuals, status, work, shared, n_elsewhere, tolerance, n_rows, m,
                n_wanted, max_iterations, n_kept, has_metrics);
}

extern "C" __global__ void __launch_bounds__(256, 2) ritz_pairs_f64(
    const double* __restrict__ projected, const double* __restrict__ gram, double* __restrict__ values,
    double* __restrict__ vectors, int* __restrict__ status, double* __restrict__ work, long long n_elsewhere, int m) {
    extern __shared__ double shared[];
    const long long problem = blockIdx.x, first = problem * m * m;
    const Pencil p = pencil_at(n_elsewhere > 0 ? work + problem * n_elsewhere : shared, m);
    for (int i = threadIdx.x; i < m * m; i += blockDim.x) {
        p.projected[i] = projected[first + i];
        p.gram[i] = gram[first + i];
    }
    __syncthreads();  // before the problem is scaled
    const Status found = solve(p);
    if (threadIdx.x == 0) status[problem] = found;
    if (found != SOLVED) return;
    for (int i = threadIdx.x; i < m * m; i += blockDim.x) vectors[first + i] = p.projected[i];
    for (int i = threadIdx.x; i < m; i += blockDim.x) values[problem * m + i] = p.values[i];
}
