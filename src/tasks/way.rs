//! How the backbone sees a photo for a head: at once, in the windows of `--slide`, or as its publishers do; and at
//! which size.

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
use crate::engine::{AtOnce, Pass, Ready, Seen, SeenBatch, Views};
use crate::error::{Error, Result};
use crate::model::backbone::Backbone;
use crate::model::head::{Head, Network, Protocol, Scores};
use crate::model::input::Grid;
use crate::model::input::{Geometry, Padding, SizeRule, Unpad};
use crate::system::memory::readable;
use crate::tasks::recipe::HeadRecipe;
use crate::tasks::{Finder, Found};
use crate::terminal::console::{Console, Progress};
use crate::vision::inference::protocol;
use crate::vision::inference::slide::{MOST_PATCHES, Slide};
use crate::vision::postprocess::views;
use crate::vision::preprocess::{Prepared, Preprocessor, Resample};

/// Patches of a photo at its own size, if it was not asked for: 1024 x 768 pixels. The published depth heads were
/// trained and judged on half of that.
const MOST_NATIVE: usize = 4096;

/// How the backbone sees a photo.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// As a whole.
    AtOnce(Pass),
    /// In the windows of `--slide`, each through this pass.
    Windows(Pass, Slide),
    /// As a published protocol for segmentation has it, its views through this pass.
    Protocol(Pass, Protocol),
}

impl Way {
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
        let slide = windows_of(recipe, head)?;
        let protocol = protocol_of(recipe, head, console)?;
        let pass = Pass {
            preprocessor: preprocessor(recipe, protocol, head, patch_size)?,
            requests: head.meta.requests(),
            views: views_of(recipe, protocol),
            looks: head.meta.input.coarse.into(),
        };
        if pass.preprocessor.unpad == Unpad::Cubic && head.meta.task_name() != "depth" {
            return Err(Error::Usage(format!(
                "--unpad cubic is for depths, and the head {} gives none; crop and squeeze are for all heads",
                head.meta.name
            )));
        }
        Ok(match (protocol, slide) {
            (Some(protocol), _) if protocol.task() == "segment" => Way::Protocol(pass, protocol),
            (_, Some(slide)) => Way::Windows(pass, slide),
            (_, None) => Way::AtOnce(pass),
        })
    }

    /// The pass over a photo as a whole, where it is seen so.
    pub fn pass(&self) -> Option<&Pass> {
        match self {
            Way::AtOnce(pass) => Some(pass),
            Way::Windows(..) | Way::Protocol(..) => None,
        }
    }

    pub(super) fn any_pass(&self) -> &Pass {
        match self {
            Way::AtOnce(pass) | Way::Windows(pass, _) | Way::Protocol(pass, _) => pass,
        }
    }

    /// How photos, or the windows of one, are prepared.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.any_pass().preprocessor
    }

    /// The size and the looks, for people and to tell ways apart.
    pub fn words(&self) -> String {
        let seen = match self {
            Way::AtOnce(_) => String::new(),
            Way::Windows(_, slide) => format!(" in windows, {} of a side apart", slide.stride),
            Way::Protocol(_, protocol) => format!(" by the protocol {}", protocol.name()),
        };
        let mirrored = if self.mirrors() { ", mirrored too" } else { "" };
        format!("size {}{seen}{mirrored}", self.preprocessor().size)
    }

    /// Whether the mirror image is seen too.
    pub fn mirrors(&self) -> bool {
        self.any_pass().views == Views::Both
    }

    /// How a photo of this (width, height) lies in the input.
    pub fn layout(&self, photo: (u32, u32)) -> Geometry {
        match self {
            Way::Windows(pass, slide) => slide.layout(photo, &pass.preprocessor),
            Way::AtOnce(pass) | Way::Protocol(pass, _) => pass.preprocessor.geometry(photo),
        }
    }

    /// What is made of `photo` before the backbone sees it.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn prepare(&self, photo: &RgbImage) -> Result<Prepared> {
        let layout = self.layout(photo.dimensions());
        match self {
            // Its views are prepared one after the other.
            Way::Protocol(..) => Ok(Prepared {
                pixels: Vec::new(),
                geometry: layout,
            }),
            Way::AtOnce(_) | Way::Windows(..) => self.preprocessor().lay_out(photo, layout),
        }
    }

    /// Bytes that a photo of this layout takes before and in the backbone, with this many windows at once.
    pub fn memory(&self, backbone: &Backbone, layout: &Geometry, windows: usize) -> u64 {
        let pass = self.any_pass();
        let at_once = self.patches_at_once().map(|patches| patches * windows);
        pass.memory(backbone, layout, at_once)
    }

    /// Bytes of the device that one window takes, where the backbone sees a photo in such.
    pub fn memory_of_window(&self, backbone: &Backbone) -> Option<u64> {
        let cols = self.patches_at_once()?;
        let window = Grid { rows: 1, cols };
        Some(self.any_pass().device_memory_of(backbone, window))
    }

    /// Patches that the backbone sees at once, where that is not the photo as a whole.
    fn patches_at_once(&self) -> Option<usize> {
        let across = |side: u32| (side as usize).div_ceil(self.preprocessor().patch_size);
        match self {
            Way::AtOnce(_) => None,
            Way::Windows(_, slide) => match slide.trained {
                SizeRule::ShortSide(side) | SizeRule::Fit(side) => Some(across(side).pow(2)),
                SizeRule::Exact { width, height } => Some(across(width) * across(height)),
                SizeRule::Native => None,
            },
            Way::Protocol(..) => Some(across(protocol::LARGEST_WINDOW).pow(2)),
        }
    }
}

