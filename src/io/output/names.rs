//! Distinct names for outputs, also of inputs that have the same name.
//!
//! Each [`Source`] gets a relative path. Names that collide are lengthened, by the extension and then folder by folder,
//! until all are distinct.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::inputs::Source;
use crate::io::output::folder::nearest_existing;
use crate::system::files::temporary;

/// A relative path without extension for each source, all distinct.
///
/// Where `a.jpg` and `a.png` would both be `a`, both keep their extensions; if that is not enough, as for `x/a.jpg` and
/// `y/a.jpg`, as many parent folders as needed are added.
///
/// Names that differ by case alone count as equal if the file system of the output `folder` ignores case.
///
/// # Errors
/// [`Error::Usage`] if one file is given twice.
pub(super) fn distinct(sources: &[Source], folder: &Path) -> Result<Vec<PathBuf>> {
    let names = distinct_by(sources, Path::to_owned)?;
    let lower: HashSet<PathBuf> = names.iter().map(|name| lowercase(name)).collect();
    match lower.len() < names.len() && ignores_case(folder) {
        true => distinct_by(sources, lowercase),
        false => Ok(names),
    }
}

/// The relative path of each source with its extension, all distinct: with as many parent folders as needed.
///
/// # Errors
/// [`Error::Usage`] if one file is given twice.
pub(super) fn distinct_with_extensions(sources: &[Source]) -> Result<Vec<PathBuf>> {
    let full = |source| NameCandidate {
        level: 1,
        ..NameCandidate::new(source)
    };
    lengthen_until_distinct(sources.iter().map(full).collect(), Path::to_owned)
}

/// The name in lower case; a name that is not valid Unicode is unchanged.
fn lowercase(name: &Path) -> PathBuf {
    match name.to_str() {
        Some(text) => text.to_lowercase().into(),
        None => name.to_owned(),
    }
}

/// Whether `A` and `a` are one file in the file system of `folder`, which need not exist yet.
fn ignores_case(folder: &Path) -> bool {
    let probe = || {
        let (folder, _) = nearest_existing(folder).ok()?;
        let probe = temporary::file_in(&folder).ok()?;
        let name = probe.path().file_name()?.to_str()?.to_uppercase();
        Some(fs::symlink_metadata(probe.path().with_file_name(name)).is_ok())
    };
    probe().unwrap_or(false)
}

/// Names without extension that are distinct by their `key`.
fn distinct_by(sources: &[Source], key: fn(&Path) -> PathBuf) -> Result<Vec<PathBuf>> {
    lengthen_until_distinct(sources.iter().map(NameCandidate::new).collect(), key)
}

/// Lengthens names until they are distinct by their `key`.
///
/// # Errors
/// [`Error::Usage`] if two that are equal cannot be lengthened.
fn lengthen_until_distinct(
    mut candidates: Vec<NameCandidate>,
    key: fn(&Path) -> PathBuf,
) -> Result<Vec<PathBuf>> {
    loop {
        let mut count: HashMap<PathBuf, usize> = HashMap::new();
        for candidate in &candidates {
            *count.entry(key(&candidate.name())).or_default() += 1;
        }
        if count.len() == candidates.len() {
            return Ok(candidates.iter().map(NameCandidate::name).collect());
        }
        let mut stuck = None;
        let mut is_longer = false;
        for candidate in &mut candidates {
            if count[&key(&candidate.name())] > 1 {
                match candidate.lengthen() {
                    true => is_longer = true,
                    // The other candidate may have longer names left.
                    false => stuck = Some(candidate.full.display().to_string()),
                }
            }
        }
        if let Some(name) = stuck.filter(|_| !is_longer) {
            return Err(Error::Usage(format!("{name} is given twice")));
        }
    }
}

/// The possible names of a source, from short to long; `level` selects one.
struct NameCandidate {
    /// Path below the output folder, with extension.
    full: PathBuf,
    /// The suffix that distinguishes pages of one file, and URLs with the same path.
    page: String,
    /// Its parent folders that the short names omit, outermost first; `None` until they are needed.
    folders: Option<Vec<PathBuf>>,
    source: Source,
    /// 0 is without extension, 1 with it, and each further level adds one folder; one level beyond that uses the
    /// archive's full name or a digest of the URL.
    level: usize,
}

impl NameCandidate {
    fn new(source: &Source) -> Self {
        let full = normal_components(&source.relative());
        let page = match (source, source.page()) {
            (_, None) => String::new(),
            (Source::File { .. } | Source::TarMember { .. }, Some(page)) => {
                format!(".p{:03}", page.number)
            }
            (Source::Url(_), Some(_)) => String::new(),
            (Source::Stdin(_), Some(page)) => format!("-{:05}", page.number),
        };
        NameCandidate {
            full,
            page,
            folders: None,
            source: source.clone(),
            level: 0,
        }
    }

    /// The name at the current level, with the suffix.
    fn name(&self) -> PathBuf {
        let mut name = self.name_of_file().into_os_string();
        name.push(&self.page);
        name.into()
    }

    fn name_of_file(&self) -> PathBuf {
        match self.level {
            0 => self.full.with_extension(""),
            level => {
                let folders = self.folders.as_deref().unwrap_or_default();
                let shown = &folders[folders.len() - (level - 1).min(folders.len())..];
                shown.iter().collect::<PathBuf>().join(&self.full)
            }
        }
    }

