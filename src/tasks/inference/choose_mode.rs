//! The parts of an [`InferenceMode`](super::inference_mode::InferenceMode) that options and the head's own record
//! decide: the protocol, the views that are averaged, the windows, and how photos are prepared.

use crate::engine::FlipViews;
use crate::error::{Error, Result};
use crate::model::head::{Head, HeadNetwork, Protocol};
use crate::model::input::{Padding, SizeRule};
use crate::tasks::recipe::HeadRecipe;
use crate::terminal::console::Console;
use crate::vision::inference::slide::Slide;
use crate::vision::preprocess::{Preprocessor, Resample};

/// Patches, at most, of a photo at its own size that `--size native` did not ask for: about 1024 x 768 pixels. The
/// published depth heads were trained and evaluated on half of that.
const MAX_NATIVE_PATCHES: usize = 4096;

/// The protocol to run `head` with: that of `--protocol`, else the head's own unless other options rule it out.
///
/// # Errors
/// [`Error::Usage`] for a protocol of another task, and for options that `--protocol` rules out.
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

/// Which views of a photo are averaged: the photo alone, or its mirror image too.
pub(super) fn choose_views(recipe: &HeadRecipe, protocol: Option<Protocol>) -> FlipViews {
    match (recipe.flip, protocol) {
        (true, _) | (_, Some(Protocol::Flip)) => FlipViews::Both,
        _ => FlipViews::Plain,
    }
}

/// The windows of `--slide`, at the size that the head was trained for.
pub(super) fn choose_slide(recipe: &HeadRecipe, head: &Head) -> Result<Option<Slide>> {
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
            taper: head.meta.task_name() == "depth",
        })),
    }
}

/// How photos are prepared for `head` with the options of `recipe`. Without `--size` the size is that of the head's
/// training; with `--protocol plain` or `flip` it is the photo's own.
pub(super) fn build_preprocessor(
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
        // A phone's photo at its own size would take minutes and gigabytes, and is far from the head's training sizes.
        max_patches: (recipe.size.is_none() && usual == SizeRule::Native)
            .then_some(MAX_NATIVE_PATCHES),
        ..trained
    })
}

/// How photos are prepared for a head without options: as in its training.
///
/// # Errors
/// [`Error::Model`] if the head's record has no valid size or padding.
pub fn trained_preprocessor(head: &Head, patch_size: usize) -> Result<Preprocessor> {
    let size = trained_size(head)?;
    Ok(Preprocessor {
        size,
        resample: match size {
            // Sizes by the rule of transformers' processor come with its resampling, which is Pillow's.
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

/// The size rule that a head was trained with.
fn trained_size(head: &Head) -> Result<SizeRule> {
    let size = head.meta.input.size.parse();
    size.map_err(|why: String| contradiction_error(head, &why))
}

/// How a head's training photos were brought to whole patches.
fn trained_padding(head: &Head) -> Result<Padding> {
    let padding = head.meta.input.padding.parse();
    padding.map_err(|why: String| contradiction_error(head, &why))
}

/// The error for metadata of `head` that cannot be parsed.
fn contradiction_error(head: &Head, why: &str) -> Error {
    Error::Model(format!("the head {}: {why}", head.meta.name))
}
