//! Runs a [`PassRunner`] (a backbone with heads) over photos: they are decoded on worker threads, computed in batches
//! on one device or several, finished on worker threads again, and reported in the order of the inputs. A photo that
//! fails is reported as its error and does not stop the others.
//!
//! # One photo, stage by stage
//!
//! ```text
//!  Source | frame of a clip       feed.rs: what a run is given
//!    |  feeder thread             feeder.rs: one photo after the other, in their order
//!    |    wait for a queue slot   queue_slots.rs: bounds the number of photos that are decoded but not computed
//!    |    read the header         decode.rs: size, planned bytes, size check of the runner
//!    |    wait for memory         system::memory::MemoryGate gives a MemoryPermit, held until the photo is finished
//!    v
//!  AdmittedPhoto
//!    |  worker pool               decode.rs: decode upright, crop, PassRunner::prepare (resize, pad, normalise)
//!    v                            worker_pool.rs: the threads
//!  ReadyPhoto                     ready_photo.rs
//!    |  caller's thread           dispatch.rs: put in order (reorder_buffer.rs), queue, gather a batch
//!    v
//!  Vec<ReadyPhoto>                photos of one padded size and one batch key
//!    |  device worker             device_worker.rs: PassRunner::run_batch; one thread a device if there are several
//!    v                            batch_limit.rs: halves batches for which the device has no memory
//!  PassRunner::Output             pass_runner.rs: the trait; pass.rs: one pass of the backbone, BackboneOutput
//!    |  worker pool               the caller's `finish`: from the output to maps and files
//!    v
//!  Result<T>
//!       caller's thread           dispatch.rs: put in order, `report(index, result)`
//! ```
//!
//! A batch slot is a runner with its own copy of the batch data: one a device, three on an NVIDIA GPU
//! ([`batch_slots`]), so that copies overlap with computation. `pipeline.rs` has what all stages of a run share,
//! `run.rs` starts the threads, `event.rs` is what they send to the caller's thread.
//!
//! # Memory
//!
//! Host memory is bounded by bytes: each photo acquires a permit for [`PassRunner::memory`], or for what its decoder
//! takes if that is more, before its pixels are decoded, and drops it after `finish`. [`DecodeStage::gate`] keeps the
//! sum of all permits within its limit; a photo that alone exceeds it is refused. A photo whose header does not tell
//! its size has no permit: it is compared with the limit once it is decoded. The queue is bounded by number too: at
//! most `batch size * batch slots + worker threads` photos are decoded and not computed, and no batch starts while at
//! least `2 * worker threads + batch size` photos are being finished, so that a slow stage holds up the ones before it.
//!
//! Device memory is bounded by the batch: [`BatchSize`] plans it from [`PassRunner::device_memory`], [`BatchLimit`]
//! halves it where that was not enough.

mod batch_limit;
mod batch_size;
mod decode;
mod device_worker;
mod dispatch;
mod event;
mod failed_stamps;
mod feed;
mod feeder;
mod pass;
mod pass_runner;
mod pipeline;
mod queue_slots;
mod ready_photo;
mod reorder_buffer;
mod run;
pub mod run_report;
pub mod stage_timings;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod worker_pool;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::io::inputs::Source;
use crate::model::backbone::Backbone;
use crate::model::device;
use crate::model::input::Geometry;
use crate::system::interrupt;
use crate::terminal::console::Console;
use device_worker::DeviceWorker;
use feed::PhotoInputs;
use pipeline::PhotoPipeline;

pub use batch_limit::{BatchLimit, explain_out_of_memory};
pub use batch_size::{BatchSize, auto_batch_size};
pub use decode::{DecodeStage, PhotoCrop, StoredPhoto};
pub use failed_stamps::FailedStamps;
pub use feed::FrameSource;
pub use pass::{BackboneBatchOutput, BackboneOutput, BackbonePass, FlipViews, InputScales};
pub use pass_runner::{AttentionPass, FeaturePass, PassRunner, decoded_bytes, time_stage};
pub use ready_photo::ReadyPhoto;

/// Runs [`PassRunner`]s over photos, and reports the results in the order of the photos.
pub struct Engine {
    decoding: DecodeStage,
    batch_size: BatchSize,
    /// Free bytes for one batch slot on the device that has least, after the weights; unknown on a CPU.
    free_bytes: Option<u64>,
    /// One for each of the [`batch_slots`].
    batch_limits: Vec<BatchLimit>,
    workers: rayon::ThreadPool,
}

impl Engine {
    /// An engine for the devices of `backbones`, which have the same weights. `batch_size` is the number of photos of
    /// one padded size in a batch; `console` gets a note where a device has too little memory for that.
    ///
    /// # Errors
    /// [`Error::Model`] if there is no backbone; [`Error::Usage`] if the system starts no more threads.
    pub fn new(
        backbones: &[Backbone],
        decoding: DecodeStage,
        batch_size: BatchSize,
        console: &Console,
    ) -> Result<Self> {
        let Some(first) = backbones.first() else {
            return Err(no_network_error());
        };
        // The smallest device decides, so that batches are the same wherever they are computed.
        let free = backbones
            .iter()
            .map(|backbone| device::free_memory(backbone.device()));
        let free = free.min().flatten();
        let slots = batch_slots(backbones);
        let batch_limits = slots.iter().map(|backbone| {
            let device = device::name(backbone.device());
            BatchLimit::new(usize::MAX, "photos", device, console)
        });
        Ok(Engine {
            decoding,
            batch_size,
            free_bytes: free.map(|free| free / slots.len().div_ceil(backbones.len()) as u64),
            batch_limits: batch_limits.collect(),
            workers: worker_pool::build_worker_pool(first.device())?,
        })
    }

