//! Validation of a head's metadata when its file is read, so that later stages can rely on it.

use crate::model::head::context;
use crate::model::head::global_token::GlobalToken;
use crate::model::head::meta::{HeadMeta, HeadTask, LabelSet};
use crate::model::head::readout::RELATIVE_INVERSE_DEPTH;
use crate::model::input::{Padding, SizeRule};

impl HeadMeta {
    /// The first thing that is impossible or unsupported in the metadata, as the end of a sentence about the head;
    /// `None` if it is valid.
    pub fn find_problem(&self) -> Option<String> {
        if self.format != 1 {
            return Some(format!(
                "is of format {}; this version of dino reads format 1",
                self.format
            ));
        }
        if !self.globals.is_sorted_by(|a, b| a < b) {
            return Some(format!(
                "names the global tokens {:?}; expected each once, in the order {:?}",
                self.globals,
                GlobalToken::ALL
            ));
        }
        if let Some(why) = context::find_sides_problem(&self.context) {
            return Some(format!("reads squares of patches of the sides {why}"));
        }
        if self.blocks.is_empty() || !self.blocks.is_sorted_by(|a, b| a < b) {
            return Some(format!(
                "names the blocks {:?}; expected rising numbers",
                self.blocks
            ));
        }
        if self.input.size.parse::<SizeRule>().is_err() {
            return Some(format!(
                "asks for the input size {:?}, which is none",
                self.input.size
            ));
        }
        if let Err(why) = self.input.padding.parse::<Padding>() {
            return Some(format!("has no possible input: {why}"));
        }
        if let Some(calibration) = &self.calibration
            && !calibration.is_sound()
        {
            return Some(format!("has an impossible calibration: {calibration:?}"));
        }
        if let Some(protocol) = self.protocol.filter(|it| it.task() != self.task_name()) {
            return Some(format!(
                "is for {}, but asks for the protocol {}",
                self.task_name(),
                protocol.name()
            ));
        }
        let classes = match &self.task {
            // Otherwise far would be read as near, and numbers without a unit as metres.
            HeadTask::Depth { readout, unit }
                if readout.is_inverse() != (unit == RELATIVE_INVERSE_DEPTH) =>
            {
                return Some(format!(
                    "gives {} depth, but names the unit {unit}",
                    match readout.is_inverse() {
                        true => "relative inverse",
                        false => "plain",
                    }
                ));
            }
            HeadTask::Depth { readout, .. } => return readout.find_problem(),
            HeadTask::Segment { classes } => classes.len(),
            HeadTask::Classify { classes } => classes.len(),
        };
        (!(1..=65535).contains(&classes))
            .then(|| format!("has {classes} classes"))
            .or_else(|| {
                self.label_sets
                    .iter()
                    .find_map(|set| self.label_set_problem(set))
            })
    }

    /// What is impossible in a label set of the head, as the end of a sentence about the head; `None` if it is valid.
    fn label_set_problem(&self, set: &LabelSet) -> Option<String> {
        let classes = self.outputs();
        let mut indices = set.allowed.iter().flatten();
        if let Some(index) = indices.find(|&&class| usize::from(class) >= classes) {
            return Some(format!(
                "names class {index} in the label set {}, but has {classes} classes",
                set.name
            ));
        }
        set.background
            .filter(|&id| usize::from(id) >= set.allowed.len())
            .map(|id| format!("has no background {id} in the label set {}", set.name))
    }
}
