//! The caller's thread of a run: it says which photos are computed when, and tells what became of them, in order.

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

/// A photo whose turn it is.
struct QueuedPhoto {
    ready: ReadyPhoto,
    /// How many of its kind make a batch.
    batch: usize,
}

/// What the caller's thread knows of a run.
pub(super) struct Dispatcher<'d, 's, N: PassRunner, F, T, B, R> {
    flow: &'s PhotoPipeline<'s, N, F>,
    scope: &'d Scope<'s>,
    slots: &'d QueueSlots,
    devices: DeviceWorkers<'s, N>,
    sender: Sender<PipelineEvent<T, N::Output>>,
    on_start: B,
    on_result: R,
    /// Photos that are ready before their turn.
    arrived: ReorderBuffer<Result<ReadyPhoto>>,
    /// Photos whose turn it is to be computed.
    queue: VecDeque<QueuedPhoto>,
    /// The photo that waits for memory.
    waiting_for_memory: Option<usize>,
    /// How many photos there are, once that is known.
    total: Option<usize>,
    /// How many batches are with lanes that have threads.
    computing: usize,
    /// How many photos are computed, but not finished.
    finishing: usize,
    finished: ReorderBuffer<Result<T>>,
    /// Why no more photos are computed.
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
    /// Hands photos of `flow` from one to the next: those that are ready to `lanes`, what these find to workers of
    /// `scope`, what becomes of that to `report`.
    pub fn new(
        flow: &'s PhotoPipeline<'s, N, F>,
        (scope, slots): (&'d Scope<'s>, &'d QueueSlots),
        devices: DeviceWorkers<'s, N>,
        sender: Sender<PipelineEvent<T, N::Output>>,
        (on_start, on_result): (B, R),
    ) -> Self {
        Dispatcher {
            flow,
            scope,
            slots,
            devices,
            sender,
            on_start,
            on_result,
            arrived: ReorderBuffer::default(),
            queue: VecDeque::new(),
            waiting_for_memory: None,
            total: flow.feed.count(),
            computing: 0,
            finishing: 0,
            finished: ReorderBuffer::default(),
            abort_error: None,
        }
    }

    /// Until all photos are told, or no more are. What is left of `events` goes with it: photos there hold memory that
    /// others wait for.
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
                // There is a sender here, so that this ends with an event.
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
            // Who ends needs none of those that were still on their way.
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
            PipelineEvent::Panicked(fault) => resume_unwind(fault),
        }
    }

    /// Takes a photo whose turn it is.
    fn enqueue(&mut self, index: usize, ready: Result<ReadyPhoto>) {
        match ready {
            Ok(ready) => {
                let (network, photo) = (self.flow.network, ready.photo.dimensions());
                let layouts: Vec<Geometry> =
                    ready.prepared.iter().map(|one| one.geometry).collect();
                let planned = network.memory(index, photo).max(ready.permit.bytes());
                (self.on_start)(index, &layouts, planned);
                let bytes = network.device_memory(index, &layouts);
                let batch = self.flow.batch_size.resolve(self.flow.free_bytes, bytes);
                self.slots.grow_to(self.flow.queue_capacity(batch));
                self.queue.push_back(QueuedPhoto { ready, batch });
            }
            Err(error) => {
                self.slots.release(1);
                self.finished.insert(index, Err(error));
            }
        }
    }

    /// Tells what is finished, in order.
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

    /// Computes no more; what is computed is finished and told.
    fn abort(&mut self, why: Error) {
        self.abort_error.get_or_insert(why);
        self.queue.clear();
        self.slots.close();
    }

    /// How many photos at the front of the queue are to be computed now, if any.
    fn due_batch_len(&self) -> Option<usize> {
        if matches!(&self.devices, DeviceWorkers::Threads { idle, .. } if idle.is_empty()) {
            return None;
        }
        let flow = self.flow;
        let front = self.queue.front()?;
        let batch = front.batch;
        if self.finishing >= 2 * flow.workers.current_num_threads() + batch {
            return None;
        }
        let alike = self
            .queue
            .iter()
            .take_while(|one| may_share_batch(flow.network, &one.ready, &front.ready));
        let count = alike.take(batch).count();
        let next = self.arrived.next_index();
        // Those that wait for company hold the memory that the next one waits for.
        let nobody_comes =
            Some(next) == self.total || self.waiting_for_memory.is_some_and(|index| index == next);
        let is_due = count == batch || count < self.queue.len() || nobody_comes;
        is_due.then_some(count)
    }

    /// Computes the first `count` photos of the queue, or has them computed.
    fn compute_batch(&mut self, count: usize) {
        let photos: Vec<ReadyPhoto> = self.queue.drain(..count).map(|one| one.ready).collect();
        self.slots.release(photos.len());
        match &mut self.devices {
            DeviceWorkers::Inline(lane) => {
                let computed = lane.compute_batch(photos);
                self.spawn_finish(computed);
            }
            DeviceWorkers::Threads { batches, idle } => {
                let lane = idle.pop_front().and_then(|number| batches.get(number));
                // One that is gone has a fault, of which an event tells.
                if lane.is_some_and(|lane| lane.send(photos).is_ok()) {
                    self.computing += 1;
                }
            }
        }
    }

    /// Has finished what was computed.
    fn spawn_finish(&mut self, computed: Vec<(ReadyPhoto, Result<N::Output>)>) {
        for (mut ready, found) in computed {
            let index = ready.index;
            // How it lay is wanted on, what the network saw is not.
            ready
                .prepared
                .iter_mut()
                .for_each(|one| one.pixels = Vec::new());
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    self.finished.insert(index, Err(error));
                    continue;
                }
            };
            self.finishing += 1;
            let (flow, sender) = (self.flow, self.sender.clone());
            self.scope.spawn(move |_| {
                let finish = || (flow.finish)(ready, found);
                let _ = sender.send(match catch_unwind(AssertUnwindSafe(finish)) {
                    Ok(result) => PipelineEvent::Finished(index, result),
                    Err(fault) => PipelineEvent::Panicked(fault),
                });
            });
        }
    }
}

/// Whether two photos can go through the network together.
fn may_share_batch(network: &impl PassRunner, one: &ReadyPhoto, other: &ReadyPhoto) -> bool {
    let sizes = |ready: &ReadyPhoto| -> Vec<(u32, u32)> {
        let layouts = ready.prepared.iter();
        layouts.map(|layout| layout.geometry.padded).collect()
    };
    network.batch_key(one.index) == network.batch_key(other.index) && sizes(one) == sizes(other)
}
