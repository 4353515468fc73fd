//! How the backbone sees a photo for a head: at once, in the windows of `--slide`, or as its publishers do; and at
//! which size.

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
use crate::engine::{
    BackboneBatchOutput, BackboneOutput, BackbonePass, BatchLimit, FlipViews, ReadyPhoto,
};
use crate::error::{Error, Result};
use crate::model::backbone::Backbone;
use crate::model::head::{Head, HeadNetwork, Protocol, Scores};
use crate::model::input::{Geometry, Grid, Padding, SizeRule, Unpad};
use crate::system::memory::format_bytes;
use crate::tasks::recipe::HeadRecipe;
use crate::tasks::{TaskOutput, TaskPredictor};
use crate::terminal::console::{Console, Progress};
use crate::vision::inference::protocol;
use crate::vision::inference::slide::{MAX_PATCHES, Slide};
use crate::vision::postprocess::views;
use crate::vision::preprocess::{PreparedImage, Preprocessor, Resample};

/// Patches of a photo at its own size, if it was not asked for: 1024 x 768 pixels. The published depth heads were
/// trained and judged on half of that.
const MAX_NATIVE_PATCHES: usize = 4096;

/// How the backbone sees a photo.
#[derive(Debug, Clone, PartialEq)]
pub enum InferenceMode {
    /// As a whole.
    Whole(BackbonePass),
    /// In the windows of `--slide`, each through this pass.
    Slide(BackbonePass, Slide),
    /// As a published protocol for segmentation has it, its views through this pass.
    Protocol(BackbonePass, Protocol),
}

impl InferenceMode {
    /// Of `head` on a backbone whose patches have this side, as `recipe` has it.
    ///
    /// # Errors
    /// [`Error::Usage`] where that is contradictory; [`Error::Model`] where the head is.
    pub fn new(
        recipe: &HeadRecipe,
        head: &Head,
        patch_size: usize,
        console: &Console,
    ) -> Result<Self> {
        let slide = choose_slide(recipe, head)?;
        let protocol = choose_protocol(recipe, head, console)?;
        let pass = BackbonePass {
            preprocessor: build_preprocessor(recipe, protocol, head, patch_size)?,
            requests: head.meta.requests(),
            views: choose_views(recipe, protocol),
            scales: head.meta.input.coarse.into(),
        };
        if pass.preprocessor.unpad == Unpad::Cubic && head.meta.task_name() != "depth" {
            return Err(Error::Usage(format!(
                "--unpad cubic is for depths, and the head {} gives none; crop and squeeze are for all heads",
                head.meta.name
            )));
        }
        Ok(match (protocol, slide) {
            (Some(protocol), _) if protocol.task() == "segment" => {
                InferenceMode::Protocol(pass, protocol)
            }
            (_, Some(slide)) => InferenceMode::Slide(pass, slide),
            (_, None) => InferenceMode::Whole(pass),
        })
    }

    /// The pass over a photo as a whole, where it is seen so.
    pub fn whole_pass(&self) -> Option<&BackbonePass> {
        match self {
            InferenceMode::Whole(pass) => Some(pass),
            InferenceMode::Slide(..) | InferenceMode::Protocol(..) => None,
        }
    }

    pub(super) fn backbone_pass(&self) -> &BackbonePass {
        match self {
            InferenceMode::Whole(pass)
            | InferenceMode::Slide(pass, _)
            | InferenceMode::Protocol(pass, _) => pass,
        }
    }

