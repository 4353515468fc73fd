//! The CUDA kernels of this crate (`tokens.cu`, `attention_sm80.cu`, `attention_sm90.cu`): compiled by NVRTC for the
//! card when a backbone is built, and launched here with checked types.
//!
//! Attention follows FlashAttention (Dao et al., 2022): one block of threads has a block of queries and walks over
//! tiles of keys and values with the running maximum and sum of an online softmax.

use std::sync::Arc;

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::sys::CUfunction_attribute_enum as FunctionAttribute;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaStream, LaunchArgs, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc::{
    CompileError, CompileOptions, compile_ptx_with_opts,
};
use candle_core::{CudaDevice, DType, Result};

use super::memory::DeviceAddress;
use crate::model::backbone::config::BackboneConfig;

/// The width of an attention head that the kernels are written for; all published DINO and DINOv2 models have it.
pub(super) const HEAD_DIM: usize = 64;

/// Threads of a block of the kernels over tokens: one warp per token.
const TOKEN_THREADS: u32 = 128;
/// Tokens of such a block.
const TOKENS_A_BLOCK: u32 = TOKEN_THREADS / 32;

/// Threads of a block of the kernels over pairs of neighbouring numbers.
const PAIR_THREADS: u32 = 256;

/// The source of the kernels over tokens and pairs.
const TOKEN_KERNELS: &str = concat!(include_str!("half.cuh"), include_str!("tokens.cu"));

/// An attention kernel and its tile sizes for one generation of cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AttentionKernelConfig {
    source: &'static str,
    /// Queries per block of 128 threads.
    queries: u32,
    /// Keys per tile.
    keys: u32,
    /// Tiles of keys and values that shared memory holds at once.
    stages: u32,
    /// Blocks that share a multiprocessor.
    blocks: u32,
}

/// Hopper, whose warpgroup products (wgmma) no other card has. On an H200, 348 TFLOP/s at 1370 tokens, where
/// PyTorch's FlashAttention 2 has 269 and cuDNN 347.
const HOPPER: AttentionKernelConfig = AttentionKernelConfig {
    source: concat!(
        include_str!("half.cuh"),
        include_str!("attention.cuh"),
        include_str!("attention_sm90.cu")
    ),
    queries: 64,
    keys: 128,
    stages: 2,
    blocks: 3,
};

/// Every other card from Ampere on; 290 TFLOP/s on the same H200.
const AMPERE: AttentionKernelConfig = AttentionKernelConfig {
    source: concat!(
        include_str!("half.cuh"),
        include_str!("attention.cuh"),
        include_str!("attention_sm80.cu")
    ),
    queries: 128,
    keys: 64,
    stages: 3,
    blocks: 2,
};

/// Threads of a block of either attention kernel.
const ATTENTION_THREADS: u32 = 128;

impl AttentionKernelConfig {
    /// The plan for a compute capability (major, minor).
    fn for_card((major, _): (i32, i32)) -> Self {
        match major {
            9 => HOPPER,
            _ => AMPERE,
        }
    }

    /// Bytes of shared memory for the tiles of keys and values, with 1024 more to align them.
    fn shared_bytes(self) -> u32 {
        self.stages * 2 * self.keys * 2 * HEAD_DIM as u32 + 1024
    }

    fn compile_options(self) -> Vec<String> {
        let values = [("STAGES", self.stages), ("BLOCKS", self.blocks)];
        values
            .map(|(name, value)| format!("-D{name}={value}"))
            .to_vec()
    }
}

/// The virtual architecture that NVRTC compiles for; Hopper's wgmma needs `compute_90a`.
fn nvrtc_target((major, minor): (i32, i32)) -> &'static str {
    match (major, minor) {
        (9, _) => "compute_90a",
        (8, 9) => "compute_89",
        (8, 6 | 7) => "compute_86",
        (8, _) => "compute_80",
        (10, _) => "compute_100",
        // Newer cards run PTX of older ones.
        _ => "compute_120",
    }
}

