//! Warnings about many files: each kind is printed once per run, and the others of its kind are counted.
//!
//! A folder of a million thermal pictures causes one line, not a million. [`Warnings`] is shared by all threads of a
//! run; clones share counts and output.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Collects warnings by kind. Cheap to clone; all clones share counts and output.
#[derive(Clone)]
pub struct Warnings {
    groups: Arc<Mutex<BTreeMap<&'static str, WarningGroup>>>,
    print: Arc<dyn Fn(&str) + Send + Sync>,
    /// Whether later warnings of a kind are printed too.
    verbose: bool,
}

/// Warnings of one kind so far.
#[derive(Debug, Default)]
struct WarningGroup {
    first: String,
    /// Files with this warning; a photo that is decoded twice counts once.
    subjects: HashSet<String>,
}

/// How often a kind of warning came up.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct WarningCount {
    /// The kind, such as `narrow value range`.
    pub kind: &'static str,
    /// Number of files concerned.
    pub files: usize,
    /// The sentence of the first warning.
    pub first: String,
}

impl Warnings {
    /// Warnings that are passed to `print`: the first of each kind, or all with `verbose`.
    pub fn new(print: impl Fn(&str) + Send + Sync + 'static, verbose: bool) -> Self {
        Warnings {
            groups: Arc::default(),
            print: Arc::new(print),
            verbose,
        }
    }

    /// Warnings that are counted and not printed.
    pub fn silent() -> Self {
        Self::new(|_| (), false)
    }

    /// Warns about `subject` (mostly a file) in a `sentence` with the finding, its consequence and the flag that
    /// changes it. A subject counts once per kind.
    pub fn add(&self, kind: &'static str, subject: &str, sentence: impl Display) {
        let line = format!("{subject}: {sentence}");
        let mut said = self.lock();
        let of_kind = said.entry(kind).or_default();
        if !of_kind.subjects.insert(subject.to_owned()) {
            return;
        }
        let is_first = of_kind.subjects.len() == 1;
        if is_first {
            of_kind.first.clone_from(&line);
        }
        drop(said);
        if is_first || self.verbose {
            (self.print)(&line);
        }
    }

    /// The count of each kind so far, sorted by kind.
    pub fn counts(&self) -> Vec<WarningCount> {
        let said = self.lock();
        said.iter()
            .map(|(kind, of_kind)| WarningCount {
                kind,
                files: of_kind.subjects.len(),
                first: of_kind.first.clone(),
            })
            .collect()
    }

    /// Prints the number of further files of every kind; nothing with `verbose`, which printed them all.
    pub fn finish(&self) {
        if self.verbose {
            return;
        }
        for WarningCount { kind, files, .. } in self.counts() {
            if files > 1 {
                (self.print)(&format!(
                    "{kind}: the same of {} more files; -v names them",
                    files - 1
                ));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, WarningGroup>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Warnings").field(&self.counts()).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_said_once_and_counted() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = lines.clone();
        let warnings = Warnings::new(
            move |line: &str| heard.lock().unwrap().push(line.to_owned()),
            false,
        );
        for name in ["a.tif", "b.tif", "a.tif", "c.tif"] {
            warnings.clone().add("dark", name, "is dark");
        }
        warnings.add("loud", "d.tif", "is loud");
        assert_eq!(*lines.lock().unwrap(), ["a.tif: is dark", "d.tif: is loud"]);
        let counts = warnings.counts();
        assert_eq!((counts[0].kind, counts[0].files), ("dark", 3));
        warnings.finish();
        assert_eq!(
            lines.lock().unwrap()[2..],
            ["dark: the same of 2 more files; -v names them"]
        );
    }
}
