//! A photo's way: admitted in order, decoded by some worker, computed in order and in batches on the caller's thread,
//! finished by some worker, reported in order on the caller's thread. Nothing goes back.
//!
//! How much is under way is bounded by bytes (each photo holds a permit for what it will take from before it is decoded
//! until it is finished) and by number, so that a slow stage holds the others up.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rayon::{Scope, ThreadPool};

use crate::device::is_out_of_memory;
use crate::error::{Error, Result};
use crate::inputs::Source;
use crate::interrupt;
use crate::preprocess::Geometry;

use super::at_once::{AtOnce, advise};
use super::batch::BatchSize;
use super::decode::{Decoding, Ready};
use super::network::Network;
use super::order::Ordered;

/// What workers tell the thread that has the device.
enum Event<T> {
    /// A photo is ready, or failed.
    Ready(usize, Result<Ready>),
    /// This photo waits for the memory of those before it.
    Crowded(usize),
    /// A photo is finished, or failed.
    Finished(usize, Result<T>),
    /// A worker has a fault; the program ends with it.
    Panicked(Box<dyn Any + Send>),
}

/// All of a run but what changes.
pub(super) struct Flow<'f, N, F> {
    pub decoding: &'f Decoding,
    pub batch_size: BatchSize,
    /// Bytes of the device, where they are known.
    pub free: Option<u64>,
    pub at_once: &'f AtOnce,
    pub workers: &'f ThreadPool,
    pub sources: &'f [&'f Source],
    pub network: &'f N,
    /// Makes of what was found in a photo what is reported.
    pub finish: F,
}

impl<N: Network, F> Flow<'_, N, F> {
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
        F: Fn(Ready, N::Found) -> Result<T> + Sync,
    {
        let (sender, events) = channel();
        // It grows with the batches, whose size the photos decide.
        let room = Room::new(self.room_for(self.batch_size.or_one()));
        self.workers.in_place_scope(|scope| {
            thread::scope(|threads| {
                let of_feeder = sender.clone();
                let room = &room;
                threads.spawn(move || self.feed(scope, room, &of_feeder));
                let device = DeviceThread {
                    flow: self,
                    scope,
                    room,
                    sender,
                    before,
                    report,
                    arrived: Ordered::default(),
                    queue: VecDeque::new(),
                    crowded: None,
                    finishing: 0,
                    finished: Ordered::default(),
                    ended: None,
                };
                let ended = device.run(&events);
                // Whatever the feeder waits for is not coming any more.
                room.close();
                ended
            })
        })
    }

    /// How many photos may be decoded, but not computed, for batches of this many.
    fn room_for(&self, batch: usize) -> usize {
        batch + self.workers.current_num_threads()
    }

    /// Admits the photos one after the other, and has them decoded.
    fn feed<'s, T: Send + 's>(&'s self, scope: &Scope<'s>, room: &Room, sender: &Sender<Event<T>>)
    where
        F: Sync,
    {
        for (index, source) in self.sources.iter().enumerate() {
            if !room.enter() {
                return;
            }
            // If nobody listens any more, nobody is in the way either.
            let crowded = || drop(sender.send(Event::Crowded(index)));
            let admit = || self.decoding.admit((index, source), self.network, crowded);
            let admitted = match catch_unwind(AssertUnwindSafe(admit)) {
                Ok(Ok(admitted)) => admitted,
                Ok(Err(error)) => {
                    let _ = sender.send(Event::Ready(index, Err(error)));
                    continue;
                }
                Err(fault) => {
                    let _ = sender.send(Event::Panicked(fault));
                    return;
                }
            };
            let sender = sender.clone();
            scope.spawn(move |_| {
                let prepare = || self.decoding.prepare(admitted, self.network);
                let _ = sender.send(match catch_unwind(AssertUnwindSafe(prepare)) {
                    Ok(ready) => Event::Ready(index, ready),
                    Err(fault) => Event::Panicked(fault),
                });
            });
        }
    }
}

/// A photo whose turn it is.
struct Queued {
    ready: Ready,
    /// How many of its kind make a batch.
    batch: usize,
}

