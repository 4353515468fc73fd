//! Rows that leave a dataset.

use std::sync::Arc;

use crate::error::Result;
use crate::io::features::folder::{DatasetFolder, PartInfo};
use crate::io::features::{DatasetMeta, FinishedPart, RowInfo, parts};

/// Rewrites the parts of a dataset, of which these were `found`, without the rows that `keep` refuses; a part with none left
/// is removed. Each is replaced at once, the others stay as they are. Returns those that were rewritten.
///
/// # Errors
/// Names the file that cannot be read or written.
pub(super) fn retain(
    folder: &DatasetFolder,
    meta: &Arc<DatasetMeta>,
    found: &[PartInfo],
    rows: &[RowInfo],
    keep: impl Fn(&RowInfo) -> bool,
) -> Result<Vec<FinishedPart>> {
    let mut rewritten = Vec::new();
    // Rows are in the order of parts.
    for of_part in rows.chunk_by(|a, b| a.part == b.part) {
        let Some(path) = of_part.first().map(|row| &found[row.part].path) else {
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
