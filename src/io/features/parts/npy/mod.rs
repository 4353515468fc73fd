//! NumPy arrays: a file for each kind of array, and a CSV table of the rows. The table is written last; a part without
//! it does not exist.
//!
//! `PART.cls.npy` is `[photos, L, D]`, and so on. Grids differ between photos, so `PART.patches.npy` is `[tokens,
//! width]`: photo by photo, layer by layer, and row by row of the grid.
//!
//! When a part is continued, its array files are replaced one by one by longer ones with the same beginning, so the old
//! table stays valid throughout. When rows are removed, only the table is rewritten, and their values stay in the
//! arrays.

mod offsets;
mod table;

use std::fs;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::features::arrays::{EncodedRow, FeatureArray};
use crate::io::features::part_name::parse_part_name;
use crate::io::features::parts::checks::damaged;
use crate::io::features::parts::file_stat::{FileRangeReader, FileStat};
use crate::io::features::parts::npy_header;
use crate::io::features::parts::part::{PartFiles, PartReader, PartWriter};
use crate::io::features::{DatasetMeta, RowInfo};
use crate::system::files::write_stamped;
use offsets::{ArrayOffsets, LeadingAxis, split_leading_axis};
use table::{read_table, write_table};

/// The file of an array beside the table `path`: `PART.cls.npy`.
fn array_path(path: &Path, array: FeatureArray) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}.{}.npy", array.name()))
}

/// Holds a part in memory until it is finished, since the headers state the lengths of the arrays.
pub(in crate::io::features::parts) struct NpyPartWriter {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    infos: Vec<RowInfo>,
    arrays: Vec<Vec<Vec<u8>>>,
}

impl NpyPartWriter {
    pub(in crate::io::features::parts) fn begin(path: &Path, meta: &Arc<DatasetMeta>) -> Self {
        NpyPartWriter {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            infos: Vec::new(),
            arrays: vec![Vec::new(); FeatureArray::stored(meta).len()],
        }
    }
}

