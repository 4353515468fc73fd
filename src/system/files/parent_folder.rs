//! The folder of a path.

use std::path::Path;

/// The folder that `path` lies in, as it can be opened.
pub(crate) fn parent_folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
