//! Which files are meant by what was typed: files, folders, globs, lists and `-`.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use image::ImageFormat;
use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, FileFault, Result};
use crate::io::inputs::archive::{self, TarMember};
use crate::io::inputs::list::{self, ListEntry, Separator};
use crate::io::inputs::remote::{self, Fetcher, RemotePhoto, is_address};
use crate::io::inputs::sniff::{self, FileKind};
use crate::io::inputs::source::{BufferedStdin, Page, Source};
use crate::io::inputs::summary::{
    COMPANION_PICTURES, LINKS_AND_SPARSE, REPEATED_MEMBERS, SearchSummary, SkipSeverity, TARS,
};
use crate::io::inputs::{braces, natural, pages};
use crate::system::interrupt;

/// The photos that were found, and what could not even be looked at.
#[derive(Debug, Default)]
pub struct CollectedInputs {
    /// In the order typed; within a folder in natural order of names. Each file once.
    pub sources: Vec<Source>,
    /// Files and folders that claim to be of use and are not; the rest goes on without them.
    pub failures: Vec<InputFailure>,
    /// What was found and what was passed over, where folders were searched.
    pub summary: Option<SearchSummary>,
}

/// An input that led to no photo.
#[derive(Debug)]
pub struct InputFailure {
    /// Its path, or the pattern.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: Error,
    /// How many photos were found before it.
    pub sources_before: usize,
}

/// Which photos are asked for.
#[derive(Debug, Clone, Default)]
pub struct InputRequest<'a> {
    /// Files, folders, patterns and `-`, as they were typed.
    pub inputs: &'a [OsString],
    /// Lists of more files and folders; `-` is standard input.
    pub lists: &'a [PathBuf],
    /// What stands between the names of a list.
    pub separator: Separator,
    /// Search folders with all their subfolders.
    pub recursive: bool,
    /// Take this page of files with several, counted from 1.
    pub page: Option<u32>,
    /// Bytes of a file, at most, that is looked into.
    pub max_bytes: u64,
    /// What fetches photos at addresses, if anything does.
    pub fetcher: Option<Arc<Fetcher>>,
}