/// Scores of the features of a photo or a window, and with `mirrors` of its mirror image.
///
/// # Errors
/// If the head gives no numbers, or the device fails.
pub fn scores(head: &Head, seen: &Seen, mirrors: bool) -> Result<Found> {
    let mirrored = seen.mirrored.as_ref().filter(|_| mirrors);
    Ok(Found::Scores {
        scores: head.scores(&seen.features)?,
        mirrored: mirrored.map(|features| head.scores(features)).transpose()?,
        room: None,
    })
}

/// As [`scores`], of each photo of a batch.
///
/// # Errors
/// If the device fails.
pub fn scores_of_batch(
    head: &Head,
    batch: &SeenBatch,
    mirrors: bool,
) -> Result<Vec<Result<Found>>> {
    let Some(plain) = head.scores_of_batch(&batch.features)? else {
        return one_by_one(batch, |seen| scores(head, seen, mirrors));
    };
    let mirrored = batch.mirrored.as_ref().filter(|_| mirrors);
    let mirrored = match mirrored {
        Some(features) => head.scores_of_batch(features)?,
        None => None,
    };
    let mut mirrored = mirrored.map(Vec::into_iter);
    let one = |scores: Result<Scores>| {
        let mirrored = mirrored.as_mut().and_then(Iterator::next).transpose();
        Ok(Found::Scores {
            scores: scores?,
            mirrored: mirrored?,
            room: None,
        })
    };
    Ok(plain.into_iter().map(one).collect())
}

/// What `find` finds in each photo of a batch.
///
/// # Errors
/// If the device fails.
pub fn one_by_one(
    batch: &SeenBatch,
    find: impl Fn(&Seen) -> Result<Found>,
) -> Result<Vec<Result<Found>>> {
    Ok(batch.each()?.iter().map(find).collect())
}

/// Runs a task over the parts of a photo.
pub(super) struct Windows<'w> {
    pub backbone: &'w Backbone,
    pub task: &'w dyn Finder,
    /// How many run together.
    pub at_once: &'w AtOnce,
    pub console: &'w Console,
    /// What the photo is called.
    pub name: &'w str,
}

