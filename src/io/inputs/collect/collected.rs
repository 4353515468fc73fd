//! The request to [`collect`](super::collect), and its result.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::io::inputs::list::Separator;
use crate::io::inputs::remote::Fetcher;
use crate::io::inputs::source::Source;
use crate::io::inputs::summary::SearchSummary;

/// The photos that were found, and the inputs that led to none. Nothing is decoded yet.
#[derive(Debug, Default)]
pub struct CollectedInputs {
    /// The photos, in the order of the inputs and within a folder in natural order of names; each file once, with one
    /// source per page.
    pub sources: Vec<Source>,
    /// Inputs that lead to no photo, and files found by a search that should be photos and cannot be read; a run
    /// continues without them.
    pub failures: Vec<InputFailure>,
    /// Counts of the photos found, by format, and of skipped files; `None` if no folder, pattern or tar was searched.
    pub summary: Option<SearchSummary>,
}

/// An input, or a file found by a search, that led to no photo.
#[derive(Debug)]
pub struct InputFailure {
    /// Its path, its pattern, or its address without secrets.
    pub path: PathBuf,
    /// Why it led to no photo.
    pub error: Error,
    /// Number of sources found before it, to report it in the order of the inputs.
    pub sources_before: usize,
}

/// The inputs of a run: what [`collect`](super::collect) searches for photos.
#[derive(Debug, Clone, Default)]
pub struct InputRequest<'a> {
    /// Files, folders, tars, glob patterns, URLs and `-` for standard input, as given by the user.
    pub inputs: &'a [OsString],
    /// List files that name further files, folders and URLs; `-` is standard input.
    pub lists: &'a [PathBuf],
    /// What separates the names of a list.
    pub separator: Separator,
    /// Whether folders are searched with all their subfolders.
    pub recursive: bool,
    /// The page, counted from 1, to take of files with several; `None` for all pages.
    pub page: Option<u32>,
    /// Maximum size in bytes of a file or of standard input that is read to count its pages.
    pub max_bytes: u64,
    /// Fetches photos at URLs; without it a URL is a failure.
    pub fetcher: Option<Arc<Fetcher>>,
}
