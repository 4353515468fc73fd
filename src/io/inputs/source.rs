//! [`Source`]: where the bytes of one photo are, and how they are read. The bytes of pipes and standard input are kept
//! in memory, since a photo may be read twice.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::{Error, FileFault, Result};
use crate::io::inputs::archive::TarMember;
use crate::io::inputs::pages;
use crate::io::inputs::remote::RemotePhoto;
use crate::io::inputs::sniff::{self, FileKind};
use crate::system::files::{FileStamp, pipe};
use crate::system::{interrupt, memory};

/// Where the bytes of a photo come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A photo in a file, or one page of it.
    File {
        /// The path by which the file can be opened.
        path: PathBuf,
        /// The path that outputs mirror: relative to the searched folder, or the file name if the user named the file.
        relative: PathBuf,
        /// Whether the user named the file, as opposed to a search finding it.
        is_named: bool,
        /// The page or frame, where there are several.
        page: Option<Page>,
    },
    /// A photo in a tar, or one page of it.
    TarMember {
        /// The member of the tar.
        member: TarMember,
        /// The page or frame, where there are several.
        page: Option<Page>,
    },
    /// A photo at a URL.
    Url(RemotePhoto),
    /// Standard input, or one of several concatenated images there.
    Stdin(Option<Page>),
}

/// One of several images in a file or on standard input: a page, a frame, or a concatenated image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Its number, counted from 1.
    pub number: u32,
    /// Total number of images.
    pub count: u32,
}

/// The bytes of standard input once they have been read, since a photo may be read twice: to fit and then to render.
static STDIN: OnceLock<Result<BufferedStdin, String>> = OnceLock::new();

impl Source {
    /// The stamp of `bytes`, which were read from this source; `metadata` is the result of [`Source::metadata`] before
    /// reading.
    pub fn stamp(&self, bytes: &[u8], metadata: Option<&Metadata>) -> FileStamp {
        match self {
            Source::TarMember { member, .. } => member.stamp(bytes),
            Source::File { .. } | Source::Url(_) | Source::Stdin(_) => {
                FileStamp::of_read_file(bytes, metadata)
            }
        }
    }

