//! Dispatch over the file formats: begins, opens, rewrites and removes parts.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::checks::catch_panics;
use super::part::{PartFiles, PartReader, PartWriter};
use super::{columns, ipc, npy, parquet, safetensors, tar};
use crate::error::{Error, Result};
use crate::io::features::arrays::EncodedRow;
use crate::io::features::{DatasetFormat, DatasetMeta, RowInfo};

/// Begins the part at `path`, which appears when it is finished.
///
/// # Errors
/// Names the path that cannot be written.
pub(in crate::io::features) fn begin(
    format: DatasetFormat,
    path: &Path,
    meta: &Arc<DatasetMeta>,
) -> Result<Box<dyn PartWriter>> {
    Ok(match format {
        DatasetFormat::Parquet => Box::new(parquet::ParquetPartWriter::begin(path, meta)?),
        DatasetFormat::Arrow => Box::new(ipc::ArrowPartWriter::begin(path, meta)?),
        DatasetFormat::Safetensors => {
            Box::new(safetensors::SafetensorsPartWriter::begin(path, meta))
        }
        DatasetFormat::Npy => Box::new(npy::NpyPartWriter::begin(path, meta)),
        DatasetFormat::Tar => Box::new(tar::TarPartWriter::begin(path, meta)?),
    })
}

/// Opens the part at `path` of the dataset of `meta`, and reads the metadata of its rows.
///
/// # Errors
/// Names the file that cannot be read, is damaged, or is of another dataset or none.
pub(in crate::io::features) fn open(
    format: DatasetFormat,
    path: &Path,
    meta: &Arc<DatasetMeta>,
) -> Result<(Vec<RowInfo>, Box<dyn PartReader>)> {
    catch_panics(path, || match format {
        DatasetFormat::Parquet => parquet::ParquetPartReader::open(path, meta),
        DatasetFormat::Arrow => ipc::ArrowPartReader::open(path, meta),
        DatasetFormat::Safetensors => safetensors::SafetensorsPartReader::open(path, meta),
        DatasetFormat::Npy => npy::NpyPartReader::open(path, meta),
        DatasetFormat::Tar => tar::TarPartReader::open(path, meta),
    })
}

/// Rewrites the part at `path` with the rows `kept`, or removes it if there are none.
///
/// # Errors
/// Names the file that cannot be read or written.
pub(in crate::io::features) fn rewrite_part(
    format: DatasetFormat,
    path: &Path,
    meta: &Arc<DatasetMeta>,
    kept: &[&RowInfo],
) -> Result<PartFiles> {
    if kept.is_empty() {
        return remove(format, path).map(|()| Vec::new());
    }
    if format == DatasetFormat::Npy {
        return npy::rewrite_table(path, meta, kept);
    }
    let (_, part) = open(format, path, meta)?;
    let mut writer = begin(format, path, meta)?;
    for info in kept {
        let arrays = part.read(info)?;
        let info = RowInfo::clone(info);
        writer.push(EncodedRow { info, arrays })?;
    }
    writer.finish()
}

/// Removes the part at `path`.
///
/// # Errors
/// Names the file that cannot be removed.
pub(in crate::io::features) fn remove(format: DatasetFormat, path: &Path) -> Result<()> {
    let delete = |path: &Path| match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path, &error)),
        _ => Ok(()),
    };
    // The file that marks the part as complete goes first, so that a crash leaves no partial part.
    delete(path)?;
    match format {
        DatasetFormat::Npy => npy::array_paths(path).try_for_each(|path| delete(&path)),
        _ => Ok(()),
    }
}

/// Removes incomplete parts of `prefix` that killed runs left in `folder`.
///
/// # Errors
/// Names the folder that cannot be read, or the file that cannot be removed.
pub(in crate::io::features) fn sweep(
    format: DatasetFormat,
    folder: &Path,
    prefix: &str,
) -> Result<()> {
    match format {
        DatasetFormat::Npy => npy::sweep(folder, prefix),
        _ => Ok(()),
    }
}

/// Checks that a row is not too large for the format.
///
/// # Errors
/// Names the photo.
pub(in crate::io::features) fn check_row_fits(
    format: DatasetFormat,
    row: &EncodedRow,
) -> Result<()> {
    match format {
        DatasetFormat::Parquet | DatasetFormat::Arrow => columns::check_value_sizes(row),
        DatasetFormat::Safetensors | DatasetFormat::Npy | DatasetFormat::Tar => Ok(()),
    }
}
