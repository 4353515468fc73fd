//! A photo in windows: each goes through the backbone and the head, and their scores are joined to those of the photo.

use super::inference_mode::InferenceMode;
use crate::engine::stage_timings::StageTimings;
use crate::engine::{BackbonePass, BatchLimit, ReadyPhoto};
use crate::error::{Error, Result};
use crate::model::backbone::Backbone;
use crate::model::head::{Protocol, Scores};
use crate::system::memory::format_bytes;
use crate::tasks::{TaskOutput, TaskPredictor};
use crate::terminal::console::{Console, Progress};
use crate::vision::inference::protocol;
use crate::vision::inference::slide::{MAX_PATCHES, Slide};
use crate::vision::postprocess::views::label_views;
use crate::vision::preprocess::{PreparedImage, Preprocessor};

/// Runs one task over the windows of a photo.
pub(super) struct WindowRunner<'w> {
    pub backbone: &'w Backbone,
    pub task: &'w dyn TaskPredictor,
    /// How many windows run at once.
    pub batch_limit: &'w BatchLimit,
    pub console: &'w Console,
    /// The photo's name in messages.
    pub photo_name: &'w str,
}

impl WindowRunner<'_> {
    /// The task's output for a photo, prepared in the layout of this `number`.
    ///
    /// # Errors
    /// If the head gives something else than scores, or the device fails.
    pub fn run(&self, ready: &mut ReadyPhoto, number: usize) -> Result<TaskOutput> {
        match self.task.mode() {
            InferenceMode::Whole(_) => Err(Error::Model("a photo is seen at once".into())),
            InferenceMode::Slide(pass, slide) => self.run_slide(pass, slide, ready, number),
            InferenceMode::Protocol(pass, protocol) => self.run_protocol(pass, *protocol, ready),
        }
    }

    /// The scores of a photo in overlapping windows, averaged where they overlap.
    fn run_slide(
        &self,
        pass: &BackbonePass,
        slide: &Slide,
        ready: &mut ReadyPhoto,
        number: usize,
    ) -> Result<TaskOutput> {
        let prepared = ready.prepared.get(number);
        let prepared = prepared.ok_or_else(|| Error::Model("a photo lacks a layout".into()))?;
        let geometry = &prepared.geometry;
        let windows = slide.windows(geometry.grid(), geometry.patch_size);
        let name = self.photo_name;
        if geometry.reduced {
            let (width, height) = geometry.resized;
            self.console.note(format_args!(
                "{name}: so large a photo is seen at {width}x{height}, {MAX_PATCHES} patches"
            ));
        }
        self.console.detail(format_args!(
            "{name}: {} windows, up to {} of memory",
            windows.len(),
            format_bytes(ready.permit.bytes())
        ));
        let progress = self.console.progress(windows.len() as u64, "windows");
        let timings = &mut ready.timings;
        let (scores, mirrored) =
            slide.scores(prepared, &windows, self.batch_limit.max_items(), |batch| {
                self.score_windows(pass, batch, timings, &progress)
            })?;
        Ok(TaskOutput::Scores {
            scores,
            mirrored,
            room_probability: None,
        })
    }

    /// The labels of a photo under a published protocol for segmentation.
    fn run_protocol(
        &self,
        pass: &BackbonePass,
        protocol: Protocol,
        ready: &mut ReadyPhoto,
    ) -> Result<TaskOutput> {
        let (photo, timings) = (&ready.photo, &mut ready.timings);
        let views = protocol::views(protocol, photo.dimensions())?;
        let windows: usize = views.iter().map(|view| view.windows.len()).sum();
        self.console.detail(format_args!(
            "{}: {} views, {windows} windows",
            self.photo_name,
            views.len()
        ));
        let progress = self.console.progress(windows as u64, "windows");
        let Preprocessor {
            patch_size, unpad, ..
        } = pass.preprocessor;
        let scored = protocol::score_views(
            photo,
            views,
            patch_size,
            self.batch_limit.max_items(),
            |batch| {
                let scores = self.score_windows(pass, batch, timings, &progress)?;
                Ok(scores.into_iter().map(|(own, _)| own).collect())
            },
        )?;
        let (width, height) = photo.dimensions();
        let size = (width as usize, height as usize);
        let map = timings.time("label", || label_views(&scored, size, unpad));
        Ok(TaskOutput::Labels(map))
    }

    /// The scores of windows, with those of their mirror images; as many windows in a batch as the device's memory
    /// allows.
    fn score_windows(
        &self,
        pass: &BackbonePass,
        windows: &[PreparedImage],
        timings: &mut StageTimings,
        progress: &Progress,
    ) -> Result<Vec<(Scores, Option<Scores>)>> {
        self.batch_limit.run_chunked(windows.len(), |part| {
            let batch: Vec<_> = windows[part].iter().collect();
            let outputs = timings.time("backbone", || {
                pass.forward(self.backbone, &batch, &|_| ())?.split()
            })?;
            progress.inc(batch.len() as u64);
            let scores = outputs
                .iter()
                .map(|output| match self.task.predict(output)? {
                    TaskOutput::Scores {
                        scores, mirrored, ..
                    } => Ok((scores, mirrored)),
                    TaskOutput::Labels(_) | TaskOutput::Tokens(..) | TaskOutput::Features(_) => {
                        Err(Error::Model("windows give scores".into()))
                    }
                });
            timings.time("head", || scores.collect())
        })
    }
}
