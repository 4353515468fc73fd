//! Where the outputs of a run go: the value of `-o`.
//!
//! [`OutputTarget::parse`] tells folders, picture files and standard output apart; whether they can be written is
//! checked later.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::inputs::has_video_extension;
use crate::io::output::picture::PictureFormat;
use crate::system::files::resolved_path::ResolvedPath;
use crate::system::files::stream::OutputStream;

/// Where the outputs of a run go; by default to the folder `dino-out`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputTarget {
    /// A folder, in which outputs mirror the tree of the inputs.
    Folder(PathBuf),
    /// One picture of this format; other outputs of the photo are written beside it.
    File(PathBuf, PictureFormat),
    /// One picture to standard output, as PNG.
    Stdout,
}

impl Default for OutputTarget {
    fn default() -> Self {
        OutputTarget::Folder("dino-out".into())
    }
}

impl OutputTarget {
    /// Parses the value of `-o`: `-`, a file with the extension of a picture, a pipe or device, or else a folder. A
    /// path with the extension of a video counts as a folder, since commands that write videos check for it first.
    ///
    /// # Errors
    /// [`Error::Usage`] for an empty name, for the extension of an image format that cannot be written, and for an
    /// existing file where a folder is meant; as [`ResolvedPath::resolve`].
    pub fn parse(text: &OsStr) -> Result<Self> {
        let path = Path::new(text);
        if text.is_empty() {
            return Err(Error::Usage(
                "-o: the name is empty; give a folder, a file, or '-' for stdout".into(),
            ));
        }
        if text == "-" {
            return Ok(OutputTarget::Stdout);
        }
        let slash = text
            .as_encoded_bytes()
            .last()
            .is_some_and(|&c| std::path::is_separator(c.into()));
        if slash || path.is_dir() {
            return Ok(OutputTarget::Folder(path.into()));
        }
        // Commands that write videos take it for a file before they call this.
        if has_video_extension(path) {
            return Ok(OutputTarget::Folder(path.into()));
        }
        let format = PictureFormat::of(path);
        match ResolvedPath::resolve(path)? {
            ResolvedPath::Stream(OutputStream::Stdout) => return Ok(OutputTarget::Stdout),
            ResolvedPath::Stream(_) => {
                return Ok(OutputTarget::File(
                    path.into(),
                    format.unwrap_or(PictureFormat::Png),
                ));
            }
            _ => {}
        }
        if let Some(format) = format {
            return Ok(OutputTarget::File(path.into(), format));
        }
        let name = path.display();
        if path.exists() || image::ImageFormat::from_path(path).is_ok() {
            let endings = PictureFormat::ENDINGS;
            return Err(Error::Usage(format!(
                "-o {name}: pictures are written as {endings}; anything else must be a folder, or '-' for stdout"
            )));
        }
        Ok(OutputTarget::Folder(path.into()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_value_of_o_says_what_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let parse = |text: &str| OutputTarget::parse(OsStr::new(text));
        assert_eq!(parse("-").unwrap(), OutputTarget::Stdout);
        assert_eq!(
            parse("x.JPG").unwrap(),
            OutputTarget::File("x.JPG".into(), PictureFormat::Jpeg)
        );
        for text in ["results", "results.v2", "odd.png/"] {
            assert_eq!(parse(text).unwrap(), OutputTarget::Folder(text.into()));
        }
        let dotted = folder.path().join("folder.png");
        fs::create_dir(&dotted).unwrap();
        assert_eq!(
            OutputTarget::parse(dotted.as_os_str()).unwrap(),
            OutputTarget::Folder(dotted)
        );
        let file = folder.path().join("notes");
        fs::write(&file, "").unwrap();
        for text in ["x.gif", "x.tiff", "", file.to_str().unwrap()] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("-o"), "{error}");
        }
    }
}
