//! How a head scores a photo: at once, in the windows of `--slide`, or as its publishers do, and at which size.

use dino::backbone::Features;
use dino::console::Console;
use dino::head::{Head, Network, Protocol, Scores};
use dino::pipeline::{Extracted, Pipeline, Ready, Views};
use dino::postprocess::{LabelMap, views};
use dino::preprocess::{Geometry, Padding, Preprocessor, Resample, SizeRule};
use dino::protocol;
use dino::slide::{Both, MOST_PATCHES, Slide};
use dino::stopwatch::Stopwatch;
use dino::{Error, Result, interrupt};
use image::RgbImage;

use crate::cli::{HeadArgs, PredictArgs, Tta};
use crate::commands::model::Model;

/// Patches of a photo at its own size, if it was not asked for: 1024 x 768 pixels. The published depth heads were trained
/// and judged on half of that.
const MOST_NATIVE: usize = 4096;

/// A photo and its scores.
pub struct Scored {
    /// Upright.
    pub photo: RgbImage,
    /// How it lay in the backbone's input.
    pub geometry: Geometry,
    /// What came of it.
    pub found: Found,
    /// Where the time went so far.
    pub watch: Stopwatch,
}

/// What a head found in a photo.
pub enum Found {
    /// Its scores over the input.
    Scores {
        /// Over the patch grid, or a finer one.
        scores: Scores,
        /// Of the mirror image, where they were asked for; not mirrored back.
        mirrored: Option<Scores>,
    },
    /// The labels that a published protocol ends with, at the photo's size.
    Labels(LabelMap),
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
        found: Found::Scores { scores, mirrored },
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
        found: Found::Scores { scores, mirrored },
        watch,
    })
}

/// The labels of a photo under a published protocol for segmentation.
pub fn by_protocol(
    protocol: Protocol,
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
    let looks = protocol::views(protocol, photo.dimensions())?;
    let windows: usize = looks.iter().map(|view| view.windows.len()).sum();
    console.detail(format_args!(
        "{name}: {} views, {windows} windows",
        looks.len()
    ));
    let progress = console.progress(windows as u64, "windows");
    let patch_size = pipeline.backbone.config().patch_size;
    let seen = protocol::run(&photo, looks, patch_size, pipeline.batch_size, |batch| {
        interrupt::check()?;
        let photos: Vec<_> = batch.iter().collect();
        let features = watch.time("backbone", || pipeline.forward(&photos))?;
        progress.inc(batch.len() as u64);
        let scores = features.iter().map(|(own, _)| head.scores(own));
        watch.time("head", || scores.collect())
    })?;
    let (width, height) = photo.dimensions();
    let size = (width as usize, height as usize);
    let map = watch.time("label", || {
        views::label(&seen, size, pipeline.preprocessor.unpad)
    });
    Ok(Scored {
        photo,
        geometry: prepared.geometry,
        found: Found::Labels(map),
        watch,
    })
}

/// Scores of the features of a photo or a window, and of its mirror image.
fn both(head: &Head, features: &Features, mirrored: Option<&Features>) -> Result<Both> {
    let mirrored = mirrored.map(|features| head.scores(features));
    Ok((head.scores(features)?, mirrored.transpose()?))
}

/// The protocol to run `head` with, if any: the one asked for, else its own unless options say otherwise.
pub fn protocol_of(
    args: &HeadArgs,
    slides: bool,
    head: &Head,
    console: &Console,
) -> Result<Option<Protocol>> {
    let task = head.meta.task_name();
    let chosen = match args.protocol {
        Some(choice) => choice.for_head(head.meta.protocol, task),
        None => head.meta.protocol,
    };
    let Some(protocol) = chosen else {
        return Ok(None);
    };
    if protocol.task() != task {
        return Err(Error::Usage(format!(
            "the protocol {} is for {}, but the head {} is for {task}",
            protocol.name(),
            protocol.task(),
            head.meta.name
        )));
    }
    let options = [
        ("--size", args.size.is_some()),
        ("--slide", slides),
        ("--tta", args.tta != Tta::None),
        ("--refine", args.refine),
    ];
    let against = options
        .iter()
        .find(|(_, is)| *is && protocol.task() == "segment");
    match against {
        Some((option, _)) if args.protocol.is_some() => Err(Error::Usage(format!(
            "{option} does not go with --protocol {}, which says all of that itself; leave one out",
            protocol.name()
        ))),
        Some((option, _)) => {
            console.note(format_args!(
                "{option} instead of the protocol {} of the head {}",
                protocol.name(),
                head.meta.name
            ));
            Ok(None)
        }
        None => Ok(Some(protocol)),
    }
}

/// Which views of a photo are averaged.
pub fn views_of(args: &HeadArgs, protocol: Option<Protocol>) -> Views {
    match (args.tta, protocol) {
        (Tta::Flip, _) | (_, Some(Protocol::Flip)) => Views::Both,
        _ => Views::Plain,
    }
}

/// The windows of `--slide`.
pub fn windows_of(args: &PredictArgs, head: &Head) -> Result<Option<Slide>> {
    if !args.slide {
        return Ok(None);
    }
    if matches!(head.network, Network::Dpt(_)) {
        return Err(Error::Usage(format!(
            "--slide: the head {} sees a photo only as a whole",
            head.meta.name
        )));
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
pub fn preprocessor(
    args: &HeadArgs,
    protocol: Option<Protocol>,
    head: &Head,
    model: &Model,
) -> Result<Preprocessor> {
    let usual = match (args.protocol, protocol) {
        (Some(_), Some(Protocol::Plain | Protocol::Flip)) => SizeRule::Native,
        _ => trained_size(head)?,
    };
    Ok(Preprocessor {
        size: args.size.unwrap_or(usual),
        resample: Resample::Bicubic,
        patch_size: model.backbone.config().patch_size,
        padding: padding(head)?,
        unpad: args.unpad.map_or(head.meta.unpad, Into::into),
        // A photo of a phone at its own size would take minutes and gigabytes, and be far from what the head knows.
        most_patches: (args.size.is_none() && usual == SizeRule::Native).then_some(MOST_NATIVE),
        center_crop: head.meta.input.crop,
    })
}

/// The size that a head was trained for.
pub fn trained_size(head: &Head) -> Result<SizeRule> {
    let size = head.meta.input.size.parse();
    size.map_err(|why: String| contradiction(head, &why))
}

/// How a head's photos are brought to whole patches.
pub fn padding(head: &Head) -> Result<Padding> {
    let padding = head.meta.input.padding.parse();
    padding.map_err(|why: String| contradiction(head, &why))
}

/// What is wrong with what a head says about itself.
fn contradiction(head: &Head, why: &str) -> Error {
    Error::Model(format!("the head {}: {why}", head.meta.name))
}
