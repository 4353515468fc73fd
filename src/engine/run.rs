//! TODO

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
        F: Fn(ReadyPhoto, N::Output) -> Result<T> + Sync,
    {
        let (sender, events) = channel();
        // It grows with the batches, whose size the photos decide.
        let room = QueueSlots::new(self.queue_capacity(self.batch_size.or_one()));
        self.workers.in_place_scope(|scope| {
            thread::scope(|threads| {
                let room = &room;
                let lanes = spawn_device_workers(self.devices, threads, &sender)?;
                let of_feeder = sender.clone();
                threads.spawn(move || self.feed_photos(scope, room, &of_feeder));
                // Whatever the feeder waits for is not coming any more then.
                let _closing = CloseOnDrop(room);
                let told = (before, report);
                Dispatcher::new(self, (scope, room), lanes, sender, told).run(events)
            })
        })
    }
}
