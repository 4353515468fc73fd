//! Several tasks over the same photos: tasks that need the same input share a pass of the backbone.
//!
//! `runner` holds [`MultiTaskRunner`], `shared_pass` decides which passes can be merged, and `pass_runner` is what a
//! device runs: photos `ReadyPhoto` in, [`OutputsByTask`] out.

mod pass_runner;
mod runner;
mod shared_pass;

pub use runner::{DeviceOutput, MultiTaskRunner, OutputsByTask};
