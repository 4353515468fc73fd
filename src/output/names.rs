//! Distinct names for the outputs of inputs that may well be called the same.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::inputs::Source;

/// A relative path without extension for each source, all distinct.
///
/// Where `a.jpg` and `a.png` would both be `a`, both keep their full names; where that is not enough, as for
/// `x/a.jpg` and `y/a.jpg`, as many of the folders they lie in as it takes.
///
/// # Errors
/// [`Error::Usage`] if one file is there twice.
pub(super) fn distinct(sources: &[Source]) -> Result<Vec<PathBuf>> {
    let mut candidates: Vec<Candidate> = sources.iter().map(Candidate::new).collect();
    loop {
        let mut count: HashMap<PathBuf, usize> = HashMap::new();
        for candidate in &candidates {
            *count.entry(candidate.name()).or_default() += 1;
        }
        if count.len() == candidates.len() {
            return Ok(candidates.iter().map(Candidate::name).collect());
        }
        for candidate in &mut candidates {
            if count[&candidate.name()] > 1 && !candidate.lengthen() {
                let name = candidate.full.display();
                return Err(Error::Usage(format!("{name} is given twice")));
            }
        }
    }
}

/// A source's possible names, from short to long.
struct Candidate {
    /// Below the output folder, with extension.
    full: PathBuf,
    /// The folders above it that the short names leave out, outermost first; `None` until they are needed.
    folders: Option<Vec<PathBuf>>,
    source: Source,
    level: usize,
}

impl Candidate {
    fn new(source: &Source) -> Self {
        let full = match source {
            Source::File { relative, .. } => normal(relative),
            Source::Stdin => "stdin".into(),
        };
        Candidate {
            full,
            folders: None,
            source: source.clone(),
            level: 0,
        }
    }

    fn name(&self) -> PathBuf {
        match self.level {
            0 => self.full.with_extension(""),
            level => {
                let folders = self.folders.as_deref().unwrap_or_default();
                let shown = &folders[folders.len() - (level - 1).min(folders.len())..];
                shown.iter().collect::<PathBuf>().join(&self.full)
            }
        }
    }

    /// Goes to the next longer name, if there is one.
    fn lengthen(&mut self) -> bool {
        let folders = self
            .folders
            .get_or_insert_with(|| folders_above(&self.source));
        self.level += 1;
        self.level <= folders.len() + 1
    }
}

/// The folders from the root to where a source's relative path starts.
fn folders_above(source: &Source) -> Vec<PathBuf> {
    let Source::File { path, relative, .. } = source else {
        return Vec::new();
    };
    let mut base = path.as_path();
    for _ in relative.components() {
        base = base.parent().unwrap_or(Path::new(""));
    }
    let base = if base.as_os_str().is_empty() {
        Path::new(".")
    } else {
        base
    };
    let base = fs::canonicalize(base)
        .or_else(|_| std::path::absolute(base))
        .unwrap_or_default();
    normal(&base).iter().map(PathBuf::from).collect()
}

/// A path that cannot lead out of the folder it is joined to.
fn normal(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}
