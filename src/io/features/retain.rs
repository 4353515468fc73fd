//! Removes rows from a dataset by rewriting their parts.

use std::sync::Arc;

use crate::error::Result;
use crate::io::features::folder::{DatasetFolder, PartInfo};
use crate::io::features::{DatasetMeta, FinishedPart, RowInfo, parts};

/// Removes the rows for which `keep` is false by rewriting their parts, each atomically; a part that would have no rows
/// is deleted. Returns the parts that were rewritten.
///
/// # Errors
/// Names the file that cannot be read or written.
pub(super) fn retain(
    folder: &DatasetFolder,
    meta: &Arc<DatasetMeta>,
    parts_on_disk: &[PartInfo],
    rows: &[RowInfo],
    keep: impl Fn(&RowInfo) -> bool,
) -> Result<Vec<FinishedPart>> {
    let mut rewritten = Vec::new();
    // Rows are in the order of parts.
    for of_part in rows.chunk_by(|a, b| a.part == b.part) {
        let Some(path) = of_part.first().map(|row| &parts_on_disk[row.part].path) else {
            continue;
        };
        let kept: Vec<&RowInfo> = of_part.iter().filter(|row| keep(row)).collect();
        if kept.len() == of_part.len() {
            continue;
        }
        let files = parts::rewrite_part(folder.format, path, meta, &kept)?;
        if !kept.is_empty() {
            rewritten.push(FinishedPart {
                path: path.clone(),
                files,
                rows: kept.iter().map(|row| row.name.clone()).collect(),
            });
        }
    }
    Ok(rewritten)
}
