//! [`Predictor`]: runs a backbone and heads on one image, or on many files through the engine.

use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;

use crate::engine::stage_timings::StageTimings;
use crate::engine::{BatchSize, DecodeStage, Engine, PassRunner, ReadyPhoto, batch_slots};
use crate::error::{Error, Result};
use crate::io::inputs::{PhotoDecoder, Source};
use crate::model::backbone::Backbone;
use crate::model::device;
use crate::model::head::Class;
use crate::model::input::Geometry;
use crate::predictor::prediction::{DepthPrediction, LabelPrediction, Prediction};
use crate::system::memory::{self, MemoryPermit, format_bytes};
use crate::tasks::depth::DepthPredictor;
use crate::tasks::multi_task::OutputsByTask;
use crate::tasks::segment::LabelPredictor;
use crate::tasks::{MultiTaskRunner, TaskOutput, TaskPredictor};
use crate::terminal::console::Console;
use crate::terminal::warnings::Warnings;
use crate::vision::postprocess::rows::{InMemoryRows, RowSource};

/// A backbone and heads, loaded and ready for images. Threads may share one.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dino = dino::Predictor::builder().depth("indoor").build()?;
/// let image = image::open("room.jpg")?.to_rgb8();
/// let prediction = dino.predict(&image)?;
/// let depth = prediction.depth()?;
/// println!("{:.2} {} in the corner", depth.values()[0], depth.unit());
/// # Ok(())
/// # }
/// ```
pub struct Predictor {
    /// At least one, each on a device of its own, with the same weights.
    pub(super) backbones: Vec<Backbone>,
    pub(super) depth: Option<DepthPredictor>,
    pub(super) labels: Option<LabelPredictor>,
    /// The classes of the label head, by id; empty without one.
    pub(super) classes: Arc<[Class]>,
    pub(super) batch_size: BatchSize,
    pub(super) max_memory: Option<u64>,
    pub(super) notes: Vec<String>,
    /// A recorder, which prints nothing.
    pub(super) console: Console,
}

impl Predictor {
    /// Notes on how it was built, in sentences, such as why no GPU is used, or what was fetched.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Runs all heads on `image`, which is upright sRGB (as [`PhotoDecoder`] decodes a file), on the first device.
    ///
    /// # Errors
    /// [`Error::Memory`] if it needs more memory than
    /// [`PredictorBuilder::max_memory`](super::PredictorBuilder::max_memory), or than the device has; [`Error::Usage`]
    /// if it has no pixels; if the device fails, or a head gives numbers that are not finite.
    pub fn predict(&self, image: &RgbImage) -> Result<Prediction> {
        let no_backbone = || Error::Model("there is no backbone to run".into());
        let backbone = self.backbones.first().ok_or_else(no_backbone)?;
        let runner = self.runner(backbone, 1);
        self.check_memory(&runner, image.dimensions())?;
        let mut ready = [ReadyPhoto {
            index: 0,
            photo: image.clone(),
            prepared: runner.prepare(0, image)?,
            stamp: None,
            sha256: None,
            timings: StageTimings::default(),
            permit: MemoryPermit::uncounted(),
        }];
        let output = runner.run_batch(&mut ready).map_err(|error| {
            match device::is_out_of_memory(&error) && matches!(error, Error::Tensor(_)) {
                true => Error::Memory(format!(
                    "{} has too little memory left for this image; give a smaller .size(…) to the builder, or another \
                     .device(…)",
                    runner.device_name()
                )),
                false => error,
            }
        })?;
        let [ready] = ready;
        self.read_outputs(
            &runner,
            ready,
            output.into_iter().next().unwrap_or_default(),
        )
    }

    /// Runs all heads on each of `sources`, such as [`Source::from_path`] makes: some are decoded while others are
    /// computed, on all devices, and in batches on a GPU. `each` gets the index and result of each, in their order, on
    /// this thread; a photo that cannot be decoded is an error and does not stop the others.
    ///
    /// # Errors
    /// What `each` returns, which ends the run; [`Error::Interrupted`] after Ctrl-C where the program handles it;
    /// [`Error::Usage`] if no threads can be started.
    pub fn predict_each(
        &self,
        sources: &[Source],
        each: impl FnMut(usize, Result<Prediction>) -> Result<()>,
    ) -> Result<()> {
        let mut decoder = PhotoDecoder::plain();
        decoder.options.max_memory = self.memory_limit();
        let captured = CapturedWarnings::default();
        decoder.warnings = captured.warnings();
        let decoding = DecodeStage::new(decoder);
        let engine = Engine::new(&self.backbones, decoding, self.batch_size, &self.console)?;
        let runners = batch_slots(&self.backbones).into_iter();
        let runners: Vec<MultiTaskRunner<'_>> = runners
            .map(|backbone| self.runner(backbone, sources.len()))
            .collect();
        let finish = |ready: ReadyPhoto, output: OutputsByTask| match runners.first() {
            // Layouts are the same for all runners.
            Some(runner) => {
                let decoding = captured.take_for(&sources[ready.index].name());
                let mut prediction = self.read_outputs(runner, ready, output)?;
                prediction.notes.splice(0..0, decoding);
                Ok(prediction)
            }
            None => Ok(Prediction::default()),
        };
        let by_reference: Vec<&Source> = sources.iter().collect();
        engine.run(&by_reference, &runners, |_, _, _| (), finish, each)
    }