/// The compiled kernels: everything between the matrix products of a pass.
#[derive(Debug)]
pub(super) struct CudaKernels {
    stream: Arc<CudaStream>,
    cut_patches: CudaFunction,
    assemble_tokens: CudaFunction,
    layer_norm: CudaFunction,
    split_tokens: CudaFunction,
    swiglu: CudaFunction,
    attend: CudaFunction,
    attention: AttentionKernelConfig,
    /// Pairs of numbers of a cut-out patch: half of `cut`.
    cut_pairs: usize,
    dim: usize,
    eps: f32,
}

/// Where [`CudaKernels::split_tokens`] writes.
pub(super) struct TokenDestinations {
    /// Weight and bias of the final LayerNorm, where it is wanted.
    pub norm: Option<(DeviceAddress, DeviceAddress)>,
    /// Special tokens `[B, S, D]`, f32.
    pub specials: DeviceAddress,
    /// Patch tokens `[B, P, D]`, f32.
    pub patches: DeviceAddress,
    /// One `u32` that is set to 1 if a number is not finite.
    pub flag: DeviceAddress,
}

/// The number of photos in a batch, and of tokens in a photo by kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenCounts {
    /// Photos in the batch (B).
    pub photos: usize,
    /// Patch tokens of a photo (P).
    pub patches: usize,
    /// Cls token and registers of a photo (S).
    pub specials: usize,
}

impl TokenCounts {
    /// Tokens of a photo (N = S + P).
    pub fn tokens(self) -> usize {
        self.patches + self.specials
    }

    /// Tokens of all photos (B * N), the rows of every matrix product in a block.
    pub fn rows(self) -> usize {
        self.photos * self.tokens()
    }
}

impl CudaKernels {
    /// Compiles the kernels for a card, the shape of a backbone, the type `half` of the products and rows of `cut`
    /// numbers per cut-out patch.
    ///
    /// # Errors
    /// If NVRTC or the driver returns an error.
    pub fn new(
        device: &CudaDevice,
        config: &BackboneConfig,
        half: DType,
        cut: usize,
    ) -> Result<Self> {
        let stream = device.cuda_stream();
        let card = stream.context().compute_capability().w()?;
        let attention = AttentionKernelConfig::for_card(card);
        let (dim, patch) = (config.dim, config.patch_size);
        let of_tokens = [("DIM", dim), ("PATCH", patch), ("CUT", cut)];
        let of_tokens = of_tokens.map(|(name, value)| format!("-D{name}={value}"));
        let tokens = PtxModule {
            name: format!("dino-tokens-{dim}-{patch}-{half:?}"),
            code: compile(TOKEN_KERNELS, of_tokens.to_vec(), half, card)?,
            device,
        };
        let attend = PtxModule {
            name: format!("dino-attention-{half:?}"),
            code: compile(attention.source, attention.compile_options(), half, card)?,
            device,
        };
        let attend = attend.function("attend")?;
        attend
            .set_attribute(
                FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                attention.shared_bytes() as i32,
            )
            .w()?;
        Ok(CudaKernels {
            cut_patches: tokens.function("cut_patches")?,
            assemble_tokens: tokens.function("assemble_tokens")?,
            layer_norm: tokens.function("layer_norm")?,
            split_tokens: tokens.function("split_tokens")?,
            swiglu: tokens.function("swiglu")?,
            attend,
            attention,
            stream,
            cut_pairs: cut / 2,
            dim,
            eps: config.norm_eps as f32,
        })
    }

    /// `pixels` `[B, 3, H, W]` in f32 to rows of cut-out patches `[B * rows * cols, cut]` in half precision.
    pub fn cut_patches(
        &self,
        pixels: DeviceAddress,
        cut: DeviceAddress,
        photos: usize,
        (rows, cols): (usize, usize),
    ) -> Result<()> {
        let pairs = (photos * rows * cols * self.cut_pairs) as i64;
        let (rows, cols) = (rows as i32, cols as i32);
        let mut launch = self.stream.launch_builder(&self.cut_patches);
        launch.arg(&pixels).arg(&cut).arg(&rows).arg(&cols);
        launch.arg(&pairs);
        launch_kernel(launch, pair_grid_dim(pairs), PAIR_THREADS, 0)
    }

