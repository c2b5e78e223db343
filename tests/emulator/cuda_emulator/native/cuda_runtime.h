// CUDA C++ as g++ sees it: put before the unmodified text of a kernel file, but for its __shared__ declarations, which
// source.py rewrites. Blocks run one after another and threads one at a time, so static storage is shared memory.
#pragma once
#include "runtime.h"
#include "cuda_math.h"

#ifdef EMULATOR_CHECKED
// Reads and writes in these functions are not the kernel's own, or are announced to the checker in another way.
#define EMULATOR_UNSEEN inline __attribute__((no_sanitize("thread"), no_sanitize("undefined"), noinline))
#else
#define EMULATOR_UNSEEN inline
#endif

#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
#define EMULATOR_VECTOR2(T, name) \
    struct alignas(2 * sizeof(T)) name { T x, y; }; \
    inline name make_##name(T x, T y) { return {x, y}; }
#define EMULATOR_VECTOR4(T, name) \
    struct alignas(16) name { T x, y, z, w; }; \
    inline name make_##name(T x, T y, T z, T w) { return {x, y, z, w}; }
EMULATOR_VECTOR2(float, float2)
EMULATOR_VECTOR2(double, double2)
EMULATOR_VECTOR2(int, int2)
EMULATOR_VECTOR2(unsigned, uint2)
EMULATOR_VECTOR4(float, float4)
EMULATOR_VECTOR4(int, int4)
EMULATOR_VECTOR4(unsigned, uint4)

#define threadIdx (emulator_thread_index())
#define blockIdx (emulator_block_index())
#define blockDim (emulator_block_size())
#define gridDim (emulator_grid_size())
#define warpSize 32

namespace emulator {

// Storage of one __shared__ variable, with zones around it that nothing may touch.
template <class T>
struct Shared {
    unsigned char before[64];
    alignas(16) unsigned char bytes[sizeof(T)];
    unsigned char after[64];
    uint64_t entered;
    T& enter(const char* name) {
        emulator_enter_shared(bytes, sizeof(T), alignof(T), &entered, name);
        return reinterpret_cast<T&>(bytes);
    }
};

// What Python must know of a kernel's parameters: sizes, and kinds '?', 'i', 'u', 'f', of what a pointer points to.
struct Parameter {
    int is_pointer, size, kind;
};
template <class T>
constexpr int kind_of = __is_same(T, bool) ? '?' : T(0.5) != T(0) ? 'f' : T(-1) < T(0) ? 'i' : 'u';
template <class T>
struct Described {
    static constexpr Parameter value = {0, sizeof(T), kind_of<T>};
};
template <class T>
struct Described<T*> {
    static constexpr Parameter value = {1, sizeof(T), kind_of<T>};
};
template <class T>
struct Described<const T*> : Described<T*> {};

// A kernel as Python calls it: its parameters, and its run by one thread with arguments behind an array of pointers.
template <class F>
struct Kernel;
template <class... A>
struct Kernel<void (*)(A...)> {
    static int describe(Parameter* out, int most) {
        const Parameter all[] = {Described<A>::value..., {0, 0, 0}};
        for (int i = 0; i < (int)sizeof...(A) && i < most; ++i) out[i] = all[i];
        return sizeof...(A);
    }
    template <int... I>
    struct Places {};
    template <int N, int... I>
    struct Count : Count<N - 1, N - 1, I...> {};
    template <int... I>
    struct Count<0, I...> { typedef Places<I...> type; };
    template <int... I>
    EMULATOR_UNSEEN static void call(void (*kernel)(A...), void** arguments, Places<I...>) {
        kernel(*(A*)arguments[I]...);
    }
    static void run(void (*kernel)(A...), void** arguments) {
        call(kernel, arguments, typename Count<sizeof...(A)>::type());
    }
};

template <class T>
EMULATOR_UNSEEN uint64_t packed(T value) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "warps exchange values of 4 or 8 bytes");
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(T));
    return bits;
}
template <class T>
EMULATOR_UNSEEN T unpacked(uint64_t bits) {
    T value;
    __builtin_memcpy(&value, &bits, sizeof(T));
    return value;
}

// A lane outside its segment of `width` lanes keeps its own value.
inline unsigned down(unsigned by, unsigned width) {
    const unsigned lane = emulator_lane();
    return (lane & (width - 1)) + by < width ? lane + by : lane;
}
inline unsigned up(unsigned by, unsigned width) {
    const unsigned lane = emulator_lane();
    return (lane & (width - 1)) >= by ? lane - by : lane;
}
inline unsigned across(unsigned by, unsigned width) {
    const unsigned lane = emulator_lane(), other = lane ^ by;
    return other < (lane & ~(width - 1)) + width ? other : lane;
}
inline unsigned at(unsigned lane, unsigned width) { return (emulator_lane() & ~(width - 1)) + (lane & (width - 1)); }

inline uint64_t either(uint64_t a, uint64_t b) { return a | b; }
inline uint64_t both(uint64_t a, uint64_t b) { return a & b; }
inline uint64_t differ(uint64_t a, uint64_t b) { return a ^ b; }
template <class T>
uint64_t add(uint64_t a, uint64_t b) { return (uint32_t)a + (uint32_t)b; }
template <class T>
uint64_t least(uint64_t a, uint64_t b) { return (T)(uint32_t)a < (T)(uint32_t)b ? a : b; }
template <class T>
uint64_t most(uint64_t a, uint64_t b) { return (T)(uint32_t)a < (T)(uint32_t)b ? b : a; }

}  // namespace emulator

