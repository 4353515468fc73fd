//! From a recipe to the layers, the pass and the pixels whose features are stored, and to the description of the
//! dataset.

use std::path::Path;

use serde_json::{Value, json};

use crate::analysis::pca::Projection;
use crate::engine::{BackbonePass, FlipViews, InputScales};
use crate::error::{Error, Result};
use crate::io::features::{DatasetMeta, PointList};
use crate::model::backbone::LayerRequest;
use crate::model::head::Head;
use crate::model::input::{Padding, SizeRule};
use crate::system::files::Digest;
use crate::tasks::backbone_info::{BackboneInfo, FitOrigin};
use crate::tasks::inference::inference_mode::InferenceMode;
use crate::tasks::inference::layer;
use crate::tasks::pca::basis;
use crate::tasks::recipe::{FeaturesRecipe, HeadRecipe, TokenKind};
use crate::terminal::console::Console;
use crate::vision::preprocess::{Preprocessor, Resample};

/// The features that are taken of a photo.
pub struct FeatureSelection {
    /// The layers, in the order of storage.
    pub layers: Vec<LayerRequest>,
    /// How photos go through the backbone: always as a whole.
    pub mode: InferenceMode,
    /// The basis that patch tokens are projected on, the weights that it was fitted to, and its digest.
    pub basis: Option<(Projection, FitOrigin, Digest)>,
    /// The pixels at which features are sampled.
    pub points: Option<PointList>,
}

impl FeatureSelection {
    /// The selection of `recipe`; `head` is the head that it names.
    ///
    /// # Errors
    /// [`Error::Usage`] for blocks that `model` does not have, and for a head that takes photos in windows or mirrored;
    /// names a basis or a list that cannot be used.
    pub fn new(
        recipe: &FeaturesRecipe,
        model: &BackboneInfo,
        head: Option<&Head>,
        console: &Console,
    ) -> Result<Self> {
        let basis = recipe.basis.as_deref().map(|path| read_basis(path, model));
        let basis = basis.transpose()?;
        let config = &model.config;
        let norm = !recipe.no_norm;
        let layers = match (head, &basis) {
            (Some(head), _) => head.meta.requests(),
            (None, Some((layer, ..))) => vec![*layer],
            (None, None) => {
                let blocks = match recipe.blocks.as_slice() {
                    [] => &[-1],
                    blocks => blocks,
                };
                let blocks = blocks.iter().map(|&block| {
                    let block = layer::resolve_block(block, config.depth, &model.name);
                    block.map(|block| LayerRequest { block, norm })
                });
                blocks
                    .collect::<Result<Vec<_>>>()
                    .map_err(blame_blocks_option)?
            }
        };
        for (index, layer) in layers.iter().enumerate() {
            if layers[..index].contains(layer) {
                return Err(Error::Usage(format!(
                    "--blocks names block {} twice",
                    layer.block
                )));
            }
        }
        let mode = match head {
            Some(head) => mode_for_head(head, recipe.size, config.patch_size, console)?,
            None => {
                let size = recipe.size.unwrap_or(layer::DEFAULT_SIZE);
                let of_one = layer::layer_pass(layers[0], size, config.patch_size);
                InferenceMode::Whole(BackbonePass {
                    requests: layers.clone(),
                    ..of_one
                })
            }
        };
        if recipe.has_tokens(TokenKind::Registers) && config.registers == 0 {
            return Err(Error::Usage(format!(
                "--what registers: {} has none; those called -reg have four",
                model.name
            )));
        }
        Ok(FeatureSelection {
            layers,
            mode,
            basis: basis.map(|(_, projection, origin, digest)| (projection, origin, digest)),
            points: recipe.at.as_deref().map(PointList::read).transpose()?,
        })
    }

    /// Whether the coarse scale's tokens are stored too.
    pub fn has_coarse(&self) -> bool {
        self.mode
            .whole_pass()
            .is_some_and(|pass| matches!(pass.scales, InputScales::FullAndCoarse(_)))
    }

