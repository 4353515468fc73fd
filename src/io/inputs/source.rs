//! One photo that has been asked for, and its bytes.

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
    /// A file.
    File {
        /// The file as it can be opened.
        path: PathBuf,
        /// Its path below the folder it was found in; just its name if it was named itself.
        relative: PathBuf,
        /// Named by the user, not found by searching.
        is_named: bool,
        /// Which of several pages or frames it is.
        page: Option<Page>,
    },
    /// A photo in a tar.
    TarMember {
        /// Which.
        member: TarMember,
        /// Which of several pages or frames it is.
        page: Option<Page>,
    },
    /// A photo at an address.
    Url(RemotePhoto),
    /// Standard input, and which of several images there it is.
    Stdin(Option<Page>),
}

/// One of several images in a file or on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Counted from 1.
    pub number: u32,
    /// How many there are.
    pub count: u32,
}

/// Standard input can be read once, a photo may be wanted twice (to fit, then to draw).
static STDIN: OnceLock<Result<BufferedStdin, String>> = OnceLock::new();

impl Source {
    /// Takes the stamp of the `bytes` that were read of it; `met` was asked about its file before.
    pub fn stamp(&self, bytes: &[u8], met: Option<&Metadata>) -> FileStamp {
        match self {
            Source::TarMember { member, .. } => member.stamp(bytes),
            Source::File { .. } | Source::Url(_) | Source::Stdin(_) => {
                FileStamp::of_read_file(bytes, met)
            }
        }
    }

    /// A file that the user named.
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

    /// The same file or input, but only this image of it.
    pub fn with_page(&self, page: Page) -> Self {
        let mut source = self.clone();
        match &mut source {
            Source::File { page: of, .. }
            | Source::TarMember { page: of, .. }
            | Source::Stdin(of) => *of = Some(page),
            // How many there are is seen when it is fetched.
            Source::Url(_) => {}
        }
        source
    }

    /// Which of several images it is.
    pub fn page(&self) -> Option<Page> {
        match self {
            Source::File { page, .. } | Source::TarMember { page, .. } | Source::Stdin(page) => {
                *page
            }
            Source::Url(_) => None,
        }
    }

    /// The number of its page, 0 where there is one alone.
    pub fn page_number(&self) -> u32 {
        match self {
            Source::Url(remote) => remote.page(),
            _ => self.page().map_or(0, |page| page.number),
        }
    }

    /// What to call it in messages.
    pub fn name(&self) -> String {
        let name = self.path().display();
        match self.page() {
            Some(page) => format!("{name} (page {})", page.number),
            None => name.to_string(),
        }
    }

    /// The file's path, `<stdin>`, an address as it may be shown, or of a photo in a tar that of the tar and below it its own.
    pub fn path(&self) -> &Path {
        match self {
            Source::File { path, .. } => path,
            Source::TarMember { member, .. } => &member.path,
            Source::Url(remote) => remote.display_address(),
            Source::Stdin(_) => Path::new("<stdin>"),
        }
    }

    /// The file that its bytes are in, if they are in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Source::File { path, .. } => Some(path),
            Source::TarMember { member, .. } => Some(&member.archive.path),
            Source::Url(_) | Source::Stdin(_) => None,
        }
    }

    /// The path that its outputs mirror, which need not be without a way up.
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

    /// [`Source::path`], wherever it is named from.
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

    /// What the system says about the file that is all of it; asked before it is read, since whatever is written meanwhile
    /// has a later time.
    pub fn metadata(&self) -> Option<Metadata> {
        match self {
            Source::File { path, .. } => fs::metadata(path).ok(),
            Source::TarMember { .. } | Source::Url(_) | Source::Stdin(_) => None,
        }
    }

    /// The bytes of its file, or of its own image on standard input, `most` at most; nothing past the first few kilobytes
    /// is read from something that is no image.
    ///
    /// # Errors
    /// Names the source that cannot be read, or has more bytes.
    pub fn read(&self, most: u64) -> Result<Cow<'static, [u8]>> {
        match self {
            Source::File { path, .. } => read_file(path, most),
            Source::TarMember { member, .. } => read_member(member, most).map(Cow::Owned),
            Source::Url(remote) => remote.fetch(most).map(Cow::Owned),
            Source::Stdin(page) => {
                let stdin = BufferedStdin::get(most)?;
                let image = page.and_then(|page| stdin.image(page.number));
                Ok(image.unwrap_or(&stdin.bytes).into())
            }
        }
    }

    /// The page to take of the bytes that [`Source::read`] gives; an image of a stream is cut out of it already.
    pub(super) fn page_within(&self) -> Option<Page> {
        match (self, BufferedStdin::already_read()) {
            (Source::Stdin(_), Some(stdin)) if stdin.images.len() > 1 => None,
            _ => self.page(),
        }
    }
}