#define EMULATOR_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATOR_HERE) { emulator_barrier(0, "__syncthreads", file, line); }
inline int __syncthreads_count(int p, EMULATOR_HERE) { return emulator_barrier(p, "__syncthreads_count", file, line); }
inline int __syncthreads_or(int p, EMULATOR_HERE) { return emulator_barrier(p, "__syncthreads_or", file, line) != 0; }
inline int __syncthreads_and(int p, EMULATOR_HERE) { return emulator_barrier(!p, "__syncthreads_and", file, line) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu, EMULATOR_HERE) { emulator_sync_warp(mask, file, line); }
inline void __threadfence() {}
inline void __threadfence_block() {}

#define EMULATOR_SHUFFLE(name, from, Operand) \
    template <class T> \
    inline T name(unsigned mask, T value, Operand operand, int width = 32, EMULATOR_HERE) { \
        const unsigned source = emulator::from(operand, width); \
        return emulator::unpacked<T>( \
            emulator_collective(mask, emulator::packed(value), source, nullptr, #name, file, line)); \
    }
EMULATOR_SHUFFLE(__shfl_sync, at, int)
EMULATOR_SHUFFLE(__shfl_down_sync, down, unsigned)
EMULATOR_SHUFFLE(__shfl_up_sync, up, unsigned)
EMULATOR_SHUFFLE(__shfl_xor_sync, across, int)

inline unsigned emulator_ballot(unsigned mask, bool vote, const char* what, const char* file, int line) {
    return emulator_collective(mask, (uint64_t)vote << emulator_lane(), 0, emulator::either, what, file, line);
}
inline unsigned __ballot_sync(unsigned mask, int p, EMULATOR_HERE) {
    return emulator_ballot(mask, p, "__ballot_sync", file, line);
}
inline int __any_sync(unsigned mask, int p, EMULATOR_HERE) {
    return emulator_ballot(mask, p, "__any_sync", file, line) != 0;
}
inline int __all_sync(unsigned mask, int p, EMULATOR_HERE) {
    return emulator_ballot(mask, !p, "__all_sync", file, line) == 0;
}

#define EMULATOR_REDUCE(name, T, fold) \
    inline T name(unsigned mask, T value, EMULATOR_HERE) { \
        return (T)emulator_collective(mask, (uint32_t)value, 0, emulator::fold, #name, file, line); \
    }
EMULATOR_REDUCE(__reduce_add_sync, unsigned, add<unsigned>)
EMULATOR_REDUCE(__reduce_add_sync, int, add<int>)
EMULATOR_REDUCE(__reduce_min_sync, unsigned, least<unsigned>)
EMULATOR_REDUCE(__reduce_min_sync, int, least<int>)
EMULATOR_REDUCE(__reduce_max_sync, unsigned, most<unsigned>)
EMULATOR_REDUCE(__reduce_max_sync, int, most<int>)
EMULATOR_REDUCE(__reduce_and_sync, unsigned, both)
EMULATOR_REDUCE(__reduce_or_sync, unsigned, either)
EMULATOR_REDUCE(__reduce_xor_sync, unsigned, differ)

#define EMULATOR_ATOMIC(name, T, result) \
    EMULATOR_UNSEEN T name(T* address, T value) { \
        emulator_atomic(address, sizeof(T), __builtin_return_address(0)); \
        const T old = *address; \
        *address = result; \
        return old; \
    }
#define EMULATOR_ATOMIC_INTEGER(T, Wide) \
    EMULATOR_ATOMIC(atomicExch, T, value) \
    EMULATOR_ATOMIC(atomicMin, T, value < old ? value : old) \
    EMULATOR_ATOMIC(atomicMax, T, value > old ? value : old) \
    EMULATOR_ATOMIC(atomicAnd, T, old & value) \
    EMULATOR_ATOMIC(atomicOr, T, old | value) \
    EMULATOR_ATOMIC(atomicXor, T, old ^ value) \
    EMULATOR_ATOMIC(atomicAdd, T, (T)((Wide)old + (Wide)value)) \
    EMULATOR_UNSEEN T atomicCAS(T* address, T compare, T value) { \
        emulator_atomic(address, sizeof(T), __builtin_return_address(0)); \
        const T old = *address; \
        if (old == compare) *address = value; \
        return old; \
    }
EMULATOR_ATOMIC_INTEGER(int, unsigned)
EMULATOR_ATOMIC_INTEGER(unsigned, unsigned)
EMULATOR_ATOMIC_INTEGER(unsigned long long, unsigned long long)
EMULATOR_ATOMIC(atomicSub, int, (int)((unsigned)old - (unsigned)value))
EMULATOR_ATOMIC(atomicSub, unsigned, old - value)
EMULATOR_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
EMULATOR_ATOMIC(atomicAdd, float, old + value)
EMULATOR_ATOMIC(atomicAdd, double, old + value)
EMULATOR_ATOMIC(atomicExch, float, value)

template <class T>
inline T __ldg(const T* address) { return *address; }
