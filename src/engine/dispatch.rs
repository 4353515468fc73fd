//! The caller's thread of a run: it says which photos are computed when, and tells what became of them, in order.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender};

use rayon::Scope;

use crate::error::{Error, Result};
use crate::model::input::Geometry;
use crate::system::interrupt;

use super::decode::Ready;
use super::flow::{Event, Flow};
use super::lane::Lane;
use super::network::Network;
use super::order::Ordered;
use super::room::Room;

/// A photo whose turn it is.
struct Queued {
    ready: Ready,
    /// How many of its kind make a batch.
    batch: usize,
}

/// Where batches are computed.
pub(super) enum Lanes<'s, N> {
    /// On the caller's thread.
    Here(&'s Lane<'s, N>),
    /// Each on a thread of its own, which takes a batch at a time.
    Threads {
        /// To each of them.
        batches: Vec<Sender<Vec<Ready>>>,
        /// Those that have none, who waits longest first.
        idle: VecDeque<usize>,
    },
}

/// What the caller's thread knows of a run.
pub(super) struct Dispatcher<'d, 's, N: Network, F, T, B, R> {
    flow: &'s Flow<'s, N, F>,
    scope: &'d Scope<'s>,
    room: &'d Room,
    lanes: Lanes<'s, N>,
    sender: Sender<Event<T, N::Found>>,
    before: B,
    report: R,
    /// Photos that are ready before their turn.
    arrived: Ordered<Result<Ready>>,
    /// Photos whose turn it is to be computed.
    queue: VecDeque<Queued>,
    /// The photo that waits for memory.
    crowded: Option<usize>,
    /// How many photos there are, once that is known.
    total: Option<usize>,
    /// How many batches are with lanes that have threads.
    computing: usize,
    /// How many photos are computed, but not finished.
    finishing: usize,
    finished: Ordered<Result<T>>,
    /// Why no more photos are computed.
    ended: Option<Error>,
}

