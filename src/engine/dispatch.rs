//! The caller's thread of a run: receives events, gathers batches for the devices, spawns `finish` on the workers, and
//! reports the results in the order of the photos.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender};

use rayon::Scope;

use super::device_worker::DeviceWorkers;
use super::event::PipelineEvent;
use super::pass_runner::PassRunner;
use super::pipeline::PhotoPipeline;
use super::queue_slots::QueueSlots;
use super::ready_photo::ReadyPhoto;
use super::reorder_buffer::ReorderBuffer;
use crate::error::{Error, Result};
use crate::model::input::Geometry;
use crate::system::interrupt;

/// A photo that is next in order to be computed.
struct QueuedPhoto {
    ready: ReadyPhoto,
    /// The batch size for photos of its layouts.
    batch: usize,
}

/// State of a run on the caller's thread.
pub(super) struct Dispatcher<'d, 's, N: PassRunner, F, T, B, R> {
    pipeline: &'s PhotoPipeline<'s, N, F>,
    scope: &'d Scope<'s>,
    slots: &'d QueueSlots,
    devices: DeviceWorkers<'s, N>,
    sender: Sender<PipelineEvent<T, N::Output>>,
    on_start: B,
    on_result: R,
    /// Photos that were decoded before their predecessors.
    arrived: ReorderBuffer<Result<ReadyPhoto>>,
    /// Photos in order, to be computed.
    queue: VecDeque<QueuedPhoto>,
    /// Index of the photo for which the feeder waits for memory.
    waiting_for_memory: Option<usize>,
    /// The number of photos, once it is known.
    total: Option<usize>,
    /// Number of batches on the threads of batch slots.
    computing: usize,
    /// Number of photos that are computed, but not finished.
    finishing: usize,
    /// Results that wait to be reported in order.
    finished: ReorderBuffer<Result<T>>,
    /// Why the run ends early; no more photos are computed then.
    abort_error: Option<Error>,
}

