//! What the files of a photo are called.

use dino::output::{CloudFormat, FloatFormat, PICTURE};

use crate::cli::{DepthArgs, NumbersArgs};

/// The files of a photo, by the ends of their names.
pub fn extensions(args: &DepthArgs) -> Vec<&'static str> {
    let numbers = &args.numbers;
    let formats = formats(numbers);
    let mut all = vec![PICTURE];
    all.extend(formats.iter().map(|format| format.extension()));
    if numbers.uncertainty {
        all.push(std_extension(PICTURE));
        all.extend(formats.iter().map(|f| std_extension(f.extension())));
    }
    all.extend(args.cloud.format().map(CloudFormat::extension));
    all
}

/// The formats of `--save`, each once.
pub fn formats(numbers: &NumbersArgs) -> Vec<FloatFormat> {
    let mut formats: Vec<_> = numbers.save.iter().map(|&f| f.into()).collect();
    formats.sort_unstable();
    formats.dedup();
    formats
}

/// The ending of the standard deviations where the depths have `extension`.
pub fn std_extension(extension: &str) -> &'static str {
    match extension {
        "npy" => "std.npy",
        "mm.png" => "std.mm.png",
        "pfm" => "std.pfm",
        "exr" => "std.exr",
        "tiff" => "std.tiff",
        _ => "std.png",
    }
}