    /// How photos, or the windows of one, are prepared.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.backbone_pass().preprocessor
    }

    /// The size and the looks, for people and to tell ways apart.
    pub fn describe(&self) -> String {
        let seen = match self {
            InferenceMode::Whole(_) => String::new(),
            InferenceMode::Slide(_, slide) => {
                format!(" in windows, {} of a side apart", slide.stride)
            }
            InferenceMode::Protocol(_, protocol) => format!(" by the protocol {}", protocol.name()),
        };
        let mirrored = if self.has_mirror_view() {
            ", mirrored too"
        } else {
            ""
        };
        format!("size {}{seen}{mirrored}", self.preprocessor().size)
    }

    /// Whether the mirror image is seen too.
    pub fn has_mirror_view(&self) -> bool {
        self.backbone_pass().views == FlipViews::Both
    }

    /// How a photo of this (width, height) lies in the input.
    pub fn layout(&self, photo: (u32, u32)) -> Geometry {
        match self {
            InferenceMode::Slide(pass, slide) => slide.layout(photo, &pass.preprocessor),
            InferenceMode::Whole(pass) | InferenceMode::Protocol(pass, _) => {
                pass.preprocessor.geometry(photo)
            }
        }
    }

    /// What is made of `photo` before the backbone sees it.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn prepare(&self, photo: &RgbImage) -> Result<PreparedImage> {
        let layout = self.layout(photo.dimensions());
        match self {
            // Its views are prepared one after the other.
            InferenceMode::Protocol(..) => Ok(PreparedImage {
                pixels: Vec::new(),
                geometry: layout,
            }),
            InferenceMode::Whole(_) | InferenceMode::Slide(..) => {
                self.preprocessor().prepare_with(photo, layout)
            }
        }
    }

    /// Bytes that a photo of this layout takes before and in the backbone, with this many windows at once.
    pub fn memory(&self, backbone: &Backbone, layout: &Geometry, windows: usize) -> u64 {
        let pass = self.backbone_pass();
        let at_once = self.patches_per_window().map(|patches| patches * windows);
        pass.memory(backbone, layout, at_once)
    }

    /// Bytes of the device that one window takes, where the backbone sees a photo in such.
    pub fn window_device_memory(&self, backbone: &Backbone) -> Option<u64> {
        let cols = self.patches_per_window()?;
        let window = Grid { rows: 1, cols };
        Some(self.backbone_pass().grid_device_memory(backbone, window))
    }

    /// Patches that the backbone sees at once, where that is not the photo as a whole.
    fn patches_per_window(&self) -> Option<usize> {
        let across = |side: u32| (side as usize).div_ceil(self.preprocessor().patch_size);
        match self {
            InferenceMode::Whole(_) => None,
            InferenceMode::Slide(_, slide) => match slide.window_size {
                SizeRule::ShortSide(side) | SizeRule::Fit(side) => Some(across(side).pow(2)),
                SizeRule::Exact { width, height } => Some(across(width) * across(height)),
                SizeRule::Native => None,
            },
            InferenceMode::Protocol(..) => Some(across(protocol::LARGEST_WINDOW).pow(2)),
        }
    }
}

/// Scores of the features of a photo or a window, and with `mirrors` of its mirror image.
///
/// # Errors
/// If the head gives no numbers, or the device fails.
pub fn score_features(head: &Head, seen: &BackboneOutput, mirrors: bool) -> Result<TaskOutput> {
    let mirrored = seen.mirrored.as_ref().filter(|_| mirrors);
    Ok(TaskOutput::Scores {
        scores: head.scores(&seen.features)?,
        mirrored: mirrored.map(|features| head.scores(features)).transpose()?,
        room_probability: None,
    })
}

/// As [`score_features`], of each photo of a batch.
///
/// # Errors
/// If the device fails.
pub fn score_batch(
    head: &Head,
    batch: &BackboneBatchOutput,
    mirrors: bool,
) -> Result<Vec<Result<TaskOutput>>> {
    let Some(plain) = head.batch_scores(&batch.features)? else {
        return map_photos(batch, |seen| score_features(head, seen, mirrors));
    };
    let mirrored = batch.mirrored.as_ref().filter(|_| mirrors);
    let mirrored = match mirrored {
        Some(features) => head.batch_scores(features)?,
        None => None,
    };
    let mut mirrored = mirrored.map(Vec::into_iter);
    let one = |scores: Result<Scores>| {
        let mirrored = mirrored.as_mut().and_then(Iterator::next).transpose();
        Ok(TaskOutput::Scores {
            scores: scores?,
            mirrored: mirrored?,
            room_probability: None,
        })
    };
    Ok(plain.into_iter().map(one).collect())
}

/// What `find` finds in each photo of a batch.
///
/// # Errors
/// If the device fails.
pub fn map_photos(
    batch: &BackboneBatchOutput,
    find: impl Fn(&BackboneOutput) -> Result<TaskOutput>,
) -> Result<Vec<Result<TaskOutput>>> {
    Ok(batch.split()?.iter().map(find).collect())
}

