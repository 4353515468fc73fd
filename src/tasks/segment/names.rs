//! What the files of a photo are called.

use crate::output::{MASKS, PICTURE};

use crate::recipe::{LabelFormat, LabelRecipe};

/// The ending of the map of confidence.
pub const CONFIDENCE: &str = "confidence.png";

/// What a job's outputs are called, the picture first.
pub fn extensions(recipe: &LabelRecipe) -> Vec<&'static str> {
    let saved = formats(recipe).into_iter().map(extension);
    let sure = recipe.confidence.then_some(CONFIDENCE);
    [PICTURE].into_iter().chain(saved).chain(sure).collect()
}

/// The ending of a format of `--save`.
pub fn extension(format: LabelFormat) -> &'static str {
    match format {
        LabelFormat::Ids => "ids.png",
        LabelFormat::Npy => "ids.npy",
        LabelFormat::Masks => MASKS,
        LabelFormat::Coco => "coco.json",
        LabelFormat::Cutout => "cutout.png",
    }
}

/// The formats of `--save`, each once.
pub fn formats(recipe: &LabelRecipe) -> Vec<LabelFormat> {
    let mut formats = recipe.save.clone();
    formats.sort_unstable();
    formats.dedup();
    formats
}
