//! WebDataset: for each photo the members `KEY.cls.npy`, `KEY.patches.npy` and so on, or `KEY.npy` if only one array is
//! stored, followed by `KEY.json`.
//!
//! WebDataset reads the name up to the first dot as the key, and skips names with line breaks and those in folders like
//! `__meta__`; member names are changed accordingly, and the JSON holds the original key.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::{Archive, Builder, EntryType, Header};

use crate::error::{Error, Result};
use crate::io::features::arrays::{EncodedRow, FeatureArray};
use crate::io::features::parts::checks::{damaged, foreign_part_error};
use crate::io::features::parts::file_stat::{FileRangeReader, FileStat};
use crate::io::features::parts::npy_header;
use crate::io::features::parts::part::{PartFiles, PartReader, PartWriter};
use crate::io::features::parts::row_metadata::{RowMetadata, UniqueNames};
use crate::io::features::{DatasetMeta, RowInfo};
use crate::system::files::AtomicFile;

/// Tar's block size in bytes; members are padded to it.
const BLOCK: u64 = 512;

/// An archive ends with two empty blocks.
const TRAILER_BYTES: u64 = 2 * BLOCK;

/// Maximum size in bytes of a row's JSON.
const MAX_JSON_BYTES: u64 = 1 << 20;

/// Writes the members of each row at once; memory is that of one row.
pub(super) struct TarPartWriter {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    names: UniqueNames,
    builder: Builder<AtomicFile>,
}

impl TarPartWriter {
    pub(super) fn begin(path: &Path, meta: &Arc<DatasetMeta>) -> Result<Self> {
        Ok(TarPartWriter {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            names: UniqueNames::default(),
            builder: Builder::new(AtomicFile::begin(path)?),
        })
    }

    /// Appends the member `name`, with the bytes of `prefix` and then `bytes`; its times and owner are 0.
    fn add(&mut self, name: &str, prefix: &[u8], bytes: &[u8]) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size((prefix.len() + bytes.len()) as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        self.builder
            .append_data(&mut header, name, prefix.chain(bytes))
            .map_err(|error| Error::io(&self.path, &error))
    }
}

impl PartWriter for TarPartWriter {
    fn push(&mut self, row: EncodedRow) -> Result<()> {
        let name = self.names.make_unique(&member_name(&row.info.key));
        let meta = Arc::clone(&self.meta);
        let stored = FeatureArray::stored(&meta);
        for (array, bytes) in stored.iter().zip(&row.arrays) {
            let shape = array.shape(&meta, &row.info);
            let header = npy_header::encode_header(&shape, array.precision(&meta))
                .map_err(|error| Error::io(&self.path, &error))?;
            self.add(
                &format!("{name}.{}", member_suffix(*array, &stored)),
                &header,
                bytes,
            )?;
        }
        let metadata = serde_json::to_vec(&RowMetadata::of(&row.info, &meta))
            .map_err(|error| Error::file(&self.path, error.to_string()))?;
        self.add(&format!("{name}.json"), &metadata, b"\n")
    }

    fn finish(self: Box<Self>) -> Result<PartFiles> {
        let file = self.builder.into_inner();
        let file = file.map_err(|error| Error::io(&self.path, &error))?;
        let stamp = file.finish()?;
        Ok(vec![(self.path, stamp)])
    }
}

/// The name of an array's member after the key: `npy` if only one array is stored.
fn member_suffix(array: FeatureArray, stored: &[FeatureArray]) -> String {
    match stored.len() {
        1 => "npy".into(),
        _ => format!("{}.npy", array.name()),
    }
}

/// A row's key as WebDataset reads it from member names.
fn member_name(key: &str) -> String {
    let plain: String = key
        .chars()
        .map(|c| if c.is_control() { '_' } else { c })
        .collect();
    let parts = plain
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    let mut parts: Vec<String> = parts
        .map(|part| match (part, part.strip_prefix("__")) {
            ("..", _) => "__".to_owned(),
            (_, Some(rest)) if rest.ends_with("__") => format!("-_{rest}"),
            _ => part.to_owned(),
        })
        .collect();
    match parts.last_mut() {
        Some(last) => *last = last.replace('.', "_"),
        None => parts.push("_".into()),
    }
    parts.join("/")
}

/// Offset and length of a member's content in the file.
#[derive(Debug, Clone, Copy)]
struct MemberSpan {
    start: u64,
    bytes: u64,
}

