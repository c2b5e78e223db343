// General linear models of many permutations: rows of permuted designs, statistics from products, and how many reach a
// threshold. Threads side by side have features side by side; each number is read once.

constexpr double LEAST_RESIDUAL = 1e-14;

// Columns of the design at permuted rows: a thread has one subject of one permutation, in all columns.
extern "C" __global__ void __launch_bounds__(256) permuted_rows_f64(
    const double* __restrict__ basis, const int* __restrict__ permutations, const signed char* __restrict__ signs,
    double* __restrict__ rows, int n_permutations, int n_subjects, int n_columns, bool has_signs) {
    const long long n_entries = (long long)n_permutations * n_subjects;
    for (long long i = grid_rank(); i < n_entries; i += grid_size()) {
        const long long permutation = i / n_subjects, subject = i % n_subjects;
        const double* from = basis + (long long)permutations[i] * n_columns;
        double* to = rows + permutation * n_columns * n_subjects + subject;
        const double sign = has_signs ? signs[i] : 1;
        for (int column = 0; column < n_columns; ++column) to[(long long)column * n_subjects] = sign * from[column];
    }
}

// What is left of a total without the squares of the products `first` to `stop` of a feature.
__device__ __forceinline__ double without_squares(double total, const double* products, int first, int stop,
                                                  long long n_features) {
    for (int row = first; row < stop; ++row) {
        const double product = products[row * n_features];
        total -= product * product;
    }
    return total;
}

// What is left counts as the rounding of the total at least.
__device__ __forceinline__ double residual(double left, double total) {
    const double least = LEAST_RESIDUAL * total;
    return left > least ? left : least;
}

extern "C" __global__ void __launch_bounds__(256) t_statistics_f64(
    const double* __restrict__ projections, const double* __restrict__ total, double* __restrict__ statistics,
    double df, int n_permutations, int n_rows, int n_features) {
    const long long feature = grid_rank();
    if (feature >= n_features) return;
    for (long long permutation = blockIdx.y; permutation < n_permutations; permutation += gridDim.y) {
        const double* products = projections + permutation * n_rows * n_features + feature;
        const double effect = products[0], left = without_squares(total[feature], products, 1, n_rows, n_features);
        const double error = residual(left - effect * effect, total[feature]);
        statistics[permutation * n_features + feature] = error > 0 ? effect * sqrt(df / error) : 0;
    }
}

extern "C" __global__ void __launch_bounds__(256) f_statistics_f64(
    const double* __restrict__ projections, const double* __restrict__ total, double* __restrict__ statistics,
    double df, int n_permutations, int n_rows, int n_features, int rank) {
    const long long feature = grid_rank();
    if (feature >= n_features) return;
    for (long long permutation = blockIdx.y; permutation < n_permutations; permutation += gridDim.y) {
        const double* products = projections + permutation * n_rows * n_features + feature;
        const double explained = -without_squares(0, products, 0, rank, n_features);
        const double left = without_squares(total[feature], products, rank, n_rows, n_features);
        const double error = residual(left - explained, total[feature]);
        statistics[permutation * n_features + feature] = error > 0 ? explained * df / (error * rank) : 0;
    }
}

// Counts are whole numbers, so that it does not matter in which order blocks add them up.
extern "C" __global__ void __launch_bounds__(256) count_exceedances_f64(
    const double* __restrict__ statistics, const double* __restrict__ thresholds, int* __restrict__ counts,
    int n_permutations, int n_features) {
    const long long feature = grid_rank();
    if (feature >= n_features) return;
    int count = 0;
    for (long long permutation = blockIdx.y; permutation < n_permutations; permutation += gridDim.y)
        count += statistics[permutation * n_features + feature] >= thresholds[feature];
    atomicAdd(&counts[feature], count);
}
