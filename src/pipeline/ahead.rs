//! A thread of its own that makes photos ready while others are computed.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use crate::error::Result;
use crate::inputs::Source;

/// What the thread that goes ahead has to tell.
pub(super) enum Arrival<T> {
    /// A photo is ready, or failed.
    Photo(usize, Result<T>),
    /// The next one waits for the memory of those that are under way.
    Crowded,
}

/// Photos as they become ready, with their indices.
pub(super) type Arrivals<T> = Receiver<Arrival<T>>;

/// Only the photos of what arrives.
pub(super) fn photos<T>(arrivals: &Arrivals<T>) -> impl Iterator<Item = (usize, Result<T>)> + '_ {
    arrivals.iter().filter_map(|arrival| match arrival {
        Arrival::Photo(index, arrived) => Some((index, arrived)),
        Arrival::Crowded => None,
    })
}

/// Runs `prepare` over `sources` on a thread of its own, up to `room` ahead of `take`, which receives what comes of it.
/// If `take` ends early, the receiver is dropped, and the thread stops at its next photo.
pub(super) fn ahead<T: Send>(
    sources: &[&Source],
    room: usize,
    prepare: impl Fn(&Source, &dyn Fn()) -> Result<T> + Sync,
    take: impl FnOnce(Arrivals<T>) -> Result<()>,
) -> Result<()> {
    let prepare = &prepare;
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(room);
        scope.spawn(move || {
            for (index, source) in sources.iter().enumerate() {
                let crowded = || {
                    // If nobody listens any more, nobody is in the way either.
                    let _ = sender.send(Arrival::Crowded);
                };
                let ready = prepare(source, &crowded);
                if sender.send(Arrival::Photo(index, ready)).is_err() {
                    return;
                }
            }
        });
        take(receiver)
    })
}
