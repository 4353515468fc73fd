//! Tar archives of photos, such as WebDataset shards: the headers are read once, and each photo is read from its offset
//! when it is decoded. Nothing is unpacked to disk.

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

/// A tar, with its size and time when its headers were read.
#[derive(Debug, PartialEq, Eq)]
pub struct TarArchive {
    /// The path by which it can be opened.
    pub path: PathBuf,
    /// Path without extension, relative to the output folder: the folder for the outputs of its photos.
    pub relative: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last modified, in nanoseconds since 1970; `None` if the system does not state it.
    pub modified: Option<u64>,
}

/// A photo in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarMember {
    /// The tar.
    pub archive: Arc<TarArchive>,
    /// The path of the tar, joined with the path of the photo within it (without a root or `..`).
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// The offset of its first byte in the tar.
    offset: u64,
}

impl TarMember {
    /// The stamp of its `bytes`, with the size and the modification time of the tar.
    pub fn stamp(&self, bytes: &[u8]) -> FileStamp {
        FileStamp::of_tar_member(bytes, self.archive.bytes, self.archive.modified)
    }

    /// Whether the tar has the size and the modification time that it had when `stamp` was taken, so that the photo is
    /// unchanged without reading it.
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

    /// Opens the tar, and returns a reader of the photo's bytes.
    ///
    /// # Errors
    /// If the tar cannot be opened, or has changed since its headers were read.
    pub fn open(&self) -> io::Result<io::Take<File>> {
        let mut file = File::open(&self.archive.path)?;
        if !self.archive.is_unchanged(&file.metadata()?) {
            return Err(io::Error::other(
                "its tar was changed while the run was under way; run again",
            ));
        }
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.bytes))
    }

    /// Its first [`sniff::HEAD_BYTES`] bytes, from the open tar.
    ///
    /// # Errors
    /// If the tar cannot be read.
    pub(super) fn head(&self, mut tar: &File) -> io::Result<Vec<u8>> {
        tar.seek(SeekFrom::Start(self.offset))?;
        let mut head = Vec::new();
        tar.take(self.bytes.min(sniff::HEAD_BYTES as u64))
            .read_to_end(&mut head)?;
        Ok(head)
    }
}

impl TarArchive {
    /// Whether the file has the size and modification time of when its headers were read.
    fn is_unchanged(&self, metadata: &Metadata) -> bool {
        metadata.len() == self.bytes && modified_nanos(metadata) == self.modified
    }
}

/// The members of a tar, by its headers.
#[derive(Debug, Default)]
pub(super) struct TarContents {
    /// The photos, in the order of the tar.
    pub photos: Vec<TarMember>,
    /// Members without the extension of an image.
    pub others: Vec<PathBuf>,
    /// Further pictures of WebDataset samples (masks, other views), each with the photo that represents the sample.
    pub companions: Vec<(PathBuf, PathBuf)>,
    /// Members that are replaced by later ones of the same name.
    pub repeated: Vec<PathBuf>,
    /// Pictures that are links or sparse files, whose content is not stored contiguously in the tar.
    pub links_and_sparse: Vec<PathBuf>,
    /// Why the tar may have further members: it is truncated or damaged. `None` for an intact tar.
    pub fault: Option<String>,
}

/// Whether a path has the extension of a tar.
pub(super) fn is_tar_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
}

/// The path of a tar without its extension `.tar`.
pub(super) fn without_extension(path: &Path) -> PathBuf {
    match is_tar_name(path) {
        true => path.with_extension(""),
        false => path.to_owned(),
    }
}

