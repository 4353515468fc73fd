//! Several tasks over one photo: those that see it alike share a pass of the backbone.

use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
use crate::engine::{
    BackboneOutput, BackbonePass, BatchLimit, BatchSize, FlipViews, InputScales, PassRunner,
    ReadyPhoto, decoded_bytes, explain_out_of_memory, time_stage,
};
use crate::error::{Error, Result};
use crate::model::backbone::Backbone;
use crate::model::device;
use crate::model::input::{Geometry, Unpad};
use crate::tasks::inference_mode::WindowRunner;
use crate::tasks::stored_features::StoredFeatures;
use crate::tasks::{TaskOutput, TaskPredictor, check_pixel};
use crate::terminal::console::Console;
use crate::vision::preprocess::{PreparedImage, Preprocessor};

/// The device's part of tasks.
pub struct MultiTaskRunner<'a> {
    /// The backbone.
    pub backbone: &'a Backbone,
    /// The tasks.
    pub tasks: Vec<&'a dyn TaskPredictor>,
    /// Which of them each photo is for, a bit a task.
    pub wanted_tasks: Vec<u64>,
    /// The same, of photos beyond those.
    wanted_beyond: u64,
    /// What photos are called.
    pub photo_name: &'a (dyn Fn(usize) -> String + Sync),
    /// Windows that run at once.
    pub window_limit: BatchLimit,
    /// Where words go.
    pub console: &'a Console,
    /// Is told how many percent of the passes over a photo as a whole are through.
    pub on_progress: &'a (dyn Fn(usize) + Sync),
    passes: Vec<SharedPass>,
    /// In the backbone's place, with the row of each photo.
    stored: Option<(&'a StoredFeatures, &'a [Option<usize>])>,
}

/// A pass, and the tasks that it is for.
struct SharedPass {
    pass: BackbonePass,
    tasks: u64,
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
        let mut passes: Vec<SharedPass> = Vec::new();
        for (index, task) in tasks.iter().enumerate() {
            if let Some(pass) = task.mode().whole_pass() {
                let shared = passes
                    .iter_mut()
                    .find_map(|shared| merge_passes(&shared.pass, pass).zip(Some(shared)));
                match shared {
                    Some((pass, shared)) => {
                        shared.pass = pass;
                        shared.tasks |= 1 << index;
                    }
                    None => passes.push(SharedPass {
                        pass: pass.clone(),
                        tasks: 1 << index,
                    }),
                }
            }
        }
        let free = device::free_memory(backbone.device());
        let windows = tasks
            .iter()
            .filter_map(|task| task.mode().window_device_memory(backbone));
        let windows_at_once = batch_size.resolve(free, windows.max());
        MultiTaskRunner {
            backbone,
            tasks,
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
            passes,
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
    fn wanted_tasks_of(&self, photo: usize) -> u64 {
        let wanted = self.wanted_tasks.get(photo).copied();
        wanted.unwrap_or(self.wanted_beyond)
    }

    /// What is stored of a photo, for each task; why not, where nothing is.
    fn read_stored(
        &self,
        (stored, rows): (&StoredFeatures, &[Option<usize>]),
        photo: &mut ReadyPhoto,
    ) -> OutputsByTask {
        let mut found: OutputsByTask = self.tasks.iter().map(|_| None).collect();
        let row = rows.get(photo.index).copied().flatten();
        for shared in self.passes_of(photo.index) {
            let seen = photo.watch.time("features", || match row {
                Some(row) => stored.read_output(row, &shared.pass).map(Arc::new),
                None => Err(stored.missing_error(&(self.photo_name)(photo.index))),
            });
            // Each task has its own.
            let seen = seen.map_err(|error| error.to_string());
            for (index, _) in self.tasks_of(photo.index) {
                if shared.tasks & (1 << index) != 0 {
                    let own = seen.clone().map(DeviceOutput::Backbone);
                    found[index] = Some(own.map_err(Error::Model));
                }
            }
        }
        found
    }

    /// The passes of the backbone over a photo as a whole, in the order of its layouts.
    pub fn passes_of_photo(&self, index: usize) -> impl Iterator<Item = &BackbonePass> {
        self.passes_of(index).map(|shared| &shared.pass)
    }

    fn is_wanted(&self, photo: usize, tasks: u64) -> bool {
        self.wanted_tasks_of(photo) & tasks != 0
    }

    fn passes_of(&self, photo: usize) -> impl Iterator<Item = &SharedPass> {
        self.passes
            .iter()
            .filter(move |shared| self.is_wanted(photo, shared.tasks))
    }

    fn tasks_of(&self, photo: usize) -> impl Iterator<Item = (usize, &'a dyn TaskPredictor)> {
        let tasks = self.tasks.iter().copied().enumerate();
        tasks.filter(move |(index, _)| self.is_wanted(photo, 1 << index))
    }

    /// Those of the tasks of a photo that see it in parts.
    fn window_tasks_of(
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
        let shared = passes.position(|shared| shared.tasks & (1 << task) != 0);
        match shared.and_then(|index| ready.prepared.get(index)) {
            Some(prepared) => prepared.geometry.with_unpad(way.preprocessor().unpad),
            None => way.layout(ready.photo.dimensions()),
        }
    }
}

impl PassRunner for MultiTaskRunner<'_> {
    type Output = OutputsByTask;

