//! Disjoint sets of indices (union-find with path halving), by which runs of pixels become connected regions.

/// Sets of the indices from 0 on; the least index of a set is its root, so that sets follow the order of the pixels.
#[derive(Debug, Default)]
pub(super) struct DisjointSets {
    parents: Vec<u32>,
}

impl DisjointSets {
    /// Adds the next index, as a set of its own.
    pub fn push(&mut self) {
        self.parents.push(self.parents.len() as u32);
    }

    /// The root of the set that holds `index`; the path to it becomes shorter.
    pub fn root(&mut self, mut index: u32) -> u32 {
        while self.parents[index as usize] != index {
            self.parents[index as usize] = self.parents[self.parents[index as usize] as usize];
            index = self.parents[index as usize];
        }
        index
    }

    /// Makes the sets of `a` and `b` one.
    pub fn unite(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b) as usize] = a.min(b);
    }
}
