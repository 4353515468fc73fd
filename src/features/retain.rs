//! Rows that leave a dataset.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::features::folder::{DESCRIPTION, Folder, Found};
use crate::features::{DatasetMeta, FinishedPart, Format, RowInfo, parts};

/// Rewrites the parts of the dataset in `folder` without the rows that `keep` refuses; a part with none left is removed.
/// Returns how many rows that were. Each part is replaced at once, the others stay as they are.
///
/// # Errors
/// As [`Dataset::open`](super::Dataset::open), and names the file that cannot be written.
pub fn retain(folder: &Path, keep: impl Fn(&RowInfo) -> bool) -> Result<usize> {
    let format = Format::of(folder).ok_or_else(|| {
        let endings = Format::ENDINGS;
        Error::file(
            folder,
            format!("the name of a dataset ends in {endings}; rename it"),
        )
    })?;
    let folder = Folder {
        path: folder.to_owned(),
        format,
    };
    let meta = folder.description()?.ok_or_else(|| {
        Error::file(
            &folder.path,
            format!("is no dataset: it has no {DESCRIPTION}"),
        )
    })?;
    let meta = Arc::new(meta);
    let (found, rows) = folder.load(&meta)?;
    retain_in(&folder, &meta, &found, &rows, keep).map(|retained| retained.removed)
}

/// What became of a dataset.
#[derive(Debug, Default)]
pub(super) struct Retained {
    /// Rows that are gone.
    pub(super) removed: usize,
    /// Parts that were rewritten.
    pub(super) parts: Vec<FinishedPart>,
}

/// As [`retain`], of what was found.
pub(super) fn retain_in(
    folder: &Folder,
    meta: &Arc<DatasetMeta>,
    found: &[Found],
    rows: &[RowInfo],
    keep: impl Fn(&RowInfo) -> bool,
) -> Result<Retained> {
    let mut retained = Retained::default();
    // Rows are in the order of parts.
    for of_part in rows.chunk_by(|a, b| a.part == b.part) {
        let Some(path) = of_part.first().map(|row| &found[row.part].path) else {
            continue;
        };
        let kept: Vec<&RowInfo> = of_part.iter().filter(|row| keep(row)).collect();
        if kept.len() == of_part.len() {
            continue;
        }
        retained.removed += of_part.len() - kept.len();
        let files = parts::keep(folder.format, path, meta, &kept)?;
        if !kept.is_empty() {
            retained.parts.push(FinishedPart {
                path: path.clone(),
                files,
                rows: kept.iter().map(|row| row.name.clone()).collect(),
            });
        }
    }
    Ok(retained)
}
