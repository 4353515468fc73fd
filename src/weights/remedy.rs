//! Errors of the store's folder, with the way out.

use std::io;
use std::path::Path;

use crate::error::Error;

/// The error for a file or folder of the store that cannot be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{
        NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let remedy = match error.kind() {
        StorageFull | QuotaExceeded => "; make room, or set DINO_HOME to a folder on another disk",
        // A lack of the second kind is one of a folder that cannot be made either, such as below /nonexistent in
        // containers, or /proc.
        PermissionDenied | ReadOnlyFilesystem | NotADirectory | NotFound => {
            "; set DINO_HOME to a folder that can be written"
        }
        _ => "",
    };
    with_remedy(path, error, remedy)
}

/// The error for a file or folder of the store that is there and cannot be read.
pub fn cannot_read(path: &Path, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "; set DINO_HOME to a folder that can be read",
        _ => "",
    };
    with_remedy(path, error, remedy)
}

fn with_remedy(path: &Path, error: &io::Error, remedy: &str) -> Error {
    match Error::io(path, error) {
        Error::File { path, why } => Error::File {
            path,
            why: why + remedy,
        },
        other => other,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_names_the_way_out() {
        let said = |code: i32| {
            let error = io::Error::from_raw_os_error(code);
            cannot_write(Path::new("/store/models"), &error).to_string()
        };
        for code in [13, 30, 20, 2] {
            let said = said(code);
            assert!(said.starts_with("/store/models: "), "{said}");
            assert!(
                said.ends_with("; set DINO_HOME to a folder that can be written"),
                "{said}"
            );
        }
        assert!(said(28).ends_with(
            "no space left on device; make room, or set DINO_HOME to a folder on another disk"
        ));
        assert!(said(5).ends_with("input/output error"), "{}", said(5));
    }
}
