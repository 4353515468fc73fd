//! Spools: buffers for the records of many photos between the pass that computes them and the pass that uses them.
//!
//! They are kept in memory up to a limit and in one unnamed temporary file beyond it, so that a folder of any length
//! needs no more memory than a few photos. The file has no name, so the system removes it however the program ends.

use std::io::{self, Read, Seek, SeekFrom, Write};

use tempfile::{SpooledTempFile, spooled_tempfile};

use crate::error::{Error, Result};

/// Bytes kept in memory before the temporary file is begun: the tokens of about 120 photos of ViT-S/14 at 518 pixels.
const IN_MEMORY: usize = 256 << 20;

/// A sequence of records of f32, each of its own length.
#[derive(Debug)]
pub struct FloatSpool {
    bytes: ByteSpool,
    /// Of each record, its start in bytes and its length in values.
    records: Vec<(u64, usize)>,
}

impl FloatSpool {
    /// An empty spool. Errors say that `what` (a plural) could not be written or read, and to use `instead`.
    pub fn new(what: &'static str, instead: &'static str) -> Self {
        Self {
            bytes: ByteSpool::new(what, instead),
            records: Vec::new(),
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`Error::File`] if the temporary file cannot be written.
    pub fn push(&mut self, values: &[f32]) -> Result<()> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let start = self.bytes.push(&bytes)?;
        self.records.push((start, values.len()));
        Ok(())
    }

    /// Reads record `index`, counted in the order of [`FloatSpool::push`].
    ///
    /// # Errors
    /// [`Error::File`] if the temporary file cannot be read.
    pub fn read(&mut self, index: usize) -> Result<Vec<f32>> {
        let (start, len) = self.records[index];
        let mut bytes = vec![0u8; len * 4];
        self.bytes.read(start, &mut bytes)?;
        let values = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok(values.collect())
    }
}

/// Text that is appended in pieces and read as a whole.
#[derive(Debug)]
pub struct TextSpool(ByteSpool);

impl TextSpool {
    /// An empty spool. Errors say that `what` (a plural) could not be written or read, and to use `instead`.
    pub fn new(what: &'static str, instead: &'static str) -> Self {
        TextSpool(ByteSpool::new(what, instead))
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.end == 0
    }

    /// Appends a piece as a whole, or on failure nothing of it.
    ///
    /// # Errors
    /// [`Error::File`] if the temporary file cannot be written.
    pub fn push(&mut self, text: &[u8]) -> Result<()> {
        self.0.push(text).map(|_| ())
    }

    /// Copies the whole text to `writer`.
    ///
    /// # Errors
    /// If writing fails, or reading the temporary file does.
    pub fn copy_to(&mut self, writer: &mut dyn Write) -> io::Result<()> {
        let end = self.0.end;
        self.0.file.seek(SeekFrom::Start(0))?;
        let copied = io::copy(&mut Read::by_ref(&mut self.0.file).take(end), writer)?;
        match copied == end {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The bytes of a spool: in memory, then in a temporary file.
#[derive(Debug)]
struct ByteSpool {
    file: SpooledTempFile,
    /// Position in bytes of the next write; data behind it from a failed write are overwritten.
    end: u64,
    /// What the records are (a plural), for messages.
    contents: &'static str,
    /// An option that avoids the records, for messages.
    alternative: &'static str,
}

impl ByteSpool {
    fn new(contents: &'static str, alternative: &'static str) -> Self {
        ByteSpool {
            file: spooled_tempfile(IN_MEMORY),
            end: 0,
            contents,
            alternative,
        }
    }

    /// Appends bytes and returns their start.
    fn push(&mut self, bytes: &[u8]) -> Result<u64> {
        let start = self.end;
        let written = self
            .file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.write_all(bytes));
        written.map_err(|e| self.file_error("written", &e))?;
        self.end += bytes.len() as u64;
        Ok(start)
    }

    /// Fills `bytes` from `start` on.
    fn read(&mut self, start: u64, bytes: &mut [u8]) -> Result<()> {
        let read = self
            .file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.read_exact(bytes));
        read.map_err(|e| self.file_error("read", &e))
    }

    fn file_error(&self, what: &str, error: &io::Error) -> Error {
        Error::file(
            std::env::temp_dir(),
            format!(
                "{} could not be {what} in a temporary file: {error}; set TMPDIR to a folder with more room, or use {}",
                self.contents, self.alternative
            ),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_any_order() {
        let mut spool = FloatSpool::new("numbers", "none");
        spool.push(&[1.0, 2.0, 3.0]).unwrap();
        spool.push(&[5.0]).unwrap();
        assert_eq!(spool.read(1).unwrap(), [5.0]);
        assert_eq!(spool.read(0).unwrap(), [1.0, 2.0, 3.0]);
        spool.push(&[7.0, 8.0]).unwrap();
        assert_eq!(spool.read(2).unwrap(), [7.0, 8.0]);
        assert_eq!(spool.len(), 3);
    }

    #[test]
    fn text_comes_back_whole() {
        let mut spool = TextSpool::new("words", "none");
        assert!(spool.is_empty());
        let mut copy = Vec::new();
        for piece in ["one ", "two ", "three"] {
            spool.push(piece.as_bytes()).unwrap();
            copy.clear();
            spool.copy_to(&mut copy).unwrap();
        }
        assert_eq!(copy, b"one two three");
    }
}
