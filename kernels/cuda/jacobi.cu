// All eigenpairs of many small symmetric matrices: one block a matrix.

template <typename T>
__device__ void eigh(const T* __restrict__ matrices, T* __restrict__ values, T* __restrict__ vectors, int* __restrict__ status,
                     T* work, T* shared, int n, int n_kept) {
    const long long matrix = blockIdx.x;
    const Problem<T> problem = placed(shared, work, n, n_kept);
    int exponent = 0;
    Status found = load(problem, matrices + matrix * n * n, &exponent);
    if (found == SOLVED) found = diagonalise(problem);
    if (threadIdx.x == 0) status[matrix] = found;
    if (found == SOLVED) write_sorted(problem, exponent, values + matrix * n, vectors + matrix * n * n);
}

extern "C" __global__ void __launch_bounds__(512) batched_eigh_f32(
    const float* __restrict__ matrices, float* __restrict__ values, float* __restrict__ vectors, int* __restrict__ status,
    float* __restrict__ work, int n, int n_kept) {
    extern __shared__ float shared_f32[];
    eigh(matrices, values, vectors, status, work, shared_f32, n, n_kept);
}

extern "C" __global__ void __launch_bounds__(512) batched_eigh_f64(
    const double* __restrict__ matrices, double* __restrict__ values, double* __restrict__ vectors,
    int* __restrict__ status, double* __restrict__ work, int n, int n_kept) {
    extern __shared__ double shared_f64[];
    eigh(matrices, values, vectors, status, work, shared_f64, n, n_kept);
}