impl<'d, 's, N, F, T, B, R> Dispatcher<'d, 's, N, F, T, B, R>
where
    N: PassRunner,
    F: Fn(ReadyPhoto, N::Output) -> Result<T> + Sync,
    T: Send + 's,
    B: Fn(usize, &[Geometry], u64),
    R: FnMut(usize, Result<T>) -> Result<()>,
{
    /// A dispatcher for the photos of `pipeline`: batches go to `devices`, outputs to the workers of `scope`, results
    /// to `on_result`. `on_start` gets the index, layouts and planned bytes of a photo before it is computed.
    pub fn new(
        pipeline: &'s PhotoPipeline<'s, N, F>,
        (scope, slots): (&'d Scope<'s>, &'d QueueSlots),
        devices: DeviceWorkers<'s, N>,
        sender: Sender<PipelineEvent<T, N::Output>>,
        (on_start, on_result): (B, R),
    ) -> Self {
        Dispatcher {
            pipeline,
            scope,
            slots,
            devices,
            sender,
            on_start,
            on_result,
            arrived: ReorderBuffer::default(),
            queue: VecDeque::new(),
            waiting_for_memory: None,
            total: pipeline.feed.count(),
            computing: 0,
            finishing: 0,
            finished: ReorderBuffer::default(),
            abort_error: None,
        }
    }

    /// Handles `events` until all photos are reported or the run is aborted. It owns and drops `events`: photos that
    /// are left there hold memory that the feeder waits for.
    ///
    /// # Errors
    /// Why the run was aborted: the error of `on_result`, or [`Error::Interrupted`].
    pub fn run(mut self, events: Receiver<PipelineEvent<T, N::Output>>) -> Result<()> {
        loop {
            while let Ok(event) = events.try_recv() {
                self.handle_event(event);
            }
            self.report_finished();
            match &self.abort_error {
                Some(_) if self.computing + self.finishing == 0 => break,
                None if Some(self.finished.next_index()) == self.total => break,
                _ => {}
            }
            match self.due_batch_len() {
                Some(count) => self.compute_batch(count),
                // `self.sender` keeps the channel open, so that this blocks until an event.
                None => match events.recv() {
                    Ok(event) => self.handle_event(event),
                    Err(_) => break,
                },
            }
        }
        self.abort_error.map_or(Ok(()), Err)
    }

    fn handle_event(&mut self, event: PipelineEvent<T, N::Output>) {
        match event {
            PipelineEvent::Ready(_, Err(Error::Interrupted)) => self.abort(Error::Interrupted),
            // An aborted run drops the photos that were still being decoded.
            PipelineEvent::Ready(..) if self.abort_error.is_some() => {}
            PipelineEvent::Ready(index, ready) => {
                self.arrived.insert(index, ready);
                while let Some((index, ready)) = self.arrived.pop_next() {
                    self.enqueue(index, ready);
                }
            }
            PipelineEvent::Computed(number, computed) => {
                self.computing -= 1;
                if let DeviceWorkers::Threads { idle, .. } = &mut self.devices {
                    idle.push_back(number);
                }
                self.spawn_finish(computed);
            }
            PipelineEvent::WaitingForMemory(index) => self.waiting_for_memory = Some(index),
            PipelineEvent::FeedEnded(count) => self.total = Some(count),
            PipelineEvent::Finished(index, result) => {
                self.finishing -= 1;
                self.finished.insert(index, result);
            }
            PipelineEvent::Panicked(panic) => resume_unwind(panic),
        }
    }

    /// Queues the photo that is next in order, and plans its batch size; an error goes straight to the results.
    fn enqueue(&mut self, index: usize, ready: Result<ReadyPhoto>) {
        match ready {
            Ok(ready) => {
                let (runner, photo) = (self.pipeline.runner, ready.photo.dimensions());
                let layouts: Vec<Geometry> =
                    ready.prepared.iter().map(|one| one.geometry).collect();
                let planned = runner.memory(index, photo).max(ready.permit.bytes());
                (self.on_start)(index, &layouts, planned);
                let bytes = runner.device_memory(index, &layouts);
                let batch = self
                    .pipeline
                    .batch_size
                    .resolve(self.pipeline.free_bytes, bytes);
                self.slots.grow_to(self.pipeline.queue_capacity(batch));
                self.queue.push_back(QueuedPhoto { ready, batch });
            }
            Err(error) => {
                self.slots.release(1);
                self.finished.insert(index, Err(error));
            }
        }
    }

    /// Reports results in order, as far as they are complete, and checks for Ctrl-C.
    fn report_finished(&mut self) {
        while let Some((index, result)) = self.finished.pop_next() {
            if let Err(error) = (self.on_result)(index, result) {
                self.abort(error);
            }
        }
        if self.abort_error.is_none()
            && let Err(error) = interrupt::check()
        {
            self.abort(error);
        }
    }

    /// Stops computing; photos that are already computed are still finished and reported.
    fn abort(&mut self, why: Error) {
        self.abort_error.get_or_insert(why);
        self.queue.clear();
        self.slots.close();
    }

    /// How many photos at the front of the queue are to be computed now, if any: a full batch, or fewer if the next
    /// photo cannot join them (another size or batch key, none left, or one that waits for the memory that they hold).
    fn due_batch_len(&self) -> Option<usize> {
        if matches!(&self.devices, DeviceWorkers::Threads { idle, .. } if idle.is_empty()) {
            return None;
        }
        let pipeline = self.pipeline;
        let front = self.queue.front()?;
        let batch = front.batch;
        if self.finishing >= 2 * pipeline.workers.current_num_threads() + batch {
            return None;
        }
        let alike = self
            .queue
            .iter()
            .take_while(|one| may_share_batch(pipeline.runner, &one.ready, &front.ready));
        let count = alike.take(batch).count();
        let next = self.arrived.next_index();
        // Photos that wait for a full batch hold the memory that the next one waits for.
        let none_follows =
            Some(next) == self.total || self.waiting_for_memory.is_some_and(|index| index == next);
        let is_due = count == batch || count < self.queue.len() || none_follows;
        is_due.then_some(count)
    }

    /// Computes the first `count` photos of the queue here, or sends them to the batch slot that has been idle longest.
    fn compute_batch(&mut self, count: usize) {
        let photos: Vec<ReadyPhoto> = self.queue.drain(..count).map(|one| one.ready).collect();
        self.slots.release(photos.len());
        match &mut self.devices {
            DeviceWorkers::Inline(device) => {
                let computed = device.compute_batch(photos);
                self.spawn_finish(computed);
            }
            DeviceWorkers::Threads { batches, idle } => {
                let device = idle.pop_front().and_then(|number| batches.get(number));
                // A device thread that is gone has panicked, and has sent that event.
                if device.is_some_and(|device| device.send(photos).is_ok()) {
                    self.computing += 1;
                }
            }
        }
    }

    /// Spawns `finish` on the workers for each photo that was computed; errors go straight to the results.
    fn spawn_finish(&mut self, computed: Vec<(ReadyPhoto, Result<N::Output>)>) {
        for (mut ready, output) in computed {
            let index = ready.index;
            // `finish` needs the geometry, not the pixels that the backbone has read.
            ready
                .prepared
                .iter_mut()
                .for_each(|one| one.pixels = Vec::new());
            let output = match output {
                Ok(output) => output,
                Err(error) => {
                    self.finished.insert(index, Err(error));
                    continue;
                }
            };
            self.finishing += 1;
            let (pipeline, sender) = (self.pipeline, self.sender.clone());
            self.scope.spawn(move |_| {
                let finish = || (pipeline.finish)(ready, output);
                let _ = sender.send(match catch_unwind(AssertUnwindSafe(finish)) {
                    Ok(result) => PipelineEvent::Finished(index, result),
                    Err(panic) => PipelineEvent::Panicked(panic),
                });
            });
        }
    }
}

/// Whether two photos may be in one batch: the same key, and the same padded size in each layout.
fn may_share_batch(runner: &impl PassRunner, one: &ReadyPhoto, other: &ReadyPhoto) -> bool {
    let sizes = |ready: &ReadyPhoto| -> Vec<(u32, u32)> {
        let layouts = ready.prepared.iter();
        layouts.map(|layout| layout.geometry.padded).collect()
    };
    runner.batch_key(one.index) == runner.batch_key(other.index) && sizes(one) == sizes(other)
}