/// Why a compressed tar is not read, and how to decompress it; `None` if the name is not that of one.
pub(super) fn explain_compressed_tar(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    const EXTENSIONS: [(&str, &str, &str); 7] = [
        (".tar.gz", ".tgz", "gunzip -k"),
        (".tar.bz2", ".tbz2", "bunzip2 -k"),
        (".tar.bz2", ".tbz", "bunzip2 -k"),
        (".tar.xz", ".txz", "unxz -k"),
        (".tar.zst", ".tzst", "unzstd"),
        (".tar.lz4", ".tlz4", "unlz4"),
        (".tar.z", ".taz", "uncompress"),
    ];
    let compressed = EXTENSIONS
        .iter()
        .find(|(long, short, _)| name.ends_with(long) || name.ends_with(short));
    compressed.map(|(_, _, program)| {
        format!(
            "is a compressed tar, in which no photo can be found without unpacking all before it; decompress it first: \
             {program} {}",
            path.display()
        )
    })
}

/// A file that records whether it was read past its end, to distinguish a truncated tar from a complete one.
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

/// A picture in a tar, which may or may not be the photo of its sample.
struct TarPicture {
    /// Its path within the tar.
    path: PathBuf,
    /// The offset of its first byte in the tar.
    offset: u64,
    /// Its size in bytes.
    bytes: u64,
}

/// Reads the headers of the tar at `path`; the outputs of its photos go below `relative`.
///
/// # Errors
/// If it cannot be read, is not a regular file, is empty, or is not a tar.
pub(super) fn scan(path: &Path, relative: PathBuf) -> Result<TarContents> {
    let failed = |error: io::Error| Error::io(path, &error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::file(
            path,
            "is no regular file, of which photos could be read by their places; save the tar as a file",
        ));
    }
    let archive = Arc::new(TarArchive {
        path: path.to_owned(),
        relative,
        bytes: metadata.len(),
        modified: modified_nanos(&metadata),
    });
    let is_at_end = Rc::new(Cell::new(false));
    let file = EofTrackingFile {
        file,
        is_at_end: is_at_end.clone(),
    };
    let mut headers = ::tar::Archive::new(file);
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

/// Divides the pictures of a tar into the photo of each sample and its companions, in the order of the tar.
fn choose_sample_photos(
    pictures: Vec<TarPicture>,
    archive: &Arc<TarArchive>,
    contents: &mut TarContents,
) {
    let mut chosen: HashMap<Vec<u8>, usize> = HashMap::new();
    for (index, picture) in pictures.iter().enumerate() {
        let (key, extension) = sample_key(&picture.path);
        let Some(rank) = photo_rank(&extension) else {
            continue;
        };
        let best = chosen.entry(key).or_insert(index);
        let (_, extension) = sample_key(&pictures[*best].path);
        if photo_rank(&extension).is_none_or(|of_best| rank < of_best) {
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

/// The key of a sample, as WebDataset defines it: the path up to the first dot of the name; and the rest of the name in
/// lower case, without that dot.
fn sample_key(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let dot = name.iter().position(|&byte| byte == b'.');
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut key = folder.as_os_str().as_encoded_bytes().to_vec();
    key.push(b'/');
    key.extend(stem);
    let extension = extension.strip_prefix(b".").unwrap_or_default();
    (key, extension.to_ascii_lowercase())
}

/// The rank of a picture in its sample; the picture with the lowest rank is the photo. `None` if its extension has two
/// parts, as for masks and further views.
fn photo_rank(extension: &[u8]) -> Option<usize> {
    const PREFERRED: [&[u8]; 4] = [b"jpg", b"jpeg", b"png", b"webp"];
    let rank = PREFERRED.iter().position(|one| *one == extension);
    (!extension.contains(&b'.')).then(|| rank.unwrap_or(PREFERRED.len()))
}

/// The path of a member without a root and `..`; `None` if it is empty or hidden.
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

/// Whether a member is a sparse file, whose holes are not stored.
fn is_sparse(entry: &mut ::tar::Entry<'_, impl Read>) -> bool {
    if entry.header().entry_type().is_gnu_sparse() {
        return true;
    }
    let is_key = |key: &[u8]| key.starts_with(b"GNU.sparse.");
    let extensions = entry.pax_extensions().ok().flatten();
    extensions.is_some_and(|mut all| all.any(|one| one.is_ok_and(|one| is_key(one.key_bytes()))))
}
