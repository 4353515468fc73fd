//! A forward pass of one batch of photos on a GPU: the order of the launches, and the buffers that they share.

use std::sync::PoisonError;

use candle_core::{DType, Device, Tensor};

use super::kernels::{TokenCounts, TokenDestinations};
use super::layers::CudaLinear;
use super::matmul::{CudaEpilogue, MatmulShape};
use super::memory::{DeviceAddress, empty_tensor};
use super::network::CudaBackbone;
use crate::error::Result;
use crate::model::backbone::config::Ffn;
use crate::model::backbone::features::{LayerFeatures, LayerRequest};
use crate::model::input::PatchGrid;

impl CudaBackbone {
    /// Runs normalised RGB `pixels` `[B, 3, H, W]`, on the CPU or on this GPU, and returns the requested layers in the
    /// order of `requests`, as f32; `None` if a number is not finite. The blocks after the deepest request are not run.
    /// `tick(launched, all)` is called after each block with the number of blocks launched so far and the number to
    /// run.
    ///
    /// # Errors
    /// If there is not enough memory, or the GPU fails.
    pub fn forward(
        &self,
        pixels: &Tensor,
        grid: PatchGrid,
        requests: &[LayerRequest],
        tick: &dyn Fn(usize, usize),
    ) -> Result<Option<Vec<LayerFeatures>>> {
        let deepest = requests.iter().map(|r| r.block).max().unwrap_or(0);
        let mut pass = CudaPass::begin(self, pixels, grid)?;
        let flag = Tensor::zeros(1, DType::U32, &Device::Cuda(self.device.clone()))?;
        let mut layers: Vec<Option<LayerFeatures>> = vec![None; requests.len()];
        for index in 0..=deepest {
            pass.run_block(index)?;
            tick(index + 1, deepest + 1);
            for (slot, request) in layers.iter_mut().zip(requests) {
                if request.block == index {
                    *slot = Some(pass.split_tokens(*request, &flag)?);
                }
            }
        }
        // Reading the flag waits for the GPU.
        let is_finite = flag.to_vec1::<u32>()?[0] == 0;
        Ok(is_finite.then(|| layers.into_iter().flatten().collect()))
    }

    /// Queries, keys and values of `block`, `[B, N, 3 * D]` in half precision. Nothing of the block beyond them is
    /// computed.
    ///
    /// # Errors
    /// As [`CudaBackbone::forward`].
    pub fn queries_keys_values(
        &self,
        pixels: &Tensor,
        grid: PatchGrid,
        block: usize,
    ) -> Result<Tensor> {
        let mut pass = CudaPass::begin(self, pixels, grid)?;
        for index in 0..block {
            pass.run_block(index)?;
        }
        pass.compute_qkv(block)?;
        pass.queries_keys_values()
    }
}

/// A batch of B photos between two launches; each has N tokens, special tokens first.
pub(super) struct CudaPass<'n> {
    network: &'n CudaBackbone,
    counts: TokenCounts,
    /// The residual stream, `[B, N, D]` in f32.
    x: Tensor,
    /// The output of a LayerNorm, then that of attention: `[B, N, D]` in half precision.
    normed: Tensor,
    /// Queries, keys and values `[B, N, 3 * D]`, or the output of the feed-forward network's first layer.
    wide: Tensor,
    /// The gated half of that output, `[B, N, hidden]`, in models with SwiGLU.
    gated: Option<Tensor>,
}

impl<'n> CudaPass<'n> {
    /// Uploads the photos, cuts them into patches, and assembles the tokens that enter the first block.
    pub fn begin(network: &'n CudaBackbone, pixels: &Tensor, grid: PatchGrid) -> Result<Self> {
        let (config, device) = (&network.config, &network.device);
        let photos = pixels.dim(0)?;
        let counts = TokenCounts {
            photos,
            patches: grid.len(),
            specials: 1 + config.registers,
        };
        let dim = config.dim;
        let pixels = {
            let staging = network.staging.lock();
            let mut staging = staging.unwrap_or_else(PoisonError::into_inner);
            staging.upload(pixels)?
        };
        let cut_width = network.patch_weight.dim(1)?;
        let rows = photos * grid.len();
        let cut = empty_tensor((rows, cut_width), network.half, device)?;
        let (from, to) = (DeviceAddress::of(&pixels)?, DeviceAddress::of(&cut)?);
        network
            .kernels
            .cut_patches(from, to, photos, (grid.rows, grid.cols))?;
        drop(pixels);
        let product = empty_tensor((rows, dim), DType::F32, device)?;
        let shape = MatmulShape {
            rows,
            inputs: cut_width,
            outputs: dim,
            epilogue: CudaEpilogue::Plain,
        };
        let weight = (
            DeviceAddress::of(&network.patch_weight)?,
            DeviceAddress::NULL,
        );
        let products = &network.products;
        products.multiply(
            shape,
            DeviceAddress::of(&cut)?,
            weight,
            DeviceAddress::of(&product)?,
        )?;
        drop(cut);
        let positions = network.grid_positions(grid)?;
        let shape = (photos, counts.tokens(), dim);
        let x = empty_tensor(shape, DType::F32, device)?;
        let added = (
            DeviceAddress::of(&positions)?,
            DeviceAddress::of(&network.specials)?,
        );
        let from = DeviceAddress::of(&product)?;
        network
            .kernels
            .assemble_tokens(from, added, DeviceAddress::of(&x)?, counts)?;
        drop(product);
        let gated = match config.ffn {
            Ffn::Mlp { .. } => None,
            Ffn::SwiGlu { hidden } => {
                Some(empty_tensor((counts.rows(), hidden), network.half, device)?)
            }
        };
        Ok(CudaPass {
            network,
            counts,
            x,
            normed: empty_tensor(shape, network.half, device)?,
            wide: empty_tensor((counts.rows(), network.max_width()), network.half, device)?,
            gated,
        })
    }

