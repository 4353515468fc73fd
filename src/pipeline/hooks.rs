//! What a command tells a pipeline of itself: what its photos take, which it refuses, and who is told how far they are.

use crate::memory::{self, Gate};
use crate::preprocess::Geometry;

/// The memory of photos that are under way.
#[derive(Clone)]
pub struct Costs<'a> {
    /// What they may take together.
    pub gate: Gate,
    /// Bytes that a photo of a layout takes after the backbone, itself not counted: scores, maps, pictures.
    pub after: &'a (dyn Fn(&Geometry) -> u64 + Sync),
    /// Patches that the backbone sees at once, where that is not a photo as a whole.
    pub window: Option<usize>,
}

impl Costs<'_> {
    /// Of photos of which nothing is kept but their features, within what is free.
    pub fn of_features() -> Self {
        Costs {
            gate: Gate::new(memory::usual_limit()),
            after: &|_| 0,
            window: None,
        }
    }
}

/// To refuse no photo.
///
/// # Errors
/// None.
pub fn accept_all(_: (u32, u32)) -> Result<(), String> {
    Ok(())
}

/// To be told nothing.
pub fn no_tick(_: usize, _: usize) {}
