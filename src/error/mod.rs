//! The one error type of the crate: every message names the file, flag or tensor at fault, says what was
//! expected, and what to do next.

pub(crate) mod cuda;

use std::path::{Path, PathBuf};

/// What went wrong, worded for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line or a setting is wrong, which it and what the program knows tell: an option, a name in its
    /// tables, a contradiction, an output that is there already. Nothing was done. The binary exits with 2, after all
    /// else with 1.
    #[error("{0}")]
    Usage(String),
    /// A file could not be read, written or understood.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file as the user named it.
        path: PathBuf,
        /// What was wrong with it, and what was expected.
        reason: String,
        /// The same in a word.
        fault: FileFault,
    },
    /// A model, head or basis does not fit what was asked of it.
    #[error("{0}")]
    Model(String),
    /// A download failed or its content was not what was promised.
    #[error("{0}")]
    Download(String),
    /// The tensor library failed (out of memory, no such device, …).
    #[error("tensor computation: {}", cuda::reason(.0))]
    Tensor(#[from] candle_core::Error),
    /// None of several inputs can be used.
    #[error("{}", join(.0))]
    Inputs(Vec<Error>),
    /// Something would take, or took, more memory than there is.
    #[error("{0}")]
    Memory(String),
    /// The user pressed Ctrl-C. The binary exits with 130.
    #[error("interrupted")]
    Interrupted,
}

/// What is wrong with a file, for those who decide by it rather than read the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileFault {
    /// Nothing that has a word of its own.
    #[default]
    Other,
    /// It is not there.
    Missing,
    /// The system does not let it be read, or written.
    Unreadable,
    /// It is no image.
    NotImage,
    /// It is an image of a kind that is not decoded here.
    Unsupported,
    /// It is damaged.
    Damaged,
    /// It has more pixels than are allowed.
    TooLarge,
    /// It would take more memory than is allowed.
    Memory,
    /// Another program that reads it is not there, or failed.
    Program,
    /// It lacks what an option asks of it.
    Option,
    /// It was changed while it was in use.
    Changed,
    /// It could not be fetched.
    Network,
}

/// `Result` with the crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error about `path`.
    pub fn file(path: impl AsRef<Path>, why: impl Into<String>) -> Self {
        Error::file_with_fault(path, why, FileFault::Other)
    }

    /// An error about `path`, with a word for what is wrong with it.
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

    /// An I/O error about `path`, in the operating system's words.
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
