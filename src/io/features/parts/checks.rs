//! TODO

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::{Error, Result};
use crate::io::features::DatasetMeta;

/// The key under which files have the [`DatasetMeta`].
pub(super) const META_KEY: &str = "dino";

/// Libraries panic at some damages.
pub(super) fn catch_panics<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(damaged(path, "what it says of itself is wrong")))
}

/// The error of a part that is not as it was written.
pub(super) fn damaged(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::file(
        path,
        format!("is damaged ({why}); delete it, and make the features that were in it again"),
    )
}

/// The error of a file that is in the way.
pub(super) fn foreign(path: &Path) -> Error {
    Error::file(
        path,
        "is no part of a dataset that dino wrote; move it elsewhere",
    )
}

/// Compares what a part says of its dataset to what is known.
pub(super) fn check_meta(path: &Path, text: Option<&str>, meta: &DatasetMeta) -> Result<()> {
    let text = text.ok_or_else(|| foreign(path))?;
    let own = DatasetMeta::parse(text).map_err(|why| Error::file(path, why))?;
    match own.difference(meta) {
        None => Ok(()),
        Some(why) => Err(Error::file(
            path,
            format!("is a part of another dataset, which {why}; move it elsewhere"),
        )),
    }
}

/// The error of rows that bear another dataset's mark.
pub(super) fn check_dataset_id(path: &Path, mark: &str, meta: &DatasetMeta) -> Result<()> {
    match mark == meta.dataset_id() {
        true => Ok(()),
        false => Err(Error::file(
            path,
            "has rows of another dataset; move it elsewhere",
        )),
    }
}
