//! The extensions of a photo's files, and the settings that decide the content of each.

use std::num::NonZeroU32;

use crate::io::output::{CloudFormat, FloatFormat, PICTURE_EXTENSION};
use crate::tasks::recipe::DepthRecipe;

/// The extensions of a photo's files, the picture's first.
pub fn extensions(recipe: &DepthRecipe) -> Vec<&'static str> {
    let formats = formats(recipe);
    let mut all = vec![PICTURE_EXTENSION];
    all.extend(formats.iter().map(|format| format.extension()));
    if recipe.uncertainty {
        all.push(std_extension(PICTURE_EXTENSION));
        all.extend(formats.iter().map(|f| std_extension(f.extension())));
    }
    all.extend(
        recipe
            .pointcloud
            .as_ref()
            .map(|cloud| CloudFormat::extension(cloud.format)),
    );
    all
}

/// The extensions of all files that are written of a photo with any options, except the picture.
pub const SIBLING_EXTENSIONS: &[&str] = &[
    "npy",
    "mm.png",
    "u16.png",
    "pfm",
    "exr",
    "tiff",
    "std.png",
    "std.npy",
    "std.mm.png",
    "std.u16.png",
    "std.pfm",
    "std.exr",
    "std.tiff",
    "ply",
    "glb",
];

/// Steps of a metre in 16-bit PNG and video without `--depth-scale`: millimetres.
pub const MILLIMETRES: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// Steps of a metre in 16-bit PNG, where the run writes one.
pub fn depth_scale(recipe: &DepthRecipe) -> Option<u32> {
    formats(recipe).into_iter().find_map(|format| match format {
        FloatFormat::Png16(scale) => Some(scale.get()),
        _ => None,
    })
}

/// The formats of photos' files (`--save`), each once; the video format is left out.
pub fn formats(recipe: &DepthRecipe) -> Vec<FloatFormat> {
    let scale = recipe.depth_scale.unwrap_or(MILLIMETRES);
    let mut formats: Vec<_> = recipe
        .save
        .iter()
        .filter_map(|f| f.to_float_format(scale))
        .collect();
    formats.sort_unstable();
    formats.dedup();
    formats
}

/// The extension of the standard deviations' file, of the depths' file with `extension`.
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

/// The recipe with everything that does not decide the content of the file with this extension set to its default. The
/// head's name is left out; its digest stands for it.
pub fn recipe_for_file(recipe: &DepthRecipe, extension: &str) -> DepthRecipe {
    let mut relevant = DepthRecipe {
        save: Vec::new(),
        uncertainty: false,
        ..recipe.clone()
    };
    relevant.head.name = None;
    let cloud = recipe.pointcloud.as_ref();
    if cloud.map(|cloud| CloudFormat::extension(cloud.format)) != Some(extension) {
        relevant.pointcloud = None;
    }
    if ![PICTURE_EXTENSION, std_extension(PICTURE_EXTENSION)].contains(&extension) {
        let usual = DepthRecipe::default();
        relevant = DepthRecipe {
            head: relevant.head,
            depth_scale: relevant.depth_scale.filter(|_| extension.ends_with("png")),
            scale: relevant.scale,
            shift: relevant.shift,
            pointcloud: relevant.pointcloud,
            ..usual
        };
    } else {
        relevant.depth_scale = None;
    }
    relevant
}
