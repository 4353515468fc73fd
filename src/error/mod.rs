//! [`enum@Error`], the error type of the crate: every message names the file, option or tensor at fault, what was
//! expected, and what to do next.

pub(crate) mod cuda;

use std::path::{Path, PathBuf};

/// An error of the crate; its message is written for the user at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line or a setting is wrong, detected before any input is read: an invalid option, an unknown name,
    /// contradicting options, an output that exists already. Nothing has been done. The binary exits with 2; with 1 for
    /// all other errors but [`Error::Interrupted`].
    #[error("{0}")]
    Usage(String),
    /// A file could not be read, written or decoded.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file as the user named it.
        path: PathBuf,
        /// What was wrong with it, and what was expected.
        reason: String,
        /// The kind of fault, for JSON reports and the manifest.
        fault: FileFault,
    },
    /// A model, head or PCA basis is missing or does not fit the task.
    #[error("{0}")]
    Model(String),
    /// A download failed, or its content does not have the published digest.
    #[error("{0}")]
    Download(String),
    /// The tensor library failed (out of memory, no such device, …).
    #[error("tensor computation: {}", cuda::reason(.0))]
    Tensor(#[from] candle_core::Error),
    /// None of several inputs can be used.
    #[error("{}", join(.0))]
    Inputs(Vec<Error>),
    /// Something needs more memory than is available or allowed.
    #[error("{0}")]
    Memory(String),
    /// The user pressed Ctrl-C. The binary exits with 130.
    #[error("interrupted")]
    Interrupted,
}

/// The kind of fault of a file, for code that decides by it and for JSON reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileFault {
    /// None of the kinds below.
    #[default]
    Other,
    /// It does not exist.
    Missing,
    /// The operating system failed to read or write it.
    Unreadable,
    /// It is not an image.
    NotImage,
    /// It is an image of a format or variant that is not supported.
    Unsupported,
    /// It is damaged.
    Damaged,
    /// It has more pixels than are allowed.
    TooLarge,
    /// Decoding it needs more memory than is allowed.
    Memory,
    /// The external program that decodes it is missing or failed.
    Program,
    /// It does not meet the requirement of an option, such as a page or band that it lacks.
    Option,
    /// It was changed while it was in use.
    Changed,
    /// It could not be fetched over the network.
    Network,
}

/// `Result` with the crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error about `path`, with [`FileFault::Other`].
    pub fn file(path: impl AsRef<Path>, why: impl Into<String>) -> Self {
        Error::file_with_fault(path, why, FileFault::Other)
    }

    /// An error about `path` of the kind `fault`.
    pub fn file_with_fault(
        path: impl AsRef<Path>,
        why: impl Into<String>,
        fault: FileFault,
    ) -> Self {
        Error::File {
            path: path.as_ref().to_owned(),
            reason: why.into(),
            fault,
        }
    }

    /// The same error with `remedy` behind the reason; errors that are about no file stay as they are.
    pub(crate) fn with_remedy(mut self, remedy: &str) -> Self {
        if let Error::File { reason, .. } = &mut self {
            reason.push_str(remedy);
        }
        self
    }

    /// An I/O error about `path`, in the operating system's words: [`FileFault::Missing`] or [`FileFault::Unreadable`].
    pub fn io(path: impl AsRef<Path>, error: &std::io::Error) -> Self {
        let fault = match error.kind() {
            std::io::ErrorKind::NotFound => FileFault::Missing,
            _ => FileFault::Unreadable,
        };
        Error::file_with_fault(path, io_reason(error), fault)
    }
}

fn join(errors: &[Error]) -> String {
    let all: Vec<String> = errors.iter().map(Error::to_string).collect();
    all.join("; ")
}

/// An I/O error without Rust's "(os error N)" tail.
fn io_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => {
            let mut reason = text[..end].to_owned();
            if let Some(first) = reason.get_mut(0..1) {
                first.make_ascii_lowercase();
            }
            reason
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_read_like_sentences() {
        let error = Error::io("photos/a.jpg", &std::io::Error::from_raw_os_error(2));
        assert_eq!(error.to_string(), "photos/a.jpg: no such file or directory");
    }
}