    /// The description of a dataset of this selection, by a backbone that computes in the number type `computed`, of
    /// photos decoded with the options of the tag `photos`.
    pub fn dataset_meta(
        &self,
        recipe: &FeaturesRecipe,
        model: &BackboneInfo,
        (computed, photos): (&str, &str),
    ) -> DatasetMeta {
        let pass = self.mode.whole_pass();
        DatasetMeta {
            format: DatasetMeta::FORMAT,
            model: model.name.clone(),
            variant: model.variant.clone(),
            fingerprint: model.fingerprint.clone().unwrap_or_default(),
            dim: model.config.dim,
            computed: computed.to_owned(),
            layers: self.layers.iter().copied().map(Into::into).collect(),
            input: describe_input(self.mode.preprocessor(), photos),
            coarse: pass.and_then(|pass| match pass.scales {
                InputScales::FullAndCoarse(coarse) => Some(coarse.into()),
                InputScales::Full | InputScales::Coarse(_) => None,
            }),
            cls: recipe.has_tokens(TokenKind::Cls),
            patches: recipe.has_tokens(TokenKind::Patches),
            registers: match recipe.has_tokens(TokenKind::Registers) {
                true => model.config.registers,
                false => 0,
            },
            pool: recipe.pool,
            basis: self.basis.as_ref().map(|(projection, _, digest)| {
                (digest.to_string(), projection.component_indices.len())
            }),
            points: self
                .points
                .as_ref()
                .map(|points| points.digest().to_string()),
            precision: recipe.dtype,
        }
    }
}

/// How photos are prepared, in the description of a dataset; `photos` is the tag of decoding options, empty for the
/// default.
pub fn describe_input(preprocessor: &Preprocessor, photos: &str) -> Value {
    let Preprocessor {
        size,
        resample,
        patch_size,
        padding,
        unpad: _,
        max_patches: most_patches,
        center_crop,
    } = preprocessor;
    json!({
        "size": size.to_string(),
        "resample": match resample {
            Resample::Bicubic => "bicubic",
            Resample::Pillow => "pillow",
            Resample::Bilinear => "bilinear",
        },
        "patch_size": patch_size,
        "padding": match padding {
            Padding::Center => "center",
            Padding::None => "none",
        },
        "most_patches": most_patches,
        "center_crop": center_crop,
        "photos": photos,
    })
}

/// How photos go through the backbone for `head`.
///
/// # Errors
/// [`Error::Usage`] for a head that takes photos in windows or mirrored.
fn mode_for_head(
    head: &Head,
    size: Option<SizeRule>,
    patch_size: usize,
    console: &Console,
) -> Result<InferenceMode> {
    let recipe = HeadRecipe {
        size,
        ..HeadRecipe::default()
    };
    let mode = InferenceMode::new(&recipe, head, patch_size, console)?;
    let is_plain = mode
        .whole_pass()
        .is_some_and(|pass| pass.views == FlipViews::Plain);
    match is_plain {
        true => Ok(mode),
        false => Err(Error::Usage(format!(
            "--for {}: it is run in windows or on mirrored photos too, as its publishers do, for which no features are \
             stored; name --blocks and --size instead",
            head.meta.name
        ))),
    }
}

/// Reads a basis: its layer, its projection, the weights that it was fitted to, and the digest of its file.
fn read_basis(
    path: &Path,
    model: &BackboneInfo,
) -> Result<(LayerRequest, Projection, FitOrigin, Digest)> {
    let (layer, saved) = basis::read_basis(path, model)?;
    let digest = Digest::of_file(path)?;
    Ok((layer, saved.fit, saved.origin, digest))
}

/// Rewords an error about `--layer` as one about `--blocks`.
fn blame_blocks_option(error: Error) -> Error {
    match error {
        Error::Usage(why) => Error::Usage(why.replace("--layer ", "--blocks ")),
        other => other,
    }
}