    /// Moves to the next longer name; false if there is none.
    fn lengthen(&mut self) -> bool {
        let folders = self
            .folders
            .get_or_insert_with(|| folders_above(&self.source));
        self.level += 1;
        if self.level <= folders.len() + 1 {
            return true;
        }
        match &self.source {
            // An archive beside a folder of the same name.
            Source::TarMember { member, .. } if self.level == folders.len() + 2 => {
                let file = member.archive.path.file_name().unwrap_or_default();
                self.full = member
                    .archive
                    .relative
                    .with_file_name(file)
                    .join(member.path_in_tar());
                true
            }
            // URLs that differ outside of their paths.
            Source::Url(remote) if self.level == folders.len() + 2 => {
                self.page = format!("-{}{}", remote.short_digest(), self.page);
                true
            }
            _ => false,
        }
    }
}

/// The names of the folders from the root to where a source's relative path starts.
fn folders_above(source: &Source) -> Vec<PathBuf> {
    let (path, relative) = match source {
        Source::File { path, relative, .. } => (path, relative),
        Source::TarMember { member, .. } => (&member.archive.path, &member.archive.relative),
        Source::Url(remote) => {
            let mut folders = remote.host_and_path();
            folders.pop();
            return folders;
        }
        Source::Stdin(_) => return Vec::new(),
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
    normal_components(&base).iter().map(PathBuf::from).collect()
}

/// The normal components of a path, which cannot lead out of the folder that they are joined to.
fn normal_components(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(path: &str, relative: &str) -> Source {
        Source::File {
            path: path.into(),
            relative: relative.into(),
            is_named: false,
            page: None,
        }
    }

    fn names(sources: &[Source]) -> Vec<String> {
        let names = distinct(sources, Path::new(".")).unwrap();
        names
            .iter()
            .map(|name| name.to_string_lossy().replace('\\', "/"))
            .collect()
    }

    #[test]
    fn names_are_short_where_they_can_be() {
        let sources = [
            found("p/a.jpg", "a.jpg"),
            found("p/sub/a.jpg", "sub/a.jpg"),
            found("p/b.tar.png", "b.tar.png"),
            Source::Stdin(None),
        ];
        assert_eq!(names(&sources), ["a", "sub/a", "b.tar", "stdin"]);
    }

    #[test]
    fn pages_are_told_apart() {
        let page = |number| crate::io::inputs::Page { number, count: 12 };
        let sources = [
            found("p/a.tif", "a.tif").with_page(page(1)),
            found("p/a.tif", "a.tif").with_page(page(12)),
            Source::Stdin(None).with_page(page(2)),
        ];
        assert_eq!(names(&sources), ["a.p001", "a.p012", "stdin-00002"]);
    }

    #[test]
    fn the_same_stem_twice_keeps_both_full_names() {
        let sources = [
            Source::from_path("p/a.jpg"),
            Source::from_path("p/a.png"),
            Source::from_path("p/b.png"),
        ];
        assert_eq!(names(&sources), ["a.jpg", "a.png", "b"]);
    }

    #[test]
    fn the_same_name_twice_keeps_as_many_folders_as_needed() {
        let sources = [
            Source::from_path("x/a.jpg"),
            Source::from_path("y/a.jpg"),
            Source::from_path("y/b.jpg"),
        ];
        assert_eq!(names(&sources), ["x/a.jpg", "y/a.jpg", "b"]);
        let sources = [
            Source::from_path("x/p/a.jpg"),
            Source::from_path("y/p/a.jpg"),
        ];
        assert_eq!(names(&sources), ["x/p/a.jpg", "y/p/a.jpg"]);
        let sources = [found("x/s/a.jpg", "s/a.jpg"), found("y/s/a.jpg", "s/a.jpg")];
        assert_eq!(names(&sources), ["x/s/a.jpg", "y/s/a.jpg"]);
    }

    #[test]
    fn full_names_are_relative_paths_with_more_folders_only_where_needed() {
        let sources = [
            found("p/x/f.jpg", "x/f.jpg"),
            found("p/y/f.jpg", "y/f.jpg"),
            Source::from_path("q/f.jpg"),
            Source::from_path("q/g.jpg"),
            Source::from_path("r/g.jpg"),
            Source::Stdin(None),
        ];
        let names = distinct_with_extensions(&sources).unwrap();
        let expected = ["x/f.jpg", "y/f.jpg", "f.jpg", "q/g.jpg", "r/g.jpg", "stdin"];
        assert_eq!(names, expected.map(PathBuf::from));
    }

    #[test]
    fn a_longer_name_may_not_hit_a_third() {
        let sources = [
            Source::from_path("p/a.jpg"),
            Source::from_path("p/a.png"),
            Source::from_path("p/a.jpg.tif"),
        ];
        assert_eq!(names(&sources), ["p/a.jpg", "a.png", "a.jpg.tif"]);
    }

    #[test]
    fn names_that_differ_by_case_are_told_apart_where_it_is_ignored() {
        let sources = [
            Source::from_path("x/A.jpg"),
            Source::from_path("y/a.png"),
            Source::from_path("b.png"),
        ];
        assert_eq!(names(&sources), ["A", "a", "b"]);
        let names = distinct_by(&sources, lowercase).unwrap();
        assert_eq!(names, ["A.jpg", "a.png", "b"].map(PathBuf::from));
    }

    #[test]
    fn no_name_leads_out_of_the_output_folder() {
        let sources = [
            found("../p/a.jpg", "../p/a.jpg"),
            found("/etc/b.jpg", "/etc/b.jpg"),
        ];
        assert_eq!(names(&sources), ["p/a", "etc/b"]);
    }

    #[test]
    fn one_file_twice_is_refused_rather_than_renamed_for_ever() {
        assert!(
            distinct_by(
                &[Source::from_path("p/a.jpg"), Source::from_path("p/a.jpg")],
                Path::to_owned
            )
            .is_err()
        );
    }
}
