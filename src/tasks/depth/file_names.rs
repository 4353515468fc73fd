//! What the files of a photo are called.

use std::num::NonZeroU32;

use crate::io::output::{CloudFormat, FloatFormat, PICTURE_EXTENSION};
use crate::tasks::recipe::DepthRecipe;

/// The files of a photo, by the ends of their names.
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

/// The ends of the names of all files that are ever made of a photo, but the picture.
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

/// Steps of a metre in 16-bit PNG if nothing is said about it: millimetres.
pub const MILLIMETRES: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// Steps of a metre in the 16-bit PNG of a run, where it writes one.
pub fn depth_scale(recipe: &DepthRecipe) -> Option<u32> {
    formats(recipe).into_iter().find_map(|format| match format {
        FloatFormat::Png16(scale) => Some(scale.get()),
        _ => None,
    })
}

/// The formats of `--save`, each once.
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

/// What of a recipe decides how the file with this extension comes out; the rest is as usual. The head is not named.
pub fn recipe_for_file(recipe: &DepthRecipe, extension: &str) -> DepthRecipe {
    let mut of = DepthRecipe {
        save: Vec::new(),
        uncertainty: false,
        ..recipe.clone()
    };
    of.head.name = None;
    let cloud = recipe.pointcloud.as_ref();
    if cloud.map(|cloud| CloudFormat::extension(cloud.format)) != Some(extension) {
        of.pointcloud = None;
    }
    if ![PICTURE_EXTENSION, std_extension(PICTURE_EXTENSION)].contains(&extension) {
        let usual = DepthRecipe::default();
        of = DepthRecipe {
            head: of.head,
            depth_scale: of.depth_scale.filter(|_| extension.ends_with("png")),
            scale: of.scale,
            shift: of.shift,
            pointcloud: of.pointcloud,
            ..usual
        };
    } else {
        of.depth_scale = None;
    }
    of
}
