//! The feeder thread: admits photos in their order, within the bounds of number and memory, and spawns their decoding.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;

use rayon::Scope;

use super::decode::AdmittedPhoto;
use super::event::PipelineEvent;
use super::feed::PhotoInputs;
use super::pass_runner::PassRunner;
use super::pipeline::PhotoPipeline;
use super::queue_slots::QueueSlots;
use crate::error::Result;

impl<N: PassRunner, F> PhotoPipeline<'_, N, F> {
    /// Waits for memory for the photo `index`, and opens it or takes the next frame; none after the last frame.
    /// `on_memory_wait` is called before it blocks.
    fn admit(
        &self,
        index: usize,
        on_memory_wait: impl FnOnce(),
    ) -> Result<Option<AdmittedPhoto<'_>>> {
        let (decoding, runner) = (self.decoding, self.runner);
        match &self.feed {
            PhotoInputs::Sources(sources) => decoding
                .admit((index, sources[index]), runner, on_memory_wait)
                .map(Some),
            PhotoInputs::Frames(clip, frames) => {
                decoding.admit_frame((index, clip), *frames, runner, on_memory_wait)
            }
        }
    }

    /// Loop of the feeder thread: for each photo, waits for a queue slot and for memory, then spawns its decoding on
    /// the worker pool. It ends after the last photo, or once `slots` is closed.
    pub fn feed_photos<'s, T: Send + 's>(
        &'s self,
        scope: &Scope<'s>,
        slots: &QueueSlots,
        sender: &Sender<PipelineEvent<T, N::Output>>,
    ) where
        F: Sync,
    {
        for index in 0.. {
            if self.feed.count() == Some(index) || !slots.acquire() {
                return;
            }
            // Without a receiver the run has ended, and no photo waits.
            let on_memory_wait = || drop(sender.send(PipelineEvent::WaitingForMemory(index)));
            let admit = || self.admit(index, on_memory_wait);
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
                        // After a frame that cannot be read, a clip has no more frames.
                        None => {
                            let _ = sender.send(PipelineEvent::FeedEnded(index + 1));
                            return;
                        }
                    }
                }
                Err(panic) => {
                    let _ = sender.send(PipelineEvent::Panicked(panic));
                    return;
                }
            };
            let sender = sender.clone();
            scope.spawn(move |_| {
                let prepare = || self.decoding.prepare(admitted, self.runner);
                let _ = sender.send(match catch_unwind(AssertUnwindSafe(prepare)) {
                    Ok(ready) => PipelineEvent::Ready(index, ready),
                    Err(panic) => PipelineEvent::Panicked(panic),
                });
            });
        }
    }
}
