//! [`MultiTaskRunner`]: the tasks of each photo, the passes that they share, and the outputs of a pass for each task.

use std::sync::Arc;

use super::shared_pass::{SharedPass, share_passes};
use crate::engine::stage_timings::StageTimings;
use crate::engine::{BackboneOutput, BackbonePass, BatchLimit, BatchSize, ReadyPhoto};
use crate::error::Result;
use crate::model::backbone::Backbone;
use crate::model::device;
use crate::model::input::Geometry;
use crate::tasks::inference::stored_features::StoredFeatures;
use crate::tasks::{TaskOutput, TaskPredictor};
use crate::terminal::console::Console;

/// Runs the [`TaskPredictor`]s of several tasks on one backbone.
pub struct MultiTaskRunner<'a> {
    /// The backbone.
    pub backbone: &'a Backbone,
    /// The tasks.
    pub tasks: Vec<&'a dyn TaskPredictor>,
    /// Which tasks each photo is for: a bit for each task, by photo.
    pub wanted_tasks: Vec<u64>,
    /// The bits of photos with an index beyond `wanted_tasks`, such as a clip's frames.
    pub(super) wanted_beyond: u64,
    /// The name of a photo in messages, by its number.
    pub photo_name: &'a (dyn Fn(usize) -> String + Sync),
    /// How many windows run at once.
    pub window_limit: BatchLimit,
    /// Where messages go.
    pub console: &'a Console,
    /// Called with the percentage, from 0 to 100, of a photo's passes that is done.
    pub on_progress: &'a (dyn Fn(usize) + Sync),
    pub(super) passes: Vec<SharedPass>,
    /// Features that replace the backbone, with the row of each photo.
    pub(super) stored: Option<(&'a StoredFeatures, &'a [Option<usize>])>,
}

/// A photo's output for each task; `None` for tasks that the photo is not for.
pub type OutputsByTask = Vec<Option<Result<DeviceOutput>>>;

/// The device's result for one photo and task.
pub enum DeviceOutput {
    /// The task's output.
    Task(TaskOutput),
    /// The backbone's output, from which the task's is still to be computed: on a CPU heads run where photos are
    /// finished, beside the backbone.
    Backbone(Arc<BackboneOutput>),
}

impl<'a> MultiTaskRunner<'a> {
    /// A runner of `tasks` over photos, each of which is for the tasks whose bits are set in its `wanted_tasks`.
    /// Windows run in batches of `batch_size`.
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

    /// Replaces the backbone by stored features, with the row of each photo.
    #[must_use]
    pub fn with_stored(self, stored: Option<(&'a StoredFeatures, &'a [Option<usize>])>) -> Self {
        MultiTaskRunner { stored, ..self }
    }

    /// Runs all tasks over every photo, for a number of photos that is not known in advance.
    #[must_use]
    pub fn for_all_photos(self) -> Self {
        let wanted_beyond = (1 << self.tasks.len()) - 1;
        MultiTaskRunner {
            wanted_beyond,
            ..self
        }
    }

    /// The tasks that a photo is for, as bits.
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

    /// The tasks of a photo that take it in windows.
    pub(super) fn window_tasks_of(
        &self,
        photo: usize,
    ) -> impl Iterator<Item = (usize, &'a dyn TaskPredictor)> {
        self.tasks_of(photo)
            .filter(|(_, task)| task.mode().whole_pass().is_none())
    }

    /// How a photo lies in the input of the task of this number.
    pub fn layout(&self, task: usize, ready: &ReadyPhoto) -> Geometry {
        let mode = self.tasks[task].mode();
        let mut passes = self.passes_of(ready.index);
        let shared = passes.position(|shared| shared.includes_task(task));
        match shared.and_then(|index| ready.prepared.get(index)) {
            Some(prepared) => prepared.geometry.with_unpad(mode.preprocessor().unpad),
            None => mode.layout(ready.photo.dimensions()),
        }
    }
}

impl MultiTaskRunner<'_> {
    /// The output of the task of this number, computed now if the device gave the backbone's output.
    ///
    /// # Errors
    /// As [`TaskPredictor::predict`].
    pub fn predict(
        &self,
        task: usize,
        output: DeviceOutput,
        timings: &mut StageTimings,
    ) -> Result<TaskOutput> {
        match output {
            DeviceOutput::Task(output) => Ok(output),
            DeviceOutput::Backbone(output) => {
                timings.time("head", || self.tasks[task].predict(&output))
            }
        }
    }
}
