//! One photo of a run and the files of its results.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::io::inputs::Source;
use crate::io::output::picture::PictureFormat;
use crate::system::files::resolved_path::ResolvedPath;
use crate::system::files::stream::OutputStream;

/// The extension under which a job's picture is planned.
pub const PICTURE_EXTENSION: &str = "png";

/// The extension of an output that is a folder.
pub const MASKS_EXTENSION: &str = "masks";

/// One output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To be written here.
    File(PathBuf),
    /// To be written to standard output.
    Stdout,
    /// There already, and to be kept.
    Existing(PathBuf),
}

impl Destination {
    /// Where the output that a flag names goes, which is `-` for stdout; [`OutputRegistry::add_flag`] has said beforehand whether
    /// it can.
    ///
    /// # Errors
    /// As [`ResolvedPath::resolve`].
    pub fn of_flag(path: &Path) -> Result<Self> {
        Ok(match ResolvedPath::resolve_flag(path)? {
            ResolvedPath::Stream(OutputStream::Stdout) => Destination::Stdout,
            _ => Destination::File(path.into()),
        })
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Destination::File(path) | Destination::Existing(path) => Some(path),
            Destination::Stdout => None,
        }
    }
}

/// One input and where its results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputJob {
    /// The photo.
    pub source: Source,
    /// What the photo is called in lists: its path below the folder that was searched, with more of the folders above
    /// where two of a run would be the same.
    pub name: PathBuf,
    /// What it is called in a dataset, where it goes into one: the path of outputs, without the word of the task and what
    /// follows it.
    pub key: PathBuf,
    /// The format of its picture.
    pub format: PictureFormat,
    /// The outputs by extension, the picture (`png`, whatever its format) among them.
    pub(super) outputs: Vec<(&'static str, Destination)>,
}

impl OutputJob {
    /// Where the output with this extension goes; it must be one of those that were planned.
    pub fn output(&self, extension: &str) -> &Destination {
        let place = self.outputs.iter().find(|(own, _)| *own == extension);
        // A fault of the program, as of any index.
        #[allow(clippy::expect_used)]
        &place.expect("an output that was planned").1
    }

    /// The outputs by extension.
    pub fn outputs(&self) -> impl Iterator<Item = (&'static str, &Destination)> {
        self.outputs
            .iter()
            .map(|(extension, output)| (*extension, output))
    }

    /// The outputs that are there and kept, by extension.
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

    /// Whether all outputs are there already.
    pub fn is_done(&self) -> bool {
        let mut outputs = self.outputs.iter();
        outputs.all(|(_, output)| matches!(output, Destination::Existing(_)))
    }
}
