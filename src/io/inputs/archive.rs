//! Tars of photos, as WebDataset has them: their headers are read once, and each photo by its place when its turn comes.
//! Nothing is unpacked.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::inputs::sniff;
use crate::system::files::{FileStamp, modified_nanos};

/// A tar as it was when its headers were read.
#[derive(Debug, PartialEq, Eq)]
pub struct TarArchive {
    /// As it can be opened.
    pub path: PathBuf,
    /// What its photos lie below in the output folder: its path without the ending.
    pub relative: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was last modified, in nanoseconds since 1970.
    pub modified: Option<u64>,
}

/// A photo in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarMember {
    /// The tar.
    pub archive: Arc<TarArchive>,
    /// The path of the tar, and below it that of the photo; without a root or a way up.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Where its bytes begin in the tar.
    offset: u64,
}

impl TarMember {
    /// Takes the stamp of its `bytes`, with the size and the time of the tar.
    pub fn stamp(&self, bytes: &[u8]) -> FileStamp {
        FileStamp::of_tar_member(bytes, self.archive.bytes, self.archive.modified)
    }

    /// Whether the tar has the size and the time that it had when `stamp` was taken, so that the photo need not be read.
    pub(crate) fn has_untouched_tar(&self, stamp: &FileStamp) -> bool {
        stamp.bytes == self.bytes
            && stamp.tar_bytes == Some(self.archive.bytes)
            && stamp.modified.is_some()
            && stamp.modified == self.archive.modified
    }

    /// Its path within the tar.
    pub fn path_in_tar(&self) -> &Path {
        let name = self.path.strip_prefix(&self.archive.path);
        name.unwrap_or(&self.path)
    }

    /// The tar, at the first byte of the photo, and as many bytes as it has.
    ///
    /// # Errors
    /// If the tar cannot be opened, or is another than the one whose headers were read.
    pub fn open(&self) -> io::Result<io::Take<File>> {
        let mut file = File::open(&self.archive.path)?;
        if !self.archive.matches(&file.metadata()?) {
            return Err(io::Error::other(
                "its tar was changed while the run was under way; run again",
            ));
        }
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.bytes))
    }

    /// Its first bytes, from its tar that is open.
    pub(super) fn head(&self, mut tar: &File) -> io::Result<Vec<u8>> {
        tar.seek(SeekFrom::Start(self.offset))?;
        let mut head = Vec::new();
        tar.take(self.bytes.min(sniff::HEAD_BYTES as u64))
            .read_to_end(&mut head)?;
        Ok(head)
    }
}

impl TarArchive {
    fn matches(&self, met: &Metadata) -> bool {
        met.len() == self.bytes && modified_nanos(met) == self.modified
    }
}

/// What the headers of a tar say.
#[derive(Debug, Default)]
pub(super) struct TarContents {
    /// The photos, in the order of the tar.
    pub photos: Vec<TarMember>,
    /// Members that are no pictures by their names.
    pub others: Vec<PathBuf>,
    /// Pictures of samples that have a photo beside them, with the photo.
    pub companions: Vec<(PathBuf, PathBuf)>,
    /// Members that others of the same name follow.
    pub repeated: Vec<PathBuf>,
    /// Pictures that are links or sparse files.
    pub links_and_sparse: Vec<PathBuf>,
    /// Why there may be more than this.
    pub fault: Option<String>,
}

/// Whether a name is that of a tar.
pub(super) fn is_tar_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
}

/// What the photos of a tar in the output folder lie below: its path without the ending.
pub(super) fn without_ending(path: &Path) -> PathBuf {
    match is_tar_name(path) {
        true => path.with_extension(""),
        false => path.to_owned(),
    }
}

/// Why a tar that is compressed is not read, by its name.
pub(super) fn explain_compressed_tar(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    const ENDINGS: [(&str, &str, &str); 7] = [
        (".tar.gz", ".tgz", "gunzip -k"),
        (".tar.bz2", ".tbz2", "bunzip2 -k"),
        (".tar.bz2", ".tbz", "bunzip2 -k"),
        (".tar.xz", ".txz", "unxz -k"),
        (".tar.zst", ".tzst", "unzstd"),
        (".tar.lz4", ".tlz4", "unlz4"),
        (".tar.z", ".taz", "uncompress"),
    ];
    let found = ENDINGS
        .iter()
        .find(|(long, short, _)| name.ends_with(long) || name.ends_with(short));
    found.map(|(_, _, program)| {
        format!(
            "is a compressed tar, in which no photo can be found without unpacking all before it; decompress it first: \
             {program} {}",
            path.display()
        )
    })
}

/// A file that notes when it was read at its end.
struct EofTrackingFile {
    file: File,
    is_at_end: Rc<Cell<bool>>,
}

impl Read for EofTrackingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.is_at_end
            .set(self.is_at_end.get() || read == 0 && !buffer.is_empty());
        Ok(read)
    }
}

impl Seek for EofTrackingFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A picture in a tar.
struct TarPicture {
    path: PathBuf,
    offset: u64,
    bytes: u64,
}