/// Runs a task over the parts of a photo.
pub(super) struct WindowRunner<'w> {
    pub backbone: &'w Backbone,
    pub task: &'w dyn TaskPredictor,
    /// How many run together.
    pub batch_limit: &'w BatchLimit,
    pub console: &'w Console,
    /// What the photo is called.
    pub photo_name: &'w str,
}

impl WindowRunner<'_> {
    /// What is found in a photo whose layout has this `number`.
    pub fn run(&self, ready: &mut ReadyPhoto, number: usize) -> Result<TaskOutput> {
        match self.task.mode() {
            InferenceMode::Whole(_) => Err(Error::Model("a photo is seen at once".into())),
            InferenceMode::Slide(pass, slide) => self.run_slide(pass, slide, ready, number),
            InferenceMode::Protocol(pass, protocol) => self.run_protocol(pass, *protocol, ready),
        }
    }

    fn run_slide(
        &self,
        pass: &BackbonePass,
        slide: &Slide,
        ready: &mut ReadyPhoto,
        number: usize,
    ) -> Result<TaskOutput> {
        let prepared = ready.prepared.get(number);
        let prepared = prepared.ok_or_else(|| Error::Model("a photo lacks a layout".into()))?;
        let geometry = &prepared.geometry;
        let windows = slide.windows(geometry.grid(), geometry.patch_size);
        let name = self.photo_name;
        if geometry.reduced {
            let (width, height) = geometry.resized;
            self.console.note(format_args!(
                "{name}: so large a photo is seen at {width}x{height}, {MAX_PATCHES} patches"
            ));
        }
        self.console.detail(format_args!(
            "{name}: {} windows, up to {} of memory",
            windows.len(),
            format_bytes(ready.permit.bytes())
        ));
        let progress = self.console.progress(windows.len() as u64, "windows");
        let watch = &mut ready.watch;
        let (scores, mirrored) =
            slide.scores(prepared, &windows, self.batch_limit.max_items(), |batch| {
                self.score_windows(pass, batch, watch, &progress)
            })?;
        Ok(TaskOutput::Scores {
            scores,
            mirrored,
            room_probability: None,
        })
    }

    /// The labels of a photo under a published protocol for segmentation.
    fn run_protocol(
        &self,
        pass: &BackbonePass,
        protocol: Protocol,
        ready: &mut ReadyPhoto,
    ) -> Result<TaskOutput> {
        let (photo, watch) = (&ready.photo, &mut ready.watch);
        let looks = protocol::views(protocol, photo.dimensions())?;
        let windows: usize = looks.iter().map(|view| view.windows.len()).sum();
        self.console.detail(format_args!(
            "{}: {} views, {windows} windows",
            self.photo_name,
            looks.len()
        ));
        let progress = self.console.progress(windows as u64, "windows");
        let Preprocessor {
            patch_size, unpad, ..
        } = pass.preprocessor;
        let seen = protocol::score_views(
            photo,
            looks,
            patch_size,
            self.batch_limit.max_items(),
            |batch| {
                let scores = self.score_windows(pass, batch, watch, &progress)?;
                Ok(scores.into_iter().map(|(own, _)| own).collect())
            },
        )?;
        let (width, height) = photo.dimensions();
        let size = (width as usize, height as usize);
        let map = watch.time("label", || views::label_views(&seen, size, unpad));
        Ok(TaskOutput::Labels(map))
    }

    /// The scores of windows that go through the backbone together, where the device has the memory.
    fn score_windows(
        &self,
        pass: &BackbonePass,
        windows: &[PreparedImage],
        watch: &mut Stopwatch,
        progress: &Progress,
    ) -> Result<Vec<(Scores, Option<Scores>)>> {
        self.batch_limit.run_chunked(windows.len(), |part| {
            self.score_window_batch(pass, &windows[part], watch, progress)
        })
    }

    fn score_window_batch(
        &self,
        pass: &BackbonePass,
        windows: &[PreparedImage],
        watch: &mut Stopwatch,
        progress: &Progress,
    ) -> Result<Vec<(Scores, Option<Scores>)>> {
        let photos: Vec<_> = windows.iter().collect();
        let seen = watch.time("backbone", || {
            pass.forward(self.backbone, &photos, &|_| ())?.split()
        })?;
        progress.inc(windows.len() as u64);
        let scores = seen.iter().map(|seen| match self.task.predict(seen)? {
            TaskOutput::Scores {
                scores, mirrored, ..
            } => Ok((scores, mirrored)),
            TaskOutput::Labels(_) | TaskOutput::Tokens(..) | TaskOutput::Features(_) => {
                Err(Error::Model("windows give scores".into()))
            }
        });
        watch.time("head", || scores.collect())
    }
}

