//! Reads row metadata and arrays from record batches.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Int32Type};
use arrow_array::{Array as _, Int32Array, RecordBatch};

use super::schema::{COARSE_GRID_COLUMNS, POINT_COUNT_COLUMN, is_vector};
use crate::error::Result;
use crate::io::features::arrays::FeatureArray;
use crate::io::features::parts::checks::damaged;
use crate::io::features::{DatasetMeta, Precision, RowInfo, RowName};
use crate::model::input::PatchGrid;

/// Appends the rows of `batch`, which has the metadata columns, to `rows`.
///
/// # Errors
/// Names the file if a column is missing or has another type, or a value is out of range.
pub(in crate::io::features::parts) fn read_row_infos(
    path: &Path,
    batch: &RecordBatch,
    meta: &DatasetMeta,
    rows: &mut Vec<RowInfo>,
) -> Result<()> {
    let column = |name: &str| {
        let column = batch.column_by_name(name);
        column.ok_or_else(|| damaged(path, format!("it has no column `{name}`")))
    };
    let text = |name: &str| {
        let column = column(name)?.as_string_opt::<i32>();
        column.ok_or_else(|| damaged(path, format!("column `{name}` is no text")))
    };
    let numbers = |name: &str| {
        let column = column(name)?.as_primitive_opt::<Int32Type>();
        column.ok_or_else(|| damaged(path, format!("column `{name}` has no integers")))
    };
    let (keys, paths) = (text("key")?, text("path")?);
    let (sha256, blake3) = (text("sha256")?, text("blake3")?);
    let (pages, widths, heights) = (numbers("page")?, numbers("width")?, numbers("height")?);
    let (grid_h, grid_w) = (numbers("grid_h")?, numbers("grid_w")?);
    let coarse = match meta.coarse {
        Some(_) => Some((
            numbers(COARSE_GRID_COLUMNS[0])?,
            numbers(COARSE_GRID_COLUMNS[1])?,
        )),
        None => None,
    };
    let points = match meta.points {
        Some(_) => Some(numbers(POINT_COUNT_COLUMN)?),
        None => None,
    };
    for row in 0..batch.num_rows() {
        let number = |column: &Int32Array| {
            u32::try_from(column.value(row)).map_err(|_| damaged(path, "a size is negative"))
        };
        let grid = |rows: &Int32Array, cols: &Int32Array| -> Result<PatchGrid> {
            Ok(PatchGrid {
                rows: number(rows)? as usize,
                cols: number(cols)? as usize,
            })
        };
        let digest = blake3.value(row).parse();
        rows.push(RowInfo {
            name: RowName {
                path: paths.value(row).to_owned(),
                page: number(pages)?,
            },
            key: keys.value(row).to_owned(),
            sha256: sha256.value(row).to_owned(),
            digest: digest.map_err(|why: String| damaged(path, why))?,
            photo_size: (number(widths)?, number(heights)?),
            grid: grid(grid_h, grid_w)?,
            coarse_grid: match coarse {
                Some((rows, cols)) => Some(grid(rows, cols)?),
                None => None,
            },
            point_count: match points {
                Some(count) => number(count)? as usize,
                None => 0,
            },
            part: 0,
            row: rows.len(),
        });
    }
    Ok(())
}

/// Little-endian bytes of the arrays of row `index` of `batch`.
///
/// # Errors
/// Names the file if the row or an array is missing.
pub(in crate::io::features::parts) fn read_arrays(
    path: &Path,
    batch: &RecordBatch,
    index: usize,
    meta: &DatasetMeta,
) -> Result<Vec<Vec<u8>>> {
    let read = |array: FeatureArray| {
        let column = batch.column_by_name(array.name())?;
        if index >= column.len() {
            return None;
        }
        if !is_vector(array) {
            return Some(column.as_binary_opt::<i32>()?.value(index).to_vec());
        }
        let values = column.as_fixed_size_list_opt()?.value(index);
        Some(match meta.precision {
            Precision::F16 => {
                let numbers = values.as_primitive_opt::<Float16Type>()?.values();
                numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
            }
            Precision::F32 => {
                let numbers = values.as_primitive_opt::<Float32Type>()?.values();
                numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
            }
        })
    };
    FeatureArray::stored(meta)
        .into_iter()
        .map(|array| {
            let missing = || damaged(path, format!("a row has no `{}`", array.name()));
            read(array).ok_or_else(missing)
        })
        .collect()
}

/// Address and length in bytes of an array of a row in the buffers of `batch`.
pub(in crate::io::features::parts) fn locate_array(
    batch: &RecordBatch,
    array: FeatureArray,
    row: usize,
    meta: &DatasetMeta,
) -> Option<(usize, usize)> {
    let column = batch.column_by_name(array.name())?;
    if !is_vector(array) {
        let bytes = column.as_binary_opt::<i32>()?.value(row);
        return Some((bytes.as_ptr() as usize, bytes.len()));
    }
    let values = column.as_fixed_size_list_opt()?.value(row);
    let bytes = match meta.precision {
        Precision::F16 => values
            .as_primitive_opt::<Float16Type>()?
            .values()
            .inner()
            .clone(),
        Precision::F32 => values
            .as_primitive_opt::<Float32Type>()?
            .values()
            .inner()
            .clone(),
    };
    Some((bytes.as_ptr() as usize, bytes.len()))
}
