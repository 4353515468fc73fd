//! One photo of a run and the planned destinations of its outputs.
//!
//! [`OutputPlan`](crate::io::output::OutputPlan) makes an [`OutputJob`] for each photo; tasks ask it for a
//! [`Destination`] by extension.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::io::inputs::Source;
use crate::io::output::picture::PictureFormat;
use crate::system::files::resolved_path::ResolvedPath;
use crate::system::files::stream::OutputStream;

/// The extension by which a job's picture is planned and looked up, whatever its format.
pub const PICTURE_EXTENSION: &str = "png";

/// The extension of the output that is a folder: one mask for each class.
pub const MASKS_EXTENSION: &str = "masks";

/// The destination of one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A file or folder to be written.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// A file or folder that already exists and is kept.
    Existing(PathBuf),
}

impl Destination {
    /// The destination of the output at `path`, the value of an option; `-` is stdout. Whether it can be written was
    /// checked before by [`OutputRegistry::add_flag`](crate::io::output::OutputRegistry::add_flag).
    ///
    /// # Errors
    /// As [`ResolvedPath::resolve`].
    pub fn of_flag(path: &Path) -> Result<Self> {
        Ok(match ResolvedPath::resolve_flag(path)? {
            ResolvedPath::Stream(OutputStream::Stdout) => Destination::Stdout,
            _ => Destination::File(path.into()),
        })
    }

    /// The path of the file or folder; `None` for stdout.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Destination::File(path) | Destination::Existing(path) => Some(path),
            Destination::Stdout => None,
        }
    }
}

/// One photo and the destinations of its results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputJob {
    /// The photo.
    pub source: Source,
    /// The name of the photo in lists: its path below the folder that was searched, with as many of the folders above
    /// as make it distinct in the run.
    pub name: PathBuf,
    /// The key of its row in a dataset: the relative path of its outputs without `.<kind>.<extension>`; empty if it is
    /// written to files instead.
    pub key: PathBuf,
    /// The image format of its picture.
    pub format: PictureFormat,
    /// The outputs, sorted by extension, among them the picture ([`PICTURE_EXTENSION`]).
    pub(super) outputs: Vec<(&'static str, Destination)>,
}

impl OutputJob {
    /// The destination of the output with this extension, which must be one that was planned.
    pub fn output(&self, extension: &str) -> &Destination {
        let place = self.outputs.iter().find(|(own, _)| *own == extension);
        // An extension that was not planned is a bug, like an index out of bounds.
        #[allow(clippy::expect_used)]
        &place.expect("an output that was planned").1
    }

    /// The outputs by extension.
    pub fn outputs(&self) -> impl Iterator<Item = (&'static str, &Destination)> {
        self.outputs
            .iter()
            .map(|(extension, output)| (*extension, output))
    }

    /// The outputs that exist and are kept, by extension.
    pub fn existing_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.outputs()
            .filter_map(|(extension, output)| match output {
                Destination::Existing(path) => Some((extension, path.as_path())),
                _ => None,
            })
    }

    /// The outputs that are to be written to files, by extension.
    pub fn pending_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.outputs()
            .filter_map(|(extension, output)| match output {
                Destination::File(path) => Some((extension, path.as_path())),
                _ => None,
            })
    }

    /// Whether all outputs exist and are kept.
    pub fn is_done(&self) -> bool {
        let mut outputs = self.outputs.iter();
        outputs.all(|(_, output)| matches!(output, Destination::Existing(_)))
    }
}