    /// Runs `sources` through `runners`, of which there is one for each device, or for each of the [`batch_slots`]; all
    /// must give the same outputs. On the worker threads, `finish` turns the output of a photo into its result. On this
    /// thread, `report` gets the index and result of each photo, in the order of `sources`, and `before` gets, before a
    /// photo is computed, its index, its layouts and the bytes of host memory that are planned for it.
    ///
    /// # Errors
    /// What `report` returns, which ends the run; [`Error::Interrupted`] after Ctrl-C, once the photos that were
    /// already computed are reported; [`Error::Model`] if there are no `runners`.
    pub fn run<N: PassRunner, T: Send>(
        &self,
        sources: &[&Source],
        runners: &[N],
        before: impl Fn(usize, &[Geometry], u64),
        finish: impl Fn(ReadyPhoto, N::Output) -> Result<T> + Sync,
        report: impl FnMut(usize, Result<T>) -> Result<()>,
    ) -> Result<()> {
        self.run_feed(
            PhotoInputs::Sources(sources),
            runners,
            before,
            finish,
            report,
        )
    }

    /// As [`Engine::run`], over the `frames` of `clip`, whose number is not known in advance. A frame that cannot be
    /// read is reported as an error, and is the last one.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn run_frames<N: PassRunner, T: Send>(
        &self,
        (clip, frames): (&Source, &dyn FrameSource),
        runners: &[N],
        before: impl Fn(usize, &[Geometry], u64),
        finish: impl Fn(ReadyPhoto, N::Output) -> Result<T> + Sync,
        report: impl FnMut(usize, Result<T>) -> Result<()>,
    ) -> Result<()> {
        let feed = PhotoInputs::Frames(clip, frames);
        self.run_feed(feed, runners, before, finish, report)
    }

    fn run_feed<N: PassRunner, T: Send>(
        &self,
        feed: PhotoInputs<'_>,
        runners: &[N],
        before: impl Fn(usize, &[Geometry], u64),
        finish: impl Fn(ReadyPhoto, N::Output) -> Result<T> + Sync,
        report: impl FnMut(usize, Result<T>) -> Result<()>,
    ) -> Result<()> {
        let devices = runners.iter().zip(&self.batch_limits);
        let devices: Vec<DeviceWorker<'_, N>> = devices
            .map(|(runner, batch_limit)| DeviceWorker {
                runner,
                batch_limit,
            })
            .collect();
        let Some(runner) = runners.first().filter(|_| !devices.is_empty()) else {
            return Err(no_network_error());
        };
        let pipeline = PhotoPipeline {
            decoding: &self.decoding,
            batch_size: self.batch_size,
            free_bytes: self.free_bytes,
            workers: &self.workers,
            feed,
            runner,
            devices: &devices,
            finish,
        };
        pipeline.run(before, report)
    }

    /// Maps `items` by `work` on the worker threads, as many at a time as there are threads, and calls `report` with
    /// the index and result of each, in the order of `items`, on this thread.
    ///
    /// # Errors
    /// What `report` returns, which ends the run; [`Error::Interrupted`] after Ctrl-C.
    pub fn process_in_order<I: Send, T: Send>(
        &self,
        items: impl ExactSizeIterator<Item = Result<I>>,
        work: impl Fn(I) -> Result<T> + Sync,
        mut report: impl FnMut(usize, Result<T>) -> Result<()>,
    ) -> Result<()> {
        let mut items = items.enumerate();
        let chunk_len = self.workers.current_num_threads();
        loop {
            interrupt::check()?;
            let chunk: Vec<(usize, Result<I>)> = items.by_ref().take(chunk_len).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            let results: Vec<(usize, Result<T>)> = self.workers.install(|| {
                chunk
                    .into_par_iter()
                    .with_max_len(1)
                    .map(|(index, item)| (index, item.and_then(&work)))
                    .collect()
            });
            results
                .into_iter()
                .try_for_each(|(index, result)| report(index, result))?;
        }
    }
}

/// Batches under way at once on a GPU: one is copied to it, one is computed, one is copied back.
const BATCHES_PER_GPU: usize = 3;

/// One backbone for each batch that is under way at once: each backbone, and those on NVIDIA GPUs three times.
pub fn batch_slots(backbones: &[Backbone]) -> Vec<&Backbone> {
    let rounds = (0..BATCHES_PER_GPU).flat_map(|round| {
        let has_slot = move |one: &&Backbone| round == 0 || one.device().is_cuda();
        backbones.iter().filter(has_slot)
    });
    rounds.collect()
}

/// Prints a note for each of `backbones` that switched to bf16 because its activations overflowed f16.
pub fn note_overflow(backbones: &[Backbone], console: &Console) {
    for backbone in backbones {
        if backbone.has_overflowed() {
            console.note_once(
                "overflow",
                format_args!(
                    "numbers of this model overflow f16, so that bf16 was used on {}, which is less exact (--dtype bf16 says so \
                     from the start)",
                    device::name(backbone.device())
                ),
            );
        }
    }
}

fn no_network_error() -> Error {
    Error::Model("there is no network to run".into())
}
