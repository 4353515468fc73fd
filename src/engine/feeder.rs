//! TODO

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;

use rayon::Scope;

use super::decode::AdmittedPhoto;
use super::event::PipelineEvent;
use super::feed::PhotoFeed;
use super::pass_runner::PassRunner;
use super::pipeline::PhotoPipeline;
use super::queue_slots::QueueSlots;
use crate::error::Result;

impl<N: PassRunner, F> PhotoPipeline<'_, N, F> {
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
    pub fn feed_photos<'s, T: Send + 's>(
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
