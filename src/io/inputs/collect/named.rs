//! Inputs that the user names, on the command line or in a list: decides whether one is standard input, a folder, a
//! tar, another file, a URL, braces or a glob pattern, in this order (a URL with braces is expanded first), and adds
//! its photos.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::collector::{InputCollector, mirrored};
use super::glob::as_glob;
use crate::error::{Error, FileFault, Result};
use crate::io::inputs::list::{self, ListEntry, Separator};
use crate::io::inputs::remote::{RemotePhoto, is_address};
use crate::io::inputs::source::{BufferedStdin, Source};
use crate::io::inputs::{braces, pages};
use crate::system::interrupt;

impl InputCollector {
    /// Adds the photos of one input as it was typed.
    ///
    /// # Errors
    /// Why it leads to no photo.
    pub(super) fn add(&mut self, input: &OsStr) -> Result<()> {
        let path = Path::new(input);
        if input == "-" {
            let is_stdin = |source: &Source| matches!(source, Source::Stdin(_));
            if self.collected.sources.iter().any(is_stdin) {
                return Ok(());
            }
            let count = BufferedStdin::get(self.max_bytes)?.count();
            self.push_pages(Source::Stdin(None), count);
            Ok(())
        } else if path.is_dir() {
            self.add_folder(path, path)
        } else if path.symlink_metadata().is_ok() {
            let relative = Path::new(path.file_name().unwrap_or_default());
            match self.add_archive(path, relative)? {
                true => {}
                false => {
                    let count = pages::count_in_path(path, self.max_bytes);
                    self.push(Source::from_path(path), count);
                }
            }
            Ok(())
        } else if let Some(url) = input
            .to_str()
            .filter(|text| is_address(text) && !text.contains('{'))
        {
            self.add_url(url)
        } else if let Some(names) = input.to_str().map(braces::expand).transpose()?.flatten() {
            for name in names {
                let name = OsString::from(name);
                self.add_or_record_failure(PathBuf::from(&name), |collector| collector.add(&name))?;
            }
            Ok(())
        } else if let Some(url) = input.to_str().filter(|text| is_address(text)) {
            self.add_url(url)
        } else if let Some(pattern) = as_glob(input) {
            self.add_glob(pattern)
        } else {
            Err(explain_missing(path))
        }
    }

    /// Adds the photos of every entry of the list at `list`; an entry that leads to none becomes a failure that names
    /// its line.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub(super) fn add_list(&mut self, list: &Path, separator: Separator) -> Result<()> {
        for ListEntry { number, path } in list::read(list, separator)? {
            interrupt::check()?;
            let added = self.add_listed(&path).map_err(|error| match error {
                Error::File {
                    path,
                    reason,
                    fault,
                } => {
                    let list = list::display_name(list).display();
                    let reason = format!("{reason} (line {number} of {list})");
                    Error::file_with_fault(path, reason, fault)
                }
                other => other,
            });
            self.add_or_record_failure(path, |_| added)?;
        }
        Ok(())
    }

    /// Adds the photo at a URL, which is fetched when it is decoded.
    ///
    /// # Errors
    /// If there is no fetcher, or the URL is not a valid http or https one.
    fn add_url(&mut self, url: &str) -> Result<()> {
        let Some(fetcher) = &self.fetcher else {
            return Err(Error::file(
                url,
                "is an address, and nothing is fetched here",
            ));
        };
        let remote = RemotePhoto::new(url, self.page, fetcher)?;
        self.candidates_seen += 1;
        if self.seen.insert(remote.identity()) {
            self.collected.sources.push(Source::Url(remote));
        }
        Ok(())
    }

    /// Adds the photos of an entry of a list: a file, a folder, a tar or a URL, never a pattern.
    ///
    /// # Errors
    /// Why it leads to no photo.
    fn add_listed(&mut self, path: &Path) -> Result<()> {
        if let Some(url) = path.to_str().filter(|text| is_address(text)) {
            return self.add_url(url);
        }
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::file(path, "no such file or folder"),
            _ => Error::io(path, &error),
        })?;
        if metadata.is_dir() {
            return self.add_folder(path, Path::new(""));
        }
        let relative = mirrored(path);
        if self.add_archive(path, &relative)? {
            return Ok(());
        }
        let source = Source::File {
            path: path.to_owned(),
            relative,
            is_named: true,
            page: None,
        };
        let head = pages::read_head(path).map_err(|error| Error::io(path, &error))?;
        let count = match pages::may_have_pages(&head) {
            true => pages::count_in_path(path, self.max_bytes),
            false => 1,
        };
        self.push(source, count);
        Ok(())
    }
}

/// The error for an input that neither exists nor is a pattern.
fn explain_missing(path: &Path) -> Error {
    let is_pattern = || {
        let bytes = path.as_os_str().as_encoded_bytes();
        bytes.iter().any(|c| b"*?[".contains(c))
    };
    if path.as_os_str().is_empty() {
        Error::Usage("an input has an empty name".into())
    } else if path.to_str().is_none() && is_pattern() {
        Error::file(
            path,
            "no such file or folder (and a pattern must be valid UTF-8)",
        )
    } else {
        Error::file_with_fault(path, "no such file or folder", FileFault::Missing)
    }
}