impl Windows<'_> {
    /// What is found in a photo whose layout has this `number`.
    pub fn run(&self, ready: &mut Ready, number: usize) -> Result<Found> {
        match self.task.way() {
            Way::AtOnce(_) => Err(Error::Model("a photo is seen at once".into())),
            Way::Windows(pass, slide) => self.by_windows(pass, slide, ready, number),
            Way::Protocol(pass, protocol) => self.by_protocol(pass, *protocol, ready),
        }
    }

    fn by_windows(
        &self,
        pass: &Pass,
        slide: &Slide,
        ready: &mut Ready,
        number: usize,
    ) -> Result<Found> {
        let prepared = ready.prepared.get(number);
        let prepared = prepared.ok_or_else(|| Error::Model("a photo lacks a layout".into()))?;
        let geometry = &prepared.geometry;
        let windows = slide.windows(geometry.grid(), geometry.patch_size);
        let name = self.name;
        if geometry.reduced {
            let (width, height) = geometry.resized;
            self.console.note(format_args!(
                "{name}: so large a photo is seen at {width}x{height}, {MOST_PATCHES} patches"
            ));
        }
        self.console.detail(format_args!(
            "{name}: {} windows, up to {} of memory",
            windows.len(),
            readable(ready.permit.bytes())
        ));
        let progress = self.console.progress(windows.len() as u64, "windows");
        let watch = &mut ready.watch;
        let (scores, mirrored) =
            slide.scores(prepared, &windows, self.at_once.most(), |batch| {
                self.batch(pass, batch, watch, &progress)
            })?;
        Ok(Found::Scores {
            scores,
            mirrored,
            room: None,
        })
    }

    /// The labels of a photo under a published protocol for segmentation.
    fn by_protocol(&self, pass: &Pass, protocol: Protocol, ready: &mut Ready) -> Result<Found> {
        let (photo, watch) = (&ready.photo, &mut ready.watch);
        let looks = protocol::views(protocol, photo.dimensions())?;
        let windows: usize = looks.iter().map(|view| view.windows.len()).sum();
        self.console.detail(format_args!(
            "{}: {} views, {windows} windows",
            self.name,
            looks.len()
        ));
        let progress = self.console.progress(windows as u64, "windows");
        let Preprocessor {
            patch_size, unpad, ..
        } = pass.preprocessor;
        let seen = protocol::run(photo, looks, patch_size, self.at_once.most(), |batch| {
            let scores = self.batch(pass, batch, watch, &progress)?;
            Ok(scores.into_iter().map(|(own, _)| own).collect())
        })?;
        let (width, height) = photo.dimensions();
        let size = (width as usize, height as usize);
        let map = watch.time("label", || views::label(&seen, size, unpad));
        Ok(Found::Labels(map))
    }

    /// The scores of windows that go through the backbone together, where the device has the memory.
    fn batch(
        &self,
        pass: &Pass,
        windows: &[Prepared],
        watch: &mut Stopwatch,
        progress: &Progress,
    ) -> Result<Vec<(Scores, Option<Scores>)>> {
        self.at_once.in_parts(windows.len(), |part| {
            self.together(pass, &windows[part], watch, progress)
        })
    }

    fn together(
        &self,
        pass: &Pass,
        windows: &[Prepared],
        watch: &mut Stopwatch,
        progress: &Progress,
    ) -> Result<Vec<(Scores, Option<Scores>)>> {
        let photos: Vec<_> = windows.iter().collect();
        let seen = watch.time("backbone", || {
            pass.run(self.backbone, &photos, &|_| ())?.each()
        })?;
        progress.inc(windows.len() as u64);
        let scores = seen.iter().map(|seen| match self.task.find(seen)? {
            Found::Scores {
                scores, mirrored, ..
            } => Ok((scores, mirrored)),
            Found::Labels(_) | Found::Tokens(..) | Found::Features(_) => {
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
pub fn protocol_of(
    recipe: &HeadRecipe,
    head: &Head,
    console: &Console,
) -> Result<Option<Protocol>> {
    let task = head.meta.task_name();
    let chosen = match recipe.protocol {
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
fn views_of(recipe: &HeadRecipe, protocol: Option<Protocol>) -> Views {
    match (recipe.flip, protocol) {
        (true, _) | (_, Some(Protocol::Flip)) => Views::Both,
        _ => Views::Plain,
    }
}

/// The windows of `--slide`.
fn windows_of(recipe: &HeadRecipe, head: &Head) -> Result<Option<Slide>> {
    let Some(stride) = recipe.slide else {
        return Ok(None);
    };
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
            size: recipe.size,
            stride,
            fade: head.meta.task_name() == "depth",
        })),
    }
}

/// How photos are prepared for a head: at its own size unless another is asked for.
fn preprocessor(
    recipe: &HeadRecipe,
    protocol: Option<Protocol>,
    head: &Head,
    patch_size: usize,
) -> Result<Preprocessor> {
    let trained = as_trained(head, patch_size)?;
    let usual = match (recipe.protocol, protocol) {
        (Some(_), Some(Protocol::Plain | Protocol::Flip)) => SizeRule::Native,
        _ => trained.size,
    };
    Ok(Preprocessor {
        size: recipe.size.unwrap_or(usual),
        unpad: recipe.unpad.unwrap_or(trained.unpad),
        // A photo of a phone at its own size would take minutes and gigabytes, and be far from what the head knows.
        most_patches: (recipe.size.is_none() && usual == SizeRule::Native).then_some(MOST_NATIVE),
        ..trained
    })
}

/// How photos are prepared for a head if nothing else is asked for.
///
/// # Errors
/// [`Error::Model`] if what the head says of its input makes no sense.
pub fn as_trained(head: &Head, patch_size: usize) -> Result<Preprocessor> {
    let size = trained_size(head)?;
    Ok(Preprocessor {
        size,
        resample: match size {
            // Of those whose size follows from transformers' processor, so do the levels.
            SizeRule::Fit(_) => Resample::Pillow,
            _ => Resample::Bicubic,
        },
        patch_size,
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
