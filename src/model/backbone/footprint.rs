//! Memory that a forward pass takes, in bytes, by the shape of the backbone and the patch grid of the input.
//!
//! The batch planner and the memory budget of the CPU use these figures before anything is allocated; weights are not
//! counted.

use crate::model::backbone::executor::Executor;
use crate::model::backbone::vit::Backbone;
use crate::model::input::PatchGrid;

impl Backbone {
    /// Bytes that [`Backbone::forward`] needs on a CPU for one photo of `grid` and `layers` requests: pixels,
    /// intermediate results and returned features. `None` on other devices, where it is not known.
    pub fn planned_memory(&self, grid: PatchGrid, layers: usize) -> Option<u64> {
        match self.executor {
            Executor::Cpu(_) => (),
            Executor::Constant(_) => return Some(self.feature_memory(grid, layers)),
            _ => return None,
        }
        let d = self.config.dim;
        let tokens = 1 + self.config.registers + grid.len();
        // The residual stream; queries, keys and values of a block and the next; the returned features.
        let features = tokens * d * (1 + 2 * 3 + layers);
        let pixels = 3 * grid.len() * self.config.patch_size.pow(2);
        let positions = grid.len() * d;
        Some(4 * (features + pixels + positions) as u64)
    }

    /// Bytes of device memory that [`Backbone::forward`] takes for each photo of `grid` in a batch, with `layers`
    /// requests: an upper estimate for the choice of the batch size, without what does not grow with the batch.
    pub fn device_memory(&self, grid: PatchGrid, layers: usize) -> u64 {
        let config = &self.config;
        let tokens = 1 + config.registers + grid.len();
        let blocks = tokens * config.bytes_per_token(self.dtype.size_in_bytes());
        // As uploaded, and cut into patches; f32.
        let pixels = 2 * 4 * 3 * grid.len() * config.patch_size.pow(2);
        (blocks + pixels) as u64 + self.feature_memory(grid, layers)
    }

    /// Bytes of the f32 features that are returned for one photo of `grid` and `layers` requests.
    pub fn feature_memory(&self, grid: PatchGrid, layers: usize) -> u64 {
        let tokens = 1 + self.config.registers + grid.len();
        4 * (tokens * self.config.dim * layers) as u64
    }
}