impl<'d, 's, N, F, T, B, R> Dispatcher<'d, 's, N, F, T, B, R>
where
    N: Network,
    F: Fn(Ready, N::Found) -> Result<T> + Sync,
    T: Send + 's,
    B: Fn(usize, &[Geometry], u64),
    R: FnMut(usize, Result<T>) -> Result<()>,
{
    /// Hands photos of `flow` from one to the next: those that are ready to `lanes`, what these find to workers of
    /// `scope`, what becomes of that to `report`.
    pub fn new(
        flow: &'s Flow<'s, N, F>,
        (scope, room): (&'d Scope<'s>, &'d Room),
        lanes: Lanes<'s, N>,
        sender: Sender<Event<T, N::Found>>,
        (before, report): (B, R),
    ) -> Self {
        Dispatcher {
            flow,
            scope,
            room,
            lanes,
            sender,
            before,
            report,
            arrived: Ordered::default(),
            queue: VecDeque::new(),
            crowded: None,
            total: flow.feed.count(),
            computing: 0,
            finishing: 0,
            finished: Ordered::default(),
            ended: None,
        }
    }

    /// Until all photos are told, or no more are. What is left of `events` goes with it: photos there hold memory that
    /// others wait for.
    pub fn run(mut self, events: Receiver<Event<T, N::Found>>) -> Result<()> {
        loop {
            while let Ok(event) = events.try_recv() {
                self.take(event);
            }
            self.tell();
            match &self.ended {
                Some(_) if self.computing + self.finishing == 0 => break,
                None if Some(self.finished.next()) == self.total => break,
                _ => {}
            }
            match self.due() {
                Some(count) => self.compute(count),
                // There is a sender here, so that this ends with an event.
                None => match events.recv() {
                    Ok(event) => self.take(event),
                    Err(_) => break,
                },
            }
        }
        self.ended.map_or(Ok(()), Err)
    }

    fn take(&mut self, event: Event<T, N::Found>) {
        match event {
            Event::Ready(_, Err(Error::Interrupted)) => self.end(Error::Interrupted),
            // Who ends needs none of those that were still on their way.
            Event::Ready(..) if self.ended.is_some() => {}
            Event::Ready(index, ready) => {
                self.arrived.put(index, ready);
                while let Some((index, ready)) = self.arrived.take() {
                    self.enqueue(index, ready);
                }
            }
            Event::Computed(number, computed) => {
                self.computing -= 1;
                if let Lanes::Threads { idle, .. } = &mut self.lanes {
                    idle.push_back(number);
                }
                self.hand_on(computed);
            }
            Event::Crowded(index) => self.crowded = Some(index),
            Event::End(count) => self.total = Some(count),
            Event::Finished(index, result) => {
                self.finishing -= 1;
                self.finished.put(index, result);
            }
            Event::Panicked(fault) => resume_unwind(fault),
        }
    }

    /// Takes a photo whose turn it is.
    fn enqueue(&mut self, index: usize, ready: Result<Ready>) {
        match ready {
            Ok(ready) => {
                let (network, photo) = (self.flow.network, ready.photo.dimensions());
                let layouts: Vec<Geometry> =
                    ready.prepared.iter().map(|one| one.geometry).collect();
                let planned = network.memory(index, photo).max(ready.permit.bytes());
                (self.before)(index, &layouts, planned);
                let bytes = network.device_memory(index, &layouts);
                let batch = self.flow.batch_size.photos(self.flow.free, bytes);
                self.room.widen(self.flow.room_for(batch));
                self.queue.push_back(Queued { ready, batch });
            }
            Err(error) => {
                self.room.leave(1);
                self.finished.put(index, Err(error));
            }
        }
    }

    /// Tells what is finished, in order.
    fn tell(&mut self) {
        while let Some((index, result)) = self.finished.take() {
            if let Err(error) = (self.report)(index, result) {
                self.end(error);
            }
        }
        if self.ended.is_none()
            && let Err(error) = interrupt::check()
        {
            self.end(error);
        }
    }

    /// Computes no more; what is computed is finished and told.
    fn end(&mut self, why: Error) {
        self.ended.get_or_insert(why);
        self.queue.clear();
        self.room.close();
    }

    /// How many photos at the front of the queue are to be computed now, if any.
    fn due(&self) -> Option<usize> {
        if matches!(&self.lanes, Lanes::Threads { idle, .. } if idle.is_empty()) {
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
            .take_while(|one| is_alike(flow.network, &one.ready, &front.ready));
        let count = alike.take(batch).count();
        let next = self.arrived.next();
        // Those that wait for company hold the memory that the next one waits for.
        let nobody_comes =
            Some(next) == self.total || self.crowded.is_some_and(|index| index == next);
        let is_due = count == batch || count < self.queue.len() || nobody_comes;
        is_due.then_some(count)
    }

    /// Computes the first `count` photos of the queue, or has them computed.
    fn compute(&mut self, count: usize) {
        let photos: Vec<Ready> = self.queue.drain(..count).map(|one| one.ready).collect();
        self.room.leave(photos.len());
        match &mut self.lanes {
            Lanes::Here(lane) => {
                let computed = lane.compute(photos);
                self.hand_on(computed);
            }
            Lanes::Threads { batches, idle } => {
                let lane = idle.pop_front().and_then(|number| batches.get(number));
                // One that is gone has a fault, of which an event tells.
                if lane.is_some_and(|lane| lane.send(photos).is_ok()) {
                    self.computing += 1;
                }
            }
        }
    }

    /// Has finished what was computed.
    fn hand_on(&mut self, computed: Vec<(Ready, Result<N::Found>)>) {
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
                    self.finished.put(index, Err(error));
                    continue;
                }
            };
            self.finishing += 1;
            let (flow, sender) = (self.flow, self.sender.clone());
            self.scope.spawn(move |_| {
                let finish = || (flow.finish)(ready, found);
                let _ = sender.send(match catch_unwind(AssertUnwindSafe(finish)) {
                    Ok(result) => Event::Finished(index, result),
                    Err(fault) => Event::Panicked(fault),
                });
            });
        }
    }
}

/// Whether two photos can go through the network together.
fn is_alike(network: &impl Network, one: &Ready, other: &Ready) -> bool {
    let sizes = |ready: &Ready| -> Vec<(u32, u32)> {
        let layouts = ready.prepared.iter();
        layouts.map(|layout| layout.geometry.padded).collect()
    };
    network.key(one.index) == network.key(other.index) && sizes(one) == sizes(other)
}