/// A path without `..`, which may lead through links.
fn resolve_parent_dirs(path: PathBuf) -> PathBuf {
    let goes_up = |part| part == Component::ParentDir;
    if !path.components().any(goes_up) {
        return path;
    }
    let whole = path.parent().zip(path.file_name());
    let real = whole.and_then(|(folder, name)| Some(fs::canonicalize(folder).ok()?.join(name)));
    real.unwrap_or(path)
}

/// All of standard input.
#[derive(Debug)]
pub(super) struct BufferedStdin {
    bytes: Vec<u8>,
    /// Where the images are that follow each other; one at least.
    images: Vec<Range<usize>>,
}

impl BufferedStdin {
    /// Reads it, the first time; `most` bytes at most.
    pub fn get(most: u64) -> Result<&'static Self> {
        if STDIN.get().is_none() {
            let read = interrupt::wait_for(move || {
                read_image(io::stdin().lock(), most.min(pipe::MAX_PIPE_BYTES))
            })?;
            let read = read.map_err(|error| error.to_string()).map(|bytes| {
                let images = pages::split_stream(&bytes);
                BufferedStdin { bytes, images }
            });
            // Only one thread asks first.
            let _ = STDIN.set(read);
        }
        match STDIN.get() {
            Some(Ok(stdin)) => Ok(stdin),
            Some(Err(why)) => Err(Error::file("<stdin>", why)),
            None => Err(Error::Interrupted),
        }
    }

    /// As it was read.
    fn already_read() -> Option<&'static Self> {
        STDIN.get()?.as_ref().ok()
    }

    /// Images that follow each other, or pages within the only one.
    pub fn count(&self) -> u32 {
        match self.images.len() {
            0 | 1 => pages::count_in_file(&self.bytes),
            many => many as u32,
        }
    }

    fn image(&self, number: u32) -> Option<&[u8]> {
        let range = self.images.get(number.checked_sub(1)? as usize)?;
        match self.images.len() {
            0 | 1 => None,
            _ => self.bytes.get(range.clone()),
        }
    }
}

/// The bytes of a file, or of a pipe; of what is no image only the first kilobytes, and never more than `most`.
fn read_file(path: &Path, most: u64) -> Result<Cow<'static, [u8]>> {
    let failed = |error: io::Error| Error::io(path, &error);
    match fs::metadata(path) {
        Ok(met) if met.is_file() => {
            // It is copied once while it is decoded.
            if let Some(bytes) = met.len().checked_mul(2).filter(|&bytes| bytes > most) {
                return Err(Error::file_with_fault(
                    path,
                    memory::too_much(bytes, most),
                    FileFault::Memory,
                ));
            }
            let read = File::open(path).and_then(|file| read_image(file, most));
            read.map(Cow::Owned).map_err(failed)
        }
        _ => read_pipe(path, most.min(pipe::MAX_PIPE_BYTES)),
    }
}

/// The bytes of a photo in a tar; of what is no image only the first kilobytes.
fn read_member(member: &TarMember, most: u64) -> Result<Vec<u8>> {
    // As of a file.
    if let Some(bytes) = member.bytes.checked_mul(2).filter(|&bytes| bytes > most) {
        return Err(Error::file(&member.path, memory::too_much(bytes, most)));
    }
    let read = || {
        let bytes = read_image(member.open()?, most)?;
        // Of what is no image, the head alone is read.
        let is_whole = [member.bytes, sniff::HEAD_BYTES as u64].contains(&(bytes.len() as u64));
        match is_whole {
            true => Ok(bytes),
            false => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    };
    read().map_err(|error| Error::io(&member.path, &error))
}

/// What came out of pipes, by their paths: each can be read once, a photo may be wanted twice.
static PIPES: Mutex<BTreeMap<PathBuf, &'static [u8]>> = Mutex::new(BTreeMap::new());

/// The bytes that come, or came, out of a pipe.
fn read_pipe(path: &Path, most: u64) -> Result<Cow<'static, [u8]>> {
    let pipes = || PIPES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = pipes().get(path) {
        return Ok(Cow::Borrowed(*known));
    }
    let owned = path.to_owned();
    let read = interrupt::wait_for(move || read_image(File::open(owned)?, most))?;
    let bytes: &'static [u8] = read.map_err(|error| Error::io(path, &error))?.leak();
    pipes().insert(path.to_owned(), bytes);
    Ok(Cow::Borrowed(bytes))
}

/// Reads an image, or several that follow each other; of anything else, only the beginning.
fn read_image(mut from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    from.by_ref()
        .take(sniff::HEAD_BYTES as u64)
        .read_to_end(&mut head)?;
    match sniff::identify(&head) {
        FileKind::Other | FileKind::Tar | FileKind::Clip(_) | FileKind::Unsuitable(_) => Ok(head),
        _ => pipe::read_to(from, head, most),
    }
}
