// Softmax attention of heads 64 wide in half precision on Hopper's warpgroup products: compiled at run time by NVRTC for sm_90a.
//
// A block of one warpgroup has 64 queries and goes through all keys in tiles of 128, with the running maximum and sum of
// the online softmax (FlashAttention). Tiles of keys and values are copied ahead into STAGES buffers, swizzled by 128 bytes
// as the products want them. BLOCKS blocks share a multiprocessor: one's softmax runs beside another's products.

typedef unsigned long long u64;

constexpr int KEYS = 128; // a tile
constexpr int TILE_BYTES = KEYS * HEAD * 2;
constexpr int THREADS = 128; // a warpgroup
constexpr int GROUPS = KEYS / 8; // of eight neighbouring keys, as results lie in registers

__device__ __forceinline__ u32 shared_address(const void *pointer) {
    return (u32)__cvta_generic_to_shared(pointer);
}

// The descriptor of a tile for the products: rows of 128 bytes swizzled by 128 bytes, 1024 bytes from eight rows to the next eight.
__device__ __forceinline__ u64 matrix_descriptor(u32 address) {
    return (u64)((address & 0x3ffff) >> 4) | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}

__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit_group() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_wait_group() { asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); }

// Products write their registers behind the compiler's back: nothing that reads or writes them may cross this.
template <int N>
__device__ __forceinline__ void fence_registers(float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}

#define F4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define F16(d, i) F4(d, i), F4(d, i + 4), F4(d, i + 8), F4(d, i + 12)
#define F32(d, i) F16(d, i), F16(d, i + 16)

// d [64, 64] += a [64, 16] b [16, 64].
__device__ __forceinline__ void product_64(float (&d)[32], const u32 *a, u64 b) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32." HALF "." HALF " "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
        "{%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}\n"
        : F32(d, 0)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1));
}

// d [64, 128] = a [64, 16] b [128, 16], plus d if `adds`.
__device__ __forceinline__ void product_128(float (&d)[64], const u32 *a, u64 b, int adds) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32." HALF "." HALF " "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "{%64, %65, %66, %67}, %68, p, 1, 1, 0;\n}\n"
        : F32(d, 0), F32(d, 32)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(adds));
}

// Begins to copy one tile of keys and one of values into a stage.
__device__ __forceinline__ void copy_tiles(u32 stage, const half *keys, int tile, int tokens, int dim) {
#pragma unroll
    for (int i = 0; i < KEYS * 8 / THREADS; i++) {
        const int chunk = threadIdx.x + i * THREADS; // of 16 bytes
        const int row = chunk / 8, col = chunk % 8;
        const int token = tile * KEYS + row;
        const half *from = keys + (long long)min(token, tokens - 1) * 3 * dim + col * 8;
        const u32 to = stage + row * 128 + ((col ^ (row & 7)) << 4);
        copy_16(to, from, token < tokens);
        copy_16(to + TILE_BYTES, from + dim, token < tokens);
    }
}

// The scores of a warpgroup's queries and a tile of keys, begun but not waited for.
__device__ __forceinline__ void begin_scores(float (&s)[KEYS / 2], const u32 (&q)[HEAD / 16][4], u32 stage) {
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < HEAD / 16; k++) product_128(s, q[k], matrix_descriptor(stage + 32 * k), k > 0);
    wgmma_commit_group();
}

// The state of the online softmax of a thread's two queries, one eight rows below the other.
struct OnlineSoftmax {
    float o[HEAD / 2];
    float highest[2], sum[2];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < HEAD / 2; i++) o[i] = 0.0f;
        highest[0] = highest[1] = -1e30f;
        sum[0] = sum[1] = 0.0f;
    }

    // Adds the values of a tile by their scores, and waits for all products under way.
    __device__ __forceinline__ void add(float (&s)[KEYS / 2], u32 values, float scale) {
        const float before[2] = {highest[0], highest[1]};
#pragma unroll
        for (int i = 0; i < GROUPS; i++) {
            highest[0] = fmaxf(highest[0], fmaxf(s[4 * i], s[4 * i + 1]));
            highest[1] = fmaxf(highest[1], fmaxf(s[4 * i + 2], s[4 * i + 3]));
        }
        highest[0] = row_max(highest[0]);
        highest[1] = row_max(highest[1]);
        // Rarely true after the first tiles.
        if (__any_sync(0xffffffffu, highest[0] != before[0] || highest[1] != before[1])) {
            const float less[2] = {exp2_of((before[0] - highest[0]) * scale), exp2_of((before[1] - highest[1]) * scale)};
            sum[0] *= less[0];
            sum[1] *= less[1];
#pragma unroll
            for (int i = 0; i < HEAD / 8; i++) {
                o[4 * i] *= less[0];
                o[4 * i + 1] *= less[0];
                o[4 * i + 2] *= less[1];
                o[4 * i + 3] *= less[1];
            }
        }
        const float top[2] = {highest[0] * scale, highest[1] * scale};
        u32 p[KEYS / 16][4];
#pragma unroll
        for (int i = 0; i < GROUPS; i++) {
            const float a = exp2_of(fmaf(s[4 * i], scale, -top[0])), b = exp2_of(fmaf(s[4 * i + 1], scale, -top[0]));
            const float c = exp2_of(fmaf(s[4 * i + 2], scale, -top[1])), d = exp2_of(fmaf(s[4 * i + 3], scale, -top[1]));
            sum[0] += a + b;
            sum[1] += c + d;
            p[i / 2][i % 2 * 2] = pack(a, b);
            p[i / 2][i % 2 * 2 + 1] = pack(c, d);
        }
        fence_registers(o);
#pragma unroll
        for (int i = 0; i < KEYS / 4; i++) asm volatile("" : "+r"(p[i / 4][i % 4])::"memory");
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < KEYS / 16; k++) product_64(o, p[k], matrix_descriptor(values + 16 * 128 * k));
        wgmma_commit_group();
        wgmma_wait_group();
        fence_registers(o);
    }
};

