//! Puts results that arrive in any order into the order of the inputs.

use std::collections::BTreeMap;

/// Returns values in the order of their indices, from 0 and without gaps, in whatever order they were inserted.
#[derive(Debug)]
pub struct ReorderBuffer<T> {
    next: usize,
    pending: BTreeMap<usize, T>,
}

impl<T> Default for ReorderBuffer<T> {
    fn default() -> Self {
        ReorderBuffer {
            next: 0,
            pending: BTreeMap::new(),
        }
    }
}

impl<T> ReorderBuffer<T> {
    /// Stores `value` until all before it were taken.
    pub fn insert(&mut self, index: usize, value: T) {
        self.pending.insert(index, value);
    }

    /// Takes the next value with its index, if it has been inserted.
    pub fn pop_next(&mut self) -> Option<(usize, T)> {
        let value = self.pending.remove(&self.next)?;
        self.next += 1;
        Some((self.next - 1, value))
    }

    /// The index that [`ReorderBuffer::pop_next`] returns next.
    pub fn next_index(&self) -> usize {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_early_waits() {
        let mut ordered = ReorderBuffer::default();
        ordered.insert(1, 'b');
        assert_eq!(ordered.pop_next(), None);
        ordered.insert(0, 'a');
        assert_eq!(
            (ordered.pop_next(), ordered.pop_next()),
            (Some((0, 'a')), Some((1, 'b')))
        );
        assert_eq!((ordered.pop_next(), ordered.next_index()), (None, 2));
    }
}
