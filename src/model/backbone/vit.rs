//! The forward pass of a DINO Vision Transformer, after `DinoVisionTransformer` in facebookresearch/dinov2.
//!
//! In: normalised RGB pixels `[B, 3, H, W]` and the [`LayerRequest`]s of the caller. Out: the patch tokens, cls token
//! and registers of every requested block ([`Features`]). One pass serves any union of blocks and stops after the
//! deepest.

use candle_core::{DType, Device, Tensor};
use candle_nn::{LayerNorm, Module};

use crate::error::{Error, Result};
use crate::model::backbone::config::BackboneConfig;
use crate::model::backbone::cpu;
use crate::model::backbone::embeddings::Embeddings;
use crate::model::backbone::executor::Executor;
use crate::model::backbone::features::{Features, LayerFeatures, LayerRequest};
use crate::model::backbone::float_values::with_floats;
use crate::model::input::PatchGrid;

/// A frozen backbone, ready to run on one device.
#[derive(Debug)]
pub struct Backbone {
    pub(super) config: BackboneConfig,
    pub(super) embeddings: Embeddings,
    pub(super) executor: Executor,
    pub(super) device: Device,
    /// The requested number type; see [`Backbone::dtype`] for the one in use.
    pub(super) dtype: DType,
}

impl Backbone {
    /// The shape of the backbone.
    pub fn config(&self) -> &BackboneConfig {
        &self.config
    }

    /// The device that the weights are on and that computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Runs normalised RGB `pixels` `[B, 3, H, W]` (sides multiples of the patch size) and returns the requested
    /// layers in the order of `requests`, as f32.
    ///
    /// # Errors
    /// [`Error::Model`] for a block beyond the depth, sides that are no multiples of the patch size, and features that
    /// are not finite; [`Error::Memory`] or [`Error::Tensor`] if the device has not enough memory.
    pub fn forward(&self, pixels: &Tensor, requests: &[LayerRequest]) -> Result<Features> {
        self.forward_with_progress(pixels, requests, &|_, _| ())
    }

    /// As [`Backbone::forward`]. `tick(done, all)` is called after each block with the number of blocks that are done
    /// and of those that will be run.
    ///
    /// # Errors
    /// As [`Backbone::forward`].
    pub fn forward_with_progress(
        &self,
        pixels: &Tensor,
        requests: &[LayerRequest],
        tick: &dyn Fn(usize, usize),
    ) -> Result<Features> {
        let deepest = requests.iter().map(|r| r.block).max().unwrap_or(0);
        self.check_block(deepest)?;
        let grid = self.embeddings.patch_grid(pixels)?;
        let layers = match &self.executor {
            Executor::Cpu(network) => self.forward_on_cpu(network, pixels, grid, requests, tick)?,
            // It checks its own results: where f16 overflows it runs again in bf16.
            #[cfg(feature = "cuda")]
            Executor::Cuda(network) => {
                let layers = network.forward(pixels, grid, requests, tick)?;
                return Ok(Features {
                    layers,
                    grid,
                    coarse: None,
                });
            }
            // Finite by construction.
            Executor::Constant(constant) => {
                tick(deepest + 1, deepest + 1);
                let batch = pixels.dim(0)?;
                return Ok(Features {
                    layers: constant.layers(&self.config, grid, batch, requests)?,
                    grid,
                    coarse: None,
                });
            }
            Executor::Tensors { blocks, norm } => {
                let mut x = self.embeddings.prepare_tokens(pixels, grid)?; // [B, 1 + R + N, D]
                let mut layers: Vec<Option<LayerFeatures>> = vec![None; requests.len()];
                for (index, block) in blocks.iter().enumerate().take(deepest + 1) {
                    x = block.forward(&x)?;
                    tick(index + 1, deepest + 1);
                    for (slot, request) in layers.iter_mut().zip(requests) {
                        if request.block == index {
                            *slot = Some(self.split_tokens(&x, norm, *request)?);
                        }
                    }
                }
                layers.into_iter().flatten().collect()
            }
        };
        let features = Features {
            layers,
            grid,
            coarse: None,
        };
        features.check_finite()?;
        Ok(features)
    }