/// The protocol to run `head` with, if any: the one asked for, else its own unless options say otherwise.
///
/// # Errors
/// [`Error::Usage`] for one of another task, and for options that it says itself.
pub fn choose_protocol(
    recipe: &HeadRecipe,
    head: &Head,
    console: &Console,
) -> Result<Option<Protocol>> {
    let task = head.meta.task_name();
    let chosen = match recipe.protocol {
        Some(choice) => choice.resolve(head.meta.protocol, task),
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
        ("--size", recipe.size.is_some()),
        ("--slide", recipe.slide.is_some()),
        ("--tta", recipe.flip),
        ("--refine", recipe.refine == Some(true)),
    ];
    let against = options
        .iter()
        .find(|(_, is)| *is && protocol.task() == "segment");
    match against {
        Some((option, _)) if recipe.protocol.is_some() => Err(Error::Usage(format!(
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
fn choose_views(recipe: &HeadRecipe, protocol: Option<Protocol>) -> FlipViews {
    match (recipe.flip, protocol) {
        (true, _) | (_, Some(Protocol::Flip)) => FlipViews::Both,
        _ => FlipViews::Plain,
    }
}

/// The windows of `--slide`.
fn choose_slide(recipe: &HeadRecipe, head: &Head) -> Result<Option<Slide>> {
    let Some(stride) = recipe.slide else {
        return Ok(None);
    };
    if matches!(head.network, HeadNetwork::Dpt(_)) {
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
            window_size: trained,
            size: recipe.size,
            stride,
            fade: head.meta.task_name() == "depth",
        })),
    }
}

/// How photos are prepared for a head: at its own size unless another is asked for.
fn build_preprocessor(
    recipe: &HeadRecipe,
    protocol: Option<Protocol>,
    head: &Head,
    patch_size: usize,
) -> Result<Preprocessor> {
    let trained = trained_preprocessor(head, patch_size)?;
    let usual = match (recipe.protocol, protocol) {
        (Some(_), Some(Protocol::Plain | Protocol::Flip)) => SizeRule::Native,
        _ => trained.size,
    };
    Ok(Preprocessor {
        size: recipe.size.unwrap_or(usual),
        unpad: recipe.unpad.unwrap_or(trained.unpad),
        // A photo of a phone at its own size would take minutes and gigabytes, and be far from what the head knows.
        max_patches: (recipe.size.is_none() && usual == SizeRule::Native)
            .then_some(MAX_NATIVE_PATCHES),
        ..trained
    })
}

/// How photos are prepared for a head if nothing else is asked for.
///
/// # Errors
/// [`Error::Model`] if what the head says of its input makes no sense.
pub fn trained_preprocessor(head: &Head, patch_size: usize) -> Result<Preprocessor> {
    let size = trained_size(head)?;
    Ok(Preprocessor {
        size,
        resample: match size {
            // Of those whose size follows from transformers' processor, so do the levels.
            SizeRule::Fit(_) => Resample::Pillow,
            _ => Resample::Bicubic,
        },
        patch_size,
        padding: trained_padding(head)?,
        unpad: head.meta.unpad,
        max_patches: None,
        center_crop: head.meta.input.crop,
    })
}

/// The size that a head was trained for.
fn trained_size(head: &Head) -> Result<SizeRule> {
    let size = head.meta.input.size.parse();
    size.map_err(|why: String| contradiction_error(head, &why))
}

/// How a head's photos are brought to whole patches.
fn trained_padding(head: &Head) -> Result<Padding> {
    let padding = head.meta.input.padding.parse();
    padding.map_err(|why: String| contradiction_error(head, &why))
}

/// What is wrong with what a head says about itself.
fn contradiction_error(head: &Head, why: &str) -> Error {
    Error::Model(format!("the head {}: {why}", head.meta.name))
}