    fn device_name(&self) -> String {
        device::name(self.backbone.device())
    }

    fn batch_key(&self, photo: usize) -> u64 {
        self.wanted_tasks_of(photo)
    }

    fn layouts(&self, index: usize, photo: (u32, u32)) -> Vec<Geometry> {
        let passes = self
            .passes_of(index)
            .map(|shared| shared.pass.preprocessor.geometry(photo));
        let windows = self
            .window_tasks_of(index)
            .map(|(_, task)| task.mode().layout(photo));
        passes.chain(windows).collect()
    }

    fn prepare(&self, index: usize, photo: &RgbImage) -> Result<Vec<PreparedImage>> {
        if self.stored.is_some() {
            let layouts = self.layouts(index, photo.dimensions()).into_iter();
            let unseen = layouts.map(|geometry| PreparedImage {
                pixels: Vec::new(),
                geometry,
            });
            return Ok(unseen.collect());
        }
        let passes = self.passes_of(index).map(|shared| {
            let preprocessor = &shared.pass.preprocessor;
            preprocessor.prepare_with(photo, preprocessor.geometry(photo.dimensions()))
        });
        let windows = self
            .window_tasks_of(index)
            .map(|(_, task)| task.mode().prepare(photo));
        passes.chain(windows).collect()
    }

    fn memory(&self, index: usize, photo: (u32, u32)) -> u64 {
        let passes = self.passes_of(index).map(|shared| {
            let layout = shared.pass.preprocessor.geometry(photo);
            shared.pass.memory(self.backbone, &layout, None)
        });
        let ways = self.tasks_of(index).map(|(_, task)| {
            let layout = task.mode().layout(photo);
            let windows = task
                .mode()
                .memory(self.backbone, &layout, self.window_limit.max_items());
            windows.max(task.memory(&layout))
        });
        let seen = self.passes_of(index).map(|shared| {
            let layout = shared.pass.preprocessor.geometry(photo);
            match self.backbone.device().is_cpu() {
                true => shared.pass.feature_memory(self.backbone, &layout),
                false => 0,
            }
        });
        // What is prepared for one pass is there while another runs, and what was seen and found while it is finished.
        let (passes, seen): (u64, u64) = (passes.sum(), seen.sum());
        decoded_bytes(photo) + passes.max(seen + ways.sum::<u64>())
    }

    fn device_memory(&self, index: usize, layouts: &[Geometry]) -> Option<u64> {
        // One pass is over before the next begins.
        let passes = self.passes_of_photo(index).zip(layouts);
        passes
            .map(|(pass, layout)| pass.device_memory(self.backbone, layout))
            .max()
    }

    fn check_photo_size(&self, index: usize, photo: (u32, u32)) -> Result<(), String> {
        let mut pixels = self
            .tasks_of(index)
            .flat_map(|(_, task)| task.required_pixels());
        pixels.try_for_each(|&pixel| check_pixel(pixel, photo))
    }

