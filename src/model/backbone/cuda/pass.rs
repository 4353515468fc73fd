//! One batch of photos through a network: what is begun when, on which part of the GPU's memory.

use std::sync::PoisonError;

use candle_core::{DType, Tensor};

use super::kernels::{Counts, Leaving};
use super::memory::{Address, unfilled};
use super::products::{Epilogue, ProductShape};
use super::{Linear, Network};
use crate::error::Result;
use crate::model::backbone::config::Ffn;
use crate::model::backbone::vit::{LayerFeatures, LayerRequest};
use crate::model::input::Grid;

/// A batch of photos on its way.
pub(super) struct Pass<'n> {
    network: &'n Network,
    counts: Counts,
    /// The residual stream, `[B, N, D]` in f32.
    x: Tensor,
    /// After a LayerNorm, and after attention: `[B, N, D]`.
    normed: Tensor,
    /// Queries, keys and values, or the feed-forward network's wide layer.
    wide: Tensor,
    /// Half of the wide layer, in networks with SwiGLU.
    gated: Option<Tensor>,
}

impl<'n> Pass<'n> {
    /// Cuts the photos into patches, and lays the first tokens.
    pub fn begin(network: &'n Network, pixels: &Tensor, grid: Grid) -> Result<Self> {
        let (config, device) = (&network.config, &network.device);
        let photos = pixels.dim(0)?;
        let counts = Counts {
            photos,
            patches: grid.len(),
            specials: 1 + config.registers,
        };
        let dim = config.dim;
        let pixels = {
            let staging = network.staging.lock();
            let mut staging = staging.unwrap_or_else(PoisonError::into_inner);
            staging.take(pixels)?
        };
        let cut_width = network.patch_weight.dim(1)?;
        let rows = photos * grid.len();
        let cut = unfilled((rows, cut_width), network.half, device)?;
        let (from, to) = (Address::of(&pixels)?, Address::of(&cut)?);
        network
            .kernels
            .cut_patches(from, to, photos, (grid.rows, grid.cols))?;
        drop(pixels);
        let product = unfilled((rows, dim), DType::F32, device)?;
        let shape = ProductShape {
            rows,
            inputs: cut_width,
            outputs: dim,
            epilogue: Epilogue::Plain,
        };
        let weight = (Address::of(&network.patch_weight)?, Address::NULL);
        let products = &network.products;
        products.multiply(shape, Address::of(&cut)?, weight, Address::of(&product)?)?;
        drop(cut);
        let positions = network.grid_positions(grid)?;
        let shape = (photos, counts.tokens(), dim);
        let x = unfilled(shape, DType::F32, device)?;
        let added = (Address::of(&positions)?, Address::of(&network.specials)?);
        let from = Address::of(&product)?;
        network
            .kernels
            .lay_tokens(from, added, Address::of(&x)?, counts)?;
        drop(product);
        let gated = match config.ffn {
            Ffn::Mlp { .. } => None,
            Ffn::SwiGlu { hidden } => {
                Some(unfilled((counts.rows(), hidden), network.half, device)?)
            }
        };
        Ok(Pass {
            network,
            counts,
            x,
            normed: unfilled(shape, network.half, device)?,
            wide: unfilled((counts.rows(), network.width()), network.half, device)?,
            gated,
        })
    }

    /// Runs a block.
    pub fn run_block(&mut self, index: usize) -> Result<()> {
        let (network, block) = (self.network, &self.network.blocks[index]);
        let (kernels, rows) = (&network.kernels, self.counts.rows());
        self.ask(index)?;
        let (x, normed) = (Address::of(&self.x)?, Address::of(&self.normed)?);
        let wide = Address::of(&self.wide)?;
        kernels.attend(wide, normed, self.counts.photos, self.counts.tokens())?;
        self.multiply(&block.proj, Epilogue::Residual, normed, x)?;
        kernels.layer_norm(x, block.norm2.addresses()?, normed, rows)?;
        match (network.config.ffn, &self.gated) {
            (Ffn::SwiGlu { hidden }, Some(gated)) => {
                self.multiply(&block.first, Epilogue::Bias, normed, wide)?;
                let gated = Address::of(gated)?;
                kernels.swiglu(wide, gated, rows, hidden)?;
                self.multiply(&block.second, Epilogue::Residual, gated, x)
            }
            _ => {
                self.multiply(&block.first, Epilogue::BiasGelu, normed, wide)?;
                self.multiply(&block.second, Epilogue::Residual, wide, x)
            }
        }
    }

    /// Queries, keys and values of a block.
    pub fn ask(&self, index: usize) -> Result<()> {
        let block = &self.network.blocks[index];
        let (x, normed) = (Address::of(&self.x)?, Address::of(&self.normed)?);
        let norm = block.norm1.addresses()?;
        self.network
            .kernels
            .layer_norm(x, norm, normed, self.counts.rows())?;
        self.multiply(&block.qkv, Epilogue::Bias, normed, Address::of(&self.wide)?)
    }

    /// What [`Pass::ask`] found, `[B, N, 3 * D]` in half precision.
    pub fn queries_keys_values(&self) -> Result<Tensor> {
        let (counts, width) = (self.counts, 3 * self.network.config.dim);
        let all = self.wide.flatten_all()?;
        let own = all.narrow(0, 0, counts.rows() * width)?;
        Ok(own.reshape((counts.photos, counts.tokens(), width))?)
    }

    fn multiply(&self, layer: &Linear, epilogue: Epilogue, x: Address, y: Address) -> Result<()> {
        let (outputs, inputs) = layer.weight.dims2()?;
        let shape = ProductShape {
            rows: self.counts.rows(),
            inputs,
            outputs,
            epilogue,
        };
        let weights = layer.addresses()?;
        Ok(self.network.products.multiply(shape, x, weights, y)?)
    }

    /// The tokens after the last block that was run.
    pub fn hand_out(&self, request: LayerRequest, flag: &Tensor) -> Result<LayerFeatures> {
        let (network, counts) = (self.network, self.counts);
        let (device, dim) = (&network.device, network.config.dim);
        let tokens = |count: usize| unfilled((counts.photos, count, dim), DType::F32, device);
        let (specials, patches) = (tokens(counts.specials)?, tokens(counts.patches)?);
        let norm = request.norm.then(|| network.norm.addresses()).transpose()?;
        let to = Leaving {
            norm,
            specials: Address::of(&specials)?,
            patches: Address::of(&patches)?,
            flag: Address::of(flag)?,
        };
        network
            .kernels
            .hand_out(Address::of(&self.x)?, &to, counts)?;
        Ok(LayerFeatures {
            request,
            patch_tokens: patches,
            cls_token: specials.narrow(1, 0, 1)?.squeeze(1)?,
            registers: specials.narrow(1, 1, network.config.registers)?,
        })
    }
}