    /// The first tokens `x` `[B, S + P, D]`: specials `[S, D]`, and the patches' `product` `[B, P, D]` with `positions`
    /// `[P, D]` added; all in f32.
    pub fn assemble_tokens(
        &self,
        product: DeviceAddress,
        (positions, specials): (DeviceAddress, DeviceAddress),
        x: DeviceAddress,
        counts: TokenCounts,
    ) -> Result<()> {
        let (patches, special_count) = (counts.patches as i32, counts.specials as i32);
        let rows = counts.rows() as i32;
        let mut launch = self.stream.launch_builder(&self.assemble_tokens);
        launch.arg(&product).arg(&positions).arg(&specials).arg(&x);
        launch.arg(&patches).arg(&special_count).arg(&rows);
        launch_kernel(launch, token_grid_dim(rows), TOKEN_THREADS, 0)
    }

    /// LayerNorm of the residual stream `x` `[rows, D]` in f32 to `normed` `[rows, D]` in half precision.
    pub fn layer_norm(
        &self,
        x: DeviceAddress,
        (weight, bias): (DeviceAddress, DeviceAddress),
        normed: DeviceAddress,
        rows: usize,
    ) -> Result<()> {
        let rows = rows as i32;
        let mut launch = self.stream.launch_builder(&self.layer_norm);
        launch.arg(&x).arg(&weight).arg(&bias).arg(&normed);
        launch.arg(&rows).arg(&self.eps);
        launch_kernel(launch, token_grid_dim(rows), TOKEN_THREADS, 0)
    }

    /// Splits the tokens `x` `[B, S + P, D]` by kind, through the final LayerNorm where `to` has one.
    pub fn split_tokens(
        &self,
        x: DeviceAddress,
        to: &TokenDestinations,
        counts: TokenCounts,
    ) -> Result<()> {
        let (weight, bias) = to
            .norm
            .unwrap_or((DeviceAddress::NULL, DeviceAddress::NULL));
        let (patches, special_count) = (counts.patches as i32, counts.specials as i32);
        let rows = counts.rows() as i32;
        let mut launch = self.stream.launch_builder(&self.split_tokens);
        launch.arg(&x).arg(&weight).arg(&bias);
        launch.arg(&to.specials).arg(&to.patches).arg(&to.flag);
        launch.arg(&patches).arg(&special_count).arg(&rows);
        launch.arg(&self.eps);
        launch_kernel(launch, token_grid_dim(rows), TOKEN_THREADS, 0)
    }

    /// `silu(gate) * value` of `wide` `[rows, 2 * hidden]`, gates first, to `narrow` `[rows, hidden]`, in half
    /// precision.
    pub fn swiglu(
        &self,
        wide: DeviceAddress,
        narrow: DeviceAddress,
        rows: usize,
        hidden: usize,
    ) -> Result<()> {
        let half = (hidden / 2) as i32;
        let pairs = (rows * hidden / 2) as i64;
        let mut launch = self.stream.launch_builder(&self.swiglu);
        launch.arg(&wide).arg(&narrow).arg(&half).arg(&pairs);
        launch_kernel(launch, pair_grid_dim(pairs), PAIR_THREADS, 0)
    }

