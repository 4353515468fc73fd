// The kernels between the matrix products of a pass in half precision: compiled at run time by NVRTC, so without any header.
//
// Given when it is compiled: DIM, the width of a token (a multiple of 128); PATCH, the side of a patch; CUT, the row
// length of cut-out patches (3 * PATCH * PATCH, rounded up to 8).

constexpr int LANES = 32;
constexpr int QUADS = DIM / (4 * LANES); // groups of four neighbouring channels that a lane has of a token

#ifdef F16
__device__ __forceinline__ float low_of(u32 both) {
    float value;
    asm("{\n.reg .f16 low, high;\nmov.b32 {low, high}, %1;\ncvt.f32.f16 %0, low;\n}" : "=f"(value) : "r"(both));
    return value;
}
__device__ __forceinline__ float high_of(u32 both) { return low_of(both >> 16); }
#else
__device__ __forceinline__ float low_of(u32 both) { return __uint_as_float(both << 16); }
__device__ __forceinline__ float high_of(u32 both) { return __uint_as_float(both & 0xffff0000u); }
#endif

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}

// pixels [B, 3, rows * PATCH, cols * PATCH] in f32 to cut [B * rows * cols, CUT] in half precision, zeros behind a patch.
// One thread a pair of neighbouring pixels.
extern "C" __global__ void cut_patches(const float *pixels, u32 *cut, int rows, int cols, long long pairs) {
    constexpr int PAIRS = CUT / 2;
    for (long long pair = blockIdx.x * (long long)blockDim.x + threadIdx.x; pair < pairs;
         pair += (long long)gridDim.x * blockDim.x) {
        const long long patch = pair / PAIRS;
        const int k = 2 * (int)(pair % PAIRS);
        u32 both = 0;
        if (k < 3 * PATCH * PATCH) {
            const int channel = k / (PATCH * PATCH), y = k / PATCH % PATCH, x = k % PATCH;
            const int col = (int)(patch % cols), row = (int)(patch / cols % rows);
            const long long image = patch / ((long long)rows * cols);
            const long long line = ((image * 3 + channel) * rows + row) * PATCH + y;
            const float *from = pixels + line * cols * PATCH + col * PATCH + x;
            both = pack(from[0], from[1]);
        }
        cut[pair] = both;
    }
}

// The share of a token's channels that one lane of a warp holds.
struct Token {
    float4 quad[QUADS];

    __device__ __forceinline__ void load(const float *from, int lane) {
#pragma unroll
        for (int i = 0; i < QUADS; i++) quad[i] = reinterpret_cast<const float4 *>(from)[i * LANES + lane];
    }

    __device__ __forceinline__ void store(float *to, int lane) const {
#pragma unroll
        for (int i = 0; i < QUADS; i++) reinterpret_cast<float4 *>(to)[i * LANES + lane] = quad[i];
    }

    __device__ __forceinline__ void store(half *to, int lane) const {
#pragma unroll
        for (int i = 0; i < QUADS; i++) {
            uint2 both = make_uint2(pack(quad[i].x, quad[i].y), pack(quad[i].z, quad[i].w));
            reinterpret_cast<uint2 *>(to)[i * LANES + lane] = both;
        }
    }

    // LayerNorm over the channels of all lanes: (x - mean) / sqrt(var + eps) * weight + bias, var divided by DIM.
    __device__ __forceinline__ Token normed(const float *weight, const float *bias, float eps, int lane) const {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < QUADS; i++) sum += (quad[i].x + quad[i].y) + (quad[i].z + quad[i].w);
        const float mean = warp_sum(sum) / DIM;
        float squares = 0;
#pragma unroll
        for (int i = 0; i < QUADS; i++) {
            const float x = quad[i].x - mean, y = quad[i].y - mean, z = quad[i].z - mean, w = quad[i].w - mean;
            squares += (x * x + y * y) + (z * z + w * w);
        }
        const float scale = rsqrtf(warp_sum(squares) / DIM + eps);
        Token token, gain, shift;
        gain.load(weight, lane);
        shift.load(bias, lane);
#pragma unroll
        for (int i = 0; i < QUADS; i++) {
            token.quad[i].x = (quad[i].x - mean) * scale * gain.quad[i].x + shift.quad[i].x;
            token.quad[i].y = (quad[i].y - mean) * scale * gain.quad[i].y + shift.quad[i].y;
            token.quad[i].z = (quad[i].z - mean) * scale * gain.quad[i].z + shift.quad[i].z;
            token.quad[i].w = (quad[i].w - mean) * scale * gain.quad[i].w + shift.quad[i].w;
        }
        return token;
    }
};

