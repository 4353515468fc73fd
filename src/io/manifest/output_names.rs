//! Names of outputs in the manifest: the path below the folder, the same on every system.

use std::borrow::Cow;
use std::fs;
use std::path::{Component, MAIN_SEPARATOR_STR, Path, PathBuf};

use crate::error::{Error, Result};

/// A UTF-8 path with `/` as the separator on every system.
pub(super) fn portable(path: &Path) -> String {
    path.to_string_lossy().replace(MAIN_SEPARATOR_STR, "/")
}

/// The bytes by which [`ManifestLine::outputs`](super::entry::ManifestLine::outputs) names the output `path`.
pub(super) fn output_name(path: &Path) -> Cow<'_, [u8]> {
    match path.to_str() {
        Some(_) => portable(path).into_bytes().into(),
        None => path.as_os_str().as_encoded_bytes().into(),
    }
}

/// The inverse of [`output_name`].
pub(super) fn path_from_bytes(name: &[u8]) -> PathBuf {
    #[cfg(unix)]
    return Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name)).into();
    #[cfg(not(unix))]
    String::from_utf8_lossy(name).into_owned().into()
}

/// The path of `output` relative to `folder`, or absolute if it is outside. Symbolic links of folders are resolved,
/// that of the output itself is not.
///
/// # Errors
/// Names a path that cannot be made absolute.
pub(super) fn name_below(folder: &Path, output: &Path) -> Result<PathBuf> {
    let absolute = |path: &Path| {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        std::path::absolute(path).map_err(|error| Error::io(path, &error))
    };
    let (output, folder) = (absolute(output)?, absolute(folder)?);
    if let Ok(name) = output.strip_prefix(&folder) {
        let is_plain = name
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if is_plain {
            return Ok(name.to_owned());
        }
    }
    // Resolves links and `..`.
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let parent = output.parent().map(real).unwrap_or_default();
    let output = parent.join(output.file_name().unwrap_or_default());
    let name = output.strip_prefix(real(&folder)).map(Path::to_owned);
    Ok(name.unwrap_or(output))
}
