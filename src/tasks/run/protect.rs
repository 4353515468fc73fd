//! Files of the model store that no output may replace.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::io::output::OutputRegistry;
use crate::model::weights::Store;

/// Protects the weights and heads in `store` from being replaced by an output.
pub fn protect_installed(outputs: &mut OutputRegistry, store: &Store) {
    for folder in [store.models_folder(), store.root().join("heads")] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        outputs.protect(files.iter().map(PathBuf::as_path));
    }
}

/// As [`protect_installed`], and protects the files in `named`.
///
/// # Errors
/// If the store's folder is not known.
pub fn protect_with_named<'p>(
    outputs: &mut OutputRegistry,
    named: impl IntoIterator<Item = Option<&'p Path>>,
) -> Result<()> {
    protect_installed(outputs, &Store::open()?);
    outputs.protect(named.into_iter().flatten());
    Ok(())
}