/// Finds the photos that are asked for. Folders are searched one level deep, or all the way. Of a file with several pages
/// or frames each is a source of its own, or only the one that is asked for.
///
/// In a folder, hidden files and non-images are passed over and counted, as are pictures that this program made; a file
/// whose name promises an image and whose content is none becomes a failure, and so do photos that need a program which
/// is not installed, one failure for all of a kind. Files that are named are taken as they are: whether they are images
/// is seen when they are decoded.
///
/// Names in lists are no patterns. What is made of them mirrors their whole paths.
///
/// An input that does not exist, matches nothing or holds no image is a failure beside others that do.
///
/// # Errors
/// All failures if no input leads to a photo; [`Error::Usage`] if two of them want standard input;
/// [`Error::Interrupted`] while a pipe is waited for.
pub fn collect(request: &InputRequest<'_>) -> Result<CollectedInputs> {
    let of_stdin = request.lists.iter().filter(|list| list.as_os_str() == "-");
    let of_stdin = of_stdin.count();
    if of_stdin > 1 || of_stdin > 0 && request.inputs.iter().any(|input| input == "-") {
        return Err(Error::Usage(
            "--files-from - takes standard input, and so does the other '-'; give one of them as a file".into(),
        ));
    }
    let mut finder = InputCollector {
        recursive: request.recursive,
        page: request.page,
        max_bytes: request.max_bytes,
        fetcher: request.fetcher.clone(),
        ..InputCollector::default()
    };
    for input in request.inputs {
        finder.add_or_record_failure(input.into(), |finder| finder.add(input))?;
    }
    for list in request.lists {
        let shown = list::display_name(list).to_owned();
        finder.add_or_record_failure(shown, |finder| finder.add_list(list, request.separator))?;
    }
    finder.report_missing_programs();
    let CollectedInputs {
        sources,
        failures,
        summary,
    } = finder.collected;
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

/// As [`collect`], of files at these `paths` that were come across below `root`.
pub(super) fn collect_paths(
    paths: &[PathBuf],
    root: &Path,
    page: Option<u32>,
    most: u64,
) -> CollectedInputs {
    let mut finder = InputCollector {
        page,
        max_bytes: most,
        ..InputCollector::default()
    };
    for path in paths {
        finder.add_if_photo(path, root);
    }
    finder.report_missing_programs();
    finder.collected
}

#[derive(Default)]
struct InputCollector {
    recursive: bool,
    page: Option<u32>,
    /// Bytes of a file, at most.
    max_bytes: u64,
    fetcher: Option<Arc<Fetcher>>,
    collected: CollectedInputs,
    seen: HashSet<PathBuf>,
    /// Folders without links, by how they are spelled.
    canonical_folders: HashMap<PathBuf, Option<PathBuf>>,
    /// Images and failures so far, with those that had been seen before.
    candidates_seen: usize,
}

impl InputCollector {
    /// Has `add` add what is at `path`; why it leads to no photo becomes a failure.
    fn add_or_record_failure(
        &mut self,
        path: PathBuf,
        add: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        match add(self) {
            Err(fatal @ (Error::Interrupted | Error::Usage(_))) => Err(fatal),
            Err(error) => {
                let shown = path.to_str().map(remote::mask_address);
                self.push_failure(shown.map_or(path, PathBuf::from), error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn add(&mut self, input: &OsStr) -> Result<()> {
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
                false => self.push(Source::from_path(path), count_pages(path, self.max_bytes)),
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
                self.add_or_record_failure(PathBuf::from(&name), |finder| finder.add(&name))?;
            }
            Ok(())
        } else if let Some(url) = input.to_str().filter(|text| is_address(text)) {
            self.add_url(url)
        } else if let Some(pattern) = as_glob(input) {
            self.add_glob(pattern)
        } else {
            Err(missing(path))
        }
    }

    /// Adds what is on a list.
    fn add_list(&mut self, list: &Path, separator: Separator) -> Result<()> {
        for ListEntry { number, path } in list::read(list, separator)? {
            interrupt::check()?;
            let added = self.add_listed(&path).map_err(|error| match error {
                Error::File {
                    path,
                    reason: why,
                    fault,
                } => {
                    let list = list::display_name(list).display();
                    let why = format!("{why} (line {number} of {list})");
                    Error::file_with_fault(path, why, fault)
                }
                other => other,
            });
            self.add_or_record_failure(path, |_| added)?;
        }
        Ok(())
    }

    /// Adds the photo at an address, which is not asked before its turn.
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

    /// Adds a file, a folder or an address that is on a list.
    fn add_listed(&mut self, path: &Path) -> Result<()> {
        if let Some(url) = path.to_str().filter(|text| is_address(text)) {
            return self.add_url(url);
        }
        let met = fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::file(path, "no such file or folder"),
            _ => Error::io(path, &error),
        })?;
        if met.is_dir() {
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
        let head = read_head(path).map_err(|error| Error::io(path, &error))?;
        let count = match pages::may_have_pages(&head) {
            true => count_pages(path, self.max_bytes),
            false => 1,
        };
        self.push(source, count);
        Ok(())
    }

    /// Adds the photos in the tar at `path`, whose outputs mirror `relative`; false if it is none.
    fn add_archive(&mut self, path: &Path, relative: &Path) -> Result<bool> {
        if let Some(why) = archive::explain_compressed_tar(path) {
            return Err(Error::file(path, why));
        }
        let is_tar = archive::is_tar_name(path)
            || read_head(path).is_ok_and(|head| sniff::identify(&head) == FileKind::Tar);
        if !is_tar {
            return Ok(false);
        }
        let before = self.candidates_seen;
        self.candidates_seen += 1;
        let place = self.canonical_path(path);
        if !self.seen.insert(place) {
            return Ok(true);
        }
        let contents = archive::scan(path, archive::without_ending(relative))?;
        let tar = File::open(path).map_err(|error| Error::io(path, &error))?;
        for member in contents.photos {
            interrupt::check()?;
            self.add_tar_member(member, &tar);
        }
        let summary = self.summary_mut();
        for other in &contents.others {
            summary.count_skipped(
                FileKind::Other.name(),
                other,
                SkipSeverity::Irrelevant,
                || "no images".into(),
            );
        }
        for (other, photo) in &contents.companions {
            let why = || {
                format!(
                    "is beside {}, which is taken for the photo of the sample",
                    photo.display()
                )
            };
            summary.count_skipped(COMPANION_PICTURES, other, SkipSeverity::MaybeWanted, why);
        }
        for other in &contents.repeated {
            let why = || "is in its tar more than once, and the last is taken".into();
            summary.count_skipped(REPEATED_MEMBERS, other, SkipSeverity::MaybeWanted, why);
        }
        for other in &contents.links_and_sparse {
            let why =
                || "is a link or a sparse file, whose bytes are not in its tar as they are".into();
            summary.count_skipped(LINKS_AND_SPARSE, other, SkipSeverity::MaybeWanted, why);
        }
        match contents.fault {
            Some(fault) => Err(Error::file(path, fault)),
            None if self.candidates_seen == before + 1 => Err(Error::file(
                path,
                self.reason_for_none()
                    .unwrap_or_else(|| "no images in this tar".into()),
            )),
            None => Ok(true),
        }
    }

    /// Adds a photo of a `tar`, as one that is come across in a folder.
    fn add_tar_member(&mut self, member: TarMember, tar: &File) {
        let path = member.path.clone();
        let extension = path.extension().unwrap_or_default();
        let is_jpeg = ["jpg", "jpeg"]
            .iter()
            .any(|one| extension.eq_ignore_ascii_case(one));
        // Their bytes are not needed before their turn.
        let head = match is_jpeg {
            true => Ok(None),
            false => member.head(tar).map(Some),
        };
        let head = match head {
            Ok(head) => head,
            Err(error) => return self.push_io_failure(&path, &error),
        };
        let kind = match &head {
            Some(head) => sniff::identify(head),
            None => FileKind::Image(ImageFormat::Jpeg),
        };
        if !self.accept_photo(kind, &path) {
            return;
        }
        let may_be_many = head.is_some_and(|head| pages::may_have_pages(&head));
        let source = Source::TarMember { member, page: None };
        let count = match may_be_many {
            // What cannot be read is told when it is decoded.
            true => source
                .read(self.max_bytes)
                .map_or(1, |bytes| pages::count_in_file(&bytes)),
            false => 1,
        };
        self.candidates_seen += 1;
        self.push_pages(source, count);
    }

    /// Adds the images of a folder, with paths relative to `root`.
    fn add_folder(&mut self, folder: &Path, root: &Path) -> Result<()> {
        self.summary_mut();
        let before = self.candidates_seen;
        let own = self.search(folder, root);
        if self.candidates_seen > before {
            return Ok(());
        }
        let why = if let Some(why) = self.reason_for_none() {
            why
        } else if own > 0 {
            "no photos, only pictures that dino made itself (name them one by one to use them)"
                .into()
        } else if !self.recursive && has_subfolder(folder) {
            "no images in this folder (-r looks into its subfolders too)".into()
        } else {
            "no images in this folder".into()
        };
        Err(Error::file(folder, why))
    }

    /// Why there are no photos where some may be missed.
    fn reason_for_none(&self) -> Option<String> {
        let passed_over = &self.collected.summary.as_ref()?.skipped;
        let missed = passed_over
            .values()
            .find(|of_kind| of_kind.severity != SkipSeverity::Irrelevant)?;
        let first = missed.first.display();
        Some(format!("no photos; {first}: {}", missed.reason))
    }

    /// Adds what a pattern matches; its fixed leading folders are not mirrored in the output.
    fn add_glob(&mut self, pattern: &str) -> Result<()> {
        let options = glob::MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..glob::MatchOptions::new()
        };
        let root = fixed_prefix(Path::new(pattern));
        let parts = Path::new(pattern).components();
        let below = parts.filter(|part| *part != Component::CurDir);
        let below: PathBuf = below.skip(root.components().count()).collect();
        let wanted = glob::Pattern::new(&below.to_string_lossy()).map_err(|error| {
            let why = format!("no such file, and not a pattern either: {}", error.msg);
            Error::file(pattern, why)
        })?;
        if below.components().any(|part| part == Component::ParentDir) {
            let why = "has `..` behind a wildcard, where nothing is looked for; put it before";
            return Err(Error::file(pattern, why));
        }
        // Folders are entered only where something in them may match.
        let names = below
            .iter()
            .map(|part| glob::Pattern::new(&part.to_string_lossy()));
        let names: Vec<glob::Pattern> = names.filter_map(std::result::Result::ok).collect();
        let known = below.iter().take_while(|part| *part != "**").count();
        let may_match = |entry: &DirEntry| match entry.depth() {
            0 => true,
            depth if depth <= known => names.get(depth - 1).is_none_or(|name| {
                name.matches_with(&entry.file_name().to_string_lossy(), options)
            }),
            _ => true,
        };
        let wants_folders = pattern.ends_with(std::path::is_separator);
        let depth = match pattern.contains("**") {
            true => usize::MAX,
            false => below.components().count(),
        };
        let from = match root.as_os_str().is_empty() {
            true => Path::new("."),
            false => &root,
        };
        let is_wanted = |path: &Path| {
            let below = path.strip_prefix(from).unwrap_or(path);
            let is = wanted.matches_with(&below.to_string_lossy(), options);
            is.then(|| root.join(below))
        };
        let mut paths: Vec<PathBuf> = Vec::new();
        // Not by `glob`'s own walk, which panics at names that are no UTF-8.
        let walk = WalkDir::new(from).max_depth(depth).follow_links(true);
        for entry in walk.into_iter().filter_entry(may_match) {
            match entry {
                Ok(entry) if entry.depth() == 0 => {}
                Ok(entry) if wants_folders && !entry.file_type().is_dir() => {}
                Ok(entry) => paths.extend(is_wanted(entry.path())),
                Err(error) if error.loop_ancestor().is_some() => {}
                // Such as a dangling link.
                Err(error) => paths.extend(error.path().and_then(is_wanted)),
            }
        }
        paths.sort_by(|a, b| compare_components(a, b));
        self.summary_mut();
        let before = self.candidates_seen;
        for path in paths {
            if path.is_dir() {
                if self.recursive {
                    self.search(&path, &root);
                }
            } else if archive::is_tar_name(&path) {
                let relative = mirrored(path.strip_prefix(&root).unwrap_or(&path));
                self.add_or_record_failure(path.clone(), |finder| {
                    finder.add_archive(&path, &relative).map(|_| ())
                })?;
            } else {
                self.add_if_photo(&path, &root);
            }
        }
        if self.candidates_seen == before {
            let why = self.reason_for_none();
            let why = why.unwrap_or_else(|| "this pattern matches no image".into());
            return Err(Error::file(pattern, why));
        }
        Ok(())
    }

    /// Walks `folder` and adds its images, with paths relative to `root`. Returns how many of this program's own
    /// pictures were passed over.
    fn search(&mut self, folder: &Path, root: &Path) -> usize {
        let depth = if self.recursive { usize::MAX } else { 1 };
        let walk = WalkDir::new(folder)
            .follow_links(true)
            .max_depth(depth)
            .sort_by(|a, b| natural::compare(a.file_name(), b.file_name()))
            .into_iter()
            .filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry));
        let mut own = 0;
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    own +=
                        usize::from(self.add_if_photo(entry.path(), root) == FileKind::OwnPicture);
                }
                Ok(_) => {}
                // A link back to a folder that we are in: everything behind it has its own turn.
                Err(error) if error.loop_ancestor().is_some() => {}
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_owned();
                    // A dangling link, unless its name promises an image, is none of our business.
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
        own
    }

    /// Adds a file that was come across, if it is an image.
    fn add_if_photo(&mut self, path: &Path, root: &Path) -> FileKind {
        let head = match read_head(path) {
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
            true => count_pages(path, self.max_bytes),
            false => 1,
        };
        self.push(source, count);
        kind
    }

    /// Whether what is at `path` and of this `kind` is a photo that can be read, which is counted either way.
    fn accept_photo(&mut self, kind: FileKind, path: &Path) -> bool {
        let summary = self.collected.summary.get_or_insert_default();
        let name = kind.name();
        let compressed = || match kind {
            FileKind::Other => archive::explain_compressed_tar(path),
            _ => None,
        };
        let (missed, why) = match kind {
            FileKind::Image(_) => {
                summary.count(name);
                return true;
            }
            FileKind::Foreign(foreign) => match foreign.check() {
                Ok(()) => {
                    summary.count(name);
                    return true;
                }
                Err(why) => {
                    self.candidates_seen += 1;
                    (SkipSeverity::Failed, why)
                }
            },
            FileKind::OwnPicture => (SkipSeverity::Irrelevant, "dino made them".into()),
            FileKind::Clip(_) => (
                SkipSeverity::MaybeWanted,
                "is a video clip; name it itself to make a film of it, or take pictures out: ffmpeg -i CLIP -vf fps=1 frame-%05d.png"
                    .into(),
            ),
            FileKind::Tar => (
                SkipSeverity::MaybeWanted,
                "is a tar archive; name it to take the photos in it".into(),
            ),
            FileKind::Unsuitable(_) => (
                SkipSeverity::Irrelevant,
                format!("{name} is not supported; convert it to JPEG or PNG first"),
            ),
            // Its name promises an image: why it is none is said when it is decoded.
            FileKind::Other if sniff::is_image_name(path) => return true,
            FileKind::Other => match compressed() {
                Some(why) => {
                    summary.count_skipped(TARS, path, SkipSeverity::MaybeWanted, || why);
                    return false;
                }
                None => (SkipSeverity::Irrelevant, "no images".into()),
            },
        };
        summary.count_skipped(name, path, missed, || why);
        false
    }

    /// Adds a source with `count` pages, unless the same file is there already.
    fn push(&mut self, source: Source, count: u32) {
        self.candidates_seen += 1;
        let place = self.canonical_path(source.path());
        if self.seen.insert(place) {
            self.push_pages(source, count);
        }
    }

    /// Where a file is, however it was spelled: its real folder and its name (a link and its target are two files).
    fn canonical_path(&mut self, path: &Path) -> PathBuf {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let real = match self.canonical_folders.get(folder) {
            Some(real) => real.clone(),
            None => {
                let real = fs::canonicalize(folder).ok();
                self.canonical_folders
                    .insert(folder.to_owned(), real.clone());
                real
            }
        };
        match (real, path.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        }
    }

    /// Adds the pages that are meant of a source that has `count` of them.
    fn push_pages(&mut self, source: Source, count: u32) {
        let sources = &mut self.collected.sources;
        match (count, self.page) {
            (0 | 1, None | Some(1)) => sources.push(source),
            (of, None) => {
                sources.extend((1..=of).map(|number| source.with_page(Page { number, count: of })))
            }
            (of, Some(number)) if number <= of => {
                sources.push(source.with_page(Page { number, count: of }));
            }
            (of, Some(number)) => {
                let images = if of == 1 { "one image" } else { "images" };
                let why = match of {
                    1 => format!("holds {images}, so there is no page {number}"),
                    _ => format!("holds {of} {images}, so there is no page {number}"),
                };
                self.push_error(Error::file(source.path(), why));
            }
        }
    }

    /// What is told of the search at its end.
    fn summary_mut(&mut self) -> &mut SearchSummary {
        self.collected.summary.get_or_insert_default()
    }

    /// Turns photos that nothing here can decode into one failure a kind.
    fn report_missing_programs(&mut self) {
        let Some(summary) = &self.collected.summary else {
            return;
        };
        let missed = summary.skipped.iter();
        let mut blamed = Vec::new();
        for (kind, of_kind) in
            missed.filter(|(_, of_kind)| of_kind.severity == SkipSeverity::Failed)
        {
            let others = match of_kind.files {
                1 => String::new(),
                files => format!(" (and {} more {kind} files)", files - 1),
            };
            let why = format!("{}{others}", of_kind.reason);
            blamed.push((of_kind.first.clone(), Error::file(&of_kind.first, why)));
        }
        for (path, error) in blamed {
            self.push_failure(path, error);
        }
    }

    fn push_io_failure(&mut self, path: &Path, error: &std::io::Error) {
        self.push_error(Error::io(path, error));
    }

    fn push_error(&mut self, error: Error) {
        let path = match &error {
            Error::File { path, .. } => path.clone(),
            other => PathBuf::from(other.to_string()),
        };
        self.candidates_seen += 1;
        self.push_failure(path, error);
    }

    fn push_failure(&mut self, path: PathBuf, error: Error) {
        let before = self.collected.sources.len();
        self.collected.failures.push(InputFailure {
            path,
            error,
            sources_before: before,
        });
    }
}

