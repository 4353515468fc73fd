//! Several records made one.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::io::manifest::entry::ManifestLine;
use crate::io::manifest::files::{
    manifest_files, manifest_path, read_file, require_manifest_files,
};
use crate::io::manifest::output_names::{name_below, output_name, path_from_bytes};
use crate::io::output::path_bytes;
use crate::system::files::write_atomic;

/// What became of records that were merged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Lines that there are now.
    pub lines: usize,
    /// Files that they are from.
    pub files: usize,
    /// The folder's own files of shards that were removed.
    pub removed: usize,
    /// Those that stayed, because a run still writes to them.
    pub busy: Vec<PathBuf>,
}

/// A file of a record, and the folder that its outputs are named from where that is another one.
struct MergeInput {
    path: PathBuf,
    other_folder: Option<PathBuf>,
}

/// Puts all lines of the record of `folder`, and those of `others` (folders of outputs, or files of their records), in its
/// `manifest.jsonl`; files of shards in the folder are removed then. Nothing may be running that writes to them.
///
/// An output of another folder keeps its name below that folder if it lies under it in `folder`, and not there any more;
/// else it is named from where it lies.
///
/// # Errors
/// Names what has no record, the file that cannot be read or written, and the line that is not understood; what is there
/// stays then.
pub fn merge(folder: &Path, others: &[PathBuf]) -> Result<MergeReport> {
    let own = match others.is_empty() {
        true => require_manifest_files(folder)?,
        false => manifest_files(folder)?,
    };
    let target = manifest_path(folder, None);
    let parts = collect_inputs(own, others)?;
    let mut merged = MergeReport {
        files: parts.len(),
        ..MergeReport::default()
    };
    let mut bytes = Vec::with_capacity(parts.len());
    let mut failed = None;
    let written = write_atomic(&target, |writer| {
        for part in &parts {
            match copy_lines(part, folder, &mut *writer) {
                Ok((lines, read)) => {
                    merged.lines += lines;
                    bytes.push(read);
                }
                Err(error) => {
                    failed = Some(error);
                    return Err(io::Error::other("not merged"));
                }
            }
        }
        // Once more, right before it is replaced.
        match parts.iter().position(|part| part.path == target) {
            Some(index) if size(&target) != bytes[index] => {
                failed = Some(Error::file(
                    &target,
                    "grew while it was merged; wait until all runs that write to the folder are done",
                ));
                Err(io::Error::other("not merged"))
            }
            _ => Ok(()),
        }
    });
    match failed {
        Some(error) => return Err(error),
        None => written?,
    }
    for (part, read) in parts.iter().zip(bytes) {
        if part.other_folder.is_some() || part.path == target {
            continue;
        }
        match size(&part.path) == read {
            true => {
                fs::remove_file(&part.path).map_err(|error| Error::io(&part.path, &error))?;
                merged.removed += 1;
            }
            false => merged.busy.push(part.path.clone()),
        }
    }
    Ok(merged)
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |met| met.len())
}

/// All files, each once, the folder's own first: they may have lines without a time, which have that of the line before.
fn collect_inputs(own: Vec<PathBuf>, others: &[PathBuf]) -> Result<Vec<MergeInput>> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut seen: HashSet<PathBuf> = own.iter().map(|path| real(path)).collect();
    let mut parts: Vec<MergeInput> = own
        .into_iter()
        .map(|path| MergeInput {
            path,
            other_folder: None,
        })
        .collect();
    for other in others {
        let (files, folder) = match other.is_dir() {
            true => (require_manifest_files(other)?, other.clone()),
            false => {
                let folder = other.parent().unwrap_or(Path::new("")).to_owned();
                (vec![other.clone()], folder)
            }
        };
        for path in files {
            if seen.insert(real(&path)) {
                parts.push(MergeInput {
                    path,
                    other_folder: Some(folder.clone()),
                });
            }
        }
    }
    Ok(parts)
}

/// Writes the lines of a part, and returns how many there are, and the bytes that were read.
fn copy_lines(part: &MergeInput, folder: &Path, writer: &mut dyn Write) -> Result<(usize, u64)> {
    let mut lines = 0;
    let failed = |error: io::Error| Error::io(manifest_path(folder, None), &error);
    let ending = read_file(&part.path, |line, text| {
        lines += 1;
        let text = text.trim_ascii_end();
        match &part.other_folder {
            None => writer.write_all(text).map_err(failed)?,
            Some(other) => {
                let renamed = rename_outputs(line, text, (other, folder));
                let renamed = renamed.map_err(|error| Error::io(&part.path, &error))?;
                writer.write_all(&renamed).map_err(failed)?;
            }
        }
        writer.write_all(b"\n").map_err(failed)
    })?;
    Ok((lines, ending.bytes))
}

/// A line of the record of another folder, with the names that its outputs have from `folder`, and its time.
fn rename_outputs(
    line: &ManifestLine,
    text: &[u8],
    (other, folder): (&Path, &Path),
) -> io::Result<Vec<u8>> {
    let mut object: Map<String, Value> = serde_json::from_slice(text)?;
    object.insert("time".to_owned(), line.time.into());
    let (mut plain, mut encoded) = (Map::new(), Map::new());
    for (name, stamp) in line.outputs() {
        let path = path_from_bytes(&name);
        let keeps = !other.join(&path).exists() && folder.join(&path).exists();
        let name = match keeps {
            true => path,
            false => name_below(folder, &other.join(&path))
                .map_err(|error| io::Error::other(error.to_string()))?,
        };
        let stamp = serde_json::to_value(stamp)?;
        match path_bytes(&name) {
            Some(name) => encoded.insert(name, stamp),
            None => plain.insert(String::from_utf8_lossy(&output_name(&name)).into(), stamp),
        };
    }
    object.insert("outputs".to_owned(), plain.into());
    match encoded.is_empty() {
        true => object.remove("outputs_bytes"),
        false => object.insert("outputs_bytes".to_owned(), encoded.into()),
    };
    serde_json::to_vec(&object).map_err(io::Error::from)
}
