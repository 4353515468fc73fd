//! What the files of a photo are called.

use dino::output::{MASKS, PICTURE};

use crate::cli::{LabelFormat, SegmentArgs};

/// The ending of the map of confidence.
pub const CONFIDENCE: &str = "confidence.png";

/// What a job's outputs are called, the picture first.
pub fn extensions(args: &SegmentArgs) -> Vec<&'static str> {
    let saved = formats(args).into_iter().map(extension);
    let sure = args.files.confidence.then_some(CONFIDENCE);
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
pub fn formats(args: &SegmentArgs) -> Vec<LabelFormat> {
    let mut formats = args.files.save.clone();
    formats.sort_unstable();
    formats.dedup();
    formats
}
