//! Merges the manifests of shards and of several folders.

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

/// Counts of a merge.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Lines in the merged manifest.
    pub lines: usize,
    /// Files that were merged.
    pub files: usize,
    /// Shard files of the folder that were removed.
    pub removed: usize,
    /// Shard files that were kept because they grew during the merge.
    pub busy: Vec<PathBuf>,
}

/// A manifest file, and the folder to which its output names are relative; `None` if that is the target folder.
struct MergeInput {
    path: PathBuf,
    other_folder: Option<PathBuf>,
}

/// Merges all lines of the manifest of `folder`, and those of `others` (folders of outputs, or manifest files), into
/// its `manifest.jsonl`, and removes the shard files in the folder. No run may be writing to them.
///
/// An output of another folder keeps its relative name if it was moved, that is, if it exists in `folder` and no longer
/// in the other folder; else its name becomes its absolute path, or the path below `folder`.
///
/// # Errors
/// Names the folder without a manifest, the file that cannot be read or written or that grew meanwhile, or the line
/// that is not understood. All files are unchanged then, except if a merged shard file cannot be removed.
pub fn merge(folder: &Path, others: &[PathBuf]) -> Result<MergeReport> {
    let own = match others.is_empty() {
        true => require_manifest_files(folder)?,
        false => manifest_files(folder)?,
    };
    let target = manifest_path(folder, None);
    let inputs = collect_inputs(own, others)?;
    let mut merged = MergeReport {
        files: inputs.len(),
        ..MergeReport::default()
    };
    let mut bytes = Vec::with_capacity(inputs.len());
    let mut failed = None;
    let written = write_atomic(&target, |writer| {
        for input in &inputs {
            match copy_lines(input, folder, &mut *writer) {
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
        // Checked right before the target is replaced.
        match inputs.iter().position(|input| input.path == target) {
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
    for (input, read) in inputs.iter().zip(bytes) {
        if input.other_folder.is_some() || input.path == target {
            continue;
        }
        match size(&input.path) == read {
            true => {
                fs::remove_file(&input.path).map_err(|error| Error::io(&input.path, &error))?;
                merged.removed += 1;
            }
            false => merged.busy.push(input.path.clone()),
        }
    }
    Ok(merged)
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// All files to merge, each once, those of the folder itself first: lines of format 1 have no time, and get that of the
/// preceding line.
fn collect_inputs(own: Vec<PathBuf>, others: &[PathBuf]) -> Result<Vec<MergeInput>> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut seen: HashSet<PathBuf> = own.iter().map(|path| real(path)).collect();
    let mut inputs: Vec<MergeInput> = own
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
                inputs.push(MergeInput {
                    path,
                    other_folder: Some(folder.clone()),
                });
            }
        }
    }
    Ok(inputs)
}

/// Writes the lines of `input`, and returns their number and the bytes read.
fn copy_lines(input: &MergeInput, folder: &Path, writer: &mut dyn Write) -> Result<(usize, u64)> {
    let mut lines = 0;
    let failed = |error: io::Error| Error::io(manifest_path(folder, None), &error);
    let end = read_file(&input.path, |line, text| {
        lines += 1;
        let text = text.trim_ascii_end();
        match &input.other_folder {
            None => writer.write_all(text).map_err(failed)?,
            Some(other) => {
                let renamed = rename_outputs(line, text, (other, folder));
                let renamed = renamed.map_err(|error| Error::io(&input.path, &error))?;
                writer.write_all(&renamed).map_err(failed)?;
            }
        }
        writer.write_all(b"\n").map_err(failed)
    })?;
    Ok((lines, end.bytes))
}

/// A line of the manifest of the folder `other`, with output names relative to `folder`, and its time.
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
