//! The CSV table of a part: a line for each row, with its metadata and its offsets in the arrays.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::offsets::{ArrayOffsets, LeadingAxis};
use crate::error::{Error, Result};
use crate::io::features::arrays::FeatureArray;
use crate::io::features::parts::checks::{check_dataset_id, damaged, foreign_part_error};
use crate::io::features::{DatasetMeta, RowInfo, RowName};
use crate::model::input::PatchGrid;
use crate::system::files::{FileStamp, write_stamped};

/// The columns of the table of a dataset, in order.
fn columns(meta: &DatasetMeta) -> Vec<&'static str> {
    let stored = FeatureArray::stored(meta);
    let has = |axis| stored.iter().any(|&array| LeadingAxis::of(array) == axis);
    let mut columns = vec![
        "row", "rows", "key", "path", "page", "sha256", "blake3", "width", "height", "grid_h",
        "grid_w",
    ];
    if has(LeadingAxis::Patch) {
        columns.push("first_patch");
    }
    if meta.coarse.is_some() {
        columns.extend(["coarse_grid_h", "coarse_grid_w"]);
    }
    if has(LeadingAxis::CoarsePatch) {
        columns.push("first_coarse_patch");
    }
    if has(LeadingAxis::Point) {
        columns.extend(["first_point", "n_points"]);
    }
    columns.push("dataset");
    columns
}

/// Writes the table of rows and their offsets in the arrays.
///
/// # Errors
/// Names the file if it cannot be written.
pub(super) fn write_table(
    path: &Path,
    meta: &DatasetMeta,
    rows: &[(&RowInfo, ArrayOffsets)],
) -> Result<(PathBuf, Option<FileStamp>)> {
    let (columns, dataset_id) = (columns(meta), meta.dataset_id());
    let stamp = write_stamped(path, |writer| {
        let mut table = csv::Writer::from_writer(writer);
        table.write_record(&columns)?;
        for (info, offsets) in rows {
            let coarse = info.coarse_grid.unwrap_or(PatchGrid { rows: 0, cols: 0 });
            let field = |name: &&str| match *name {
                "row" => offsets.row.to_string(),
                "rows" => rows.len().to_string(),
                "key" => info.key.clone(),
                "path" => info.name.path.clone(),
                "page" => info.name.page.to_string(),
                "sha256" => info.sha256.clone(),
                "blake3" => info.digest.to_string(),
                "width" => info.photo_size.0.to_string(),
                "height" => info.photo_size.1.to_string(),
                "grid_h" => info.grid.rows.to_string(),
                "grid_w" => info.grid.cols.to_string(),
                "first_patch" => offsets.first_patch.to_string(),
                "coarse_grid_h" => coarse.rows.to_string(),
                "coarse_grid_w" => coarse.cols.to_string(),
                "first_coarse_patch" => offsets.first_coarse_patch.to_string(),
                "first_point" => offsets.first_point.to_string(),
                "n_points" => info.point_count.to_string(),
                _ => dataset_id.clone(),
            };
            table.write_record(columns.iter().map(field))?;
        }
        table.flush()
    })?;
    Ok((path.to_owned(), stamp))
}

/// Reads what [`write_table`] wrote.
///
/// # Errors
/// Names the file that cannot be read, is damaged, or is of another dataset or none.
pub(super) fn read_table(
    path: &Path,
    meta: &DatasetMeta,
) -> Result<(Vec<RowInfo>, Vec<ArrayOffsets>)> {
    let wrong = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::io(path, &error),
        kind => damaged(path, format!("{kind:?}")),
    };
    let mut table = csv::Reader::from_path(path).map_err(wrong)?;
    let header = table.headers().map_err(wrong)?.clone();
    let columns = columns(meta);
    if header.iter().ne(columns.iter().copied()) {
        // Empty: cut off; other columns: another dataset's, or no part.
        return Err(match header.is_empty() {
            true => damaged(path, "it is empty"),
            false => foreign_part_error(path),
        });
    }
    let columns: HashMap<&str, usize> = columns.into_iter().zip(0..).collect();
    let (mut rows, mut all_offsets, mut expected) = (Vec::new(), Vec::new(), 0);
    for record in table.records() {
        let record: StringRecord = record.map_err(wrong)?;
        let text = |name: &str| {
            let index = columns.get(name).copied();
            index.and_then(|index| record.get(index)).unwrap_or("")
        };
        let number = |name: &str| -> Result<usize> {
            let number = text(name).parse();
            number.map_err(|_| damaged(path, format!("`{name}` of a row is no number")))
        };
        let optional = |name: &str| match columns.contains_key(name) {
            true => number(name),
            false => Ok(0),
        };
        let size = |name: &str| -> Result<u32> {
            let size = number(name)?.try_into();
            size.map_err(|_| damaged(path, format!("`{name}` of a row is too large")))
        };
        check_dataset_id(path, text("dataset"), meta)?;
        expected = number("rows")?;
        rows.push(RowInfo {
            name: RowName {
                path: text("path").to_owned(),
                page: size("page")?,
            },
            key: text("key").to_owned(),
            sha256: text("sha256").to_owned(),
            digest: text("blake3")
                .parse()
                .map_err(|why: String| damaged(path, why))?,
            photo_size: (size("width")?, size("height")?),
            grid: PatchGrid {
                rows: number("grid_h")?,
                cols: number("grid_w")?,
            },
            coarse_grid: match meta.coarse {
                Some(_) => Some(PatchGrid {
                    rows: number("coarse_grid_h")?,
                    cols: number("coarse_grid_w")?,
                }),
                None => None,
            },
            point_count: optional("n_points")?,
            part: 0,
            row: rows.len(),
        });
        all_offsets.push(ArrayOffsets {
            row: number("row")?,
            first_patch: optional("first_patch")?,
            first_coarse_patch: optional("first_coarse_patch")?,
            first_point: optional("first_point")?,
        });
    }
    match rows.len() == expected && expected > 0 {
        true => Ok((rows, all_offsets)),
        false => Err(damaged(
            path,
            format!("it has {} rows, where there were {expected}", rows.len()),
        )),
    }
}
