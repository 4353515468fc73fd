//! What is said of outputs that are made again.

use std::collections::BTreeMap;
use std::path::Path;

use crate::io::inputs::Source;
use crate::io::manifest::Difference;
use crate::terminal::console::Console;

/// What is made again, by what differs.
#[derive(Default)]
pub(super) struct Told {
    /// The first of each kind, and how many there are.
    kinds: BTreeMap<&'static str, (String, usize)>,
}

impl Told {
    /// Takes an output of a photo in.
    pub fn add(&mut self, source: &Source, path: &Path, difference: Difference) {
        let what = match difference {
            Difference {
                unfinished: true, ..
            } => "was left unfinished by a run that failed or was killed",
            Difference { photo: true, .. } => {
                "was made of another photo, or of this one before it was changed"
            }
            Difference { recipe: true, .. } => {
                "was made with other settings, or by another model or head"
            }
            _ => "was made with a fit to other photos",
        };
        let first = || (format!("{}: {}", source.name(), path.display()), 0);
        self.kinds.entry(what).or_insert_with(first).1 += 1;
    }

    /// Says it.
    pub fn tell(&self, console: &Console) {
        for (what, (first, count)) in &self.kinds {
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