    /// The file at `path`, as one that the user named.
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let relative = path.file_name().unwrap_or(OsStr::new("unnamed")).into();
        Source::File {
            path,
            relative,
            is_named: true,
            page: None,
        }
    }

    /// This source restricted to `page`; a source at a URL is unchanged.
    pub fn with_page(&self, page: Page) -> Self {
        let mut source = self.clone();
        match &mut source {
            Source::File { page: of, .. }
            | Source::TarMember { page: of, .. }
            | Source::Stdin(of) => *of = Some(page),
            // Its pages are counted when it is fetched.
            Source::Url(_) => {}
        }
        source
    }

    /// The page if there are several; `None` for URLs, whose pages are not counted before they are fetched.
    pub fn page(&self) -> Option<Page> {
        match self {
            Source::File { page, .. } | Source::TarMember { page, .. } | Source::Stdin(page) => {
                *page
            }
            Source::Url(_) => None,
        }
    }

    /// The number of its page, counted from 1; 0 if it holds one image, or is a URL without a requested page.
    pub fn page_number(&self) -> u32 {
        match self {
            Source::Url(remote) => remote.page(),
            _ => self.page().map_or(0, |page| page.number),
        }
    }

    /// The name of the source in messages: its path, and the page if there are several.
    pub fn name(&self) -> String {
        let name = self.path().display();
        match self.page() {
            Some(page) => format!("{name} (page {})", page.number),
            None => name.to_string(),
        }
    }

    /// The path of the file, `<stdin>`, a URL without secrets, or the path of a tar joined with that of the photo in
    /// it.
    pub fn path(&self) -> &Path {
        match self {
            Source::File { path, .. } => path,
            Source::TarMember { member, .. } => &member.path,
            Source::Url(remote) => remote.display_address(),
            Source::Stdin(_) => Path::new("<stdin>"),
        }
    }

    /// The file that holds its bytes: the photo's or the tar's; `None` for URLs and standard input.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Source::File { path, .. } => Some(path),
            Source::TarMember { member, .. } => Some(&member.archive.path),
            Source::Url(_) | Source::Stdin(_) => None,
        }
    }

    /// The path that its outputs mirror, which may contain `..`.
    pub fn relative(&self) -> Cow<'_, Path> {
        match self {
            Source::File { relative, .. } => relative.into(),
            Source::TarMember { member, .. } => {
                member.archive.relative.join(member.path_in_tar()).into()
            }
            Source::Url(remote) => remote.name().into(),
            Source::Stdin(_) => Path::new("stdin").into(),
        }
    }

    /// [`Source::path`] as an absolute path without `..`; URLs and `<stdin>` are unchanged.
    pub fn absolute(&self) -> PathBuf {
        let path = self.path();
        match self {
            Source::File { .. } | Source::TarMember { .. } => {
                let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                resolve_parent_dirs(absolute)
            }
            Source::Url(_) | Source::Stdin(_) => path.to_owned(),
        }
    }

    /// The metadata of its file; `None` for tar members, URLs and standard input. To be called before reading, so that
    /// a concurrent write is detected by its later modification time.
    pub fn metadata(&self) -> Option<Metadata> {
        match self {
            Source::File { path, .. } => fs::metadata(path).ok(),
            Source::TarMember { .. } | Source::Url(_) | Source::Stdin(_) => None,
        }
    }

    /// The bytes of its file, or of its image on standard input; only the first 4 KiB if they are not an image.
    /// `max_memory` bounds the number of bytes of pipes and standard input (at most 2 GiB), and twice that of files,
    /// tar members and URLs.
    ///
    /// # Errors
    /// Names the source that cannot be read, or is too large.
    pub fn read(&self, max_memory: u64) -> Result<Cow<'static, [u8]>> {
        match self {
            Source::File { path, .. } => read_file(path, max_memory),
            Source::TarMember { member, .. } => read_member(member, max_memory).map(Cow::Owned),
            Source::Url(remote) => remote.fetch(max_memory).map(Cow::Owned),
            Source::Stdin(page) => {
                let stdin = BufferedStdin::get(max_memory)?;
                let image = page.and_then(|page| stdin.image(page.number));
                Ok(image.unwrap_or(&stdin.bytes).into())
            }
        }
    }

    /// The page to decode of the bytes that [`Source::read`] returns; `None` if these are already a single image of a
    /// stream.
    pub(super) fn page_within(&self) -> Option<Page> {
        match (self, BufferedStdin::already_read()) {
            (Source::Stdin(_), Some(stdin)) if stdin.images.len() > 1 => None,
            _ => self.page(),
        }
    }
}

/// A path without `..`, resolved through links; unchanged if it cannot be resolved.
fn resolve_parent_dirs(path: PathBuf) -> PathBuf {
    let goes_up = |part| part == Component::ParentDir;
    if !path.components().any(goes_up) {
        return path;
    }
    let whole = path.parent().zip(path.file_name());
    let real = whole.and_then(|(folder, name)| Some(fs::canonicalize(folder).ok()?.join(name)));
    real.unwrap_or(path)
}

/// All bytes of standard input, and the images in them.
#[derive(Debug)]
pub(super) struct BufferedStdin {
    bytes: Vec<u8>,
    /// The byte ranges of the concatenated images.
    images: Vec<Range<usize>>,
}

impl BufferedStdin {
    /// Standard input, which the first call reads, up to `max_bytes`.
    ///
    /// # Errors
    /// If it cannot be read or is too large; [`Error::Interrupted`].
    pub fn get(max_bytes: u64) -> Result<&'static Self> {
        if STDIN.get().is_none() {
            let read = interrupt::wait_for(move || {
                read_image(io::stdin().lock(), max_bytes.min(pipe::MAX_PIPE_BYTES))
            })?;
            let read = read.map_err(|error| error.to_string()).map(|bytes| {
                let images = pages::split_stream(&bytes);
                BufferedStdin { bytes, images }
            });
            let _ = STDIN.set(read);
        }
        match STDIN.get() {
            Some(Ok(stdin)) => Ok(stdin),
            Some(Err(why)) => Err(Error::file("<stdin>", why)),
            None => Err(Error::Interrupted),
        }
    }

    /// Standard input, if it has been read.
    fn already_read() -> Option<&'static Self> {
        STDIN.get()?.as_ref().ok()
    }

    /// The number of concatenated images, or of pages within a single one.
    pub fn count(&self) -> u32 {
        match self.images.len() {
            0 | 1 => pages::count_in_file(&self.bytes),
            many => many as u32,
        }
    }

    /// The bytes of image `number`, counted from 1, if several are concatenated.
    fn image(&self, number: u32) -> Option<&[u8]> {
        let range = self.images.get(number.checked_sub(1)? as usize)?;
        match self.images.len() {
            0 | 1 => None,
            _ => self.bytes.get(range.clone()),
        }
    }
}

