//! How a head scores a photo: at once, in the windows of `--slide`, or as its publishers do, and at which size.

use dino::backbone::Features;
use dino::console::{Console, Progress};
use dino::head::{Head, Network, Protocol, Scores};
use dino::inputs::Source;
use dino::memory::{Permit, readable};
use dino::pipeline::{Decoded, Extracted, Pipeline, Ready, Views};
use dino::postprocess::{LabelMap, views};
use dino::preprocess::{Geometry, Padding, Prepared, Preprocessor, Resample, SizeRule};
use dino::protocol;
use dino::slide::{Both, MOST_PATCHES, Slide};
use dino::stopwatch::Stopwatch;
use dino::{Error, Result};
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
    /// For the memory of all that.
    pub _permit: Permit,
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

/// How the backbone sees a photo.
pub enum Way {
    /// As a whole.
    AtOnce,
    /// In the windows of `--slide`.
    Windows(Slide),
    /// As a published protocol for segmentation has it.
    Protocol(Protocol),
}

impl Way {
    /// Through a `protocol` with windows of its own, else those of `--slide`, else at once.
    pub fn new(protocol: Option<Protocol>, slide: Option<Slide>) -> Self {
        match (protocol, slide) {
            (Some(protocol), _) if protocol.task() == "segment" => Way::Protocol(protocol),
            (_, Some(slide)) => Way::Windows(slide),
            (_, None) => Way::AtOnce,
        }
    }
}

impl Way {
    /// Patches that the backbone sees at once, where that is not the photo as a whole.
    pub fn patches_at_once(&self, patch_size: usize) -> Option<usize> {
        let across = |side: u32| (side as usize).div_ceil(patch_size);
        match self {
            Way::AtOnce => None,
            Way::Windows(slide) => match slide.trained {
                SizeRule::ShortSide(side) => Some(across(side).pow(2)),
                SizeRule::Exact { width, height } => Some(across(width) * across(height)),
                SizeRule::Native => None,
            },
            Way::Protocol(_) => Some(across(protocol::LARGEST_WINDOW).pow(2)),
        }
    }
}

/// A head over photos, in one way.
pub struct Scorer<'a> {
    /// The head, where the backbone is.
    pub head: &'a Head,
    /// Its backbone, and how photos are prepared for it.
    pub pipeline: &'a Pipeline<'a>,
    /// How photos are seen.
    pub way: Way,
    /// Where words go.
    pub console: &'a Console,
}