impl PartWriter for NpyPartWriter {
    fn push(&mut self, row: EncodedRow) -> Result<()> {
        self.infos.push(row.info);
        for (all, bytes) in self.arrays.iter_mut().zip(row.arrays) {
            all.push(bytes);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<PartFiles> {
        let meta = &self.meta;
        let mut files = Vec::new();
        for (array, rows) in FeatureArray::stored(meta).into_iter().zip(&self.arrays) {
            let path = array_path(&self.path, array);
            let along = self
                .infos
                .iter()
                .map(|info| split_leading_axis(array, meta, info));
            let (mut shape, mut tail) = (vec![0], Vec::new());
            for (count, rest) in along {
                shape[0] += count;
                tail = rest;
            }
            shape.append(&mut tail);
            let header = npy_header::encode_header(&shape, array.precision(meta))
                .map_err(|error| Error::io(&path, &error))?;
            let stamp = write_stamped(&path, |writer| {
                writer.write_all(&header)?;
                rows.iter().try_for_each(|bytes| writer.write_all(bytes))
            })?;
            files.push((path, stamp));
        }
        let mut offset = ArrayOffsets::default();
        let offsets = self.infos.iter().map(|info| {
            let current = offset;
            offset = offset.advance(meta, info);
            (info, current)
        });
        let offsets: Vec<(&RowInfo, ArrayOffsets)> = offsets.collect();
        files.insert(0, write_table(&self.path, meta, &offsets)?);
        Ok(files)
    }
}

/// Rewrites the table of the part at `path` with the rows `kept`; the array files are unchanged.
///
/// # Errors
/// Names the file that cannot be read or written.
pub(in crate::io::features::parts) fn rewrite_table(
    path: &Path,
    meta: &Arc<DatasetMeta>,
    kept: &[&RowInfo],
) -> Result<PartFiles> {
    let (_, offsets) = read_table(path, meta)?;
    let missing = || damaged(path, "a row is missing");
    let rows = kept.iter().map(|&info| {
        let offset = offsets.get(info.row).ok_or_else(missing)?;
        Ok((info, *offset))
    });
    let rows: Vec<(&RowInfo, ArrayOffsets)> = rows.collect::<Result<_>>()?;
    let mut files = vec![write_table(path, meta, &rows)?];
    let arrays = FeatureArray::stored(meta).into_iter();
    files.extend(arrays.map(|array| (array_path(path, array), None)));
    Ok(files)
}

/// Removes array files of `prefix` without a table, whose parts were never finished.
///
/// # Errors
/// Names the folder that cannot be read, or the file that cannot be removed.
pub(in crate::io::features::parts) fn sweep(folder: &Path, prefix: &str) -> Result<()> {
    let failed = |error| Error::io(folder, &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // The inverse of `array_path`.
        let table = FeatureArray::ALL.into_iter().find_map(|array| {
            let name = path.file_name()?.to_str()?;
            let stem = name.strip_suffix(&format!(".{}.npy", array.name()))?;
            Some(path.with_file_name(format!("{stem}.csv")))
        });
        let is_stray = table.is_some_and(|table| {
            parse_part_name(&table).is_some_and(|(own, _)| own == prefix) && !table.exists()
        });
        if is_stray {
            fs::remove_file(&path).map_err(|error| Error::io(&path, &error))?;
        }
    }
    Ok(())
}

/// The paths of all arrays that may be beside the table `path`.
pub(in crate::io::features::parts) fn array_paths(path: &Path) -> impl Iterator<Item = PathBuf> {
    FeatureArray::ALL
        .into_iter()
        .map(|array| array_path(path, array))
}

/// Reads rows by their offsets in the array files.
pub(in crate::io::features::parts) struct NpyPartReader {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    offsets: Vec<ArrayOffsets>,
    /// The stored arrays, with their files and the byte offset of the first value.
    arrays: Vec<(FeatureArray, FileRangeReader, u64)>,
    is_compact: bool,
}

impl NpyPartReader {
    pub(in crate::io::features::parts) fn open(
        path: &Path,
        meta: &Arc<DatasetMeta>,
    ) -> Result<(Vec<RowInfo>, Box<dyn PartReader>)> {
        let (rows, offsets) = read_table(path, meta)?;
        let mut arrays = Vec::new();
        for array in FeatureArray::stored(meta) {
            let path = array_path(path, array);
            let (mut file, stat) = FileStat::open(&path)?;
            let shape = npy_header::read_header(&mut file, array.precision(meta))
                .map_err(|why| damaged(&path, why))?;
            let start = file
                .stream_position()
                .map_err(|error| Error::io(&path, &error))?;
            let bytes = array_bytes(&shape, array.precision(meta).size_in_bytes());
            if bytes.and_then(|bytes| bytes.checked_add(start)) != Some(stat.bytes) {
                return Err(damaged(&path, "its length is not what its shape says"));
            }
            for (info, offset) in rows.iter().zip(&offsets) {
                let (count, tail) = split_leading_axis(array, meta, info);
                let end = LeadingAxis::of(array)
                    .offset_mut(&mut offset.clone())
                    .checked_add(count);
                if shape.get(1..) != Some(&tail) || end.is_none_or(|end| end > shape[0]) {
                    return Err(damaged(
                        &path,
                        format!("it has not the shape that {} needs", info.name.path),
                    ));
                }
            }
            arrays.push((array, FileRangeReader { path, stat }, start));
        }
        let mut expected = ArrayOffsets::default();
        let is_compact = rows.iter().zip(&offsets).all(|(info, offset)| {
            let is_next = *offset == expected;
            expected = expected.advance(meta, info);
            is_next
        });
        let part = NpyPartReader {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            offsets,
            arrays,
            is_compact,
        };
        Ok((rows, Box::new(part)))
    }
}

/// Size in bytes of an array of `shape` with values of `of_number` bytes; `None` if that overflows.
fn array_bytes(shape: &[usize], of_number: usize) -> Option<u64> {
    let bytes = shape
        .iter()
        .try_fold(of_number, |bytes, &side| bytes.checked_mul(side));
    bytes.map(|bytes| bytes as u64)
}

impl PartReader for NpyPartReader {
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>> {
        let offset = self.offsets.get(info.row);
        let offset = offset.ok_or_else(|| damaged(&self.path, "a row is missing"))?;
        let read = |(array, range_reader, start): &(FeatureArray, FileRangeReader, u64)| {
            let bytes = array.size_in_bytes(&self.meta, info);
            let (count, _) = split_leading_axis(*array, &self.meta, info);
            let of_one = bytes.checked_div(count).unwrap_or(0);
            let first = *LeadingAxis::of(*array).offset_mut(&mut offset.clone());
            range_reader.read(start + (first * of_one) as u64, bytes)
        };
        self.arrays.iter().map(read).collect()
    }

    fn is_compact(&self) -> bool {
        self.is_compact
    }
}
