//! A pipeline stage that renders a clip's frames beside the backbone: several worker threads, whose results one more
//! thread takes in order.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::error::{Error, Result};

/// An item of work, or its result, with its number.
type NumberedItem<T> = (usize, T);

/// Runs `work` on `threads` threads over the items that `feed` passes on, and `take` on one more thread over the
/// results, in the order of their numbers, from 0. At most `threads` items are in work, and as many wait for a worker.
///
/// # Errors
/// The first of `take` or `work`, which also ends `feed`; else that of `feed`.
pub(super) fn run_in_order<I: Send, O: Send>(
    threads: NonZeroUsize,
    feed: impl FnOnce(&mut dyn FnMut(I) -> Result<()>) -> Result<()>,
    work: impl Fn(I) -> Result<O> + Sync,
    take: impl FnMut(usize, O) -> Result<()> + Send,
) -> Result<()> {
    let (to_work, of_feed) = sync_channel::<NumberedItem<I>>(threads.get());
    let (to_take, of_work) = sync_channel::<NumberedItem<Result<O>>>(threads.get());
    // The receiver is dropped with the last worker, so that `feed` does not wait for a full channel.
    let of_feed = Arc::new(Mutex::new(of_feed));
    thread::scope(|scope| {
        let taker = scope.spawn(move || take_in_order(of_work, take));
        for _ in 0..threads.get() {
            let (of_feed, work, to_take) = (of_feed.clone(), &work, to_take.clone());
            scope.spawn(move || run_worker(&of_feed, work, &to_take));
        }
        drop((to_take, of_feed));
        let mut number = 0;
        let mut pass_on = |item: I| {
            number += 1;
            // The channel is closed once the taker has failed, whose error is returned.
            to_work
                .send((number - 1, item))
                .map_err(|_| stage_ended_error())
        };
        let fed = feed(&mut pass_on);
        drop(to_work);
        let taken = match taker.join() {
            Ok(taken) => taken,
            Err(fault) => std::panic::resume_unwind(fault),
        };
        // The taker's error comes first: the feeder's follows from it.
        taken.and(fed)
    })
}

fn stage_ended_error() -> Error {
    Error::Model("drawing has ended".into())
}

fn run_worker<I, O>(
    of_feed: &Mutex<Receiver<NumberedItem<I>>>,
    work: &impl Fn(I) -> Result<O>,
    to_take: &SyncSender<NumberedItem<Result<O>>>,
) {
    loop {
        let next = of_feed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok((number, item)) = next else { return };
        if to_take.send((number, work(item))).is_err() {
            return;
        }
    }
}

fn take_in_order<O>(
    of_work: Receiver<NumberedItem<Result<O>>>,
    mut take: impl FnMut(usize, O) -> Result<()>,
) -> Result<()> {
    let mut early = std::collections::BTreeMap::new();
    let mut next = 0;
    for (number, result) in of_work {
        early.insert(number, result);
        while let Some(result) = early.remove(&next) {
            take(next, result?)?;
            next += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const THREE: NonZeroUsize = NonZeroUsize::new(3).unwrap();

    #[test]
    fn results_come_in_order() {
        let mut seen = Vec::new();
        let feed = |give: &mut dyn FnMut(u64) -> Result<()>| (0..40).try_for_each(give);
        let work = |piece: u64| {
            thread::sleep(std::time::Duration::from_millis(piece % 3));
            Ok(2 * piece)
        };
        run_in_order(THREE, feed, work, |number, doubled| {
            seen.push((number as u64, doubled));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, (0..40).map(|n| (n, 2 * n)).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_ends_everything_and_is_told() {
        let feed = |give: &mut dyn FnMut(usize) -> Result<()>| (0..100_000).try_for_each(give);
        let fail = |at: usize| {
            move |piece: usize| match piece == at {
                true => Err(Error::Usage("no more".into())),
                false => Ok(piece),
            }
        };
        let told = run_in_order(THREE, feed, fail(7), |_, _| Ok(())).unwrap_err();
        assert_eq!(told.to_string(), "no more");
        let told = run_in_order(THREE, feed, Ok, |number, _| fail(9)(number).map(|_| ()));
        assert_eq!(told.unwrap_err().to_string(), "no more");
        // The feeder's own failure comes after what it had given was taken.
        let mut taken = 0;
        let told = run_in_order(
            THREE,
            |give| {
                (0..5).try_for_each(give)?;
                Err(Error::Interrupted)
            },
            Ok,
            |_, _: usize| {
                taken += 1;
                Ok(())
            },
        );
        assert!(matches!(told, Err(Error::Interrupted)) && taken == 5);
    }
}
