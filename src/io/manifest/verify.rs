//! Verifies that outputs still have their recorded content.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::io::manifest::entry::EntryState;
use crate::io::manifest::files::{read_file, require_manifest_files};
use crate::io::manifest::index::PathKey;
use crate::io::manifest::output_names::{output_name, path_from_bytes};
use crate::io::manifest::packs::packed_prefixes;
use crate::system::files::{Digest, FileStamp};
use crate::system::interrupt;

/// Number of outputs that are read in parallel.
const BATCH_OUTPUTS: usize = 256;

/// How an output compares with its last `done` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputVerdict {
    /// Its content is the same.
    Unchanged,
    /// Its content differs.
    Changed,
    /// It does not exist.
    Missing,
    /// It cannot be read; the message names it.
    Unreadable(String),
}

/// Reads all outputs with a `done` line in the manifest of `folder`, and calls `take` with the path and verdict of
/// each. Outputs that were put into a pack are left out.
///
/// # Errors
/// Names the folder if it has no manifest, the file that cannot be read, or its line that is not understood; those of
/// `take`; [`Error::Interrupted`] after Ctrl-C.
pub fn verify(
    folder: &Path,
    mut take: impl FnMut(&Path, OutputVerdict) -> Result<()>,
) -> Result<()> {
    let files = require_manifest_files(folder)?;
    let mut latest: HashMap<PathKey, (u64, Digest)> = HashMap::new();
    let mut packed: Vec<Vec<u8>> = Vec::new();
    for file in &files {
        read_file(file, |line, _| {
            if line.state == EntryState::Done {
                packed.extend(packed_prefixes(line));
            }
            for (name, stamp) in line.outputs().filter(|_| line.state == EntryState::Done) {
                let known = latest.entry(PathKey::of(&name));
                let Some(stamp) = stamp else { continue };
                let now = (line.time, stamp.digest);
                known
                    .and_modify(|known| {
                        if known.0 <= now.0 {
                            *known = now;
                        }
                    })
                    .or_insert(now);
            }
            Ok(())
        })?;
    }
    let is_packed = |path: &Path| {
        let name = path.strip_prefix(folder).unwrap_or(path);
        let name = output_name(name);
        packed.iter().any(|begin| name.starts_with(begin))
    };
    let mut batch: Vec<(PathBuf, Digest)> = Vec::with_capacity(BATCH_OUTPUTS);
    let mut verify_batch = |batch: &mut Vec<(PathBuf, Digest)>| -> Result<()> {
        interrupt::check()?;
        let verdicts: Vec<OutputVerdict> = batch
            .par_iter()
            .with_max_len(1)
            .map(|(path, digest)| verify_output(path, digest))
            .collect();
        batch
            .drain(..)
            .zip(verdicts)
            // Outputs that were put into a pack no longer exist by themselves.
            .filter(|((path, _), verdict)| !(*verdict == OutputVerdict::Missing && is_packed(path)))
            .try_for_each(|((path, _), verdict)| take(&path, verdict))
    };
    for file in &files {
        read_file(file, |line, _| {
            for (name, stamp) in line.outputs().filter(|_| line.state == EntryState::Done) {
                let key = PathKey::of(&name);
                let own = stamp.map(|stamp| (line.time, stamp.digest));
                // Each output once, by its last `done` line.
                if latest.get(&key).copied() == own && latest.remove(&key).is_some() {
                    let digest = own.map(|(_, digest)| digest);
                    batch
                        .extend(digest.map(|digest| (folder.join(path_from_bytes(&name)), digest)));
                }
                if batch.len() == BATCH_OUTPUTS {
                    verify_batch(&mut batch)?;
                }
            }
            Ok(())
        })?;
    }
    verify_batch(&mut batch)
}

/// Compares an output with the recorded digest; its content is read even if size and time match.
fn verify_output(path: &Path, digest: &Digest) -> OutputVerdict {
    let is_gone = |error: &std::io::Error| {
        matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
    };
    match fs::metadata(path) {
        Err(error) if is_gone(&error) => return OutputVerdict::Missing,
        Err(error) => return OutputVerdict::Unreadable(Error::io(path, &error).to_string()),
        Ok(_) => {}
    }
    match FileStamp::of_file(path) {
        Ok(stamp) if stamp.digest == *digest => OutputVerdict::Unchanged,
        Ok(_) => OutputVerdict::Changed,
        Err(error) => OutputVerdict::Unreadable(error.to_string()),
    }
}