/// The path below the output folder that mirrors `path`: without its root, and without a way up.
fn mirrored(path: &Path) -> PathBuf {
    let mut mirrored = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => mirrored.push(name),
            Component::ParentDir => drop(mirrored.pop()),
            _ => {}
        }
    }
    mirrored
}

/// Images in a file; 1 where it cannot be read, which is told when it is decoded.
pub(super) fn count_pages(path: &Path, most: u64) -> u32 {
    // A pipe can be read only once.
    let is_file = fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= most);
    // What has one at all events is not read.
    let is_one = |head: Vec<u8>| sniff::identify(&head) == FileKind::Image(ImageFormat::Jpeg);
    if !is_file || read_head(path).is_ok_and(is_one) {
        return 1;
    }
    fs::read(path).map_or(1, |bytes| pages::count_in_file(&bytes))
}

fn read_head(path: &Path) -> std::io::Result<Vec<u8>> {
    // Opening a pipe or a device that happens to lie in a folder could block for ever.
    if !fs::metadata(path)?.is_file() {
        return Ok(Vec::new());
    }
    let mut head = Vec::new();
    File::open(path)?
        .take(sniff::HEAD_BYTES as u64)
        .read_to_end(&mut head)?;
    Ok(head)
}

/// Why an input that is neither there nor a pattern was refused.
fn missing(path: &Path) -> Error {
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

fn as_glob(input: &OsStr) -> Option<&str> {
    input.to_str().filter(|text| text.contains(['*', '?', '[']))
}

/// The leading folders of a pattern that contain no wildcard.
fn fixed_prefix(pattern: &Path) -> PathBuf {
    let folder = pattern.parent().unwrap_or(Path::new(""));
    let literal = |part: &Component| as_glob(part.as_os_str()).is_none();
    // The glob crate returns paths without a leading "./".
    folder
        .components()
        .take_while(literal)
        .filter(|part| *part != Component::CurDir)
        .collect()
}

fn compare_components(a: &Path, b: &Path) -> Ordering {
    let (mut a, mut b) = (a.iter(), b.iter());
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (Some(a), Some(b)) => natural::compare(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn has_subfolder(folder: &Path) -> bool {
    fs::read_dir(folder)
        .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|e| e.path().is_dir())))
}
