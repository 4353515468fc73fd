//! Reads the lines of a manifest file in order, and drops those that were truncated by a crash.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::io::manifest::entry::{LineFault, ManifestLine};

/// Approximate size in bytes of a chunk of lines, which are parsed in parallel.
const CHUNK_BYTES: usize = 4 << 20;

/// The state of the end of a manifest file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ManifestFileEnd {
    /// Whether the last line is truncated.
    pub is_torn: bool,
    /// Bytes that were read.
    pub bytes: u64,
}

/// Consecutive lines of a file, with their line breaks.
#[derive(Default)]
struct LineChunk {
    text: Vec<u8>,
    /// End of each line in `text`.
    ends: Vec<usize>,
}

impl LineChunk {
    fn lines(&self) -> impl IndexedParallelIterator<Item = &[u8]> {
        self.ends.par_iter().enumerate().map(|(index, &end)| {
            let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.text[begin..end]
        })
    }

    /// Reads whole lines, about [`CHUNK_BYTES`] of them; fewer only at the end.
    fn fill(&mut self, reader: &mut impl BufRead) -> io::Result<()> {
        self.text.clear();
        self.ends.clear();
        while self.text.len() < CHUNK_BYTES && reader.read_until(b'\n', &mut self.text)? > 0 {
            self.ends.push(self.text.len());
        }
        Ok(())
    }
}

/// The length of a file, taken under a shared lock so that no partial line is included.
fn settled_length(file: &File) -> io::Result<u64> {
    // On file systems without locks, a partial line counts as torn.
    let is_locked = file.lock_shared().is_ok();
    let metadata = file.metadata();
    if is_locked {
        let _ = file.unlock();
    }
    Ok(metadata?.len())
}

/// Calls `take` with each line and its text, except torn lines: those that are not JSON, and are last or followed by a
/// blank line. A line without a time gets that of the preceding line.
///
/// # Errors
/// Names the file if it cannot be read, or its line that is not understood or of a newer format; those of `take`.
pub(super) fn read_lines(
    path: &Path,
    file: &File,
    mut take: impl FnMut(&ManifestLine, &[u8]) -> Result<()>,
) -> Result<ManifestFileEnd> {
    let length = settled_length(file).map_err(|error| Error::io(path, &error))?;
    let mut reader = BufReader::with_capacity(1 << 18, file.take(length));
    let mut chunk = LineChunk::default();
    let mut torn_line = None;
    let (mut number, mut bytes, mut time) = (0, 0, 0);
    loop {
        chunk
            .fill(&mut reader)
            .map_err(|error| Error::io(path, &error))?;
        if chunk.ends.is_empty() {
            break;
        }
        bytes += chunk.text.len() as u64;
        let parse =
            |text: &[u8]| (!text.trim_ascii().is_empty()).then(|| ManifestLine::parse(text));
        let parsed: Vec<Option<Result<ManifestLine, LineFault>>> =
            chunk.lines().map(parse).collect();
        let mut begin = 0;
        for (parsed, &end) in parsed.into_iter().zip(&chunk.ends) {
            number += 1;
            let text = &chunk.text[std::mem::replace(&mut begin, end)..end];
            let Some(parsed) = parsed else {
                torn_line = None;
                continue;
            };
            if let Some((number, why)) = torn_line.take() {
                return Err(unusable(path, number, why));
            }
            match parsed {
                Ok(mut line) => {
                    // Lines of format 1 have no time.
                    if line.time == 0 {
                        line.time = time;
                    }
                    time = line.time;
                    take(&line, text)?;
                }
                Err(LineFault::Torn(why)) => torn_line = Some((number, why)),
                Err(LineFault::Unknown(why)) => return Err(unusable(path, number, why)),
                Err(LineFault::Newer(format)) => {
                    return Err(Error::file(
                        path,
                        format!(
                            "line {number} is of format {format}, which a newer dino wrote; use that one, or choose another \
                             output folder"
                        ),
                    ));
                }
            }
        }
    }
    Ok(ManifestFileEnd {
        is_torn: torn_line.is_some(),
        bytes,
    })
}

/// The error of a line that is not understood.
fn unusable(path: &Path, number: usize, why: impl std::fmt::Display) -> Error {
    Error::file(
        path,
        format!(
            "line {number} is none that dino wrote ({why}); remove it, after which dino knows nothing of its outputs, or \
             choose another output folder"
        ),
    )
}