    fn run_batch(&self, photos: &mut [ReadyPhoto]) -> Result<Vec<OutputsByTask>> {
        if let Some(stored) = self.stored {
            let found = photos
                .iter_mut()
                .map(|photo| self.read_stored(stored, photo));
            return Ok(found.collect());
        }
        let first = photos.first().map_or(0, |photo| photo.index);
        let mut found: Vec<OutputsByTask> = photos
            .iter()
            .map(|_| self.tasks.iter().map(|_| None).collect())
            .collect();
        let work = |shared: &SharedPass, number: usize| {
            let layout = photos.first().and_then(|photo| photo.prepared.get(number));
            layout.map_or(0, |layout| shared.pass.patch_count(&layout.geometry))
        };
        let numbered: Vec<(usize, &SharedPass)> = self.passes_of(first).enumerate().collect();
        let works: Vec<usize> = numbered
            .iter()
            .map(|(n, shared)| work(shared, *n))
            .collect();
        let all = works.iter().sum::<usize>().max(1);
        let mut before = 0;
        for (&(number, shared), work) in numbered.iter().zip(&works) {
            let start = before;
            let tick = |done: usize| (self.on_progress)(100 * (start + done) / all);
            let batch = time_stage(photos, number, "backbone", |prepared| {
                shared.pass.forward(self.backbone, prepared, &tick)
            })?;
            before += work;
            if self.backbone.device().is_cpu() {
                for (found, seen) in found.iter_mut().zip(batch.split()?) {
                    let seen = Arc::new(seen);
                    for (index, _) in self.tasks_of(first) {
                        if shared.tasks & (1 << index) != 0 {
                            found[index] = Some(Ok(DeviceOutput::Backbone(seen.clone())));
                        }
                    }
                }
                continue;
            }
            let are_several = photos.len() > 1;
            for (index, task) in self.tasks_of(first) {
                if shared.tasks & (1 << index) == 0 {
                    continue;
                }
                let start = Instant::now();
                let all = task.predict_batch(&batch)?;
                let share = start.elapsed() / photos.len().max(1) as u32;
                for ((photo, found), own) in photos.iter_mut().zip(&mut found).zip(all) {
                    photo.watch.add("head", share);
                    found[index] = match own {
                        // What the others hold of the device may be what a head lacks.
                        Err(error) if are_several && device::is_out_of_memory(&error) => {
                            return Err(error);
                        }
                        own => Some(
                            own.map(DeviceOutput::Task)
                                .map_err(|error| explain_out_of_memory(error, &self.device_name())),
                        ),
                    };
                }
            }
        }
        for (photo, found) in photos.iter_mut().zip(&mut found) {
            let whole = numbered.len();
            for (number, (index, task)) in self.window_tasks_of(photo.index).enumerate() {
                let windows = self.predict_windows(task, photo, whole + number);
                found[index] = Some(windows.map(DeviceOutput::Task));
            }
        }
        Ok(found)
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

    /// What `task` finds in a photo that the backbone sees in parts, by the layout of this `number`.
    fn predict_windows(
        &self,
        task: &dyn TaskPredictor,
        ready: &mut ReadyPhoto,
        number: usize,
    ) -> Result<TaskOutput> {
        let windows = WindowRunner {
            backbone: self.backbone,
            task,
            batch_limit: &self.window_limit,
            console: self.console,
            photo_name: &(self.photo_name)(ready.index),
        };
        let found = windows.run(ready, number);
        found.map_err(|error| explain_out_of_memory(error, &self.device_name()))
    }
}

/// One pass that serves two, if there is one: what differs may be the layers, whether the mirror image is seen too,
/// whether a coarser look is taken too, and what becomes of padding afterwards.
fn merge_passes(one: &BackbonePass, other: &BackbonePass) -> Option<BackbonePass> {
    let alike = |preprocessor: Preprocessor| Preprocessor {
        unpad: Unpad::Crop,
        ..preprocessor
    };
    let looks = match (one.scales, other.scales) {
        (a, b) if a == b => a,
        (InputScales::Full, also @ InputScales::FullAndCoarse(_))
        | (also @ InputScales::FullAndCoarse(_), InputScales::Full) => also,
        _ => return None,
    };
    let views = match (one.views, other.views) {
        (a, b) if a == b => a,
        (FlipViews::Plain, FlipViews::Both) | (FlipViews::Both, FlipViews::Plain) => {
            FlipViews::Both
        }
        _ => return None,
    };
    let mut requests = one.requests.clone();
    requests.extend(
        other
            .requests
            .iter()
            .filter(|request| !one.requests.contains(request)),
    );
    (alike(one.preprocessor) == alike(other.preprocessor)).then_some(BackbonePass {
        preprocessor: one.preprocessor,
        requests,
        views,
        scales: looks,
    })
}
