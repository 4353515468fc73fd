//! The extensions of a photo's files, the settings that decide the content of each, and options without effect.

use crate::error::{Error, Result};
use crate::io::output::{MASKS_EXTENSION, PICTURE_EXTENSION};
use crate::tasks::recipe::{LabelFileFormat, LabelRecipe};

/// The revision of the algorithm that makes labels; 1 gives small regions to the classes around them.
pub(crate) const LABEL_REVISION: u32 = 1;

/// The extension of the map of confidences.
pub const CONFIDENCE_EXTENSION: &str = "confidence.png";

/// The extensions of all files that are written of a photo with any options, except the picture.
pub const SIBLING_EXTENSIONS: &[&str] = &[
    "ids.png",
    "ids.npy",
    MASKS_EXTENSION,
    "coco.json",
    "cutout.png",
    CONFIDENCE_EXTENSION,
];

/// The extensions of a photo's files, the picture's first.
pub fn extensions(recipe: &LabelRecipe) -> Vec<&'static str> {
    let saved = formats(recipe).into_iter().map(extension);
    let sure = recipe.confidence.then_some(CONFIDENCE_EXTENSION);
    [PICTURE_EXTENSION]
        .into_iter()
        .chain(saved)
        .chain(sure)
        .collect()
}

/// The extension of a format of `--save`.
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

/// The formats of photos' files (`--save`), each once; the video format is left out.
pub fn formats(recipe: &LabelRecipe) -> Vec<LabelFileFormat> {
    let mut formats = recipe.save.clone();
    formats.retain(|format| *format != LabelFileFormat::Ffv1);
    formats.sort_unstable();
    formats.dedup();
    formats
}

/// The recipe with everything that does not decide the content of the file with this extension set to its default.
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
        // The map has the confidence of pixels that are left out too.
        CONFIDENCE_EXTENSION => LabelRecipe {
            least: None,
            ..classes
        },
        _ => classes,
    }
}

/// Refuses options that have no effect without others.
///
/// # Errors
/// [`Error::Usage`] that names the option and what to add.
pub(super) fn check_options(recipe: &LabelRecipe, json: bool) -> Result<()> {
    let coco = recipe.coco.is_some() || recipe.save.contains(&LabelFileFormat::Coco);
    let options = [
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
    match options.iter().find(|(given, meant, _)| *given && !meant) {
        Some((_, _, why)) => Err(Error::Usage((*why).into())),
        None => Ok(()),
    }
}
