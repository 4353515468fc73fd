//! [`MultiTaskRunner`]: which tasks a photo is for, which passes they share, and what they make of a pass's output.

use std::sync::Arc;

use super::shared_pass::{SharedPass, share_passes};
use crate::engine::stopwatch::Stopwatch;
use crate::engine::{BackboneOutput, BackbonePass, BatchLimit, BatchSize, ReadyPhoto};
use crate::error::Result;
use crate::model::backbone::Backbone;
use crate::model::device;
use crate::model::input::Geometry;
use crate::tasks::inference::stored_features::StoredFeatures;
use crate::tasks::{TaskOutput, TaskPredictor};
use crate::terminal::console::Console;

/// The device's part of tasks.
pub struct MultiTaskRunner<'a> {
    /// The backbone.
    pub backbone: &'a Backbone,
    /// The tasks.
    pub tasks: Vec<&'a dyn TaskPredictor>,
    /// Which of them each photo is for, a bit a task.
    pub wanted_tasks: Vec<u64>,
    /// The same, of photos beyond those.
    pub(super) wanted_beyond: u64,
    /// What photos are called.
    pub photo_name: &'a (dyn Fn(usize) -> String + Sync),
    /// Windows that run at once.
    pub window_limit: BatchLimit,
    /// Where words go.
    pub console: &'a Console,
    /// Is told how many percent of the passes over a photo as a whole are through.
    pub on_progress: &'a (dyn Fn(usize) + Sync),
    pub(super) passes: Vec<SharedPass>,
    /// In the backbone's place, with the row of each photo.
    pub(super) stored: Option<(&'a StoredFeatures, &'a [Option<usize>])>,
}

/// What there is for each task; nothing for those that were not wanted.
pub type OutputsByTask = Vec<Option<Result<DeviceOutput>>>;

/// What the device gives a task for a photo.
pub enum DeviceOutput {
    /// What it needs.
    Task(TaskOutput),
    /// What it has still to find that in: on a CPU heads run where photos are finished, beside the backbone.
    Backbone(Arc<BackboneOutput>),
}

impl<'a> MultiTaskRunner<'a> {
    /// Of `tasks` over photos, which `names` names, each of which is for the tasks that `wanted` has bits of.
    pub fn new(
        backbone: &'a Backbone,
        tasks: Vec<&'a dyn TaskPredictor>,
        (wanted_tasks, photo_name): (Vec<u64>, &'a (dyn Fn(usize) -> String + Sync)),
        batch_size: BatchSize,
        console: &'a Console,
        on_progress: &'a (dyn Fn(usize) + Sync),
    ) -> Self {
        let free = device::free_memory(backbone.device());
        let windows = tasks
            .iter()
            .filter_map(|task| task.mode().window_device_memory(backbone));
        let windows_at_once = batch_size.resolve(free, windows.max());
        MultiTaskRunner {
            backbone,
            wanted_tasks,
            wanted_beyond: 0,
            photo_name,
            window_limit: BatchLimit::new(
                windows_at_once,
                "windows",
                device::name(backbone.device()),
                console,
            ),
            console,
            on_progress,
            passes: share_passes(&tasks),
            tasks,
            stored: None,
        }
    }

    /// With `stored` features in the backbone's place, and the row of each photo.
    #[must_use]
    pub fn with_stored(self, stored: Option<(&'a StoredFeatures, &'a [Option<usize>])>) -> Self {
        MultiTaskRunner { stored, ..self }
    }

    /// Over photos of which nobody knows how many there are, each for all tasks.
    #[must_use]
    pub fn for_all_photos(self) -> Self {
        let wanted_beyond = (1 << self.tasks.len()) - 1;
        MultiTaskRunner {
            wanted_beyond,
            ..self
        }
    }

    /// The tasks that a photo is for, a bit each.
    pub(super) fn wanted_tasks_of(&self, photo: usize) -> u64 {
        let wanted = self.wanted_tasks.get(photo).copied();
        wanted.unwrap_or(self.wanted_beyond)
    }

    /// The passes of the backbone over a photo as a whole, in the order of its layouts.
    pub fn passes_of_photo(&self, index: usize) -> impl Iterator<Item = &BackbonePass> {
        self.passes_of(index).map(|shared| &shared.pass)
    }

    fn is_wanted(&self, photo: usize, tasks: u64) -> bool {
        self.wanted_tasks_of(photo) & tasks != 0
    }

    pub(super) fn passes_of(&self, photo: usize) -> impl Iterator<Item = &SharedPass> {
        self.passes
            .iter()
            .filter(move |shared| self.is_wanted(photo, shared.tasks))
    }

    pub(super) fn tasks_of(
        &self,
        photo: usize,
    ) -> impl Iterator<Item = (usize, &'a dyn TaskPredictor)> {
        let tasks = self.tasks.iter().copied().enumerate();
        tasks.filter(move |(index, _)| self.is_wanted(photo, 1 << index))
    }

    /// Those of the tasks of a photo that see it in parts.
    pub(super) fn window_tasks_of(
        &self,
        photo: usize,
    ) -> impl Iterator<Item = (usize, &'a dyn TaskPredictor)> {
        self.tasks_of(photo)
            .filter(|(_, task)| task.mode().whole_pass().is_none())
    }

    /// How a photo lies in the input of a task.
    pub fn layout(&self, task: usize, ready: &ReadyPhoto) -> Geometry {
        let way = self.tasks[task].mode();
        let mut passes = self.passes_of(ready.index);
        let shared = passes.position(|shared| shared.serves(task));
        match shared.and_then(|index| ready.prepared.get(index)) {
            Some(prepared) => prepared.geometry.with_unpad(way.preprocessor().unpad),
            None => way.layout(ready.photo.dimensions()),
        }
    }
}

impl MultiTaskRunner<'_> {
    /// What a task needs of what it was given.
    ///
    /// # Errors
    /// If a head gives no numbers.
    pub fn predict(
        &self,
        task: usize,
        given: DeviceOutput,
        watch: &mut Stopwatch,
    ) -> Result<TaskOutput> {
        match given {
            DeviceOutput::Task(found) => Ok(found),
            DeviceOutput::Backbone(seen) => watch.time("head", || self.tasks[task].predict(&seen)),
        }
    }
}
