//! Photos through the network: decoded by several workers, computed in batches on one device or several, finished by
//! workers again, and reported in order. A photo that fails is reported as its error and the rest goes on.
//!
//! The way of a photo, file by file: `flow` says who does what, `dispatch` when, and `room` how much of it;
//! `feed` is where photos come from; `decode` opens, admits, decodes and prepares it; `lane` is a device, and `network` what it does, of which
//! `pass` is one look of the backbone, `batch` how many photos it gets and `at_once` how many of them fit;
//! `background` are the workers; `order` puts the results in order.

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
pub mod stopwatch;
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
use feed::PhotoFeed;
use pipeline::PhotoPipeline;

pub use batch_limit::{BatchLimit, explain_out_of_memory};
pub use batch_size::{BatchSize, auto_batch_size};
pub use decode::{DecodeStage, PhotoCrop, StoredPhoto};
pub use failed_stamps::FailedStamps;
pub use feed::FrameFeed;
pub use pass::{BackboneBatchOutput, BackboneOutput, BackbonePass, FlipViews, InputScales};
pub use pass_runner::{AttentionPass, FeaturePass, PassRunner, decoded_bytes, time_stage};
pub use ready_photo::ReadyPhoto;

/// Runs networks over photos.
pub struct Engine {
    decoding: DecodeStage,
    batch_size: BatchSize,
    /// Bytes of the device that has least, after the weights.
    free_bytes: Option<u64>,
    /// By device.
    batch_limits: Vec<BatchLimit>,
    workers: rayon::ThreadPool,
}

impl Engine {
    /// Beside the devices of `backbones`, which have the same weights, with up to `batch_size` photos of one size in the
    /// network at once; `console` is told where a device's memory does not suffice for that.
    ///
    /// # Errors
    /// If there is no backbone, or the system starts no more threads.
    pub fn new(
        backbones: &[Backbone],
        decoding: DecodeStage,
        batch_size: BatchSize,
        console: &Console,
    ) -> Result<Self> {
        let Some(first) = backbones.first() else {
            return Err(no_network_error());
        };
        // Batches are the same wherever they are computed.
        let free = backbones
            .iter()
            .map(|backbone| device::free_memory(backbone.device()));
        let free = free.min().flatten();
        let seats = batch_slots(backbones);
        let at_once = seats.iter().map(|backbone| {
            let device = device::name(backbone.device());
            BatchLimit::new(usize::MAX, "photos", device, console)
        });
        Ok(Engine {
            decoding,
            batch_size,
            free_bytes: free.map(|free| free / seats.len().div_ceil(backbones.len()) as u64),
            batch_limits: at_once.collect(),
            workers: worker_pool::build_worker_pool(first.device())?,
        })
    }

    /// Runs `networks`, one on each device or as many as there are [`batch_slots`], which all find the same, over `sources`; has what they find in each finished by
    /// the workers, and calls `report` with every one's index and result, in their order, on this thread. `before` is told of
    /// each that is about to be computed, with its layouts and bytes of memory.
    ///
    /// # Errors
    /// What `report` returns, which ends the run; [`Error::Interrupted`], after what was under way is reported.
    pub fn run<N: PassRunner, T: Send>(
        &self,
        sources: &[&Source],
        networks: &[N],
        before: impl Fn(usize, &[Geometry], u64),
        finish: impl Fn(ReadyPhoto, N::Output) -> Result<T> + Sync,
        report: impl FnMut(usize, Result<T>) -> Result<()>,
    ) -> Result<()> {
        self.run_feed(
            PhotoFeed::Sources(sources),
            networks,
            before,
            finish,
            report,
        )
    }

    /// As [`Engine::run`], over the frames of `clip`, which are never all there at once. A frame that cannot be read is
    /// reported, and is the last.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn run_frames<N: PassRunner, T: Send>(
        &self,
        (clip, frames): (&Source, &dyn FrameFeed),
        networks: &[N],
        before: impl Fn(usize, &[Geometry], u64),
        finish: impl Fn(ReadyPhoto, N::Output) -> Result<T> + Sync,
        report: impl FnMut(usize, Result<T>) -> Result<()>,
    ) -> Result<()> {
        let feed = PhotoFeed::Frames(clip, frames);
        self.run_feed(feed, networks, before, finish, report)
    }

    fn run_feed<N: PassRunner, T: Send>(
        &self,
        feed: PhotoFeed<'_>,
        networks: &[N],
        before: impl Fn(usize, &[Geometry], u64),
        finish: impl Fn(ReadyPhoto, N::Output) -> Result<T> + Sync,
        report: impl FnMut(usize, Result<T>) -> Result<()>,
    ) -> Result<()> {
        let lanes = networks.iter().zip(&self.batch_limits);
        let lanes: Vec<DeviceWorker<'_, N>> = lanes
            .map(|(network, at_once)| DeviceWorker {
                network,
                batch_limit: at_once,
            })
            .collect();
        let Some(network) = networks.first().filter(|_| !lanes.is_empty()) else {
            return Err(no_network_error());
        };
        let flow = PhotoPipeline {
            decoding: &self.decoding,
            batch_size: self.batch_size,
            free_bytes: self.free_bytes,
            workers: &self.workers,
            feed,
            network,
            devices: &lanes,
            finish,
        };
        flow.run(before, report)
    }

    /// Has the workers do `work` on each of `items`, a few at a time, and calls `report` with every one's index and result, in
    /// their order, on this thread.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn process_in_order<I: Send, T: Send>(
        &self,
        items: impl ExactSizeIterator<Item = Result<I>>,
        work: impl Fn(I) -> Result<T> + Sync,
        mut report: impl FnMut(usize, Result<T>) -> Result<()>,
    ) -> Result<()> {
        let mut items = items.enumerate();
        let at_once = self.workers.current_num_threads();
        loop {
            interrupt::check()?;
            let some: Vec<(usize, Result<I>)> = items.by_ref().take(at_once).collect();
            if some.is_empty() {
                return Ok(());
            }
            let results: Vec<(usize, Result<T>)> = self.workers.install(|| {
                some.into_par_iter()
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

/// Batches of a GPU that are under way at once: one is gathered and copied, one is computed, one is read.
const BATCHES_PER_GPU: usize = 3;

/// The backbones that batches are given to, those on NVIDIA GPUs several times over.
pub fn batch_slots(backbones: &[Backbone]) -> Vec<&Backbone> {
    let rounds = (0..BATCHES_PER_GPU).flat_map(|round| {
        let has_seat = move |one: &&Backbone| round == 0 || one.device().is_cuda();
        backbones.iter().filter(has_seat)
    });
    rounds.collect()
}

/// Says which of `backbones` computed in bf16 because its numbers overflowed f16.
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
