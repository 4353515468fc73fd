//! Prepares the folder of a dataset for writing: checks what is in it, and removes what is to be replaced.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::features::arrays::FeatureArray;
use crate::io::features::folder::{DatasetFolder, META_FILE};
use crate::io::features::part_name::parse_part_name;
use crate::io::features::writer_options::{DEFAULT_PREFIX, WriterOptions};
use crate::io::features::{DatasetMeta, parts};

/// Checks that `meta` has the current format version, at least one layer, a token width above 0, and an array to store.
///
/// # Errors
/// [`Error::Model`] with the reason.
pub(super) fn validate_meta(meta: &DatasetMeta) -> Result<()> {
    let why = match meta {
        _ if meta.format != DatasetMeta::FORMAT => "its format is not the current one",
        _ if meta.layers.is_empty() || meta.dim == 0 => "it has no tokens",
        _ if FeatureArray::stored(meta).is_empty() => "nothing of them is to be stored",
        _ => return Ok(()),
    };
    Err(Error::Model(format!("no dataset of features: {why}")))
}

/// Writes the description `meta` into `folder`, or checks the existing one against it, and removes the parts that
/// `options` replace. Returns the description in the folder.
///
/// # Errors
/// [`Error::Usage`] if the dataset in the folder differs from `meta` and is not to be replaced; names the folder if it
/// has files but is not a dataset, and the file that cannot be read, written or removed.
pub(super) fn prepare_folder(
    folder: &DatasetFolder,
    meta: DatasetMeta,
    options: &WriterOptions,
) -> Result<DatasetMeta> {
    let difference = match folder.read_meta() {
        Ok(None) => {
            // Files other than a dataset are never replaced, not even with `replace`.
            if let Some(file) = folder.part_files()?.first() {
                return Err(Error::file(
                    &folder.path,
                    format!(
                        "has {}, but no {META_FILE}, so that it is no dataset; choose another name",
                        file.file_name().unwrap_or_default().display()
                    ),
                ));
            }
            folder.write_meta(&meta)?;
            return Ok(meta);
        }
        Ok(Some(is)) => match is.difference(&meta) {
            None => {
                remove_replaced_parts(folder, &is, options)?;
                // The description as first written, so that its bytes stay the same.
                return Ok(is);
            }
            Some(why) => Error::Usage(format!(
                "{}: {why}; --force replaces it, or choose another name",
                folder.path.display()
            )),
        },
        Err(error) => error,
    };
    if !options.replace {
        return Err(difference);
    }
    remove_replaced_parts(folder, &meta, options)?;
    folder.write_meta(&meta)?;
    Ok(meta)
}

/// With `replace`, removes the parts of this prefix and those that cannot be opened as parts of this dataset.
fn remove_replaced_parts(
    folder: &DatasetFolder,
    meta: &DatasetMeta,
    options: &WriterOptions,
) -> Result<()> {
    if !options.replace {
        return Ok(());
    }
    let meta = Arc::new(meta.clone());
    for path in folder.part_files()? {
        let Some((prefix, _)) = parse_part_name(&path) else {
            // Not written by dino: opening it later gives the error.
            continue;
        };
        let is_own = options.prefix == DEFAULT_PREFIX || prefix == options.prefix;
        if is_own || parts::open(folder.format, &path, &meta).is_err() {
            parts::remove(folder.format, &path)?;
        }
    }
    Ok(())
}
