//! Notes to the user about outputs that are made again.

use std::collections::BTreeMap;
use std::path::Path;

use crate::io::inputs::Source;
use crate::io::manifest::StaleReasons;
use crate::terminal::console::Console;

/// Outputs that are made again, by reason.
#[derive(Default)]
pub(super) struct StaleOutputs {
    /// For each reason, the first output and the number of outputs.
    by_reason: BTreeMap<&'static str, (String, usize)>,
}

impl StaleOutputs {
    /// Counts an output of a photo under its first reason: unfinished, photo, recipe, fit.
    pub fn add(&mut self, source: &Source, path: &Path, reasons: StaleReasons) {
        let reason = match reasons {
            StaleReasons {
                is_unfinished: true,
                ..
            } => "was left unfinished by a run that failed or was killed",
            StaleReasons {
                is_photo_changed: true,
                ..
            } => "was made of another photo, or of this one before it was changed",
            StaleReasons {
                is_recipe_changed: true,
                ..
            } => "was made with other settings, or by another model or head",
            _ => "was made with a fit to other photos",
        };
        let first = || (format!("{}: {}", source.name(), path.display()), 0);
        self.by_reason.entry(reason).or_insert_with(first).1 += 1;
    }

    /// Prints a note for each reason.
    pub fn report(&self, console: &Console) {
        for (reason, (first, count)) in &self.by_reason {
            match count {
                1 => console.note(format_args!("{first} {reason}; it is made again")),
                more => console.note(format_args!(
                    "{first} {reason}; it is made again, and so are {} more",
                    more - 1
                )),
            }
        }
    }
}
