// Kernels that are right, and with -DPLANTED have one fault each, on a line that says so: `here: NAME`.
#ifdef PLANTED
#define RIGHT(...)
#define WRONG(...) __VA_ARGS__
#else
#define RIGHT(...) __VA_ARGS__
#define WRONG(...)
#endif

// --- races
extern "C" __global__ void missing_barrier(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float tile[64];
    const int i = threadIdx.x;
    tile[i] = i < n ? x[i] : 0;
    RIGHT(__syncthreads();)
    y[i] = tile[63 - i];  // here: missing_barrier
}

extern "C" __global__ void missing_second_barrier(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float tile[64];
    float sum = 0;
    for (int turn = 0; turn < 3; ++turn) {
        tile[threadIdx.x] = x[(turn + threadIdx.x) % n];  // here: missing_second_barrier
        __syncthreads();
        sum += tile[63 - threadIdx.x];
        RIGHT(__syncthreads();)
    }
    y[threadIdx.x] = sum;
}

extern "C" __global__ void missing_syncwarp(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float partial[32];
    const int lane = threadIdx.x;
    partial[lane] = lane < n ? x[lane] : 0;
    __syncwarp();
    for (int apart = 16; apart > 0; apart /= 2) {
        if (lane < apart) partial[lane] += partial[lane + apart];  // here: missing_syncwarp
        RIGHT(__syncwarp();)
    }
    if (lane == 0) y[0] = partial[0];
}

// A shuffle brings the lanes together in time, and orders no memory.
extern "C" __global__ void shuffle_is_no_barrier(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float tile[32];
    const int lane = threadIdx.x;
    tile[lane] = x[lane];
    const float far = __shfl_xor_sync(ALL_LANES, x[lane], 16);
    RIGHT(__syncwarp();)
    y[lane] = tile[31 - lane] + far + n;  // here: shuffle_is_no_barrier
}

extern "C" __global__ void syncwarp_is_no_barrier(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    RIGHT(__syncthreads();)
    WRONG(__syncwarp();)
    y[threadIdx.x] = tile[(threadIdx.x + 32) % n];  // here: syncwarp_is_no_barrier
}

extern "C" __global__ void blocks_write_one_element(const float* __restrict__ x, float* __restrict__ y, int n) {
    if (threadIdx.x == 0 && n) y[RIGHT(blockIdx.x) WRONG(0)] = x[blockIdx.x];  // here: blocks_write_one_element
}

extern "C" __global__ void block_reads_another(const float* __restrict__ x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = x[i];
    WRONG(if (i >= n - 32) y[i] += y[i - 32];)  // here: block_reads_another
}

extern "C" __global__ void count_without_atomic(const float* __restrict__ x, float* y, int n) {
    __shared__ int count;
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    if (x[threadIdx.x] > 0) {
        RIGHT(atomicAdd(&count, 1);)
        WRONG(count = count + 1;)  // here: count_without_atomic
    }
    __syncthreads();
    if (threadIdx.x == 0) y[0] = (float)count + n;
}

extern "C" __global__ void read_beside_atomic(const float* __restrict__ x, float* y, int n) {
    __shared__ int count;
    if (threadIdx.x == 0) count = n;
    __syncthreads();
    atomicAdd(&count, x[threadIdx.x] > 0);
    RIGHT(__syncthreads();)
    y[threadIdx.x] = (float)count;  // here: read_beside_atomic
}

// --- barriers and warps
extern "C" __global__ void return_before_barrier(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float tile[64];
    const int i = threadIdx.x;
    WRONG(if (i >= n - 10) return;)
    tile[i] = x[i];
    __syncthreads();  // here: return_before_barrier
    y[i] = tile[n - 1 - i];
}

extern "C" __global__ void barrier_in_branch(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    WRONG(if (threadIdx.x < 40)) __syncthreads();  // here: barrier_in_branch
    WRONG(else) __syncthreads();
    y[threadIdx.x] = tile[n - 1 - threadIdx.x];
}

extern "C" __global__ void full_mask_in_branch(const float* __restrict__ x, float* __restrict__ y, int n) {
    float value = x[threadIdx.x] + n;
    if (threadIdx.x < 16) value += __shfl_down_sync(RIGHT(0xffffu) WRONG(ALL_LANES), value, 8, 16);  // here: full_mask_in_branch
    y[threadIdx.x] = value;
}

extern "C" __global__ void mask_without_itself(const float* __restrict__ x, float* __restrict__ y, int n) {
    const unsigned mask = RIGHT(ALL_LANES) WRONG(0x7fffffffu);
    y[threadIdx.x] = n * __shfl_xor_sync(mask, x[threadIdx.x], 1);  // here: mask_without_itself
}

