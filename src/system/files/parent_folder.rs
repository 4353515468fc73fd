//! The parent folder of a path, with the rule that a bare name lies in `.`.

use std::path::Path;

/// The parent folder of `path`; `.` where the path has none.
pub(crate) fn parent_folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
