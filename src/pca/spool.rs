//! Patch tokens of many photos between the pass that computes them and the pass that draws them.
//!
//! A joint fit needs every photo's tokens twice or more; they are kept in memory up to a limit and in one
//! unnamed temporary file beyond it, so a folder of any length needs no more memory than a few photos. The file
//! has no name, so it is gone whichever way the program ends.

use std::io::{Read, Seek, SeekFrom, Write};

use tempfile::{SpooledTempFile, spooled_tempfile};

use crate::backbone::Grid;
use crate::error::{Error, Result};

/// Bytes kept in memory before the temporary file is begun: about 120 photos of ViT-S/14 at 518 pixels.
const IN_MEMORY: usize = 256 << 20;

/// A sequence of token matrices.
#[derive(Debug)]
pub struct TokenSpool {
    file: SpooledTempFile,
    entries: Vec<(u64, Grid)>,
    end: u64,
    dim: usize,
}

impl TokenSpool {
    /// Empty, for tokens of width `dim`.
    pub fn new(dim: usize) -> Self {
        Self {
            file: spooled_tempfile(IN_MEMORY),
            entries: Vec::new(),
            end: 0,
            dim,
        }
    }

    /// Width of a token.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Photos kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no photo is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Patches of all photos.
    pub fn patches(&self) -> usize {
        self.entries.iter().map(|(_, grid)| grid.len()).sum()
    }

    /// Keeps one photo's `tokens` `[rows * cols, D]`.
    pub fn push(&mut self, grid: Grid, tokens: &[f32]) -> Result<()> {
        assert_eq!(
            tokens.len(),
            grid.len() * self.dim,
            "tokens are rows * cols x D"
        );
        let bytes: Vec<u8> = tokens.iter().flat_map(|v| v.to_le_bytes()).collect();
        let written = self
            .file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(&bytes));
        written.map_err(|e| failed("written", &e))?;
        self.entries.push((self.end, grid));
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// The tokens of photo `index`, in the order they were pushed.
    pub fn read(&mut self, index: usize) -> Result<(Grid, Vec<f32>)> {
        let (start, grid) = self.entries[index];
        let mut bytes = vec![0u8; grid.len() * self.dim * 4];
        let read = self
            .file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| failed("read", &e))?;
        let values = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok((grid, values.collect()))
    }
}

fn failed(what: &str, error: &std::io::Error) -> Error {
    let folder = std::env::temp_dir();
    Error::file(
        &folder,
        format!(
            "patch features could not be {what} in a temporary file: {error}; set TMPDIR to a folder with more room, or give fewer photos at once"
        ),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn photos_come_back_in_any_order() {
        let mut spool = TokenSpool::new(2);
        spool
            .push(Grid { rows: 1, cols: 2 }, &[1.0, 2.0, 3.0, 4.0])
            .unwrap();
        spool.push(Grid { rows: 1, cols: 1 }, &[5.0, 6.0]).unwrap();
        assert_eq!(
            spool.read(1).unwrap(),
            (Grid { rows: 1, cols: 1 }, vec![5.0, 6.0])
        );
        assert_eq!(spool.read(0).unwrap().1, [1.0, 2.0, 3.0, 4.0]);
        spool.push(Grid { rows: 1, cols: 1 }, &[7.0, 8.0]).unwrap();
        assert_eq!(spool.read(2).unwrap().1, [7.0, 8.0]);
    }
}
