//! Results in the order of the inputs, though they come as they are ready.

use std::collections::BTreeMap;

/// Gives back what was put in by the order of indices, without gaps, from 0.
#[derive(Debug)]
pub struct Ordered<T> {
    next: usize,
    early: BTreeMap<usize, T>,
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered {
            next: 0,
            early: BTreeMap::new(),
        }
    }
}

impl<T> Ordered<T> {
    /// Keeps `value` until its turn.
    pub fn put(&mut self, index: usize, value: T) {
        self.early.insert(index, value);
    }

    /// The next one with its index, if it is there.
    pub fn take(&mut self) -> Option<(usize, T)> {
        let value = self.early.remove(&self.next)?;
        self.next += 1;
        Some((self.next - 1, value))
    }

    /// The index whose turn it is.
    pub fn next(&self) -> usize {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_early_waits() {
        let mut ordered = Ordered::default();
        ordered.put(1, 'b');
        assert_eq!(ordered.take(), None);
        ordered.put(0, 'a');
        assert_eq!(
            (ordered.take(), ordered.take()),
            (Some((0, 'a')), Some((1, 'b')))
        );
        assert_eq!((ordered.take(), ordered.next()), (None, 2));
    }
}
