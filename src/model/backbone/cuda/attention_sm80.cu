// Softmax attention of heads 64 wide in half precision by the matrix units of Ampere and newer: compiled at run time by NVRTC.
//
// A block of four warps has 128 queries, 32 a warp, and goes through all keys in tiles of 64 with the running maximum and
// sum of the online softmax (FlashAttention). Tiles of keys and values are copied ahead into STAGES buffers.

constexpr int KEYS = 64; // a tile
constexpr int TILE_BYTES = KEYS * HEAD * 2;
constexpr int THREADS = 128;
constexpr int GROUPS = KEYS / 8; // of eight neighbouring keys, as results lie in registers

// The address of 16 bytes of a tile, swizzled so that neighbouring rows begin at other banks.
__device__ __forceinline__ u32 swizzled_chunk(u32 tile, int row, int col) { return tile + row * 128 + ((col ^ (row & 7)) << 4); }

__device__ __forceinline__ void ldmatrix_x4(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address));
}

__device__ __forceinline__ void ldmatrix_x4_trans(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address));
}

// d [16, 8] += a [16, 16] b [16, 8].
__device__ __forceinline__ void mma_m16n8k16(float *d, const u32 *a, u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." HALF "." HALF ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Begins to copy one tile of keys and one of values into a stage.
__device__ __forceinline__ void copy_tiles(u32 stage, const half *keys, int tile, int tokens, int dim) {
#pragma unroll
    for (int i = 0; i < KEYS * 8 / THREADS; i++) {
        const int chunk = threadIdx.x + i * THREADS;
        const int row = chunk / 8, col = chunk % 8;
        const int token = tile * KEYS + row;
        const half *from = keys + (long long)min(token, tokens - 1) * 3 * dim + col * 8;
        const u32 to = swizzled_chunk(stage, row, col);
        copy_16(to, from, token < tokens);
        copy_16(to + TILE_BYTES, from + dim, token < tokens);
    }
}

// qkv [B, tokens, 3, heads, 64] to out [B, tokens, heads, 64], both in half precision. scale: that of the scores, times log2(e).
// Grid: (blocks of queries, heads, B).
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) attend(const half *qkv, half *out, int tokens, float scale) {
    extern __shared__ __align__(128) unsigned char shared[];
    const u32 stages = ((u32)__cvta_generic_to_shared(shared) + 127) & ~127u;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int dim = gridDim.y * HEAD;
    const half *queries = qkv + ((long long)blockIdx.z * tokens * 3 * gridDim.y + blockIdx.y) * HEAD;
    const half *keys = queries + dim;
    const int tiles = (tokens + KEYS - 1) / KEYS;

#pragma unroll
    for (int i = 0; i < STAGES - 1; i++) {
        if (i < tiles) copy_tiles(stages + i * 2 * TILE_BYTES, keys, i, tokens, dim);
        asm volatile("cp.async.commit_group;" ::: "memory");
    }

    // A warp's queries lie as two groups of 16; a thread has rows lane / 4 and lane / 4 + 8 of each.
    const int first = blockIdx.x * 128 + warp * 32 + lane / 4;
    u32 q[2][HEAD / 16][4];
#pragma unroll
    for (int group = 0; group < 2; group++) {
        const half *upper = queries + (long long)min(first + 16 * group, tokens - 1) * 3 * dim + lane % 4 * 2;
        const half *lower = queries + (long long)min(first + 16 * group + 8, tokens - 1) * 3 * dim + lane % 4 * 2;
#pragma unroll
        for (int k = 0; k < HEAD / 16; k++) {
            q[group][k][0] = *reinterpret_cast<const u32 *>(upper + 16 * k);
            q[group][k][1] = *reinterpret_cast<const u32 *>(lower + 16 * k);
            q[group][k][2] = *reinterpret_cast<const u32 *>(upper + 16 * k + 8);
            q[group][k][3] = *reinterpret_cast<const u32 *>(lower + 16 * k + 8);
        }
    }

    float o[2][HEAD / 8][4], highest[2][2], sum[2][2];
#pragma unroll
    for (int group = 0; group < 2; group++) {
#pragma unroll
        for (int i = 0; i < HEAD / 8 * 4; i++) o[group][i / 4][i % 4] = 0.0f;
        highest[group][0] = highest[group][1] = -1e30f;
        sum[group][0] = sum[group][1] = 0.0f;
    }

    for (int tile = 0; tile < tiles; tile++) {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        __syncthreads();
        // All threads have finished with the stage before this one.
        const int ahead = tile + STAGES - 1;
        if (ahead < tiles) copy_tiles(stages + ahead % STAGES * 2 * TILE_BYTES, keys, ahead, tokens, dim);
        asm volatile("cp.async.commit_group;" ::: "memory");
        const u32 stage = stages + tile % STAGES * 2 * TILE_BYTES;

        float s[2][GROUPS][4];
#pragma unroll
        for (int i = 0; i < GROUPS * 4; i++) s[0][i / 4][i % 4] = s[1][i / 4][i % 4] = 0.0f;
#pragma unroll
        for (int pair = 0; pair < GROUPS / 2; pair++) {
#pragma unroll
            for (int k = 0; k < HEAD / 16; k++) {
                // Four 8x8 matrices: keys 0-7 and 8-15 of the pair, each with both halves of 16 channels.
                u32 b[4];
                ldmatrix_x4(b, swizzled_chunk(stage, pair * 16 + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
#pragma unroll
                for (int group = 0; group < 2; group++) {
                    mma_m16n8k16(s[group][2 * pair], q[group][k], b[0], b[1]);
                    mma_m16n8k16(s[group][2 * pair + 1], q[group][k], b[2], b[3]);
                }
            }
        }

        if (tile == tiles - 1) {
            const int left = tokens - tile * KEYS;
#pragma unroll
            for (int i = 0; i < GROUPS * 4; i++) {
                if (i / 4 * 8 + lane % 4 * 2 + i % 2 >= left) s[0][i / 4][i % 4] = s[1][i / 4][i % 4] = -1e30f;
            }
        }

        u32 p[2][KEYS / 16][4];
#pragma unroll
        for (int group = 0; group < 2; group++) {
            float top[2];
#pragma unroll
            for (int side = 0; side < 2; side++) {
                const float before = highest[group][side];
                float high = before;
#pragma unroll
                for (int i = 0; i < GROUPS; i++) high = fmaxf(high, fmaxf(s[group][i][2 * side], s[group][i][2 * side + 1]));
                high = row_max(high);
                const float less = exp2_of((before - high) * scale);
                highest[group][side] = high;
                sum[group][side] *= less;
#pragma unroll
                for (int i = 0; i < HEAD / 8; i++) {
                    o[group][i][2 * side] *= less;
                    o[group][i][2 * side + 1] *= less;
                }
                top[side] = high * scale;
            }
#pragma unroll
            for (int i = 0; i < GROUPS; i++) {
                const float a = exp2_of(fmaf(s[group][i][0], scale, -top[0])), b = exp2_of(fmaf(s[group][i][1], scale, -top[0]));
                const float c = exp2_of(fmaf(s[group][i][2], scale, -top[1])), d = exp2_of(fmaf(s[group][i][3], scale, -top[1]));
                sum[group][0] += a + b;
                sum[group][1] += c + d;
                p[group][i / 2][i % 2 * 2] = pack(a, b);
                p[group][i / 2][i % 2 * 2 + 1] = pack(c, d);
            }
        }

#pragma unroll
        for (int k = 0; k < KEYS / 16; k++) {
#pragma unroll
            for (int pair = 0; pair < HEAD / 16; pair++) {
                // Four 8x8 matrices: 16 keys, each with channels 0-7 and 8-15 of the pair.
                u32 b[4];
                ldmatrix_x4_trans(b, swizzled_chunk(stage + TILE_BYTES, k * 16 + lane % 16, 2 * pair + lane / 16));
#pragma unroll
                for (int group = 0; group < 2; group++) {
                    mma_m16n8k16(o[group][2 * pair], p[group][k], b[0], b[1]);
                    mma_m16n8k16(o[group][2 * pair + 1], p[group][k], b[2], b[3]);
                }
            }
        }
    }

#pragma unroll
    for (int group = 0; group < 2; group++) {
#pragma unroll
        for (int side = 0; side < 2; side++) {
            const int row = first + 16 * group + 8 * side;
            const float over = 1.0f / row_sum(sum[group][side]);
            half *to = out + (((long long)blockIdx.z * tokens + row) * gridDim.y + blockIdx.y) * HEAD + lane % 4 * 2;
#pragma unroll
            for (int i = 0; i < HEAD / 8; i++) {
                if (row < tokens)
                    *reinterpret_cast<u32 *>(to + 8 * i) = pack(o[group][i][2 * side] * over, o[group][i][2 * side + 1] * over);
            }
        }
    }
}
