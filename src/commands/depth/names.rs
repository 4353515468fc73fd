//! What the files of a photo are called.

use std::num::NonZeroU32;

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

/// Steps of a metre in 16-bit PNG if nothing is said about it: millimetres.
const MILLI: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// Steps of a metre in the 16-bit PNG of a run, where it writes one.
pub fn depth_scale(numbers: &NumbersArgs) -> Option<u32> {
    formats(numbers)
        .into_iter()
        .find_map(|format| match format {
            FloatFormat::Png16(scale) => Some(scale.get()),
            _ => None,
        })
}

/// The formats of `--save`, each once.
pub fn formats(numbers: &NumbersArgs) -> Vec<FloatFormat> {
    let scale = numbers.depth_scale.unwrap_or(MILLI);
    let mut formats: Vec<_> = numbers.save.iter().map(|f| f.with_scale(scale)).collect();
    formats.sort_unstable();
    formats.dedup();
    formats
}

/// The ending of the standard deviations where the depths have `extension`.
pub fn std_extension(extension: &str) -> &'static str {
    match extension {
        "npy" => "std.npy",
        "mm.png" => "std.mm.png",
        "u16.png" => "std.u16.png",
        "pfm" => "std.pfm",
        "exr" => "std.exr",
        "tiff" => "std.tiff",
        _ => "std.png",
    }
}
