//! A device: what it does with a batch, and how it takes one after the other where there are several.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope as Threads};

use super::batch_limit::{BatchLimit, explain_out_of_memory};
use super::event::PipelineEvent;
use super::pass_runner::PassRunner;
use super::ready_photo::ReadyPhoto;
use crate::error::{Error, Result};
use crate::model::device::is_out_of_memory;

/// A device.
pub(super) struct DeviceWorker<'l, N> {
    /// What runs on it.
    pub network: &'l N,
    /// How much it has memory for.
    pub batch_limit: &'l BatchLimit,
}

impl<N: PassRunner> DeviceWorker<'_, N> {
    /// Computes the `batches` that come to the lane of this `number`, until no more do.
    pub fn serve<T>(
        &self,
        number: usize,
        batches: Receiver<Vec<ReadyPhoto>>,
        sender: &Sender<PipelineEvent<T, N::Output>>,
    ) {
        for photos in batches {
            let event = match catch_unwind(AssertUnwindSafe(|| self.compute_batch(photos))) {
                Ok(computed) => PipelineEvent::Computed(number, computed),
                Err(fault) => PipelineEvent::Panicked(fault),
            };
            // Whoever does not listen any more sends nothing either.
            let _ = sender.send(event);
        }
    }

    /// What the network finds in each of `photos`, of which no more run together than the device has memory for.
    pub fn compute_batch(
        &self,
        mut photos: Vec<ReadyPhoto>,
    ) -> Vec<(ReadyPhoto, Result<N::Output>)> {
        let DeviceWorker {
            network,
            batch_limit: at_once,
        } = self;
        let run = |photos: &mut [ReadyPhoto]| {
            let found = network.run_batch(photos)?;
            match found.len() == photos.len() {
                true => Ok(found.into_iter().map(Ok).collect()),
                false => Err(Error::Model("photos were lost in the network".into())),
            }
        };
        let alone = |photo: &mut [ReadyPhoto]| {
            run(photo).unwrap_or_else(|error| {
                vec![Err(explain_out_of_memory(error, &network.device_name()))]
            })
        };
        let found = at_once.run_chunked(photos.len(), |part| {
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
}

/// Where batches are computed.
pub(super) enum DeviceWorkers<'s, N> {
    /// On the caller's thread.
    Inline(&'s DeviceWorker<'s, N>),
    /// Each on a thread of its own, which takes a batch at a time.
    Threads {
        /// To each of them.
        batches: Vec<Sender<Vec<ReadyPhoto>>>,
        /// Those that have none, who waits longest first.
        idle: VecDeque<usize>,
    },
}

/// Starts the threads of the lanes, where there are several.
///
/// # Errors
/// [`Error::Usage`] if the system starts no more threads.
pub(super) fn spawn_device_workers<'t, 's: 't, N: PassRunner, T: Send + 's>(
    devices: &'s [DeviceWorker<'s, N>],
    threads: &'t Threads<'t, '_>,
    sender: &Sender<PipelineEvent<T, N::Output>>,
) -> Result<DeviceWorkers<'s, N>> {
    if let [lane] = devices {
        return Ok(DeviceWorkers::Inline(lane));
    }
    let mut batches = Vec::new();
    for (number, lane) in devices.iter().enumerate() {
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