// The first tokens of a pass: x [B, S + P, DIM] of the patches' product [B, P, DIM], what is added to every patch
// (position embedding and the product's bias, [P, DIM]) and the special tokens [S, DIM]. One warp a token.
extern "C" __global__ void assemble_tokens(const float *product, const float *positions, const float *specials, float *x,
                                      int patches, int special_count, int rows) {
    const int row = (blockIdx.x * blockDim.x + threadIdx.x) / LANES, lane = threadIdx.x % LANES;
    if (row >= rows) return;
    const int tokens = special_count + patches;
    const int image = row / tokens, token = row % tokens;
    Token own;
    if (token < special_count) {
        own.load(specials + (long long)token * DIM, lane);
    } else {
        const long long patch = token - special_count;
        Token added;
        own.load(product + ((long long)image * patches + patch) * DIM, lane);
        added.load(positions + patch * DIM, lane);
#pragma unroll
        for (int i = 0; i < QUADS; i++) {
            own.quad[i].x += added.quad[i].x;
            own.quad[i].y += added.quad[i].y;
            own.quad[i].z += added.quad[i].z;
            own.quad[i].w += added.quad[i].w;
        }
    }
    own.store(x + (long long)row * DIM, lane);
}

// normed = LayerNorm(x): x [rows, DIM] in f32, normed in half precision. One warp a token.
extern "C" __global__ void layer_norm(const float *x, const float *weight, const float *bias, half *normed, int rows, float eps) {
    const int row = (blockIdx.x * blockDim.x + threadIdx.x) / LANES, lane = threadIdx.x % LANES;
    if (row >= rows) return;
    Token token;
    token.load(x + (long long)row * DIM, lane);
    token.normed(weight, bias, eps, lane).store(normed + (long long)row * DIM, lane);
}

// Splits the tokens x [B, S + P, DIM] into specials [B, S, DIM] and patches [B, P, DIM], through the final LayerNorm where
// weight is given, and sets flag where a number is not finite. One warp a token.
extern "C" __global__ void split_tokens(const float *x, const float *weight, const float *bias, float *specials,
                                    float *patches, u32 *flag, int patch_count, int special_count, int rows, float eps) {
    const int row = (blockIdx.x * blockDim.x + threadIdx.x) / LANES, lane = threadIdx.x % LANES;
    if (row >= rows) return;
    const int tokens = special_count + patch_count;
    const int image = row / tokens, token = row % tokens;
    Token own;
    own.load(x + (long long)row * DIM, lane);
    if (weight != nullptr) own = own.normed(weight, bias, eps, lane);
    float *to = token < special_count
                    ? specials + ((long long)image * special_count + token) * DIM
                    : patches + ((long long)image * patch_count + token - special_count) * DIM;
    own.store(to, lane);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < QUADS; i++) {
        // Zero times a finite number is zero; times an infinity or NaN it is NaN.
        sum += 0.0f * own.quad[i].x + 0.0f * own.quad[i].y + 0.0f * own.quad[i].z + 0.0f * own.quad[i].w;
    }
    if (!(sum == 0.0f)) *flag = 1;
}

// silu(first half) * second half: wide [rows, 2 * hidden] to narrow [rows, hidden], both in pairs of half precision.
extern "C" __global__ void swiglu(const u32 *wide, u32 *narrow, int half_hidden, long long pairs) {
    for (long long pair = blockIdx.x * (long long)blockDim.x + threadIdx.x; pair < pairs;
         pair += (long long)gridDim.x * blockDim.x) {
        const long long row = pair / half_hidden;
        const u32 *from = wide + 2 * row * half_hidden + pair % half_hidden;
        const u32 gate = from[0], value = from[half_hidden];
        const float a = low_of(gate), b = high_of(gate);
        narrow[pair] = pack(a / (1.0f + __expf(-a)) * low_of(value), b / (1.0f + __expf(-b)) * high_of(value));
    }
}