/// Reads the headers of the tar at `path`, whose photos go below `relative`.
///
/// # Errors
/// Names it if it cannot be read, or is no tar.
pub(super) fn scan(path: &Path, relative: PathBuf) -> Result<TarContents> {
    let failed = |error: io::Error| Error::io(path, &error);
    let file = File::open(path).map_err(failed)?;
    let met = file.metadata().map_err(failed)?;
    if !met.is_file() {
        return Err(Error::file(
            path,
            "is no regular file, of which photos could be read by their places; save the tar as a file",
        ));
    }
    let archive = Arc::new(TarArchive {
        path: path.to_owned(),
        relative,
        bytes: met.len(),
        modified: modified_nanos(&met),
    });
    let is_at_end = Rc::new(Cell::new(false));
    let noting = EofTrackingFile {
        file,
        is_at_end: is_at_end.clone(),
    };
    let mut headers = ::tar::Archive::new(noting);
    let mut contents = TarContents::default();
    let mut pictures: Vec<TarPicture> = Vec::new();
    let mut known: HashMap<PathBuf, usize> = HashMap::new();
    let mut members = 0usize;
    for entry in headers.entries_with_seek().map_err(failed)? {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(_) if archive.bytes == 0 => return Err(Error::file(path, "is empty")),
            Err(error) if members == 0 => {
                return Err(Error::file(path, format!("is no tar archive ({error})")));
            }
            Err(_) if is_at_end.get() => {
                contents.fault = Some(format!(
                    "is cut off within the header behind member {members}"
                ));
                break;
            }
            Err(error) => {
                contents.fault = Some(format!(
                    "is damaged behind member {members} ({error}), and what follows cannot be found"
                ));
                break;
            }
        };
        members += 1;
        let kind = entry.header().entry_type();
        let name = clean_member_path(&entry.path_bytes());
        let Some(name) = name.filter(|_| !kind.is_dir()) else {
            continue;
        };
        let full = path.join(&name);
        if !sniff::is_image_name(&name) {
            if kind.is_file() {
                contents.others.push(full);
            }
            continue;
        }
        if !(kind.is_file() || kind.is_contiguous()) || is_sparse(&mut entry) {
            contents.links_and_sparse.push(full);
            continue;
        }
        let (offset, bytes) = (entry.raw_file_position(), entry.size());
        let end = offset.checked_add(bytes);
        if end.is_none_or(|end| end > archive.bytes) {
            contents.fault = Some(format!("is cut off within {}", name.display()));
            break;
        }
        let picture = TarPicture {
            path: name.clone(),
            offset,
            bytes,
        };
        match known.get(&name) {
            Some(&index) => {
                contents.repeated.push(full);
                pictures[index] = picture;
            }
            None => {
                known.insert(name, pictures.len());
                pictures.push(picture);
            }
        }
    }
    if contents.fault.is_none() && is_at_end.get() {
        contents.fault = Some(match members {
            0 => return Err(Error::file(path, "is empty")),
            _ => format!(
                "ends behind member {members} without the mark of a tar's end: it may be cut off"
            ),
        });
    }
    drop(known);
    choose_sample_photos(pictures, &archive, &mut contents);
    Ok(contents)
}

/// Takes the photo of each sample.
fn choose_sample_photos(
    pictures: Vec<TarPicture>,
    archive: &Arc<TarArchive>,
    contents: &mut TarContents,
) {
    let mut chosen: HashMap<Vec<u8>, usize> = HashMap::new();
    for (index, picture) in pictures.iter().enumerate() {
        let (key, ending) = sample_key(&picture.path);
        let Some(rank) = rank(&ending) else { continue };
        let best = chosen.entry(key).or_insert(index);
        let (_, ending) = sample_key(&pictures[*best].path);
        if self::rank(&ending).is_none_or(|of_best| rank < of_best) {
            *best = index;
        }
    }
    for (index, picture) in pictures.iter().enumerate() {
        let path = archive.path.join(&picture.path);
        match chosen.get(&sample_key(&picture.path).0) {
            Some(&best) if best != index => {
                contents
                    .companions
                    .push((path, pictures[best].path.clone()));
            }
            _ => contents.photos.push(TarMember {
                archive: archive.clone(),
                path,
                bytes: picture.bytes,
                offset: picture.offset,
            }),
        }
    }
}

/// The key of a sample, its path to the first dot of the name, and the rest in lower case.
fn sample_key(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let dot = name.iter().position(|&byte| byte == b'.');
    let (stem, ending) = name.split_at(dot.unwrap_or(name.len()));
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut key = folder.as_os_str().as_encoded_bytes().to_vec();
    key.push(b'/');
    key.extend(stem);
    let ending = ending.strip_prefix(b".").unwrap_or_default();
    (key, ending.to_ascii_lowercase())
}

/// Which of several pictures of a sample is the photo: the lowest. None where its ending has two parts, as those of masks and
/// of further views have.
fn rank(ending: &[u8]) -> Option<usize> {
    const FIRST: [&[u8]; 4] = [b"jpg", b"jpeg", b"png", b"webp"];
    let place = FIRST.iter().position(|first| *first == ending);
    (!ending.contains(&b'.')).then(|| place.unwrap_or(FIRST.len()))
}

/// The path of a member, without a root and without a way up; none of those that are hidden.
fn clean_member_path(name: &[u8]) -> Option<PathBuf> {
    #[cfg(unix)]
    let path = Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
    #[cfg(not(unix))]
    let path = String::from_utf8_lossy(name).into_owned();
    #[cfg(not(unix))]
    let path = Path::new(&path);
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let clean: PathBuf = parts.collect();
    let is_hidden = clean
        .iter()
        .any(|part| part.as_encoded_bytes().starts_with(b"."));
    (!clean.as_os_str().is_empty() && !is_hidden).then_some(clean)
}

/// Whether a member has holes, so that its bytes are not those of the file.
fn is_sparse(entry: &mut ::tar::Entry<'_, impl Read>) -> bool {
    if entry.header().entry_type().is_gnu_sparse() {
        return true;
    }
    let is_key = |key: &[u8]| key.starts_with(b"GNU.sparse.");
    let extensions = entry.pax_extensions().ok().flatten();
    extensions.is_some_and(|mut all| all.any(|one| one.is_ok_and(|one| is_key(one.key_bytes()))))
}