/// What the thread that has the device knows.
struct DeviceThread<'d, 's, N, F, T, B, R> {
    flow: &'s Flow<'s, N, F>,
    scope: &'d Scope<'s>,
    room: &'d Room,
    sender: Sender<Event<T>>,
    before: B,
    report: R,
    /// Photos that are ready before their turn.
    arrived: Ordered<Result<Ready>>,
    /// Photos whose turn it is to be computed.
    queue: VecDeque<Queued>,
    /// The photo that waits for memory.
    crowded: Option<usize>,
    /// How many are computed, but not finished.
    finishing: usize,
    finished: Ordered<Result<T>>,
    /// Why no more photos are computed.
    ended: Option<Error>,
}

impl<'s, N, F, T, B, R> DeviceThread<'_, 's, N, F, T, B, R>
where
    N: Network,
    F: Fn(Ready, N::Found) -> Result<T> + Sync,
    T: Send + 's,
    B: Fn(usize, &[Geometry], u64),
    R: FnMut(usize, Result<T>) -> Result<()>,
{
    fn run(mut self, events: &Receiver<Event<T>>) -> Result<()> {
        loop {
            while let Ok(event) = events.try_recv() {
                self.take(event);
            }
            self.tell();
            match &self.ended {
                Some(_) if self.finishing == 0 => break,
                None if self.finished.next() == self.flow.sources.len() => break,
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

    fn take(&mut self, event: Event<T>) {
        match event {
            Event::Ready(_, Err(Error::Interrupted)) => self.end(Error::Interrupted),
            Event::Ready(index, ready) => {
                self.arrived.put(index, ready);
                while let Some((index, ready)) = self.arrived.take() {
                    self.enqueue(index, ready);
                }
            }
            Event::Crowded(index) => self.crowded = Some(index),
            Event::Finished(index, result) => {
                self.finishing -= 1;
                self.finished.put(index, result);
            }
            Event::Panicked(fault) => {
                self.room.close();
                resume_unwind(fault)
            }
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
            next == flow.sources.len() || self.crowded.is_some_and(|index| index == next);
        let is_due = count == batch || count < self.queue.len() || nobody_comes;
        is_due.then_some(count)
    }

    /// Computes the first `count` photos of the queue, and has them finished.
    fn compute(&mut self, count: usize) {
        let photos: Vec<Ready> = self.queue.drain(..count).map(|one| one.ready).collect();
        self.room.leave(photos.len());
        for (mut ready, found) in found(self.flow.network, photos, self.flow.at_once) {
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

/// What the network finds in each of `photos`, of which `at_once` says how many run together.
fn found<N: Network>(
    network: &N,
    mut photos: Vec<Ready>,
    at_once: &AtOnce,
) -> Vec<(Ready, Result<N::Found>)> {
    let run = |photos: &mut [Ready]| {
        let found = network.run(photos)?;
        match found.len() == photos.len() {
            true => Ok(found.into_iter().map(Ok).collect()),
            false => Err(Error::Model("photos were lost in the network".into())),
        }
    };
    let alone = |photo: &mut [Ready]| {
        run(photo).unwrap_or_else(|error| vec![Err(advise(error, &network.device()))])
    };
    let found = at_once.in_parts(photos.len(), |part| {
        let photos = &mut photos[part];
        match photos.len() {
            1 => Ok(alone(photos)),
            _ => match run(photos) {
                Err(error) if !is_out_of_memory(&error) => {
                    // One of them may be at fault, and does not take the others with it.
                    Ok(photos.chunks_mut(1).flat_map(alone).collect())
                }
                found => found,
            },
        }
    });
    // Whatever fails is one photo's own.
    photos
        .into_iter()
        .zip(found.into_iter().flatten())
        .collect()
}

/// How many photos may be decoded, but not computed.
struct Room {
    state: Mutex<RoomState>,
    changed: Condvar,
}

struct RoomState {
    /// With those that are taken.
    all: usize,
    free: usize,
    closed: bool,
}

impl Room {
    fn new(all: usize) -> Self {
        Room {
            state: Mutex::new(RoomState {
                all,
                free: all,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits for room for one more; false if none is to come any more.
    fn enter(&self) -> bool {
        let full = |state: &mut RoomState| state.free == 0 && !state.closed;
        let waited = self.changed.wait_while(self.lock(), full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let is_open = !state.closed;
        if is_open {
            state.free -= 1;
        }
        is_open
    }

    fn leave(&self, count: usize) {
        self.lock().free += count;
        self.changed.notify_all();
    }

    /// Makes it one for `all`, if it was for less.
    fn widen(&self, all: usize) {
        let mut state = self.lock();
        let more = all.saturating_sub(state.all);
        state.all += more;
        state.free += more;
        self.changed.notify_all();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, RoomState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
