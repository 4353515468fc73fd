//! What the files of a photo are called.

use crate::io::output::{MASKS, PICTURE};

use crate::tasks::recipe::{LabelFormat, LabelRecipe};

/// The ending of the map of confidence.
pub const CONFIDENCE: &str = "confidence.png";

/// The ends of the names of all files that are ever made of a photo, but the picture.
pub const SIBLINGS: &[&str] = &[
    "ids.png",
    "ids.npy",
    MASKS,
    "coco.json",
    "cutout.png",
    CONFIDENCE,
];

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
        LabelFormat::Ffv1 => "ids.mkv",
    }
}

/// The formats of `--save` that photos have, each once.
pub fn formats(recipe: &LabelRecipe) -> Vec<LabelFormat> {
    let mut formats = recipe.save.clone();
    formats.retain(|format| *format != LabelFormat::Ffv1);
    formats.sort_unstable();
    formats.dedup();
    formats
}

/// What of a recipe decides how the file with this extension comes out; the rest is as usual.
pub fn recipe_of(recipe: &LabelRecipe, extension: &str) -> LabelRecipe {
    let classes = LabelRecipe {
        classes: recipe.classes.clone(),
        least: recipe.least,
        ..LabelRecipe::default()
    };
    match extension {
        PICTURE => LabelRecipe {
            save: Vec::new(),
            crop: false,
            coco_polygons: false,
            regions: false,
            min_region: classes.min_region,
            confidence: false,
            ..recipe.clone()
        },
        "cutout.png" => LabelRecipe {
            crop: recipe.crop,
            ..classes
        },
        "coco.json" => LabelRecipe {
            coco_polygons: recipe.coco_polygons,
            regions: recipe.regions,
            min_region: recipe.min_region,
            ..classes
        },
        // It tells how unsure what is left out is, too.
        CONFIDENCE => LabelRecipe {
            least: None,
            ..classes
        },
        _ => classes,
    }
}