/// Reads members by their offsets.
pub(super) struct TarPartReader {
    range_reader: FileRangeReader,
    meta: Arc<DatasetMeta>,
    stored: Vec<FeatureArray>,
    rows: Vec<Vec<MemberSpan>>,
}

impl TarPartReader {
    pub(super) fn open(
        path: &Path,
        meta: &Arc<DatasetMeta>,
    ) -> Result<(Vec<RowInfo>, Box<dyn PartReader>)> {
        let (file, stat) = FileStat::open(path)?;
        let wrong = |error: std::io::Error| damaged(path, error);
        let stored = FeatureArray::stored(meta);
        let mut endings: Vec<String> = stored.iter().map(|&a| member_suffix(a, &stored)).collect();
        endings.push("json".into());
        let (mut infos, mut rows) = (Vec::new(), Vec::new());
        let (mut spans, mut key, mut end) = (Vec::new(), Vec::new(), 0);
        let mut archive = Archive::new(BufReader::new(file));
        for entry in archive.entries_with_seek().map_err(wrong)? {
            let mut entry = entry.map_err(wrong)?;
            let span = MemberSpan {
                start: entry.raw_file_position(),
                bytes: entry.size(),
            };
            end = span
                .start
                .saturating_add(span.bytes)
                .next_multiple_of(BLOCK);
            if end > stat.bytes {
                return Err(damaged(path, "it is cut off"));
            }
            let ending = endings[spans.len()].as_bytes();
            let name = entry.path_bytes().into_owned();
            let prefix = name
                .strip_suffix(ending)
                .and_then(|name| name.strip_suffix(b"."));
            let is_expected = match (prefix, spans.is_empty()) {
                (Some(prefix), true) => {
                    key = prefix.to_vec();
                    true
                }
                (prefix, _) => prefix == Some(&key),
            };
            if !is_expected {
                // The first row has other arrays, so the file is of another dataset or not a part.
                return Err(match infos.is_empty() {
                    true => foreign_part_error(path),
                    false => damaged(
                        path,
                        format!("`{}` is out of place", String::from_utf8_lossy(&name)),
                    ),
                });
            }
            spans.push(span);
            if spans.len() < endings.len() {
                continue;
            }
            let mut json = Vec::new();
            let read = entry.by_ref().take(MAX_JSON_BYTES).read_to_end(&mut json);
            read.map_err(wrong)?;
            let metadata: RowMetadata =
                serde_json::from_slice(&json).map_err(|why| damaged(path, why))?;
            infos.push(metadata.into_row_info(path, meta, infos.len())?);
            spans.pop();
            rows.push(std::mem::take(&mut spans));
        }
        if !spans.is_empty() || end + TRAILER_BYTES != stat.bytes || rows.is_empty() {
            return Err(damaged(path, "it is cut off"));
        }
        let path = path.to_owned();
        let part = TarPartReader {
            range_reader: FileRangeReader { path, stat },
            meta: Arc::clone(meta),
            stored,
            rows,
        };
        Ok((infos, Box::new(part)))
    }
}

impl PartReader for TarPartReader {
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>> {
        let path = &self.range_reader.path;
        let missing = || damaged(path, "a row is missing");
        let spans = self.rows.get(info.row).ok_or_else(missing)?;
        let read = |(array, span): (&FeatureArray, &MemberSpan)| {
            let bytes = usize::try_from(span.bytes).map_err(|_| missing())?;
            let bytes = self.range_reader.read(span.start, bytes)?;
            let mut rest = bytes.as_slice();
            let shape = npy_header::read_header(&mut rest, array.precision(&self.meta))
                .map_err(|why| damaged(path, why))?;
            match shape == array.shape(&self.meta, info) {
                true => Ok(rest.to_vec()),
                false => Err(damaged(
                    path,
                    format!("`{}` of {} has another shape", array.name(), info.name.path),
                )),
            }
        };
        self.stored.iter().zip(spans).map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_webdataset_takes() {
        for (key, expected) in [
            ("a/b", "a/b"),
            ("a.b/c.d.p001", "a.b/c_d_p001"),
            (".hidden", "_hidden"),
            ("../up", "__/up"),
            ("/root//x/./y", "root/x/y"),
            ("__meta__/x", "-_meta__/x"),
            ("__main", "__main"),
            ("new\nline\r/\tx", "new_line_/_x"),
            ("", "_"),
            ("..", "__"),
            ("ä \"q\"", "ä \"q\""),
        ] {
            assert_eq!(member_name(key), expected);
        }
    }
}
