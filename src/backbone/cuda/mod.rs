//! The forward pass on NVIDIA GPUs in half precision (f16 or bf16): the products by cuBLASLt, everything between them by kernels of our own.
//!
//! What that could not hold is f32: the residual stream, the statistics of LayerNorm and softmax, the position embedding,
//! the sums of all products, and what is returned. A block is seven launches: LayerNorm (with the end of the branch before
//! it), queries, keys and values, attention, projection, LayerNorm, and the two layers of the feed-forward network.
//! Nothing is copied on the way: attention reads queries, keys and values where their product left them.
//!
//! `halves` chooses between f16 and bf16, `kernels` compiles and launches what `tokens.cu` and `attention_*.cu` say, `products` are the matrix products, `memory`
//! is where tensors lie.

mod halves;
mod kernels;
mod memory;
mod products;
mod staging;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{CudaDevice, DType, Device, Tensor};

use crate::backbone::block::Weights;
use crate::backbone::config::{BackboneConfig, Ffn};
use crate::backbone::pos_embed;
use crate::backbone::vit::{Grid, LayerFeatures, LayerRequest};
use crate::error::Result;

pub use halves::Halves;
pub use memory::prepare_device;

use kernels::{Branch, Counts, Kernels, Leaving};
use memory::{Address, unfilled};
use products::{Epilogue, ProductShape, Products};
use staging::Staging;

/// The width of a head that the attention kernels are written for; every DINO has it.
const HEAD_DIM: usize = 64;

/// Position embeddings of this many grid sizes are kept; a folder of photos rarely has more.
const CACHED_GRIDS: usize = 16;

/// A network with its weights on a GPU.
#[derive(Debug)]
pub struct Network {
    config: BackboneConfig,
    device: CudaDevice,
    /// Of what is multiplied.
    half: DType,
    fused: bool,
    kernels: Kernels,
    products: Products,
    /// `[D, cut]`, zeros behind a patch's own numbers.
    patch_weight: Tensor,
    /// `[D]`, added to every position.
    patch_bias: Vec<f32>,
    /// `[S, D]`: the cls token with its position, and the registers.
    specials: Tensor,
    /// `[native, native, D]`.
    positions: Vec<f32>,
    grids: Mutex<HashMap<Grid, Tensor>>,
    blocks: Vec<Block>,
    norm: Norm,
    staging: Mutex<Staging>,
}

#[derive(Debug)]
struct Block {
    norm1: Norm,
    qkv: Linear,
    proj: Linear,
    ls1: Option<Tensor>,
    norm2: Norm,
    first: Linear,
    second: Linear,
    ls2: Option<Tensor>,
}

/// `[outputs, inputs]` and `[outputs]`, in half precision.
#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(weights: &Weights<'_>, name: &str) -> Result<Self> {
        Ok(Linear {
            weight: weights.get(&format!("{name}.weight"))?,
            bias: weights.get(&format!("{name}.bias"))?,
        })
    }

    /// The last layer of a residual branch, with its LayerScale in it; the bias stays in f32, as the stream does.
    fn ending(wide: &Weights<'_>, name: &str, gamma: &Option<Tensor>, half: DType) -> Result<Self> {
        let mut weight = wide.get(&format!("{name}.weight"))?;
        let mut bias = wide.get(&format!("{name}.bias"))?;
        if let Some(gamma) = gamma {
            weight = weight.broadcast_mul(&gamma.unsqueeze(1)?)?;
            bias = (bias * gamma)?;
        }
        Ok(Linear {
            weight: weight.to_dtype(half)?,
            bias,
        })
    }

    fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Linear {
            weight: self.weight.to_dtype(dtype)?,
            bias: match self.bias.dtype() {
                DType::F32 => self.bias.clone(),
                _ => self.bias.to_dtype(dtype)?,
            },
        })
    }

    fn addresses(&self) -> candle_core::Result<(Address, Address)> {
        Ok((Address::of(&self.weight)?, Address::of(&self.bias)?))
    }
}

/// `[D]` each, in f32.
#[derive(Debug, Clone)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn new(weights: &Weights<'_>, name: &str) -> Result<Self> {
        Ok(Norm {
            weight: weights.get(&format!("{name}.weight"))?,
            bias: weights.get(&format!("{name}.bias"))?,
        })
    }

    fn addresses(&self) -> candle_core::Result<(Address, Address)> {
        Ok((Address::of(&self.weight)?, Address::of(&self.bias)?))
    }
}