    /// Uploads photos of normalised RGB, each `[3, H, W]` with `size` = (H, W), as pixels `[B, 3, H, W]` to the GPU in
    /// one copy. `None` for backbones that read a batch from memory of the CPU.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is not enough memory, or the sizes of the photos differ.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
    pub fn stage_pixels(&self, photos: &[&[f32]], size: (usize, usize)) -> Result<Option<Tensor>> {
        match &self.executor {
            #[cfg(feature = "cuda")]
            Executor::Cuda(network) => network.stage_pixels(photos, size).map(Some),
            _ => Ok(None),
        }
    }

    /// The number type of the matrix products: the requested one, or bf16 once f16 has overflowed.
    pub fn dtype(&self) -> DType {
        match &self.executor {
            #[cfg(feature = "cuda")]
            Executor::Cuda(network) => network.dtype(),
            _ => self.dtype,
        }
    }

    /// Whether f16 was requested and has overflowed, so that passes run in bf16.
    pub fn has_overflowed(&self) -> bool {
        self.dtype() != self.dtype
    }

    /// Refuses a block index beyond the depth of the backbone.
    pub(super) fn check_block(&self, block: usize) -> Result<()> {
        match block < self.config.depth {
            true => Ok(()),
            false => Err(Error::Model(format!(
                "block {block} was asked for, but this backbone has blocks 0 to {}",
                self.config.depth - 1
            ))),
        }
    }

    /// The layers of a pass through the CPU kernels, as tensors.
    fn forward_on_cpu(
        &self,
        network: &cpu::CpuBackbone,
        pixels: &Tensor,
        grid: PatchGrid,
        requests: &[LayerRequest],
        tick: &dyn Fn(usize, usize),
    ) -> Result<Vec<LayerFeatures>> {
        let b = pixels.dim(0)?;
        let (d, registers) = (self.config.dim, self.config.registers);
        let positions = self.position_embedding(grid)?;
        let outputs = with_floats(pixels, |pixels| {
            with_floats(&positions, |positions| {
                network.forward(pixels, grid, positions, requests, tick)
            })
        })???;
        let layer = |(tokens, &request): (cpu::CpuLayerTokens, &LayerRequest)| {
            let specials = Tensor::from_vec(tokens.specials, (b, 1 + registers, d), &Device::Cpu)?;
            let patches = (b, grid.len(), d);
            Ok(LayerFeatures {
                request,
                patch_tokens: Tensor::from_vec(tokens.patches, patches, &Device::Cpu)?,
                cls_token: specials.narrow(1, 0, 1)?.squeeze(1)?,
                registers: specials.narrow(1, 1, registers)?,
            })
        };
        outputs.into_iter().zip(requests).map(layer).collect()
    }

    /// Patch tokens before the position embedding is added: `[B, 3, H, W]` to `[B, rows * cols, D]`.
    ///
    /// # Errors
    /// [`Error::Model`] for sides that are no multiples of the patch size, [`Error::Tensor`] if the device fails.
    pub fn embed_patches(&self, pixels: &Tensor) -> Result<Tensor> {
        self.embeddings.embed_patches(pixels)
    }

    /// The position embedding of a grid's patches, `[1, rows * cols, D]`, see [`pos_embed`](super::pos_embed).
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device fails.
    pub fn position_embedding(&self, grid: PatchGrid) -> Result<Tensor> {
        self.embeddings.position_embedding(grid)
    }

    /// Splits the tokens `x` `[B, 1 + R + rows * cols, D]` after a block into cls token, registers and patch tokens,
    /// through the final LayerNorm if `request` wants it.
    fn split_tokens(
        &self,
        x: &Tensor,
        norm: &LayerNorm,
        request: LayerRequest,
    ) -> Result<LayerFeatures> {
        let x = if request.norm {
            norm.forward(x)?
        } else {
            x.clone()
        }
        .to_dtype(DType::F32)?;
        let skip = 1 + self.config.registers;
        Ok(LayerFeatures {
            request,
            cls_token: x.narrow(1, 0, 1)?.squeeze(1)?,
            registers: x.narrow(1, 1, self.config.registers)?,
            patch_tokens: x.narrow(1, skip, x.dim(1)? - skip)?.contiguous()?,
        })
    }
}
