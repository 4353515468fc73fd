//! Searches folders for photos, in natural order of names; hidden files and folders are ignored.

use std::fs;
use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use super::collector::{InputCollector, mirrored};
use crate::error::{Error, Result};
use crate::io::inputs::sniff::{self, FileKind};
use crate::io::inputs::source::Source;
use crate::io::inputs::{natural, pages};

impl InputCollector {
    /// Adds the photos of a folder, whose outputs mirror their paths below `root`.
    ///
    /// # Errors
    /// Why the folder holds no photo.
    pub(super) fn add_folder(&mut self, folder: &Path, root: &Path) -> Result<()> {
        self.summary_mut();
        let before = self.candidates_seen;
        let own_pictures = self.search(folder, root);
        if self.candidates_seen > before {
            return Ok(());
        }
        let why = if let Some(why) = self.reason_for_none() {
            why
        } else if own_pictures > 0 {
            "no photos, only pictures that dino made itself (name them one by one to use them)"
                .into()
        } else if !self.recursive && has_subfolder(folder) {
            "no images in this folder (-r looks into its subfolders too)".into()
        } else {
            "no images in this folder".into()
        };
        Err(Error::file(folder, why))
    }

    /// Adds the photos in `folder`, whose outputs mirror their paths below `root`. Returns the number of skipped
    /// pictures that this program wrote.
    pub(super) fn search(&mut self, folder: &Path, root: &Path) -> usize {
        let depth = if self.recursive { usize::MAX } else { 1 };
        let walk = WalkDir::new(folder)
            .follow_links(true)
            .max_depth(depth)
            .sort_by(|a, b| natural::compare(a.file_name(), b.file_name()))
            .into_iter()
            .filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry));
        let mut own_pictures = 0;
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    own_pictures +=
                        usize::from(self.add_if_photo(entry.path(), root) == FileKind::OwnPicture);
                }
                Ok(_) => {}
                // A link to an enclosing folder: its content is found anyway.
                Err(error) if error.loop_ancestor().is_some() => {}
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_owned();
                    // A dangling link without the extension of an image is ignored.
                    let dangling = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
                    if !dangling || sniff::is_image_name(&path) {
                        match error.io_error() {
                            Some(io) => self.push_io_failure(&path, io),
                            None => self.push_error(Error::file(&path, error.to_string())),
                        }
                    }
                }
            }
        }
        own_pictures
    }

    /// Adds a file that a search found if it is a photo, and returns its kind.
    pub(super) fn add_if_photo(&mut self, path: &Path, root: &Path) -> FileKind {
        let head = match pages::read_head(path) {
            Ok(head) => head,
            Err(error) => {
                if sniff::is_image_name(path) {
                    self.push_io_failure(path, &error);
                }
                return FileKind::Other;
            }
        };
        let kind = sniff::identify(&head);
        if !self.accept_photo(kind, path) {
            return kind;
        }
        let relative = mirrored(path.strip_prefix(root).unwrap_or(path));
        let source = Source::File {
            path: path.to_owned(),
            relative,
            is_named: false,
            page: None,
        };
        let count = match pages::may_have_pages(&head) {
            true => pages::count_in_path(path, self.max_bytes),
            false => 1,
        };
        self.push(source, count);
        kind
    }
}

/// Whether the name begins with a dot.
fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// Whether a folder has subfolders, hidden ones included.
fn has_subfolder(folder: &Path) -> bool {
    fs::read_dir(folder)
        .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|e| e.path().is_dir())))
}