impl Block {
    fn new(
        (narrow, wide): (&Weights<'_>, &Weights<'_>),
        index: usize,
        config: &BackboneConfig,
        half: DType,
        fused: bool,
    ) -> Result<Self> {
        let at = |name: &str| format!("blocks.{index}.{name}");
        let gamma = |name: &str| {
            let gamma = || wide.get(&at(&format!("{name}.gamma")));
            config.layer_scale.then(gamma).transpose()
        };
        let (first, second) = match config.ffn {
            Ffn::Mlp { .. } => ("mlp.fc1", "mlp.fc2"),
            Ffn::SwiGlu { .. } => ("mlp.w12", "mlp.w3"),
        };
        let (ls1, ls2) = (gamma("ls1")?, gamma("ls2")?);
        let ending = |name: &str, gamma: &Option<Tensor>| match fused {
            true => Linear::ending(wide, &at(name), gamma, half),
            false => Linear::new(narrow, &at(name)),
        };
        Ok(Block {
            norm1: Norm::new(wide, &at("norm1"))?,
            qkv: Linear::new(narrow, &at("attn.qkv"))?,
            proj: ending("attn.proj", &ls1)?,
            norm2: Norm::new(wide, &at("norm2"))?,
            first: Linear::new(narrow, &at(first))?,
            second: ending(second, &ls2)?,
            ls1,
            ls2,
        })
    }

    /// With its products' weights in another type.
    fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Block {
            norm1: self.norm1.clone(),
            qkv: self.qkv.to_dtype(dtype)?,
            proj: self.proj.to_dtype(dtype)?,
            ls1: self.ls1.clone(),
            norm2: self.norm2.clone(),
            first: self.first.to_dtype(dtype)?,
            second: self.second.to_dtype(dtype)?,
            ls2: self.ls2.clone(),
        })
    }
}

impl Network {
    /// Whether the kernels are written for networks of this shape, and for this card.
    pub fn takes(config: &BackboneConfig, device: &CudaDevice) -> bool {
        let capability = device.cuda_stream().context().compute_capability();
        config.dim == config.heads * HEAD_DIM
            && config.dim.is_multiple_of(128)
            && capability.is_ok_and(|(major, _)| major >= 8)
    }

    /// Copies the weights to a GPU. `narrow` gives them as `half`, which is f16 or bf16, `wide` as f32, both on that GPU; `positions` is the
    /// position embedding `[native * native, D]` of the patches and `[D]` of the cls token.
    ///
    /// # Errors
    /// If a weight is missing, the kernels cannot be compiled, or there is no memory.
    pub(super) fn new(
        config: BackboneConfig,
        (narrow, wide): (&Weights<'_>, &Weights<'_>),
        positions: Vec<f32>,
        (device, half): (&CudaDevice, DType),
    ) -> Result<Self> {
        let dim = config.dim;
        let patch = 3 * config.patch_size.pow(2);
        // Rows of a multiple of 16 bytes.
        let cut = patch.next_multiple_of(8);
        let weight = narrow.get("patch_embed.proj.weight")?;
        let weight = weight.reshape((dim, patch))?;
        let cls = (wide.get("cls_token")? + wide.get("pos_embed")?.narrow(1, 0, 1)?)?;
        let cls = cls.reshape((1, dim))?;
        let specials = match config.registers {
            0 => cls,
            count => {
                let registers = wide.get("register_tokens")?.reshape((count, dim))?;
                Tensor::cat(&[&cls, &registers], 0)?
            }
        };
        let fused = std::env::var("DINO_EXPERIMENT").as_deref() != Ok("plain");
        let blocks =
            (0..config.depth).map(|index| Block::new((narrow, wide), index, &config, half, fused));
        Ok(Network {
            kernels: Kernels::new(device, &config, half, cut)?,
            products: Products::new(device, half)?,
            patch_weight: weight.pad_with_zeros(1, 0, cut - patch)?.contiguous()?,
            patch_bias: wide.get("patch_embed.proj.bias")?.to_vec1()?,
            specials: specials.contiguous()?,
            positions,
            grids: Mutex::default(),
            blocks: blocks.collect::<Result<_>>()?,
            norm: Norm::new(wide, "norm")?,
            staging: Mutex::new(Staging::new(device)?),
            device: device.clone(),
            half,
            fused,
            config,
        })
    }

