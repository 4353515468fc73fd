//! A photo's way: admitted in order, decoded by some worker, computed in order and in batches, finished by some
//! worker, reported in order on the caller's thread. Nothing goes back. One device computes on the caller's thread; of
//! several each has a thread of its own, and the batches, which are the same as for one, go to whichever is free.
//!
//! How much is under way is bounded by bytes (each photo holds a permit for what it will take from before it is
//! decoded until it is finished) and by number, so that a slow stage holds the others up.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, Scope as Threads};

use rayon::{Scope, ThreadPool};

use super::batch_size::BatchSize;
use super::decode::{AdmittedPhoto, DecodeStage, ReadyPhoto};
use super::device_worker::DeviceWorker;
use super::dispatch::{DeviceWorkers, Dispatcher};
use super::feed::PhotoFeed;
use super::pass_runner::PassRunner;
use super::queue_slots::{CloseOnDrop, QueueSlots};
use crate::error::{Error, Result};
use crate::model::input::Geometry;

/// What workers and lanes tell the caller's thread: `T` is what becomes of a photo, `C` what is computed of it.
pub(super) enum PipelineEvent<T, C> {
    /// A photo is ready, or failed.
    Ready(usize, Result<ReadyPhoto>),
    /// This photo waits for the memory of those before it.
    WaitingForMemory(usize),
    /// There were so many photos, and no more come.
    FeedEnded(usize),
    /// The lane of this number is done with a batch.
    Computed(usize, Vec<(ReadyPhoto, Result<C>)>),
    /// A photo is finished, or failed.
    Finished(usize, Result<T>),
    /// A worker or a lane has a fault; the program ends with it.
    Panicked(Box<dyn Any + Send>),
}

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
    /// Runs all photos; `before` is told of each that is about to be computed, with its layouts and bytes of memory.
    ///
    /// # Errors
    /// What `report` returns, which ends the run; [`Error::Interrupted`], after what was under way is reported.
    pub fn run<T: Send>(
        &self,
        before: impl Fn(usize, &[Geometry], u64),
        report: impl FnMut(usize, Result<T>) -> Result<()>,
    ) -> Result<()>
    where
        F: Fn(ReadyPhoto, N::Output) -> Result<T> + Sync,
    {
        let (sender, events) = channel();
        // It grows with the batches, whose size the photos decide.
        let room = QueueSlots::new(self.queue_capacity(self.batch_size.or_one()));
        self.workers.in_place_scope(|scope| {
            thread::scope(|threads| {
                let room = &room;
                let lanes = self.spawn_devices(threads, &sender)?;
                let of_feeder = sender.clone();
                threads.spawn(move || self.feed_photos(scope, room, &of_feeder));
                // Whatever the feeder waits for is not coming any more then.
                let _closing = CloseOnDrop(room);
                let told = (before, report);
                Dispatcher::new(self, (scope, room), lanes, sender, told).run(events)
            })
        })
    }

    /// Starts the threads of the lanes, where there are several.
    fn spawn_devices<'t, 's: 't, T: Send + 's>(
        &'s self,
        threads: &'t Threads<'t, '_>,
        sender: &Sender<PipelineEvent<T, N::Output>>,
    ) -> Result<DeviceWorkers<'s, N>>
    where
        F: Sync,
    {
        if let [lane] = self.devices {
            return Ok(DeviceWorkers::Inline(lane));
        }
        let mut batches = Vec::new();
        for (number, lane) in self.devices.iter().enumerate() {
            let (to_lane, of_lane) = channel();
            let sender = sender.clone();
            thread::Builder::new()
                .name(format!("device-{number}"))
                .spawn_scoped(threads, move || lane.serve(number, of_lane, &sender))
                .map_err(|error| Error::Usage(format!("no threads can be started: {error}")))?;
            batches.push(to_lane);
        }
        Ok(DeviceWorkers::Threads {
            idle: (0..batches.len()).collect(),
            batches,
        })
    }

    /// How many photos may be decoded, but not computed, for batches of this many.
    pub fn queue_capacity(&self, batch: usize) -> usize {
        batch * self.devices.len() + self.workers.current_num_threads()
    }

    /// Admits the photo `index`; none after the last.
    fn admit(&self, index: usize, crowded: impl FnOnce()) -> Result<Option<AdmittedPhoto<'_>>> {
        let (decoding, network) = (self.decoding, self.network);
        match &self.feed {
            PhotoFeed::Sources(sources) => decoding
                .admit((index, sources[index]), network, crowded)
                .map(Some),
            PhotoFeed::Frames(clip, frames) => {
                decoding.admit_frame((index, clip), *frames, network, crowded)
            }
        }
    }

    /// Admits the photos one after the other, and has them decoded.
    fn feed_photos<'s, T: Send + 's>(
        &'s self,
        scope: &Scope<'s>,
        room: &QueueSlots,
        sender: &Sender<PipelineEvent<T, N::Output>>,
    ) where
        F: Sync,
    {
        for index in 0.. {
            if self.feed.count() == Some(index) || !room.acquire() {
                return;
            }
            // If nobody listens any more, nobody is in the way either.
            let crowded = || drop(sender.send(PipelineEvent::WaitingForMemory(index)));
            let admit = || self.admit(index, crowded);
            let admitted = match catch_unwind(AssertUnwindSafe(admit)) {
                Ok(Ok(Some(admitted))) => admitted,
                Ok(Ok(None)) => {
                    let _ = sender.send(PipelineEvent::FeedEnded(index));
                    return;
                }
                Ok(Err(error)) => {
                    let _ = sender.send(PipelineEvent::Ready(index, Err(error)));
                    match self.feed.count() {
                        Some(_) => continue,
                        // A clip that cannot be read on has no more frames.
                        None => {
                            let _ = sender.send(PipelineEvent::FeedEnded(index + 1));
                            return;
                        }
                    }
                }
                Err(fault) => {
                    let _ = sender.send(PipelineEvent::Panicked(fault));
                    return;
                }
            };
            let sender = sender.clone();
            scope.spawn(move |_| {
                let prepare = || self.decoding.prepare(admitted, self.network);
                let _ = sender.send(match catch_unwind(AssertUnwindSafe(prepare)) {
                    Ok(ready) => PipelineEvent::Ready(index, ready),
                    Err(fault) => PipelineEvent::Panicked(fault),
                });
            });
        }
    }
}
