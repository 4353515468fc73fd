//! What the stages of a run share: decoding, workers, devices, the feed and the caller's `finish`.
//!
//! Photos are admitted in order, decoded by any worker, computed in order and in batches, finished by any worker, and
//! reported in order on the caller's thread. A single batch slot computes on the caller's thread. Several (several
//! devices, or one NVIDIA GPU, which has three) have a thread each; the batches are those of a single slot, and go to
//! the slot that has been idle longest.

use rayon::ThreadPool;

use super::batch_size::BatchSize;
use super::decode::DecodeStage;
use super::device_worker::DeviceWorker;
use super::feed::PhotoInputs;
use super::pass_runner::PassRunner;

/// What is constant during a run. `F` is the caller's `finish`.
pub(super) struct PhotoPipeline<'f, N, F> {
    /// Decodes and prepares photos.
    pub decoding: &'f DecodeStage,
    /// Photos in a batch.
    pub batch_size: BatchSize,
    /// Free bytes for a batch on the device that has least, where they are known.
    pub free_bytes: Option<u64>,
    /// The threads that decode and finish.
    pub workers: &'f ThreadPool,
    /// Where photos come from.
    pub feed: PhotoInputs<'f>,
    /// The first runner, for layouts and memory plans, which are the same for all runners.
    pub runner: &'f N,
    /// The batch slots, at least one.
    pub devices: &'f [DeviceWorker<'f, N>],
    /// Turns the output of a photo into the result that is reported; runs on the workers.
    pub finish: F,
}

impl<N: PassRunner, F> PhotoPipeline<'_, N, F> {
    /// How many photos may be decoded but not computed, for batches of `batch` photos.
    pub fn queue_capacity(&self, batch: usize) -> usize {
        batch * self.devices.len() + self.workers.current_num_threads()
    }
}
