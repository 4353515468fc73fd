//! The memory that labels, their picture and their files take.

use crate::tasks::inference::memory_cost::ENCODER_BYTES;
use crate::tasks::recipe::{LabelFileFormat, LabelRecipe};

/// Bytes a pixel of the photo that its labels, picture and files take beside the photo.
pub(super) fn bytes_per_pixel(recipe: &LabelRecipe) -> u64 {
    // Ids and confidences, and those of the pixels that are sure enough for the picture.
    let labels = 2 * (2 + 4);
    let drawn = if recipe.side_by_side { 3 + 6 } else { 3 };
    let legend = match (recipe.no_legend, recipe.side_by_side) {
        (true, _) => 0,
        (false, false) => 3,
        (false, true) => 6,
    };
    let picture = drawn + legend;
    let regions = if recipe.regions { 8 } else { 0 };
    let of_format = |format: &LabelFileFormat| match format {
        LabelFileFormat::Ids | LabelFileFormat::Npy | LabelFileFormat::Ffv1 => 2,
        LabelFileFormat::Masks | LabelFileFormat::Coco => 1,
        // The photo is decoded again for its opacity.
        LabelFileFormat::Cutout => 4 + 16,
    };
    let saved = recipe.save.iter().map(of_format).max().unwrap_or(0);
    let written = saved.max(u64::from(recipe.confidence));
    labels + picture + regions + written + ENCODER_BYTES
}
