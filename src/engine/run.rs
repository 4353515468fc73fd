//! Starts the threads of a run (workers, devices, feeder) and dispatches on the caller's thread until all photos are
//! reported.

use std::sync::mpsc::channel;
use std::thread;

use super::device_worker::spawn_device_workers;
use super::dispatch::Dispatcher;
use super::pass_runner::PassRunner;
use super::pipeline::PhotoPipeline;
use super::queue_slots::{CloseOnDrop, QueueSlots};
use super::ready_photo::ReadyPhoto;
use crate::error::Result;
use crate::model::input::Geometry;

impl<N: PassRunner, F> PhotoPipeline<'_, N, F> {
    /// Runs all photos of the feed. `before` and `report` are those of [`Engine::run`](super::Engine::run), and are
    /// called on this thread.
    ///
    /// # Errors
    /// As [`Engine::run`](super::Engine::run).
    pub fn run<T: Send>(
        &self,
        before: impl Fn(usize, &[Geometry], u64),
        report: impl FnMut(usize, Result<T>) -> Result<()>,
    ) -> Result<()>
    where
        F: Fn(ReadyPhoto, N::Output) -> Result<T> + Sync,
    {
        let (sender, events) = channel();
        // Grows with the batch size, which depends on the photos.
        let slots = QueueSlots::new(self.queue_capacity(self.batch_size.or_one()));
        self.workers.in_place_scope(|scope| {
            thread::scope(|threads| {
                let slots = &slots;
                let devices = spawn_device_workers(self.devices, threads, &sender)?;
                let feeder_sender = sender.clone();
                threads.spawn(move || self.feed_photos(scope, slots, &feeder_sender));
                // Wakes the feeder when the dispatcher ends or panics.
                let _closing = CloseOnDrop(slots);
                let callbacks = (before, report);
                Dispatcher::new(self, (scope, slots), devices, sender, callbacks).run(events)
            })
        })
    }
}