    /// The same network in bf16.
    ///
    /// # Errors
    /// If the kernels cannot be compiled, or there is no memory.
    pub fn in_bf16(&self) -> Result<Self> {
        let half = DType::BF16;
        let blocks = self.blocks.iter().map(|block| block.to_dtype(half));
        Ok(Network {
            kernels: Kernels::new(&self.device, &self.config, half, self.patch_weight.dim(1)?)?,
            products: Products::new(&self.device, half)?,
            patch_weight: self.patch_weight.to_dtype(half)?,
            patch_bias: self.patch_bias.clone(),
            specials: self.specials.clone(),
            positions: self.positions.clone(),
            grids: Mutex::default(),
            blocks: blocks.collect::<Result<_>>()?,
            norm: self.norm.clone(),
            staging: Mutex::new(Staging::new(&self.device)?),
            device: self.device.clone(),
            half,
            fused: self.fused,
            config: self.config,
        })
    }

    /// Whether what is multiplied is f16, which larger numbers overflow.
    pub fn is_f16(&self) -> bool {
        self.half == DType::F16
    }

    /// Runs normalised RGB `pixels` `[B, 3, H, W]`, on the CPU or on this GPU, and returns the requested layers in their
    /// order, as f32; nothing if a number is not finite. The blocks after the deepest of them are not run. `tick` is called
    /// behind each block with how many of how many are begun.
    ///
    /// # Errors
    /// If there is not enough memory, or the GPU fails.
    pub fn forward(
        &self,
        pixels: &Tensor,
        grid: Grid,
        requests: &[LayerRequest],
        tick: &dyn Fn(usize, usize),
    ) -> Result<Option<Vec<LayerFeatures>>> {
        let deepest = requests.iter().map(|r| r.block).max().unwrap_or(0);
        let mut pass = Pass::begin(self, pixels, grid)?;
        let flag = Tensor::zeros(1, DType::U32, &Device::Cuda(self.device.clone()))?;
        let mut layers: Vec<Option<LayerFeatures>> = vec![None; requests.len()];
        for index in 0..=deepest {
            pass.run_block(index)?;
            tick(index + 1, deepest + 1);
            for (slot, request) in layers.iter_mut().zip(requests) {
                if request.block == index {
                    *slot = Some(pass.hand_out(*request, &flag)?);
                }
            }
        }
        // Waits for the GPU.
        let is_finite = flag.to_vec1::<u32>()?[0] == 0;
        Ok(is_finite.then(|| layers.into_iter().flatten().collect()))
    }

    /// Queries, keys and values of `block`, `[B, N, 3 * D]` in half precision; of that block, no more is computed.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn queries_keys_values(&self, pixels: &Tensor, grid: Grid, block: usize) -> Result<Tensor> {
        let mut pass = Pass::begin(self, pixels, grid)?;
        for index in 0..block {
            pass.run_block(index)?;
        }
        pass.ask(block)?;
        let (counts, dim) = (pass.counts, self.config.dim);
        let qkv = pass.wide.flatten_all()?;
        let qkv = qkv.narrow(0, 0, counts.rows() * 3 * dim)?;
        Ok(qkv.reshape((counts.photos, counts.tokens(), 3 * dim))?)
    }

    /// Position embedding of a grid's patches, with the bias of their product, `[P, D]` in f32.
    fn grid_positions(&self, grid: Grid) -> Result<Tensor> {
        let mut grids = self.grids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = grids.get(&grid) {
            return Ok(known.clone());
        }
        let (side, dim) = (self.config.native_grid, self.config.dim);
        let rule = self.config.pos_embed;
        let mut values =
            pos_embed::interpolate(&self.positions, side, dim, rule, grid.rows, grid.cols);
        for patch in values.chunks_exact_mut(dim) {
            patch
                .iter_mut()
                .zip(&self.patch_bias)
                .for_each(|(value, bias)| *value += bias);
        }
        let shape = (grid.len(), dim);
        let tensor = Tensor::from_vec(values, shape, &Device::Cuda(self.device.clone()))?;
        if grids.len() >= CACHED_GRIDS {
            grids.clear();
        }
        grids.insert(grid, tensor.clone());
        Ok(tensor)
    }

    /// Width of what is widest between two products.
    fn width(&self) -> usize {
        let wide = match self.config.ffn {
            Ffn::Mlp { hidden } => hidden,
            Ffn::SwiGlu { hidden } => 2 * hidden,
        };
        wide.max(3 * self.config.dim)
    }
}

