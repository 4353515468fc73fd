//! Options that contradict each other or the kind of inputs; they are refused before any work is done.

use std::path::{Path, PathBuf};

use dino::io::inputs::{Shard, has_video_extension};
use dino::io::output::{OutputOptions, OutputTarget};
use dino::tasks::recipe::{DepthFileFormat, LabelFileFormat, Recipe};
use dino::{Error, Result};

use crate::cli::InputArgs;

/// Refuses options of clips where all inputs are photos.
pub fn check_photo_options(recipe: &Recipe, target: &OutputTarget) -> Result<()> {
    if let OutputTarget::Folder(path) = target
        && has_video_extension(path)
        && !path.is_dir()
    {
        return Err(Error::Usage(format!(
            "-o {} is a film, and no input is a clip; name a folder, or a picture",
            path.display()
        )));
    }
    let mut depths = recipe.depth.iter().flat_map(|depth| &depth.save);
    let labels = recipe.segment.iter().map(|segment| &segment.labels);
    let labels = labels.chain(recipe.clusters.iter().map(|clusters| &clusters.labels));
    let mut labels = labels.flat_map(|labels| &labels.save);
    let is_film = depths.any(|format| *format == DepthFileFormat::Ffv1)
        || labels.any(|format| *format == LabelFileFormat::Ffv1);
    match is_film {
        true => Err(Error::Usage(
            "--save ffv1 is lossless video, and no input is a clip; the other formats are for photos"
                .into(),
        )),
        false => Ok(()),
    }
}

/// Refuses options of photos where all inputs are clips.
pub fn check_clip_options(
    recipe: &Recipe,
    (stored, of_output): (Option<&Path>, Option<&'static str>),
    clips: &[PathBuf],
) -> Result<()> {
    let labels = recipe.segment.iter().map(|segment| &segment.labels);
    let labels = labels.chain(recipe.clusters.iter().map(|clusters| &clusters.labels));
    let labels: Vec<_> = labels.collect();
    let saves = |formats: &[LabelFileFormat]| {
        let mut saved = labels.iter().flat_map(|labels| &labels.save);
        saved.any(|format| formats.contains(format))
    };
    let depths = || recipe.depth.iter();
    let photos_alone = [
        ("--features", stored.is_some()),
        ("--at", depths().any(|depth| !depth.at.is_empty())),
        (
            "--pointcloud",
            depths().any(|depth| depth.pointcloud.is_some()),
        ),
        ("--uncertainty", depths().any(|depth| depth.uncertainty)),
        ("--save masks", saves(&[LabelFileFormat::Masks])),
        ("--save coco", saves(&[LabelFileFormat::Coco])),
        ("--save cutout", saves(&[LabelFileFormat::Cutout])),
        ("--coco", labels.iter().any(|labels| labels.coco.is_some())),
        ("--instances", labels.iter().any(|labels| labels.regions)),
        (
            "--confidence",
            labels.iter().any(|labels| labels.confidence),
        ),
        ("--raw", recipe.pca.iter().any(|pca| pca.raw)),
        ("--fit each", recipe.pca.iter().any(|pca| pca.fit_each)),
    ];
    let mut given = photos_alone.iter().filter(|(_, given)| *given);
    match given.next().map(|(name, _)| *name).or(of_output) {
        Some(name) => Err(Error::Usage(format!(
            "{name} is for photos, and {} is a clip; `ffmpeg -i CLIP frames/%06d.png` makes photos of it",
            clips[0].display()
        ))),
        None => Ok(()),
    }
}

/// Whether any input may exist, so that no weights are fetched for a mistyped name.
pub fn may_have_inputs(input: &InputArgs) -> bool {
    let is_sure = |name: &std::ffi::OsString| {
        let text = name.to_string_lossy();
        let is_plain = text != "-" && !text.contains("://") && !text.contains(['*', '?', '[', '{']);
        is_plain && !Path::new(name).exists()
    };
    input.inputs.is_empty() || !input.inputs.iter().all(is_sure)
}

/// Refuses `--tar` beside options that leave no whole tar to pack.
pub fn check_tars(input: &InputArgs, options: &OutputOptions) -> Result<()> {
    if input.watch.is_some() {
        return Err(Error::Usage(
            "--tar: --watch takes no tars; leave one of them out".into(),
        ));
    }
    if options.shard.is_some_and(Shard::is_part) {
        let why = "--tar: --shard spreads the photos of a tar over several jobs, none of which could pack them; give each \
                   job tars of its own";
        return Err(Error::Usage(why.into()));
    }
    if options.no_manifest {
        let why = "--tar: --no-manifest keeps nothing by which a tar could be told from another; leave one of them out";
        return Err(Error::Usage(why.into()));
    }
    Ok(())
}

/// Refuses options that do not go with `--watch`.
pub fn check_watch(recipe: &Recipe, stored: Option<&Path>, options: &OutputOptions) -> Result<()> {
    if stored.is_some() {
        let why = "--watch waits for photos that have not come, of which --features has none; leave one of them out";
        return Err(Error::Usage(why.into()));
    }
    if options.force && !recipe.features.is_empty() {
        let why =
            "--watch adds to a dataset as photos come, which --force makes anew; leave --force out";
        return Err(Error::Usage(why.into()));
    }
    Ok(())
}
