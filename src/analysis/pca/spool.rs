//! The patch tokens of many photos, kept for a joint fit that reads them twice or more: in memory up to a limit, then
//! in an unnamed temporary file ([`FloatSpool`]).

use crate::error::Result;
use crate::model::input::PatchGrid;
use crate::system::files::spool::FloatSpool;

/// The token matrices `[rows * cols, D]` of photos in the order in which they were pushed.
#[derive(Debug)]
pub struct TokenSpool {
    tokens: FloatSpool,
    grids: Vec<PatchGrid>,
    dim: usize,
}

impl TokenSpool {
    /// An empty spool for tokens of width `dim`.
    pub fn new(dim: usize) -> Self {
        Self {
            tokens: FloatSpool::new("patch features", "--fit each"),
            grids: Vec::new(),
            dim,
        }
    }

    /// Width of a token (D).
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of photos.
    pub fn len(&self) -> usize {
        self.grids.len()
    }

    /// Whether there is no photo.
    pub fn is_empty(&self) -> bool {
        self.grids.is_empty()
    }

    /// Number of patches of all photos.
    pub fn patches(&self) -> usize {
        self.grids.iter().map(|grid| grid.len()).sum()
    }

    /// Appends the `tokens` `[rows * cols, D]` of one photo.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    ///
    /// # Panics
    /// If `tokens` does not have `rows * cols * D` numbers.
    pub fn push(&mut self, grid: PatchGrid, tokens: &[f32]) -> Result<()> {
        assert_eq!(
            tokens.len(),
            grid.len() * self.dim,
            "tokens are rows * cols x D"
        );
        self.tokens.push(tokens)?;
        self.grids.push(grid);
        Ok(())
    }

    /// The grid and the tokens of photo `index`, counted from 0 in the order of [`TokenSpool::push`].
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn read(&mut self, index: usize) -> Result<(PatchGrid, Vec<f32>)> {
        Ok((self.grids[index], self.tokens.read(index)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn photos_keep_their_grids() {
        let mut spool = TokenSpool::new(2);
        let (wide, one) = (
            PatchGrid { rows: 1, cols: 2 },
            PatchGrid { rows: 1, cols: 1 },
        );
        spool.push(wide, &[1.0, 2.0, 3.0, 4.0]).unwrap();
        spool.push(one, &[5.0, 6.0]).unwrap();
        assert_eq!(spool.read(1).unwrap(), (one, vec![5.0, 6.0]));
        assert_eq!(spool.read(0).unwrap(), (wide, vec![1.0, 2.0, 3.0, 4.0]));
    }
}
