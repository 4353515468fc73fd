//! Errors of the store's folder and of the folder for temporary files, each with its remedy: free space, or the
//! variable that chooses another folder.

use std::io;
use std::path::Path;

use crate::error::Error;

/// The variable that chooses the folder of temporary files.
const TEMPORARY_VARIABLE: &str = if cfg!(windows) { "TMP" } else { "TMPDIR" };

/// The error for a file or folder of the store that cannot be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::io(path, error).with_remedy(&write_remedy("DINO_HOME", error))
}

/// The error for a temporary file that cannot be written, or the folder for them.
pub fn cannot_write_temporary(path: &Path, error: &io::Error) -> Error {
    Error::io(path, error).with_remedy(&write_remedy(TEMPORARY_VARIABLE, error))
}

/// The remedy for a file that cannot be written in the folder of `variable`, as the end of a sentence.
fn write_remedy(variable: &str, error: &io::Error) -> String {
    use io::ErrorKind::{
        NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match error.kind() {
        StorageFull | QuotaExceeded => {
            format!("; make room, or set {variable} to a folder on another disk")
        }
        // A lack of the second kind is one of a folder that cannot be made either, such as below /nonexistent in
        // containers, or /proc.
        PermissionDenied | ReadOnlyFilesystem | NotADirectory | NotFound => {
            format!("; set {variable} to a folder that can be written")
        }
        // Disks that fail, and file systems that cannot do what is asked, such as to sync a file.
        _ => format!("; set {variable} to a folder on another disk"),
    }
}

/// The error for a file or folder of the store that is there and cannot be read.
pub fn cannot_read(path: &Path, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => {
            "; set DINO_HOME to a folder that can be read"
        }
        _ => "",
    };
    Error::io(path, error).with_remedy(remedy)
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
        for (code, why) in [(5, "input/output error"), (22, "invalid argument")] {
            let said = said(code);
            let end = format!("{why}; set DINO_HOME to a folder on another disk");
            assert!(said.ends_with(&end), "{said}");
        }
        let full = io::Error::from_raw_os_error(28);
        let said = cannot_write_temporary(Path::new("/tmp"), &full).to_string();
        assert!(
            said.contains("set TMPDIR to a folder on another disk"),
            "{said}"
        );
    }

    #[test]
    fn what_cannot_be_read_names_the_way_out_and_never_to_remove_it() {
        for (code, remedy) in [
            (13, "; set DINO_HOME to a folder that can be read"),
            (20, "; set DINO_HOME to a folder that can be read"),
            (5, "input/output error"),
        ] {
            let error = io::Error::from_raw_os_error(code);
            let said = cannot_read(Path::new("/store/models"), &error).to_string();
            assert!(said.ends_with(remedy), "{said}");
        }
    }
}
