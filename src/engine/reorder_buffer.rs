//! Results in the order of the inputs, though they come as they are ready.

use std::collections::BTreeMap;

/// Gives back what was put in by the order of indices, without gaps, from 0.
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
    /// Keeps `value` until its turn.
    pub fn insert(&mut self, index: usize, value: T) {
        self.pending.insert(index, value);
    }

    /// The next one with its index, if it is there.
    pub fn pop_next(&mut self) -> Option<(usize, T)> {
        let value = self.pending.remove(&self.next)?;
        self.next += 1;
        Some((self.next - 1, value))
    }

    /// The index whose turn it is.
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
