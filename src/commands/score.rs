//! How a head scores a photo: at once, or in the windows of `--slide`, and at the size that it was trained for.

use dino::backbone::Features;
use dino::console::Console;
use dino::head::{Head, Scores};
use dino::pipeline::{Extracted, Pipeline, Ready};
use dino::preprocess::{Geometry, Padding, Preprocessor, Resample, SizeRule};
use dino::slide::{Both, MOST_PATCHES, Slide};
use dino::stopwatch::Stopwatch;
use dino::{Error, Result, interrupt};
use image::RgbImage;

use crate::cli::{HeadArgs, PredictArgs};
use crate::commands::model::Model;

/// A photo and its scores.
pub struct Scored {
    /// Upright.
    pub photo: RgbImage,
    /// How it lay in the backbone's input.
    pub geometry: Geometry,
    /// Over the patch grid.
    pub scores: Scores,
    /// Of its mirror image, where they were asked for.
    pub mirrored: Option<Scores>,
    /// Where the time went so far.
    pub watch: Stopwatch,
}

/// The scores of a photo that the backbone saw as a whole.
pub fn at_once(head: &Head, extracted: Extracted) -> Result<Scored> {
    let Extracted {
        photo,
        geometry,
        features,
        mirrored,
        mut watch,
    } = extracted;
    let (scores, mirrored) = watch.time("head", || both(head, &features, mirrored.as_ref()))?;
    Ok(Scored {
        photo,
        geometry,
        scores,
        mirrored,
        watch,
    })
}

/// The scores of a photo through windows.
pub fn by_windows(
    slide: &Slide,
    head: &Head,
    pipeline: &Pipeline<'_>,
    name: &str,
    ready: Ready,
    console: &Console,
) -> Result<Scored> {
    let Ready {
        photo,
        prepared,
        mut watch,
    } = ready;
    let geometry = prepared.geometry;
    let windows = slide.windows(geometry.grid(), geometry.patch_size);
    if geometry.reduced {
        let (width, height) = geometry.resized;
        console.note(format_args!(
            "{name}: so large a photo is seen at {width}x{height}, {MOST_PATCHES} patches"
        ));
    }
    console.detail(format_args!("{name}: {} windows", windows.len()));
    let progress = console.progress(windows.len() as u64, "windows");
    let (scores, mirrored) = slide.scores(&prepared, &windows, pipeline.batch_size, |batch| {
        interrupt::check()?;
        let photos: Vec<_> = batch.iter().collect();
        let features = watch.time("backbone", || pipeline.forward(&photos))?;
        progress.inc(batch.len() as u64);
        let scores = features
            .iter()
            .map(|(own, mirrored)| both(head, own, mirrored.as_ref()));
        watch.time("head", || scores.collect())
    })?;
    Ok(Scored {
        photo,
        geometry,
        scores,
        mirrored,
        watch,
    })
}

/// Scores of the features of a photo or a window, and of its mirror image.
fn both(head: &Head, features: &Features, mirrored: Option<&Features>) -> Result<Both> {
    let mirrored = mirrored.map(|features| head.scores(features));
    Ok((head.scores(features)?, mirrored.transpose()?))
}

/// The windows of `--slide`.
pub fn windows_of(args: &PredictArgs, head: &Head) -> Result<Option<Slide>> {
    if !args.slide {
        return Ok(None);
    }
    match trained_size(head)? {
        SizeRule::Native => Err(Error::Usage(format!(
            "--slide has no size for its windows: the head {} was trained on photos of any size",
            head.meta.name
        ))),
        trained => Ok(Some(Slide {
            trained,
            size: args.head.size,
            stride: args.stride,
            fade: head.meta.task_name() == "depth",
        })),
    }
}

/// How photos are prepared for a head: at its own size unless another is asked for.
pub fn preprocessor(args: &HeadArgs, head: &Head, model: &Model) -> Result<Preprocessor> {
    Ok(Preprocessor {
        size: args.size.map_or_else(|| trained_size(head), Ok)?,
        resample: Resample::Bicubic,
        patch_size: model.backbone.config().patch_size,
        padding: padding(head)?,
    })
}

/// The size that a head was trained for.
fn trained_size(head: &Head) -> Result<SizeRule> {
    let size = head.meta.input.size.parse();
    size.map_err(|why: String| contradiction(head, &why))
}

/// How a head's photos are brought to whole patches.
fn padding(head: &Head) -> Result<Padding> {
    let padding = head.meta.input.padding.parse();
    padding.map_err(|why: String| contradiction(head, &why))
}

/// What is wrong with what a head says about itself.
fn contradiction(head: &Head, why: &str) -> Error {
    Error::Model(format!("the head {}: {why}", head.meta.name))
}
