//! The frames of one clip through the backbone and the tasks, in order.

use std::num::NonZeroUsize;

use image::RgbImage;

use crate::engine::{BatchSize, DecodeStage, Engine, FrameSource, ReadyPhoto, batch_slots};
use crate::error::{Error, Result};
use crate::io::inputs::{PhotoDecoder, Source};
use crate::model::backbone::Backbone;
use crate::model::input::Geometry;
use crate::system::memory::MemoryPermit;
use crate::tasks::clip::cuts::thumbnail;
use crate::tasks::clip::guide::RunningGuide;
use crate::tasks::clip::segment_store::SEGMENT_FRAMES;
use crate::tasks::clip::state::{ClipState, NamedVectors};
use crate::tasks::clip::{
    ClipTask, CutDetector, FrameImages, MeanTokenPredictor, RenderedFrame, RunningMean, stage,
};
use crate::tasks::inference::multi_task::OutputsByTask;
use crate::tasks::{MultiTaskRunner, TaskOutput, TaskPredictor};
use crate::terminal::console::Console;

/// Several tasks over the frames of one clip.
pub struct ClipRun<'r> {
    /// The tasks that render frames.
    pub tasks: &'r [&'r dyn ClipTask],
    /// The backbone, on each device.
    pub backbones: &'r [Backbone],
    /// The decoder, with the limit of memory for frames.
    pub decoder: PhotoDecoder,
    /// Frames in a batch.
    pub batch_size: BatchSize,
    /// The share of the running mean that each frame keeps, from 0 to below 1 (`--smooth`); `None` for each task's
    /// default.
    pub smooth: Option<f32>,
    /// Where messages go.
    pub console: &'r Console,
}

/// Frames of a clip, at most, that tasks which need a fit are fitted to before the first frame is rendered.
pub const MAX_FIT_FRAMES: usize = 64;

/// A frame with the outputs of all tasks.
struct PredictedFrame {
    /// The state after this frame, where it is the last of a segment.
    state: Option<ClipState>,
    photo: RgbImage,
    /// The running guide, where borders are fitted to it.
    guide: Option<RgbImage>,
    geometries: Vec<Geometry>,
    outputs: Vec<TaskOutput>,
    /// The permit for the memory of the frame, until it is written.
    permit: MemoryPermit,
}