extern "C" __global__ void shuffle_from_exited(const float* __restrict__ x, float* __restrict__ y, int n) {
    WRONG(if (threadIdx.x >= 20) return;)
    y[threadIdx.x] = n * __shfl_down_sync(ALL_LANES, x[threadIdx.x], 4);  // here: shuffle_from_exited
}

// --- bounds
extern "C" __global__ void read_past_end(const float* __restrict__ x, float* __restrict__ y, int n) {
    const int i = threadIdx.x;
    if (i < n) y[i] = x[i] + (i + 1 RIGHT(< n) WRONG(<= n) ? x[i + 1] : 0);  // here: read_past_end
}

extern "C" __global__ void write_past_end(const float* __restrict__ x, float* __restrict__ y, int n) {
    for (int i = threadIdx.x; i RIGHT(<) WRONG(<=) n; i += blockDim.x) y[i] = x[0];  // here: write_past_end
}

extern "C" __global__ void read_before_start(const float* __restrict__ x, float* __restrict__ y, int n) {
    const int i = threadIdx.x;
    if (i < n) y[i] = x[i] - (RIGHT(i > 0) WRONG(i >= 0) ? x[i - 1] : 0);  // here: read_before_start
}

extern "C" __global__ void shared_overrun(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float first[64], second[64];
    float* moving = first + threadIdx.x;
    *moving = second[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    if (threadIdx.x RIGHT(+ 1 < n) WRONG(< n)) y[threadIdx.x] = moving[1] + second[0];  // here: shared_overrun
}

extern "C" __global__ void dynamic_shared_overrun(const float* __restrict__ x, float* __restrict__ y, int n) {
    extern __shared__ float row[];
    row[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x == n - 1) row[n RIGHT(- 1)] = 0;  // here: dynamic_shared_overrun
    __syncthreads();
    y[threadIdx.x] = row[threadIdx.x];
}

extern "C" __global__ void index_outside_fixed_array(const float* __restrict__ x, float* __restrict__ y, int n) {
    float window[4] = {0, 0, 0, 0};
    for (int i = 0; i < n; ++i) window[i % RIGHT(4) WRONG(5)] += x[i];  // here: index_outside_fixed_array
    if (threadIdx.x == 0) y[0] = window[0] + window[1] + window[2] + window[3];
}

__constant__ float table[2] = {1, 2};
extern "C" __global__ void write_to_constants(const float* __restrict__ x, float* __restrict__ y, int n) {
    WRONG(*const_cast<volatile float*>(&table[n % 2]) = 3;)  // here: write_to_constants
    y[threadIdx.x] = x[threadIdx.x] * table[n % 2];
}

// --- memory that holds nothing
extern "C" __global__ void uninitialised_shared(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float tile[64];
    if (threadIdx.x < n RIGHT(+ 0) WRONG(- 1)) tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[63 - threadIdx.x];  // here: uninitialised_shared
}

extern "C" __global__ void uninitialised_counter(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ int count;
    RIGHT(if (threadIdx.x == 0) count = 0;)
    __syncthreads();
    if (x[threadIdx.x] < n) atomicAdd(&count, 1);  // here: uninitialised_counter
    __syncthreads();
    if (threadIdx.x == 0) y[0] = (float)count;
}

extern "C" __global__ void shared_of_the_block_before(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float kept;
    if (threadIdx.x == 0 WRONG(&& blockIdx.x == 0)) kept = x[n - 1];
    __syncthreads();
    if (threadIdx.x == 0) y[blockIdx.x] = kept;  // here: shared_of_the_block_before
}

extern "C" __global__ void follow_address(unsigned long long address, float* __restrict__ y, int n) {
    if (threadIdx.x < n) y[threadIdx.x] = reinterpret_cast<const float*>(address)[threadIdx.x];  // here: follow_address
}

// --- arithmetic that C++ leaves undefined
extern "C" __global__ void index_overflow(const float* __restrict__ x, float* __restrict__ y, int n) {
    const RIGHT(long long) WRONG(int) rows = n * 1000;
    const auto index = rows * rows;  // here: index_overflow
    y[threadIdx.x] = x[(index % n + n) % n];
}

extern "C" __global__ void shift_too_far(const float* __restrict__ x, float* __restrict__ y, int n) {
    y[threadIdx.x] = x[threadIdx.x] * (float)(1 << (n RIGHT(% 31)));  // here: shift_too_far
}

extern "C" __global__ void misaligned(const float* __restrict__ x, float* __restrict__ y, int n) {
    const float2 pair = *reinterpret_cast<const float2*>(x + RIGHT(2) WRONG(3));  // here: misaligned
    y[threadIdx.x] = pair.x + pair.y + n;
}

extern "C" __global__ void divide_by_zero(const float* __restrict__ x, float* __restrict__ y, int n) {
    y[threadIdx.x] = x[threadIdx.x] + n / (int)(n RIGHT(+ threadIdx.x) WRONG(- 64));  // here: divide_by_zero
}
