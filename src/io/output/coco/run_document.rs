//! The COCO document of all photos of a run: annotations are spooled to a temporary file until the document is written.
//!
//! Photos are added in the order of the run; [`RunDocument::write`] writes the document at the end of the run, and
//! [`file_names`] reads which photos an existing document holds.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::io::output::coco::{
    CocoAnnotation, CocoFileName, CocoImage, Preamble, json_lines, write_parts,
};
use crate::system::files::spool::TextSpool;

/// The images and annotations of a run so far. Memory grows with the number of photos, not with that of annotations.
#[derive(Debug)]
pub struct RunDocument {
    /// The entries of the list of images, as JSON text.
    images: Vec<u8>,
    /// The entries of the list of annotations, as JSON text.
    annotations: TextSpool,
}

impl Default for RunDocument {
    fn default() -> Self {
        RunDocument {
            images: Vec::new(),
            annotations: TextSpool::new("annotations", "--save coco, a file a photo"),
        }
    }
}

impl RunDocument {
    /// Whether it has no photo.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Adds a photo with all its annotations; on failure adds nothing.
    ///
    /// # Errors
    /// [`Error::File`] if the temporary file cannot be written.
    pub fn push(&mut self, image: &CocoImage, annotations: &[CocoAnnotation]) -> Result<()> {
        let text = |list: io::Result<Vec<u8>>| {
            list.map_err(|error| Error::file(&image.name.file_name, error.to_string()))
        };
        let (image, mut annotations) =
            (text(json_lines(&[image]))?, text(json_lines(annotations))?);
        if !annotations.is_empty() && !self.annotations.is_empty() {
            annotations.splice(0..0, *b",\n");
        }
        self.annotations.push(&annotations)?;
        if !self.images.is_empty() {
            self.images.extend_from_slice(b",\n");
        }
        self.images.extend_from_slice(&image);
        Ok(())
    }

    /// Writes the document.
    ///
    /// # Errors
    /// If writing fails, or reading the temporary file does.
    pub fn write(&mut self, writer: &mut dyn Write, preamble: Preamble<'_>) -> io::Result<()> {
        let annotations = &mut self.annotations;
        write_parts(writer, preamble, &self.images, |writer| {
            annotations.copy_to(writer)
        })
    }
}

/// The names of the images of the document at `path`; its annotations are skipped.
///
/// # Errors
/// [`Error::File`] if it cannot be read or is no COCO document.
pub fn file_names(path: &Path) -> Result<Vec<CocoFileName>> {
    #[derive(Deserialize)]
    struct CocoDocument {
        images: Vec<CocoFileName>,
    }
    let file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let document: CocoDocument =
        serde_json::from_reader(BufReader::new(file)).map_err(|error| {
            Error::file(
                path,
                format!("is there already, and is no COCO document: {error}"),
            )
        })?;
    Ok(document.images)
}
