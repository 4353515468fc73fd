//! What is said of outputs that are made again.

use std::collections::BTreeMap;
use std::path::Path;

use crate::io::inputs::Source;
use crate::io::manifest::StaleReasons;
use crate::terminal::console::Console;

/// What is made again, by what differs.
#[derive(Default)]
pub(super) struct StaleOutputs {
    /// The first of each kind, and how many there are.
    by_reason: BTreeMap<&'static str, (String, usize)>,
}

impl StaleOutputs {
    /// Takes an output of a photo in.
    pub fn add(&mut self, source: &Source, path: &Path, difference: StaleReasons) {
        let what = match difference {
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
        self.by_reason.entry(what).or_insert_with(first).1 += 1;
    }

    /// Says it.
    pub fn report(&self, console: &Console) {
        for (what, (first, count)) in &self.by_reason {
            match count {
                1 => console.note(format_args!("{first} {what}; it is made again")),
                more => console.note(format_args!(
                    "{first} {what}; it is made again, and so are {} more",
                    more - 1
                )),
            }
        }
    }
}
