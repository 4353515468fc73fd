//! Patch tokens of many photos, which a joint fit needs twice or more.

use crate::error::Result;
use crate::model::input::Grid;
use crate::system::files::spool::FloatSpool;

/// A sequence of token matrices.
#[derive(Debug)]
pub struct TokenSpool {
    tokens: FloatSpool,
    grids: Vec<Grid>,
    dim: usize,
}

impl TokenSpool {
    /// Empty, for tokens of width `dim`.
    pub fn new(dim: usize) -> Self {
        Self {
            tokens: FloatSpool::new("patch features", "--fit each"),
            grids: Vec::new(),
            dim,
        }
    }

    /// Width of a token.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Photos kept.
    pub fn len(&self) -> usize {
        self.grids.len()
    }

    /// Whether no photo is kept.
    pub fn is_empty(&self) -> bool {
        self.grids.is_empty()
    }

    /// Patches of all photos.
    pub fn patches(&self) -> usize {
        self.grids.iter().map(|grid| grid.len()).sum()
    }

    /// Keeps one photo's `tokens` `[rows * cols, D]`.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn push(&mut self, grid: Grid, tokens: &[f32]) -> Result<()> {
        assert_eq!(
            tokens.len(),
            grid.len() * self.dim,
            "tokens are rows * cols x D"
        );
        self.tokens.push(tokens)?;
        self.grids.push(grid);
        Ok(())
    }

    /// The tokens of photo `index`, in the order they were pushed.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn read(&mut self, index: usize) -> Result<(Grid, Vec<f32>)> {
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
        let (wide, one) = (Grid { rows: 1, cols: 2 }, Grid { rows: 1, cols: 1 });
        spool.push(wide, &[1.0, 2.0, 3.0, 4.0]).unwrap();
        spool.push(one, &[5.0, 6.0]).unwrap();
        assert_eq!(spool.read(1).unwrap(), (one, vec![5.0, 6.0]));
        assert_eq!(spool.read(0).unwrap(), (wide, vec![1.0, 2.0, 3.0, 4.0]));
    }
}
