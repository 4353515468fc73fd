//! Checks that a file is an intact part of the dataset, and the errors if it is not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::{Error, Result};
use crate::io::features::DatasetMeta;

/// The key in a file's metadata that holds the [`DatasetMeta`] as JSON.
pub(super) const META_KEY: &str = "dino";

/// Calls `read`, and turns a panic of a library at a damaged file into an error.
pub(super) fn catch_panics<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(damaged(path, "what it says of itself is wrong")))
}

/// The error of a part that is damaged; `why` is a phrase.
pub(super) fn damaged(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::file(
        path,
        format!("is damaged ({why}); delete it, and make the features that were in it again"),
    )
}

/// The error of a file in the folder that is not a part of any dataset.
pub(super) fn foreign_part_error(path: &Path) -> Error {
    Error::file(
        path,
        "is no part of a dataset that dino wrote; move it elsewhere",
    )
}

/// Checks that `text`, the dataset description in the part at `path`, equals `meta`.
///
/// # Errors
/// Names the file if it has no description, or that of another dataset.
pub(super) fn check_meta(path: &Path, text: Option<&str>, meta: &DatasetMeta) -> Result<()> {
    let text = text.ok_or_else(|| foreign_part_error(path))?;
    let own = DatasetMeta::parse(text).map_err(|why| Error::file(path, why))?;
    match own.difference(meta) {
        None => Ok(()),
        Some(why) => Err(Error::file(
            path,
            format!("is a part of another dataset, which {why}; move it elsewhere"),
        )),
    }
}

/// Checks that `mark`, the dataset id in a row of the part at `path`, is that of `meta`.
///
/// # Errors
/// Names the file if the row is of another dataset.
pub(super) fn check_dataset_id(path: &Path, mark: &str, meta: &DatasetMeta) -> Result<()> {
    match mark == meta.dataset_id() {
        true => Ok(()),
        false => Err(Error::file(
            path,
            "has rows of another dataset; move it elsewhere",
        )),
    }
}