    /// Runs block `index` on the residual stream. LayerScale is in the weights of `proj` and `ffn_out`.
    pub fn run_block(&mut self, index: usize) -> Result<()> {
        let (network, block) = (self.network, &self.network.blocks[index]);
        let (kernels, rows) = (&network.kernels, self.counts.rows());
        self.compute_qkv(index)?;
        let (x, normed) = (
            DeviceAddress::of(&self.x)?,
            DeviceAddress::of(&self.normed)?,
        );
        let wide = DeviceAddress::of(&self.wide)?;
        kernels.attend(wide, normed, self.counts.photos, self.counts.tokens())?;
        self.multiply(&block.proj, CudaEpilogue::Residual, normed, x)?;
        kernels.layer_norm(x, block.norm2.addresses()?, normed, rows)?;
        match (network.config.ffn, &self.gated) {
            (Ffn::SwiGlu { hidden }, Some(gated)) => {
                self.multiply(&block.ffn_in, CudaEpilogue::Bias, normed, wide)?;
                let gated = DeviceAddress::of(gated)?;
                kernels.swiglu(wide, gated, rows, hidden)?;
                self.multiply(&block.ffn_out, CudaEpilogue::Residual, gated, x)
            }
            _ => {
                self.multiply(&block.ffn_in, CudaEpilogue::BiasGelu, normed, wide)?;
                self.multiply(&block.ffn_out, CudaEpilogue::Residual, wide, x)
            }
        }
    }

    /// LayerNorm, then queries, keys and values of block `index`, into `wide`.
    pub fn compute_qkv(&self, index: usize) -> Result<()> {
        let block = &self.network.blocks[index];
        let (x, normed) = (
            DeviceAddress::of(&self.x)?,
            DeviceAddress::of(&self.normed)?,
        );
        let norm = block.norm1.addresses()?;
        self.network
            .kernels
            .layer_norm(x, norm, normed, self.counts.rows())?;
        self.multiply(
            &block.qkv,
            CudaEpilogue::Bias,
            normed,
            DeviceAddress::of(&self.wide)?,
        )
    }

    /// The result of [`CudaPass::compute_qkv`], `[B, N, 3 * D]` in half precision.
    pub fn queries_keys_values(&self) -> Result<Tensor> {
        let (counts, width) = (self.counts, 3 * self.network.config.dim);
        let all = self.wide.flatten_all()?;
        let own = all.narrow(0, 0, counts.rows() * width)?;
        Ok(own.reshape((counts.photos, counts.tokens(), width))?)
    }

    /// Launches `y = epilogue(layer(x))` over all tokens.
    fn multiply(
        &self,
        layer: &CudaLinear,
        epilogue: CudaEpilogue,
        x: DeviceAddress,
        y: DeviceAddress,
    ) -> Result<()> {
        let (outputs, inputs) = layer.weight.dims2()?;
        let shape = MatmulShape {
            rows: self.counts.rows(),
            inputs,
            outputs,
            epilogue,
        };
        let weights = layer.addresses()?;
        Ok(self.network.products.multiply(shape, x, weights, y)?)
    }

    /// The tokens after the last block that was run, split by kind. Sets `flag` if one of their numbers is not finite.
    pub fn split_tokens(&self, request: LayerRequest, flag: &Tensor) -> Result<LayerFeatures> {
        let (network, counts) = (self.network, self.counts);
        let (device, dim) = (&network.device, network.config.dim);
        let tokens = |count: usize| empty_tensor((counts.photos, count, dim), DType::F32, device);
        let (specials, patches) = (tokens(counts.specials)?, tokens(counts.patches)?);
        let norm = request.norm.then(|| network.norm.addresses()).transpose()?;
        let to = TokenDestinations {
            norm,
            specials: DeviceAddress::of(&specials)?,
            patches: DeviceAddress::of(&patches)?,
            flag: DeviceAddress::of(flag)?,
        };
        network
            .kernels
            .split_tokens(DeviceAddress::of(&self.x)?, &to, counts)?;
        Ok(LayerFeatures {
            request,
            patch_tokens: patches,
            cls_token: specials.narrow(1, 0, 1)?.squeeze(1)?,
            registers: specials.narrow(1, 1, network.config.registers)?,
        })
    }
}
