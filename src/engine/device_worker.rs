//! One batch slot of a device: how it computes a batch ([`PassRunner::run_batch`], with retries), and the threads of
//! several slots.

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

/// One batch slot of a device.
pub(super) struct DeviceWorker<'l, N> {
    /// What it computes of a batch.
    pub runner: &'l N,
    /// How many photos it has memory for at once.
    pub batch_limit: &'l BatchLimit,
}

impl<N: PassRunner> DeviceWorker<'_, N> {
    /// Loop of the thread of batch slot `number`: computes each batch received and sends [`PipelineEvent::Computed`],
    /// until the channel closes.
    pub fn serve<T>(
        &self,
        number: usize,
        batches: Receiver<Vec<ReadyPhoto>>,
        sender: &Sender<PipelineEvent<T, N::Output>>,
    ) {
        for photos in batches {
            let event = match catch_unwind(AssertUnwindSafe(|| self.compute_batch(photos))) {
                Ok(computed) => PipelineEvent::Computed(number, computed),
                Err(panic) => PipelineEvent::Panicked(panic),
            };
            // Without a receiver, the run has ended.
            let _ = sender.send(event);
        }
    }

    /// Runs a batch, in parts if the device has no memory for all of it. A part that fails for another reason runs
    /// again photo by photo, so that only the photo at fault gets the error.
    pub fn compute_batch(
        &self,
        mut photos: Vec<ReadyPhoto>,
    ) -> Vec<(ReadyPhoto, Result<N::Output>)> {
        let DeviceWorker {
            runner,
            batch_limit,
        } = self;
        let run = |photos: &mut [ReadyPhoto]| {
            let outputs = runner.run_batch(photos)?;
            match outputs.len() == photos.len() {
                true => Ok(outputs.into_iter().map(Ok).collect()),
                false => Err(Error::Model("photos were lost in the network".into())),
            }
        };
        let alone = |photo: &mut [ReadyPhoto]| {
            run(photo).unwrap_or_else(|error| {
                vec![Err(explain_out_of_memory(error, &runner.device_name()))]
            })
        };
        let outputs = batch_limit.run_chunked(photos.len(), |part| {
            let photos = &mut photos[part];
            match photos.len() {
                1 => Ok(alone(photos)),
                _ => match run(photos) {
                    Err(error) if !is_out_of_memory(&error) => {
                        // One of them may be at fault, and the others must not fail with it.
                        Ok(photos.chunks_mut(1).flat_map(alone).collect())
                    }
                    outputs => outputs,
                },
            }
        });
        // `alone` returns errors per photo, so `outputs` is never an error here.
        photos
            .into_iter()
            .zip(outputs.into_iter().flatten())
            .collect()
    }
}

/// Where batches are computed.
pub(super) enum DeviceWorkers<'s, N> {
    /// The only batch slot: on the caller's thread.
    Inline(&'s DeviceWorker<'s, N>),
    /// Several batch slots: each on a thread of its own, one batch at a time.
    Threads {
        /// By batch slot, the channel of its batches.
        batches: Vec<Sender<Vec<ReadyPhoto>>>,
        /// Batch slots without a batch, the one idle longest first.
        idle: VecDeque<usize>,
    },
}

/// Starts a thread for each of several batch slots (`devices`); a single one computes on the caller's thread.
///
/// # Errors
/// [`Error::Usage`] if the system starts no more threads.
pub(super) fn spawn_device_workers<'t, 's: 't, N: PassRunner, T: Send + 's>(
    devices: &'s [DeviceWorker<'s, N>],
    threads: &'t Threads<'t, '_>,
    sender: &Sender<PipelineEvent<T, N::Output>>,
) -> Result<DeviceWorkers<'s, N>> {
    if let [device] = devices {
        return Ok(DeviceWorkers::Inline(device));
    }
    let mut batches = Vec::new();
    for (number, device) in devices.iter().enumerate() {
        let (to_device, received) = channel();
        let sender = sender.clone();
        thread::Builder::new()
            .name(format!("device-{number}"))
            .spawn_scoped(threads, move || device.serve(number, received, &sender))
            .map_err(|error| Error::Usage(format!("no threads can be started: {error}")))?;
        batches.push(to_device);
    }
    Ok(DeviceWorkers::Threads {
        idle: (0..batches.len()).collect(),
        batches,
    })
}
