//! Finds the photos of a run's inputs: files, folders, glob patterns, braces, tars, lists, URLs and `-`. Turns an
//! [`InputRequest`] into [`CollectedInputs`], without decoding a pixel.
//!
//! [`named`] classifies an input; [`folder`], [`glob`] and [`tar`] search; [`collector`] gathers the results.

mod collected;
mod collector;
mod folder;
mod glob;
mod named;
mod tar;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::inputs::list;

pub use collected::{CollectedInputs, InputFailure, InputRequest};
use collector::InputCollector;

/// Finds the photos of `request`. Folders are searched one level deep, or with all subfolders. Each page or frame of a
/// file becomes a source of its own, unless one page is requested.
///
/// In a folder, hidden files are ignored; files that are not images and pictures that this program made are skipped and
/// counted. Photos that need a program which is not installed become one failure for all of a kind. A file that the
/// user names, or one in a folder with the extension of an image, is always taken; if it is not an image, decoding it
/// fails.
///
/// Names in lists are not expanded as patterns. The outputs of photos in lists mirror their whole paths.
///
/// An input that does not exist, matches nothing or holds no image becomes a failure, as long as others lead to photos.
///
/// # Errors
/// All failures if no input leads to a photo; [`Error::Usage`] if standard input is used twice, or braces expand to too
/// many names; [`Error::Interrupted`] while waiting for a pipe.
pub fn collect(request: &InputRequest<'_>) -> Result<CollectedInputs> {
    let stdin_lists = request.lists.iter().filter(|list| list.as_os_str() == "-");
    let stdin_lists = stdin_lists.count();
    if stdin_lists > 1 || stdin_lists > 0 && request.inputs.iter().any(|input| input == "-") {
        return Err(Error::Usage(
            "--files-from - takes standard input, and so does the other '-'; give one of them as a file".into(),
        ));
    }
    let mut collector = InputCollector {
        recursive: request.recursive,
        page: request.page,
        max_bytes: request.max_bytes,
        fetcher: request.fetcher.clone(),
        ..InputCollector::default()
    };
    for input in request.inputs {
        collector.add_or_record_failure(input.into(), |collector| collector.add(input))?;
    }
    for list in request.lists {
        let shown = list::display_name(list).to_owned();
        collector.add_or_record_failure(shown, |collector| {
            collector.add_list(list, request.separator)
        })?;
    }
    collector.report_missing_programs();
    let CollectedInputs {
        sources,
        failures,
        summary,
    } = collector.collected;
    if sources.is_empty() {
        let mut failures: Vec<Error> = failures.into_iter().map(|failure| failure.error).collect();
        return Err(match failures.len() {
            0 => Error::Usage("no input: name photos, folders, patterns, or '-'".into()),
            1 => failures.remove(0),
            _ => Error::Inputs(failures),
        });
    }
    Ok(CollectedInputs {
        sources,
        failures,
        summary,
    })
}

/// As [`collect`], of the files at `paths`, as if a search of the folder `root` had found them; files of up to
/// `max_bytes` are read to count their pages.
pub(super) fn collect_paths(
    paths: &[PathBuf],
    root: &Path,
    page: Option<u32>,
    max_bytes: u64,
) -> CollectedInputs {
    let mut collector = InputCollector {
        page,
        max_bytes,
        ..InputCollector::default()
    };
    for path in paths {
        collector.add_if_photo(path, root);
    }
    collector.report_missing_programs();
    collector.collected
}
