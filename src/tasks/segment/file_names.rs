//! What the files of a photo are called.

use crate::error::{Error, Result};
use crate::io::output::{MASKS_EXTENSION, PICTURE_EXTENSION};
use crate::tasks::recipe::{LabelFileFormat, LabelRecipe};

/// Of how labels are made: 1 gives small regions to the classes around them.
pub(crate) const LABEL_REVISION: u32 = 1;

/// The ending of the map of confidence.
pub const CONFIDENCE_EXTENSION: &str = "confidence.png";

/// The ends of the names of all files that are ever made of a photo, but the picture.
pub const SIBLING_EXTENSIONS: &[&str] = &[
    "ids.png",
    "ids.npy",
    MASKS_EXTENSION,
    "coco.json",
    "cutout.png",
    CONFIDENCE_EXTENSION,
];

/// What a job's outputs are called, the picture first.
pub fn extensions(recipe: &LabelRecipe) -> Vec<&'static str> {
    let saved = formats(recipe).into_iter().map(extension);
    let sure = recipe.confidence.then_some(CONFIDENCE_EXTENSION);
    [PICTURE_EXTENSION]
        .into_iter()
        .chain(saved)
        .chain(sure)
        .collect()
}

/// The ending of a format of `--save`.
pub fn extension(format: LabelFileFormat) -> &'static str {
    match format {
        LabelFileFormat::Ids => "ids.png",
        LabelFileFormat::Npy => "ids.npy",
        LabelFileFormat::Masks => MASKS_EXTENSION,
        LabelFileFormat::Coco => "coco.json",
        LabelFileFormat::Cutout => "cutout.png",
        LabelFileFormat::Ffv1 => "ids.mkv",
    }
}

/// The formats of `--save` that photos have, each once.
pub fn formats(recipe: &LabelRecipe) -> Vec<LabelFileFormat> {
    let mut formats = recipe.save.clone();
    formats.retain(|format| *format != LabelFileFormat::Ffv1);
    formats.sort_unstable();
    formats.dedup();
    formats
}

/// What of a recipe decides how the file with this extension comes out; the rest is as usual.
pub fn recipe_for_file(recipe: &LabelRecipe, extension: &str) -> LabelRecipe {
    let classes = LabelRecipe {
        classes: recipe.classes.clone(),
        least: recipe.least,
        ..LabelRecipe::default()
    };
    match extension {
        PICTURE_EXTENSION => LabelRecipe {
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
        CONFIDENCE_EXTENSION => LabelRecipe {
            least: None,
            ..classes
        },
        _ => classes,
    }
}

/// Refuses flags that mean nothing without others.
pub(super) fn check_options(recipe: &LabelRecipe, json: bool) -> Result<()> {
    let coco = recipe.coco.is_some() || recipe.save.contains(&LabelFileFormat::Coco);
    let wishes = [
        (
            recipe.crop,
            recipe.save.contains(&LabelFileFormat::Cutout),
            "--crop crops the cutout; add --save cutout",
        ),
        (
            recipe.coco_polygons,
            coco,
            "--coco-polygons is about COCO documents; add --coco FILE or --save coco",
        ),
        (
            recipe.regions,
            coco || json,
            "--instances lists regions in JSON; add --json, --coco FILE or --save coco",
        ),
    ];
    match wishes.iter().find(|(given, meant, _)| *given && !meant) {
        Some((_, _, why)) => Err(Error::Usage((*why).into())),
        None => Ok(()),
    }
}
