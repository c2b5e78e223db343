// CUDA's mathematical functions and intrinsics that the C library has not, or has under other names.
#pragma once
#include <math.h>
#include <stdint.h>

#define EMULATOR_LEAST_MOST(A, B, Result) \
    inline Result min(A a, B b) { return (Result)b < (Result)a ? (Result)b : (Result)a; } \
    inline Result max(A a, B b) { return (Result)a < (Result)b ? (Result)b : (Result)a; }
#define EMULATOR_LEAST_MOST_OF(Signed, Unsigned) \
    EMULATOR_LEAST_MOST(Signed, Signed, Signed) \
    EMULATOR_LEAST_MOST(Unsigned, Unsigned, Unsigned) \
    EMULATOR_LEAST_MOST(Signed, Unsigned, Unsigned) \
    EMULATOR_LEAST_MOST(Unsigned, Signed, Unsigned)
EMULATOR_LEAST_MOST_OF(int, unsigned)
EMULATOR_LEAST_MOST_OF(long, unsigned long)
EMULATOR_LEAST_MOST_OF(long long, unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float rsqrt(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline void sincospif(float x, float* s, float* c) {
    *s = (float)sin(M_PI * x);
    *c = (float)cos(M_PI * x);
}
inline void sincospi(double x, double* s, double* c) {
    *s = sin(M_PI * x);
    *c = cos(M_PI * x);
}
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }

// Rounded as the rest of the program is: to nearest. The fast ones are exact here; their tolerance is CUDA's affair.
#define EMULATOR_ROUNDED(T, add, sub, mul, div, root, fused, fma_, sqrt_) \
    inline T add(T a, T b) { return a + b; } \
    inline T sub(T a, T b) { return a - b; } \
    inline T mul(T a, T b) { return a * b; } \
    inline T div(T a, T b) { return a / b; } \
    inline T root(T a) { return sqrt_(a); } \
    inline T fused(T a, T b, T c) { return fma_(a, b, c); }
EMULATOR_ROUNDED(float, __fadd_rn, __fsub_rn, __fmul_rn, __fdiv_rn, __fsqrt_rn, __fmaf_rn, fmaf, sqrtf)
EMULATOR_ROUNDED(double, __dadd_rn, __dsub_rn, __dmul_rn, __ddiv_rn, __dsqrt_rn, __fma_rn, fma, sqrt)
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int bit = 0; bit < 32; ++bit) reversed |= (x >> bit & 1u) << (31 - bit);
    return reversed;
}
inline unsigned long long __brevll(unsigned long long x) {
    return (unsigned long long)__brev((unsigned)x) << 32 | __brev((unsigned)(x >> 32));
}
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline int __mulhi(int a, int b) { return (int)((int64_t)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
    return (unsigned)(((uint64_t)high << 32 | low) << (by & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
    return (unsigned)(((uint64_t)high << 32 | low) >> (by & 31));
}

#define EMULATOR_BITS(name, From, To) \
    inline To name(From value) { \
        To bits; \
        __builtin_memcpy(&bits, &value, sizeof bits); \
        return bits; \
    }
EMULATOR_BITS(__float_as_int, float, int)
EMULATOR_BITS(__float_as_uint, float, unsigned)
EMULATOR_BITS(__int_as_float, int, float)
EMULATOR_BITS(__uint_as_float, unsigned, float)
EMULATOR_BITS(__double_as_longlong, double, long long)
EMULATOR_BITS(__longlong_as_double, long long, double)

// Conversions saturate, and NaN becomes 0 (the lowest number in 64 bits), as on the device; in C++ both are undefined.
#define EMULATOR_CONVERT(name, From, To, rounded, low, high, nan) \
    inline To name(From x) { \
        const From whole = rounded(x); \
        return whole != whole ? nan : whole <= (From)low ? low : whole >= (From)high ? high : (To)whole; \
    }
EMULATOR_CONVERT(__float2int_rn, float, int, rintf, INT32_MIN, INT32_MAX, 0)
EMULATOR_CONVERT(__float2int_rz, float, int, truncf, INT32_MIN, INT32_MAX, 0)
EMULATOR_CONVERT(__float2int_rd, float, int, floorf, INT32_MIN, INT32_MAX, 0)
EMULATOR_CONVERT(__float2uint_rn, float, unsigned, rintf, 0u, UINT32_MAX, 0u)
EMULATOR_CONVERT(__float2uint_rz, float, unsigned, truncf, 0u, UINT32_MAX, 0u)
EMULATOR_CONVERT(__double2int_rn, double, int, rint, INT32_MIN, INT32_MAX, 0)
EMULATOR_CONVERT(__double2int_rz, double, int, trunc, INT32_MIN, INT32_MAX, 0)
EMULATOR_CONVERT(__double2ll_rn, double, long long, rint, INT64_MIN, INT64_MAX, INT64_MIN)
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline float __double2float_rn(double x) { return (float)x; }
inline float __ll2float_rn(long long x) { return (float)x; }
inline double __ll2double_rn(long long x) { return (double)x; }
