//! The lines of a manifest's file, read from the first to the last.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::io::manifest::entry::{LineFault, ManifestLine};

/// Bytes of lines that are understood side by side.
const CHUNK_BYTES: usize = 4 << 20;

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ManifestFileEnd {
    /// Whether the last line is torn.
    pub is_torn: bool,
    /// Bytes of the file, as far as it was read.
    pub bytes: u64,
}

/// Some lines of a file, with their ends.
#[derive(Default)]
struct LineChunk {
    text: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl LineChunk {
    fn lines(&self) -> impl IndexedParallelIterator<Item = &[u8]> {
        self.ends.par_iter().enumerate().map(|(index, &end)| {
            let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.text[begin..end]
        })
    }

    /// Reads about [`AT_ONCE`] bytes of lines; fewer only at the end.
    fn fill(&mut self, reader: &mut impl BufRead) -> io::Result<()> {
        self.text.clear();
        self.ends.clear();
        while self.text.len() < CHUNK_BYTES && reader.read_until(b'\n', &mut self.text)? > 0 {
            self.ends.push(self.text.len());
        }
        Ok(())
    }
}

/// How long a file is when nobody is about to append to it, so that no line is read in half.
fn settled_length(file: &File) -> io::Result<u64> {
    // Where the file system has no locks, half a line is taken for a torn one.
    let is_locked = file.lock_shared().is_ok();
    let met = file.metadata();
    if is_locked {
        let _ = file.unlock();
    }
    Ok(met?.len())
}

/// Hands all lines to `take`, with their text, but those that are torn: no JSON, and nothing or a blank line follows. A
/// line without a time has that of the one before.
///
/// # Errors
/// Names the file if it cannot be read, and its line that is not understood; those of `take`.
pub(super) fn read_lines(
    path: &Path,
    file: &File,
    mut take: impl FnMut(&ManifestLine, &[u8]) -> Result<()>,
) -> Result<ManifestFileEnd> {
    let length = settled_length(file).map_err(|error| Error::io(path, &error))?;
    let mut reader = BufReader::with_capacity(1 << 18, file.take(length));
    let mut some = LineChunk::default();
    let mut torn = None;
    let (mut number, mut bytes, mut time) = (0, 0, 0);
    loop {
        some.fill(&mut reader)
            .map_err(|error| Error::io(path, &error))?;
        if some.ends.is_empty() {
            break;
        }
        bytes += some.text.len() as u64;
        let parse =
            |text: &[u8]| (!text.trim_ascii().is_empty()).then(|| ManifestLine::parse(text));
        let parsed: Vec<Option<Result<ManifestLine, LineFault>>> =
            some.lines().map(parse).collect();
        let mut begin = 0;
        for (parsed, &end) in parsed.into_iter().zip(&some.ends) {
            number += 1;
            let text = &some.text[std::mem::replace(&mut begin, end)..end];
            let Some(parsed) = parsed else {
                torn = None;
                continue;
            };
            if let Some((number, why)) = torn.take() {
                return Err(unusable(path, number, why));
            }
            match parsed {
                Ok(mut line) => {
                    // Those of the first format have none.
                    if line.time == 0 {
                        line.time = time;
                    }
                    time = line.time;
                    take(&line, text)?;
                }
                Err(LineFault::Torn(why)) => torn = Some((number, why)),
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
        is_torn: torn.is_some(),
        bytes,
    })
}

fn unusable(path: &Path, number: usize, why: impl std::fmt::Display) -> Error {
    Error::file(
        path,
        format!(
            "line {number} is none that dino wrote ({why}); remove it, after which dino knows nothing of its outputs, or \
             choose another output folder"
        ),
    )
}
