//! Numbers of many photos between the pass that computes them and the pass that draws them.
//!
//! They are kept in memory up to a limit and in one unnamed temporary file beyond it, so a folder of any length needs
//! no more memory than a few photos. The file has no name, so it is gone whichever way the program ends.

use std::io::{Read, Seek, SeekFrom, Write};

use tempfile::{SpooledTempFile, spooled_tempfile};

use crate::error::{Error, Result};

/// Bytes kept in memory before the temporary file is begun: about 120 photos' tokens of ViT-S/14 at 518 pixels.
const IN_MEMORY: usize = 256 << 20;

/// A sequence of records of floats.
#[derive(Debug)]
pub struct Spool {
    file: SpooledTempFile,
    /// Start in bytes and length in numbers.
    records: Vec<(u64, usize)>,
    end: u64,
    /// What the records hold and how to do without them, for messages.
    what: &'static str,
    instead: &'static str,
}

impl Spool {
    /// Empty. Errors will say that `what` (a plural) could not be kept, and to use `instead`.
    pub fn new(what: &'static str, instead: &'static str) -> Self {
        Self {
            file: spooled_tempfile(IN_MEMORY),
            records: Vec::new(),
            end: 0,
            what,
            instead,
        }
    }

    /// Records kept.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Keeps a record.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn push(&mut self, values: &[f32]) -> Result<()> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let written = self
            .file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(&bytes));
        written.map_err(|e| self.failed("written", &e))?;
        self.records.push((self.end, values.len()));
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Record `index`, in the order they were pushed.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn read(&mut self, index: usize) -> Result<Vec<f32>> {
        let (start, len) = self.records[index];
        let mut bytes = vec![0u8; len * 4];
        let read = self
            .file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| self.failed("read", &e))?;
        let values = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok(values.collect())
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> Error {
        Error::file(
            std::env::temp_dir(),
            format!(
                "{} could not be {what} in a temporary file: {error}; set TMPDIR to a folder with more room, or use {}",
                self.what, self.instead
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
        let mut spool = Spool::new("numbers", "none");
        spool.push(&[1.0, 2.0, 3.0]).unwrap();
        spool.push(&[5.0]).unwrap();
        assert_eq!(spool.read(1).unwrap(), [5.0]);
        assert_eq!(spool.read(0).unwrap(), [1.0, 2.0, 3.0]);
        spool.push(&[7.0, 8.0]).unwrap();
        assert_eq!(spool.read(2).unwrap(), [7.0, 8.0]);
        assert_eq!(spool.len(), 3);
    }
}
