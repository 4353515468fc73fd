//! From a prepared photo to a task's output on a device: passes of the backbone, heads, and windows.
//!
//! [`inference_mode`] says how a photo goes through the backbone (`choose_mode` decides it from options and the head),
//! and [`scorer`] runs a head with [`device_heads`] on each device. [`multi_task`] shares passes between tasks,
//! `window_runner` takes large photos through in windows, and [`stored_features`] stand in for the backbone. [`layer`]
//! has the pass and the tokens of tasks without a head, [`memory_cost`] the bytes that a photo takes after the
//! backbone.

mod choose_mode;
pub mod device_heads;
pub mod inference_mode;
pub mod layer;
pub mod memory_cost;
pub mod multi_task;
pub mod scorer;
pub mod stored_features;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod window_runner;