    /// The most bytes that photos may take together.
    fn memory_limit(&self) -> u64 {
        self.max_memory.unwrap_or_else(memory::default_limit)
    }

    /// Refuses an image without pixels, or that needs more memory than the limit, before anything is allocated for it.
    fn check_memory(
        &self,
        runner: &MultiTaskRunner<'_>,
        (width, height): (u32, u32),
    ) -> Result<()> {
        if width == 0 || height == 0 {
            let why = format!("the image has no pixels ({width} x {height})");
            return Err(Error::Usage(why));
        }
        let (bytes, limit) = (runner.memory(0, (width, height)), self.memory_limit());
        match bytes <= limit {
            true => Ok(()),
            false => Err(Error::Memory(format!(
                "an image of {width} x {height} pixels needs about {} of memory, and may take {} (.max_memory(BYTES) of \
                 the builder, else four fifths of what is free); make it smaller",
                format_bytes(bytes),
                format_bytes(limit)
            ))),
        }
    }

    /// A runner of all heads on `backbone`, for a run over this number of `photos`.
    fn runner<'p>(&'p self, backbone: &'p Backbone, photos: usize) -> MultiTaskRunner<'p> {
        let depth = self
            .depth
            .as_ref()
            .map(|predictor| -> &dyn TaskPredictor { predictor });
        let labels = self
            .labels
            .as_ref()
            .map(|predictor| -> &dyn TaskPredictor { predictor });
        let predictors: Vec<&dyn TaskPredictor> = depth.into_iter().chain(labels).collect();
        let all = (1 << predictors.len()) - 1;
        MultiTaskRunner::new(
            backbone,
            predictors,
            (vec![all; photos], &|_| String::new()),
            self.batch_size,
            &self.console,
            &|_| (),
        )
    }

    /// Turns the outputs of the heads, which are in the order of [`Predictor::runner`], into maps at the size of the
    /// image.
    fn read_outputs(
        &self,
        runner: &MultiTaskRunner<'_>,
        mut ready: ReadyPhoto,
        outputs: OutputsByTask,
    ) -> Result<Prediction> {
        let mut outputs = outputs.into_iter().flatten().enumerate();
        let mut next = |ready: &mut ReadyPhoto| -> Result<(Geometry, TaskOutput)> {
            let lost = || Error::Model("an image was lost in the network".into());
            let (task, output) = outputs.next().ok_or_else(lost)?;
            let geometry = runner.layout(task, ready);
            Ok((geometry, runner.predict(task, output?, &mut ready.timings)?))
        };
        let mut prediction = Prediction::default();
        if let Some(predictor) = &self.depth {
            let (geometry, output) = next(&mut ready)?;
            let room = output.room_probability();
            let map = predictor.read(output, &geometry, &ready.photo)?;
            let rows = InMemoryRows {
                width: map.width,
                values: &map.depth,
            };
            let warning = predictor.warning(&rows as &dyn RowSource, room);
            prediction.notes.extend(warning);
            prediction.note_reduced(&geometry);
            prediction.depth = Some(DepthPrediction::new(map, predictor.unit()));
        }
        if let Some(predictor) = &self.labels {
            let (geometry, output) = next(&mut ready)?;
            let map = predictor.read(output, &geometry, &ready.photo, &mut ready.timings)?;
            prediction.note_reduced(&geometry);
            prediction.labels = Some(LabelPrediction::new(map, self.classes.clone()));
        }
        if self.backbones.iter().any(Backbone::has_overflowed) {
            prediction.notes.push(
                "numbers of this model overflow f16, so that bf16 was used, which is less exact; \
                 .dtype(DtypeChoice::Bf16) of the builder says so from the start"
                    .into(),
            );
        }
        Ok(prediction)
    }
}

/// Warnings of the decoder, `PATH: SENTENCE`, until the photo's prediction takes them.
#[derive(Default)]
struct CapturedWarnings(Arc<Mutex<Vec<String>>>);

impl CapturedWarnings {
    /// A sink that stores warnings here.
    fn warnings(&self) -> Warnings {
        let lines = self.0.clone();
        let keep = move |line: &str| {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push(line.to_owned());
        };
        Warnings::new(keep, true)
    }

    /// Removes and returns the sentences about the photo of this `name`.
    fn take_for(&self, name: &str) -> Vec<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sentence = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
        let own = lines.iter().filter_map(|line| sentence(line)).collect();
        lines.retain(|line| sentence(line).is_none());
        own
    }
}
