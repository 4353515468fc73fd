//! [`PassRunner`] for several tasks: the shared backbone passes over a batch and, on a GPU, the heads.

use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;

use super::runner::{DeviceOutput, MultiTaskRunner, OutputsByTask};
use super::shared_pass::SharedPass;
use crate::engine::{
    BackboneBatchOutput, PassRunner, ReadyPhoto, decoded_bytes, explain_out_of_memory, time_stage,
};
use crate::error::{Error, Result};
use crate::model::device;
use crate::model::input::Geometry;
use crate::tasks::inference::stored_features::StoredFeatures;
use crate::tasks::inference::window_runner::WindowRunner;
use crate::tasks::{TaskOutput, TaskPredictor, check_pixel};
use crate::vision::preprocess::PreparedImage;

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
            let empty = layouts.map(|geometry| PreparedImage {
                pixels: Vec::new(),
                geometry,
            });
            return Ok(empty.collect());
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
        let tasks = self.tasks_of(index).map(|(_, task)| {
            let layout = task.mode().layout(photo);
            let windows = task
                .mode()
                .memory(self.backbone, &layout, self.window_limit.max_items());
            windows.max(task.memory(&layout))
        });
        let features = self.passes_of(index).map(|shared| {
            let layout = shared.pass.preprocessor.geometry(photo);
            match self.backbone.device().is_cpu() {
                true => shared.pass.feature_memory(self.backbone, &layout),
                false => 0,
            }
        });
        // Inputs of all passes are in memory while any of them runs; features and outputs while the photo is finished.
        let (passes, features): (u64, u64) = (passes.sum(), features.sum());
        decoded_bytes(photo) + passes.max(features + tasks.sum::<u64>())
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
            let outputs = photos
                .iter_mut()
                .map(|photo| self.read_stored(stored, photo));
            return Ok(outputs.collect());
        }
        let first = photos.first().map_or(0, |photo| photo.index);
        let mut outputs: Vec<OutputsByTask> = photos
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
        let total = works.iter().sum::<usize>().max(1);
        let mut done_before = 0;
        for (&(number, shared), work) in numbered.iter().zip(&works) {
            let start = done_before;
            let tick = |done: usize| (self.on_progress)(100 * (start + done) / total);
            let batch = time_stage(photos, number, "backbone", |prepared| {
                shared.pass.forward(self.backbone, prepared, &tick)
            })?;
            done_before += work;
            match self.backbone.device().is_cpu() {
                true => self.keep_for_heads(shared, &batch, (first, &mut outputs))?,
                false => self.run_heads(shared, &batch, photos, &mut outputs)?,
            }
        }
        for (photo, by_task) in photos.iter_mut().zip(&mut outputs) {
            let whole = numbered.len();
            for (number, (index, task)) in self.window_tasks_of(photo.index).enumerate() {
                let windows = self.predict_windows(task, photo, whole + number);
                by_task[index] = Some(windows.map(DeviceOutput::Task));
            }
        }
        Ok(outputs)
    }
}

impl MultiTaskRunner<'_> {
    /// On a CPU: stores the backbone's output of each photo. Heads run on the worker that finishes the photo, beside
    /// the backbone's next batch.
    fn keep_for_heads(
        &self,
        shared: &SharedPass,
        batch: &BackboneBatchOutput,
        (first, outputs): (usize, &mut [OutputsByTask]),
    ) -> Result<()> {
        for (by_task, output) in outputs.iter_mut().zip(batch.split()?) {
            let output = Arc::new(output);
            for (index, _) in self.tasks_of(first) {
                if shared.includes_task(index) {
                    by_task[index] = Some(Ok(DeviceOutput::Backbone(output.clone())));
                }
            }
        }
        Ok(())
    }

    /// On a GPU: the outputs of all tasks that share the pass, whose heads run over the whole batch.
    fn run_heads(
        &self,
        shared: &SharedPass,
        batch: &BackboneBatchOutput,
        photos: &mut [ReadyPhoto],
        outputs: &mut [OutputsByTask],
    ) -> Result<()> {
        let first = photos.first().map_or(0, |photo| photo.index);
        let are_several = photos.len() > 1;
        for (index, task) in self.tasks_of(first) {
            if !shared.includes_task(index) {
                continue;
            }
            let start = Instant::now();
            let predicted = task.predict_batch(batch)?;
            let share = start.elapsed() / photos.len().max(1) as u32;
            for ((photo, by_task), output) in photos.iter_mut().zip(&mut *outputs).zip(predicted) {
                photo.timings.add("head", share);
                by_task[index] = match output {
                    // The head may lack the memory that the other photos hold; the caller halves the batch.
                    Err(error) if are_several && device::is_out_of_memory(&error) => {
                        return Err(error);
                    }
                    output => Some(
                        output
                            .map(DeviceOutput::Task)
                            .map_err(|error| explain_out_of_memory(error, &self.device_name())),
                    ),
                };
            }
        }
        Ok(())
    }

    /// The stored features of a photo, for each task that it is for; an error where it has no row.
    fn read_stored(
        &self,
        (stored, rows): (&StoredFeatures, &[Option<usize>]),
        photo: &mut ReadyPhoto,
    ) -> OutputsByTask {
        let mut outputs: OutputsByTask = self.tasks.iter().map(|_| None).collect();
        let row = rows.get(photo.index).copied().flatten();
        for shared in self.passes_of(photo.index) {
            let read = photo.timings.time("features", || match row {
                Some(row) => stored.read_output(row, &shared.pass).map(Arc::new),
                None => Err(stored.missing_error(&(self.photo_name)(photo.index))),
            });
            // Errors cannot be cloned; each task has one of its own.
            let read = read.map_err(|error| error.to_string());
            for (index, _) in self.tasks_of(photo.index) {
                if shared.includes_task(index) {
                    let own = read.clone().map(DeviceOutput::Backbone);
                    outputs[index] = Some(own.map_err(Error::Model));
                }
            }
        }
        outputs
    }

    /// The output of a task that takes the photo in windows, prepared in the layout of this `number`.
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
        let output = windows.run(ready, number);
        output.map_err(|error| explain_out_of_memory(error, &self.device_name()))
    }
}