impl Scorer<'_> {
    /// Scores all `sources`, which are called `name`, and calls `take` with every one's index and result, in their order,
    /// and `before` with the layout and the bytes of memory of each that is seen as a whole.
    ///
    /// # Errors
    /// Only what `take` returns, which ends the run.
    pub fn run(
        &self,
        sources: &[&Source],
        name: impl Fn(usize) -> String,
        before: impl Fn(usize, &Geometry, u64),
        mut take: impl FnMut(usize, Result<Scored>) -> Result<()>,
    ) -> Result<()> {
        let pipeline = self.pipeline;
        match &self.way {
            Way::AtOnce => pipeline.run(sources, before, |index, result| {
                take(index, result.and_then(|extracted| self.at_once(extracted)))
            }),
            Way::Windows(slide) => {
                let layout = |photo| slide.layout(photo, &pipeline.preprocessor);
                pipeline.prepare(sources, layout, |index, result| {
                    let scored =
                        result.and_then(|ready| self.by_windows(slide, &name(index), ready));
                    take(index, scored)
                })
            }
            Way::Protocol(protocol) => pipeline.decode(sources, |index, result| {
                let scored =
                    result.and_then(|decoded| self.by_protocol(*protocol, &name(index), decoded));
                take(index, scored)
            }),
        }
    }

    /// The scores of a photo that the backbone saw as a whole.
    fn at_once(&self, extracted: Extracted) -> Result<Scored> {
        let Extracted {
            photo,
            geometry,
            features,
            mirrored,
            mut watch,
            permit,
        } = extracted;
        let (scores, mirrored) =
            watch.time("head", || both(self.head, &features, mirrored.as_ref()))?;
        Ok(Scored {
            photo,
            geometry,
            found: Found::Scores { scores, mirrored },
            watch,
            _permit: permit,
        })
    }

    /// The scores of a photo through windows.
    fn by_windows(&self, slide: &Slide, name: &str, ready: Ready) -> Result<Scored> {
        let Ready {
            photo,
            prepared,
            mut watch,
            permit,
        } = ready;
        let geometry = prepared.geometry;
        let windows = slide.windows(geometry.grid(), geometry.patch_size);
        if geometry.reduced {
            let (width, height) = geometry.resized;
            self.console.note(format_args!(
                "{name}: so large a photo is seen at {width}x{height}, {MOST_PATCHES} patches"
            ));
        }
        self.console.detail(format_args!(
            "{name}: {} windows, up to {} of memory",
            windows.len(),
            readable(permit.bytes())
        ));
        let progress = self.console.progress(windows.len() as u64, "windows");
        let (scores, mirrored) =
            slide.scores(&prepared, &windows, self.pipeline.batch_size, |batch| {
                self.batch(batch, &mut watch, &progress)
            })?;
        Ok(Scored {
            photo,
            geometry,
            found: Found::Scores { scores, mirrored },
            watch,
            _permit: permit,
        })
    }

    /// The labels of a photo under a published protocol for segmentation.
    fn by_protocol(&self, protocol: Protocol, name: &str, decoded: Decoded) -> Result<Scored> {
        let Decoded {
            photo,
            mut watch,
            permit,
        } = decoded;
        let looks = protocol::views(protocol, photo.dimensions())?;
        let windows: usize = looks.iter().map(|view| view.windows.len()).sum();
        self.console.detail(format_args!(
            "{name}: {} views, {windows} windows",
            looks.len()
        ));
        let progress = self.console.progress(windows as u64, "windows");
        let Preprocessor {
            patch_size, unpad, ..
        } = self.pipeline.preprocessor;
        let batch_size = self.pipeline.batch_size;
        let seen = protocol::run(&photo, looks, patch_size, batch_size, |batch| {
            let scores = self.batch(batch, &mut watch, &progress)?;
            Ok(scores.into_iter().map(|(own, _)| own).collect())
        })?;
        let (width, height) = photo.dimensions();
        let size = (width as usize, height as usize);
        let map = watch.time("label", || views::label(&seen, size, unpad));
        Ok(Scored {
            geometry: self.pipeline.preprocessor.geometry(photo.dimensions()),
            photo,
            found: Found::Labels(map),
            watch,
            _permit: permit,
        })
    }

    /// The scores of windows that go through the backbone together.
    fn batch(
        &self,
        windows: &[Prepared],
        watch: &mut Stopwatch,
        progress: &Progress,
    ) -> Result<Vec<Both>> {
        let photos: Vec<_> = windows.iter().collect();
        let features = watch.time("backbone", || self.pipeline.forward(&photos))?;
        progress.inc(windows.len() as u64);
        let scores = features
            .iter()
            .map(|(own, mirrored)| both(self.head, own, mirrored.as_ref()));
        watch.time("head", || scores.collect())
    }
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
    let trained = as_trained(head, model)?;
    let usual = match (args.protocol, protocol) {
        (Some(_), Some(Protocol::Plain | Protocol::Flip)) => SizeRule::Native,
        _ => trained.size,
    };
    Ok(Preprocessor {
        size: args.size.unwrap_or(usual),
        unpad: args.unpad.map_or(trained.unpad, Into::into),
        // A photo of a phone at its own size would take minutes and gigabytes, and be far from what the head knows.
        most_patches: (args.size.is_none() && usual == SizeRule::Native).then_some(MOST_NATIVE),
        ..trained
    })
}

/// How photos are prepared for a head if nothing else is asked for.
pub fn as_trained(head: &Head, model: &Model) -> Result<Preprocessor> {
    Ok(Preprocessor {
        size: trained_size(head)?,
        resample: Resample::Bicubic,
        patch_size: model.backbone.config().patch_size,
        padding: padding(head)?,
        unpad: head.meta.unpad,
        most_patches: None,
        center_crop: head.meta.input.crop,
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