// Masks the keys beyond the last token.
__device__ __forceinline__ void mask_keys(float (&s)[KEYS / 2], int left) {
#pragma unroll
    for (int i = 0; i < KEYS / 2; i++) {
        const int key = i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2;
        if (key >= left) s[i] = -1e30f;
    }
}

// qkv [B, tokens, 3, heads, 64] to out [B, tokens, heads, 64], both in half precision. scale: that of the scores, times log2(e).
// Grid: (blocks of queries, heads, B).
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) attend(const half *qkv, half *out, int tokens, float scale) {
    extern __shared__ __align__(1024) unsigned char shared[];
    const u32 stages = (shared_address(shared) + 1023) & ~1023u;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int dim = gridDim.y * HEAD;
    const half *queries = qkv + ((long long)blockIdx.z * tokens * 3 * gridDim.y + blockIdx.y) * HEAD;
    const half *keys = queries + dim;
    const int tiles = (tokens + KEYS - 1) / KEYS;
    auto stage_of = [&](int tile) { return stages + tile % STAGES * 2 * TILE_BYTES; };

#pragma unroll
    for (int i = 0; i < STAGES - 1; i++) {
        if (i < tiles) copy_tiles(stage_of(i), keys, i, tokens, dim);
        asm volatile("cp.async.commit_group;" ::: "memory");
    }

    // The rows of a thread's results, and its queries as the products take them from registers.
    const int row = blockIdx.x * 64 + warp * 16 + lane / 4;
    u32 q[HEAD / 16][4];
    {
        const long long stride = 3 * dim;
        const half *upper = queries + min(row, tokens - 1) * stride + lane % 4 * 2;
        const half *lower = queries + min(row + 8, tokens - 1) * stride + lane % 4 * 2;
#pragma unroll
        for (int k = 0; k < HEAD / 16; k++) {
            q[k][0] = *reinterpret_cast<const u32 *>(upper + 16 * k);
            q[k][1] = *reinterpret_cast<const u32 *>(lower + 16 * k);
            q[k][2] = *reinterpret_cast<const u32 *>(upper + 16 * k + 8);
            q[k][3] = *reinterpret_cast<const u32 *>(lower + 16 * k + 8);
        }
    }

    OnlineSoftmax attended;
    attended.clear();

    for (int tile = 0; tile < tiles; tile++) {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        // The copies wrote through the generic proxy, and the products read through the async proxy.
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        __syncthreads();
        // All threads have finished with the stage before this one.
        const int next = tile + STAGES - 1;
        if (next < tiles) copy_tiles(stage_of(next), keys, next, tokens, dim);
        asm volatile("cp.async.commit_group;" ::: "memory");
        float s[KEYS / 2];
        begin_scores(s, q, stage_of(tile));
        wgmma_wait_group();
        fence_registers(s);
        if (tile == tiles - 1) mask_keys(s, tokens - tile * KEYS);
        attended.add(s, stage_of(tile) + TILE_BYTES, scale);
    }

    const float (&o)[HEAD / 2] = attended.o;
    const float over[2] = {1.0f / row_sum(attended.sum[0]), 1.0f / row_sum(attended.sum[1])};
    half *upper = out + (((long long)blockIdx.z * tokens + row) * gridDim.y + blockIdx.y) * HEAD + lane % 4 * 2;
    half *lower = upper + 8LL * dim;
#pragma unroll
    for (int i = 0; i < HEAD / 8; i++) {
        if (row < tokens) *reinterpret_cast<u32 *>(upper + 8 * i) = pack(o[4 * i] * over[0], o[4 * i + 1] * over[0]);
        if (row + 8 < tokens)
            *reinterpret_cast<u32 *>(lower + 8 * i) = pack(o[4 * i + 2] * over[1], o[4 * i + 3] * over[1]);
    }
}