impl ClipRun<'_> {
    /// Fits the tasks that need it to the frames of `feed`, which are spread over the clip.
    ///
    /// # Errors
    /// If a frame cannot be read, or nothing can be fitted.
    pub fn fit(&self, clip: &Source, feed: &dyn FrameSource) -> Result<()> {
        self.predict_frames(clip, feed, |_, predicted| {
            let tasks = self.tasks.iter();
            let outputs = predicted.outputs.into_iter().zip(&predicted.geometries);
            for (task, (output, geometry)) in tasks
                .zip(outputs)
                .filter(|(task, _)| task.needs_fit_frames())
            {
                task.add_fit_frame(geometry, output)?;
            }
            Ok(())
        })?;
        let mut fitting = self.tasks.iter().filter(|task| task.needs_fit_frames());
        fitting.try_for_each(|task| task.fit_frames(self.console))
    }

    /// Renders every frame of `feed`, and calls `take` in order with the frame as each task rendered it and, at the end
    /// of each segment of [`SEGMENT_FRAMES`], the state after it. `before` is the state after the preceding frames, if
    /// these are not the first. Returns the indices of the first frames of new shots.
    ///
    /// # Errors
    /// Those of `take`; if a frame cannot be read or rendered; [`Error::Interrupted`]. Frames rendered before the error
    /// have been passed to `take`.
    pub fn render(
        &self,
        clip: &Source,
        feed: &dyn FrameSource,
        before: Option<&ClipState>,
        mut take: impl FnMut(Vec<RenderedFrame>, Option<ClipState>) -> Result<()> + Send,
    ) -> Result<Vec<usize>> {
        let means = self.tasks.iter();
        let means = means.map(|task| RunningMean::new(self.smooth, task.default_smoothing()));
        let mut means: Vec<RunningMean> = means.collect();
        let mut shots = CutDetector::default();
        let wants_guide =
            |task: &&dyn ClipTask| self.smooth.map_or(task.is_guided(), |keep| keep > 0.0);
        let needs_guide =
            self.tasks.iter().any(wants_guide) || means.iter().any(RunningMean::is_by_change);
        let mut guide = needs_guide.then(RunningGuide::default);
        if let Some(before) = before {
            shots.restore(&before.frames.group("cuts"));
            if let Some(guide) = &mut guide {
                guide.restore(&before.frames.group("guide"));
            }
            for ((task, mean), state) in self.tasks.iter().zip(&mut means).zip(&before.tasks) {
                mean.restore(&state.group("mean"));
                task.restore(&state.group("task"))?;
            }
        }
        let feed_stage = |pass_on: &mut dyn FnMut(PredictedFrame) -> Result<()>| {
            self.predict_frames(clip, feed, |index, mut predicted| {
                let Some(TaskOutput::Tokens(mean, _)) = predicted.outputs.pop() else {
                    return Err(Error::Model("a frame lacks its mean token".into()));
                };
                let is_cut = shots.push_frame(mean, thumbnail(&predicted.photo));
                let guided = guide
                    .as_mut()
                    .map(|guide| guide.update(&predicted.photo, is_cut));
                let (shown, changes) = guided.unzip();
                predicted.guide = shown;
                let outputs = std::mem::take(&mut predicted.outputs);
                let mut propagated = Vec::with_capacity(outputs.len());
                let tasks = self.tasks.iter().zip(&mut means);
                for ((task, mean), (mut output, geometry)) in
                    tasks.zip(outputs.into_iter().zip(&predicted.geometries))
                {
                    let changes = changes.as_ref().filter(|_| mean.is_by_change());
                    let changed = changes.map(|changes| changes.per_patch(geometry));
                    mean.smooth(&mut output, changed.as_deref(), is_cut)?;
                    propagated.push(task.propagate(output, &predicted.photo, geometry)?);
                }
                predicted.outputs = propagated;
                if (index + 1) % SEGMENT_FRAMES == 0 {
                    let tasks = self.tasks.iter().zip(&means).map(|(task, mean)| {
                        let mut state = NamedVectors::default();
                        state.put_group("mean", &mean.state());
                        state.put_group("task", &task.state());
                        state
                    });
                    let mut frames = NamedVectors::default();
                    frames.put_group("cuts", &shots.state());
                    if let Some(guide) = &guide {
                        frames.put_group("guide", &guide.state());
                    }
                    predicted.state = Some(ClipState {
                        frames,
                        tasks: tasks.collect(),
                    });
                }
                pass_on(predicted)
            })
        };
        let draw = |predicted: PredictedFrame| {
            let PredictedFrame {
                state,
                photo,
                guide,
                geometries,
                outputs,
                permit,
            } = predicted;
            let drawn = self.tasks.iter().zip(geometries.iter().zip(outputs));
            let drawn = drawn.map(|(task, (geometry, output))| {
                let guide = guide.as_ref().filter(|_| wants_guide(task));
                let frame = FrameImages {
                    photo: &photo,
                    guide: guide.unwrap_or(&photo),
                };
                task.render_frame(frame, geometry, output)
            });
            let drawn: Vec<RenderedFrame> = drawn.collect::<Result<_>>()?;
            Ok((drawn, state, permit))
        };
        let threads = NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN);
        stage::run_in_order(threads, feed_stage, draw, |_, (drawn, state, permit)| {
            let taken = take(drawn, state);
            drop(permit);
            taken
        })?;
        Ok(shots.cuts().to_vec())
    }

    /// Takes frames through the backbone, and calls `report` with each in order: the outputs of every task, and the
    /// mean patch token last.
    fn predict_frames(
        &self,
        clip: &Source,
        feed: &dyn FrameSource,
        mut report: impl FnMut(usize, PredictedFrame) -> Result<()>,
    ) -> Result<()> {
        let Some(first) = self.tasks.first() else {
            return Ok(());
        };
        let depth = self
            .backbones
            .first()
            .map_or(0, |backbone| backbone.config().depth);
        let cuts = MeanTokenPredictor::for_pass(first.mode().backbone_pass(), depth);
        let name = |_: usize| clip.name();
        let tick = |_: usize| ();
        let runners = batch_slots(self.backbones).into_iter().map(|backbone| {
            let mut tasks: Vec<&dyn TaskPredictor> = Vec::new();
            for task in self.tasks {
                tasks.push(*task);
            }
            tasks.push(&cuts);
            MultiTaskRunner::new(
                backbone,
                tasks,
                (Vec::new(), &name),
                self.batch_size,
                self.console,
                &tick,
            )
            .for_all_photos()
        });
        let runners: Vec<MultiTaskRunner<'_>> = runners.collect();
        let Some(runner) = runners.first() else {
            return Err(Error::Model("there is no backbone to run".into()));
        };
        let decoding = DecodeStage::new(self.decoder.clone());
        let engine = Engine::new(self.backbones, decoding, self.batch_size, self.console)?;
        let finish = |mut ready: ReadyPhoto, given: OutputsByTask| {
            let mut outputs = Vec::with_capacity(given.len());
            for (task, given) in given.into_iter().enumerate() {
                let given = given.ok_or_else(|| Error::Model("a task was left out".into()))??;
                outputs.push(runner.predict(task, given, &mut ready.timings)?);
            }
            let geometries = (0..outputs.len()).map(|task| runner.layout(task, &ready));
            Ok(PredictedFrame {
                state: None,
                guide: None,
                geometries: geometries.collect(),
                photo: ready.photo,
                outputs,
                permit: ready.permit,
            })
        };
        engine.run_frames(
            (clip, feed),
            &runners,
            |_, _, _| (),
            finish,
            |index, predicted| report(index, predicted?),
        )
    }
}
