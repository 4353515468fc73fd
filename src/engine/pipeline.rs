//! A photo's way: admitted in order, decoded by some worker, computed in order and in batches, finished by some
//! worker, reported in order on the caller's thread. Nothing goes back. One device computes on the caller's thread; of
//! several each has a thread of its own, and the batches, which are the same as for one, go to whichever is free.
//!
//! How much is under way is bounded by bytes (each photo holds a permit for what it will take from before it is
//! decoded until it is finished) and by number, so that a slow stage holds the others up.

use rayon::ThreadPool;

use super::batch_size::BatchSize;
use super::decode::DecodeStage;
use super::device_worker::DeviceWorker;
use super::feed::PhotoFeed;
use super::pass_runner::PassRunner;

/// All of a run but what changes.
pub(super) struct PhotoPipeline<'f, N, F> {
    pub decoding: &'f DecodeStage,
    pub batch_size: BatchSize,
    /// Bytes of the device that has least, where they are known.
    pub free_bytes: Option<u64>,
    pub workers: &'f ThreadPool,
    pub feed: PhotoFeed<'f>,
    /// For what is the same on all devices.
    pub network: &'f N,
    /// The devices, one at least.
    pub devices: &'f [DeviceWorker<'f, N>],
    /// Makes of what was found in a photo what is reported.
    pub finish: F,
}

impl<N: PassRunner, F> PhotoPipeline<'_, N, F> {
    /// How many photos may be decoded, but not computed, for batches of this many.
    pub fn queue_capacity(&self, batch: usize) -> usize {
        batch * self.devices.len() + self.workers.current_num_threads()
    }
}