    /// `softmax(q k^T / 8) v`: `qkv` `[B, tokens, 3, heads, 64]` to `out` `[B, tokens, heads, 64]`, in half precision.
    pub fn attend(
        &self,
        qkv: DeviceAddress,
        out: DeviceAddress,
        photos: usize,
        tokens: usize,
    ) -> Result<()> {
        let plan = self.attention;
        let scale = ((HEAD_DIM as f64).powf(-0.5) * std::f64::consts::LOG2_E) as f32;
        let tokens = tokens as i32;
        let mut launch = self.stream.launch_builder(&self.attend);
        launch.arg(&qkv).arg(&out).arg(&tokens).arg(&scale);
        let grid = (
            (tokens as u32).div_ceil(plan.queries),
            (self.dim / HEAD_DIM) as u32,
            photos as u32,
        );
        launch_kernel(launch, grid, ATTENTION_THREADS, plan.shared_bytes())
    }
}

/// The PTX that NVRTC compiled from one source.
struct PtxModule<'a> {
    name: String,
    code: String,
    device: &'a CudaDevice,
}

impl PtxModule<'_> {
    fn function(&self, name: &str) -> Result<CudaFunction> {
        let function = self
            .device
            .get_or_load_custom_func(name, &self.name, &self.code)?;
        Ok(function.into_cuda_function())
    }
}

/// Compiles `source` to PTX for the compute capability `card`.
fn compile(source: &str, options: Vec<String>, half: DType, card: (i32, i32)) -> Result<String> {
    let options = CompileOptions {
        arch: Some(nvrtc_target(card)),
        options: options
            .into_iter()
            .chain(["--std=c++17".to_owned()])
            .chain((half == DType::F16).then(|| "-DF16".to_owned()))
            .collect(),
        ..CompileOptions::default()
    };
    match compile_ptx_with_opts(source, options) {
        Ok(ptx) => Ok(ptx.to_src()),
        Err(CompileError::CompileError { log, .. }) => {
            candle_core::bail!("NVRTC refuses a kernel: {}", log.to_string_lossy())
        }
        Err(error) => candle_core::bail!("NVRTC cannot compile a kernel: {error}"),
    }
}

fn token_grid_dim(rows: i32) -> (u32, u32, u32) {
    ((rows as u32).div_ceil(TOKENS_A_BLOCK), 1, 1)
}

fn pair_grid_dim(pairs: i64) -> (u32, u32, u32) {
    // The kernels stride over the grid, so that fewer blocks than pairs will do.
    let blocks = (pairs as u64).div_ceil(u64::from(PAIR_THREADS));
    (blocks.min(1 << 20) as u32, 1, 1)
}

#[allow(unsafe_code)] // Kernels take untyped arguments.
fn launch_kernel(
    mut launch: LaunchArgs<'_>,
    grid_dim: (u32, u32, u32),
    threads: u32,
    shared_mem_bytes: u32,
) -> Result<()> {
    let config = LaunchConfig {
        grid_dim,
        block_dim: (threads, 1, 1),
        shared_mem_bytes,
    };
    // SAFETY: the callers above give each kernel the arguments that its source declares, and addresses of tensors that
    // are as large as their docs say; tensors are freed in the order of the same stream.
    unsafe { launch.launch(config) }.w()?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_compiles_for_every_card() {
        let cards = [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)];
        let halves = [DType::F16, DType::BF16];
        for (card, half) in cards
            .iter()
            .flat_map(|&card| halves.map(|half| (card, half)))
        {
            let plan = AttentionKernelConfig::for_card(card);
            let code = compile(plan.source, plan.compile_options(), half, card).unwrap();
            assert!(code.contains(".entry attend"));
            for (dim, patch, cut) in [
                (384, 14, 592),
                (768, 16, 768),
                (1536, 14, 592),
                (384, 8, 192),
            ] {
                let options = [("DIM", dim), ("PATCH", patch), ("CUT", cut)];
                let options = options.map(|(name, value)| format!("-D{name}={value}"));
                let code = compile(TOKEN_KERNELS, options.to_vec(), half, card).unwrap();
                for name in [
                    "cut_patches",
                    "assemble_tokens",
                    "layer_norm",
                    "split_tokens",
                    "swiglu",
                ] {
                    assert!(code.contains(&format!(".entry {name}")), "{name}");
                }
            }
        }
    }
}
