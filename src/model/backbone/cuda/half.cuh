// Half precision for all kernels; prepended to each file when it is compiled.

typedef unsigned int u32;
typedef unsigned short half; // the bits of an f16, or of a bf16

// The type of the products' inputs: f16 has three more mantissa bits, bf16 the exponent range of f32.
#ifdef F16
#define HALF "f16"
#else
#define HALF "bf16"
#endif

__device__ __forceinline__ u32 pack(float low, float high) {
    u32 both;
    asm("cvt.rn." HALF "x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

