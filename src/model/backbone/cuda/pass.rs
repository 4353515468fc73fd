//! One batch of photos through a network: what is begun when, on which part of the GPU's memory.

use std::sync::PoisonError;

use candle_core::{DType, Tensor};

use super::kernels::{TokenCounts, TokenDestinations};
use super::matmul::{CudaEpilogue, MatmulShape};
use super::memory::{DeviceAddress, empty_tensor};
use super::{CudaBackbone, CudaLinear};
use crate::error::Result;
use crate::model::backbone::config::Ffn;
use crate::model::backbone::vit::{LayerFeatures, LayerRequest};
use crate::model::input::Grid;

/// A batch of photos on its way.
pub(super) struct CudaPass<'n> {
    network: &'n CudaBackbone,
    counts: TokenCounts,
    /// The residual stream, `[B, N, D]` in f32.
    x: Tensor,
    /// After a LayerNorm, and after attention: `[B, N, D]`.
    normed: Tensor,
    /// Queries, keys and values, or the feed-forward network's wide layer.
    wide: Tensor,
    /// Half of the wide layer, in networks with SwiGLU.
    gated: Option<Tensor>,
}

impl<'n> CudaPass<'n> {
    /// Cuts the photos into patches, and lays the first tokens.
    pub fn begin(network: &'n CudaBackbone, pixels: &Tensor, grid: Grid) -> Result<Self> {
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

    /// Runs a block.
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

    /// Queries, keys and values of a block.
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

    /// What [`CudaPass::compute_qkv`] found, `[B, N, 3 * D]` in half precision.
    pub fn queries_keys_values(&self) -> Result<Tensor> {
        let (counts, width) = (self.counts, 3 * self.network.config.dim);
        let all = self.wide.flatten_all()?;
        let own = all.narrow(0, 0, counts.rows() * width)?;
        Ok(own.reshape((counts.photos, counts.tokens(), width))?)
    }

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

    /// The tokens after the last block that was run.
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
