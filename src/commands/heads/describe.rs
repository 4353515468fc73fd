//! Single facts about a head in words, for lists and tables.

use std::path::PathBuf;

use dino::model::head::global_token::GlobalToken;
use dino::model::head::{HeadMeta, HeadTask};
use dino::model::head_zoo::HeadLocation;
use dino::model::input::CoarseScale;

/// Where a head is: its file, or the words `built in` or `installed`.
pub(super) fn head_path(place: &HeadLocation) -> PathBuf {
    match place {
        HeadLocation::Builtin => "built in".into(),
        HeadLocation::Installed(_) => "installed".into(),
        HeadLocation::File(path) => path.clone(),
    }
}

/// What a head predicts, in a few words.
pub(super) fn describe_task(meta: &HeadMeta) -> String {
    match &meta.task {
        HeadTask::Depth { readout, unit } => {
            let (min, max) = readout.range();
            match readout.is_inverse() {
                true => format!("{unit} (larger is nearer, no metres)"),
                false => format!("{min} to {max} {unit}"),
            }
        }
        HeadTask::Segment { classes } => format!("{} classes", classes.len()),
        HeadTask::Classify { classes } => format!("{} classes of photos", classes.len()),
    }
}

/// The side lengths of the squares of patches whose mean tokens a head reads (`HeadMeta::context`).
pub(super) fn describe_context(sides: &[usize]) -> String {
    let sides: Vec<String> = sides
        .iter()
        .map(|side| format!("{side} x {side}"))
        .collect();
    match sides.is_empty() {
        true => String::new(),
        false => format!(", with means of {} patches", sides.join(" and ")),
    }
}

/// The coarse scale at which a head reads the photo a second time.
pub(super) fn describe_coarse_scale(coarse: CoarseScale) -> String {
    format!(", and a second look at {} % of that", u32::from(coarse))
}

/// The global tokens that a head reads beside patch tokens.
pub(super) fn describe_globals(tokens: &[GlobalToken]) -> String {
    let names: Vec<&str> = tokens.iter().map(|token| token.name()).collect();
    match names.as_slice() {
        [] => String::new(),
        ["cls"] => ", with cls tokens".to_owned(),
        names => format!(", with global tokens ({})", names.join(", ")),
    }
}