/// A batch of photos on its way.
struct Pass<'n> {
    network: &'n Network,
    counts: Counts,
    /// The residual stream, `[B, N, D]` in f32.
    x: Tensor,
    /// After a LayerNorm, and after attention: `[B, N, D]`.
    normed: Tensor,
    /// What a branch ends in, `[B, N, D]`.
    branch: Tensor,
    /// Queries, keys and values, or the feed-forward network's wide layer.
    wide: Tensor,
    /// Half of the wide layer, in networks with SwiGLU.
    gated: Option<Tensor>,
    /// The block whose second branch is not added to the stream yet.
    open: Option<usize>,
}

impl<'n> Pass<'n> {
    /// Cuts the photos into patches, and lays the first tokens.
    fn begin(network: &'n Network, pixels: &Tensor, grid: Grid) -> Result<Self> {
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
            staging.to_device(pixels)?
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
            branch: unfilled(shape, network.half, device)?,
            wide: unfilled((counts.rows(), network.width()), network.half, device)?,
            gated,
            open: None,
        })
    }

    /// Runs a block, all but the end of its second branch.
    fn run_block(&mut self, index: usize) -> Result<()> {
        let (network, block) = (self.network, &self.network.blocks[index]);
        let (kernels, rows) = (&network.kernels, self.counts.rows());
        self.ask(index)?;
        let (x, normed) = (Address::of(&self.x)?, Address::of(&self.normed)?);
        let (branch, wide) = (Address::of(&self.branch)?, Address::of(&self.wide)?);
        kernels.attend(wide, normed, self.counts.photos, self.counts.tokens())?;
        let norm = |normed| Ok::<_, candle_core::Error>(Some((block.norm2.addresses()?, normed)));
        if network.fused {
            self.multiply(&block.proj, Epilogue::Residual, normed, x)?;
            kernels.add_norm(x, None, norm(normed)?, rows)?;
        } else {
            self.multiply(&block.proj, Epilogue::Bias, normed, branch)?;
            let attended = self.branch_of(&block.ls1)?;
            kernels.add_norm(x, Some(attended), norm(normed)?, rows)?;
        }
        let (end, to) = match network.fused {
            true => (Epilogue::Residual, x),
            false => (Epilogue::Bias, branch),
        };
        match network.config.ffn {
            Ffn::Mlp { .. } => {
                self.multiply(&block.first, Epilogue::BiasGelu, normed, wide)?;
                self.multiply(&block.second, end, wide, to)?;
            }
            Ffn::SwiGlu { hidden } => {
                self.multiply(&block.first, Epilogue::Bias, normed, wide)?;
                let gated = self.gated.as_ref().unwrap_or(&self.wide);
                let gated = Address::of(gated)?;
                kernels.swiglu(wide, gated, rows, hidden)?;
                self.multiply(&block.second, end, gated, to)?;
            }
        }
        self.open = Some(index).filter(|_| !network.fused);
        Ok(())
    }

    /// Queries, keys and values of a block, after whatever branch is open.
    fn ask(&mut self, index: usize) -> Result<()> {
        let block = &self.network.blocks[index];
        let normed = Address::of(&self.normed)?;
        let norm = Some((block.norm1.addresses()?, normed));
        self.close(norm)?;
        self.multiply(&block.qkv, Epilogue::Bias, normed, Address::of(&self.wide)?)
    }

    /// Adds the open branch to the stream, and begins the next by a norm.
    fn close(&mut self, norm: Option<((Address, Address), Address)>) -> Result<()> {
        let open = self.open.take();
        let branch = open
            .map(|index| self.branch_of(&self.network.blocks[index].ls2))
            .transpose()?;
        if branch.is_some() || norm.is_some() {
            let (x, rows) = (Address::of(&self.x)?, self.counts.rows());
            self.network.kernels.add_norm(x, branch, norm, rows)?;
        }
        Ok(())
    }

    fn branch_of(&self, gamma: &Option<Tensor>) -> Result<Branch> {
        Ok(Branch {
            values: Address::of(&self.branch)?,
            gamma: gamma.as_ref().map(Address::of).transpose()?,
        })
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
    fn hand_out(&mut self, request: LayerRequest, flag: &Tensor) -> Result<LayerFeatures> {
        self.close(None)?;
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