/// The bytes of a file, twice the size of which must fit into `max_memory`, or of a pipe; only the first 4 KiB if they
/// are not an image.
///
/// # Errors
/// If it cannot be read or is too large.
fn read_file(path: &Path, max_memory: u64) -> Result<Cow<'static, [u8]>> {
    let failed = |error: io::Error| Error::io(path, &error);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            // The bytes are copied once while they are decoded.
            let twice = metadata.len().checked_mul(2);
            if let Some(bytes) = twice.filter(|&bytes| bytes > max_memory) {
                return Err(Error::file_with_fault(
                    path,
                    memory::over_limit_reason(bytes, max_memory),
                    FileFault::Memory,
                ));
            }
            let read = File::open(path).and_then(|file| read_image(file, max_memory));
            read.map(Cow::Owned).map_err(failed)
        }
        _ => read_pipe(path, max_memory.min(pipe::MAX_PIPE_BYTES)),
    }
}

/// The bytes of a photo in a tar, under the rules of [`read_file`].
///
/// # Errors
/// If it cannot be read, is too large, or the tar ends within it.
fn read_member(member: &TarMember, max_memory: u64) -> Result<Vec<u8>> {
    let twice = member.bytes.checked_mul(2);
    if let Some(bytes) = twice.filter(|&bytes| bytes > max_memory) {
        let why = memory::over_limit_reason(bytes, max_memory);
        return Err(Error::file(&member.path, why));
    }
    let read = || {
        let bytes = read_image(member.open()?, max_memory)?;
        // If it is not an image, only its head is read.
        let is_whole = [member.bytes, sniff::HEAD_BYTES as u64].contains(&(bytes.len() as u64));
        match is_whole {
            true => Ok(bytes),
            false => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    };
    read().map_err(|error| Error::io(&member.path, &error))
}

/// The bytes of pipes that have been read, by their paths.
static PIPES: Mutex<BTreeMap<PathBuf, &'static [u8]>> = Mutex::new(BTreeMap::new());

/// The bytes of a pipe, which the first call reads, up to `max_bytes`.
///
/// # Errors
/// If it cannot be read or is too large; [`Error::Interrupted`].
fn read_pipe(path: &Path, max_bytes: u64) -> Result<Cow<'static, [u8]>> {
    let pipes = || PIPES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = pipes().get(path) {
        return Ok(Cow::Borrowed(*known));
    }
    let owned = path.to_owned();
    let read = interrupt::wait_for(move || read_image(File::open(owned)?, max_bytes))?;
    let bytes: &'static [u8] = read.map_err(|error| Error::io(path, &error))?.leak();
    pipes().insert(path.to_owned(), bytes);
    Ok(Cow::Borrowed(bytes))
}

/// Reads an image, or several concatenated ones, of up to `max_bytes` bytes; of anything else only the first
/// [`sniff::HEAD_BYTES`].
///
/// # Errors
/// If the reader fails or has more bytes.
fn read_image(mut from: impl Read, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    from.by_ref()
        .take(sniff::HEAD_BYTES as u64)
        .read_to_end(&mut head)?;
    match sniff::identify(&head) {
        FileKind::Other | FileKind::Tar | FileKind::Clip(_) | FileKind::UnsupportedPicture(_) => {
            Ok(head)
        }
        _ => pipe::read_to(from, head, max_bytes),
    }
}
