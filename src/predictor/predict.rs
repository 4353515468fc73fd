//! TODO

use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
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

/// Finds depths and labels in images. Threads may share one.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dino = dino::Predictor::builder().depth("indoor").build()?;
/// let image = image::open("room.jpg")?.to_rgb8();
/// let found = dino.predict(&image)?;
/// let depth = found.depth()?;
/// println!("{:.2} {} in the corner", depth.values()[0], depth.unit());
/// # Ok(())
/// # }
/// ```
pub struct Predictor {
    /// One on each device, and one at least.
    pub(super) backbones: Vec<Backbone>,
    pub(super) depth: Option<DepthPredictor>,
    pub(super) labels: Option<LabelPredictor>,
    /// Of the labels.
    pub(super) classes: Arc<[Class]>,
    pub(super) batch_size: BatchSize,
    pub(super) max_memory: Option<u64>,
    pub(super) notes: Vec<String>,
    /// Shows nothing.
    pub(super) console: Console,
}

impl Predictor {
    /// What is good to know of how it was built, in sentences: why no GPU is used, what was fetched.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Finds what there is in `image`, which is upright sRGB (as [`PhotoDecoder`] decodes a file), on the first of the
    /// devices.
    ///
    /// # Errors
    /// [`Error::Memory`] if it would take more memory than it may; [`Error::Usage`] if it has no pixels; if the device
    /// fails, or a head gives no numbers.
    pub fn predict(&self, image: &RgbImage) -> Result<Prediction> {
        let no_backbone = || Error::Model("there is no backbone to run".into());
        let backbone = self.backbones.first().ok_or_else(no_backbone)?;
        let network = self.runner(backbone, 1);
        self.check_memory(&network, image.dimensions())?;
        let mut ready = [ReadyPhoto {
            index: 0,
            photo: image.clone(),
            prepared: network.prepare(0, image)?,
            stamp: None,
            sha256: None,
            watch: Stopwatch::default(),
            permit: MemoryPermit::uncounted(),
        }];
        let found = network.run_batch(&mut ready).map_err(|error| {
            match device::is_out_of_memory(&error) && matches!(error, Error::Tensor(_)) {
                true => Error::Memory(format!(
                    "{} has too little memory left for this image; give a smaller .size(…) to the builder, or another \
                     .device(…)",
                    network.device_name()
                )),
                false => error,
            }
        })?;
        let [ready] = ready;
        self.read_outputs(
            &network,
            ready,
            found.into_iter().next().unwrap_or_default(),
        )
    }

    /// Finds what there is in each of `sources`, files such as [`Source::named`] makes: some are decoded while others are
    /// computed, on all devices, in batches where there is a GPU. `each` gets every one's index and result, in their order,
    /// on this thread; one that cannot be decoded does not stop the others.
    ///
    /// # Errors
    /// What `each` returns, which ends the run; if no threads can be started.
    pub fn predict_each(
        &self,
        sources: &[Source],
        each: impl FnMut(usize, Result<Prediction>) -> Result<()>,
    ) -> Result<()> {
        let mut decoder = PhotoDecoder::plain();
        decoder.options.max_memory = self.memory_limit();
        let said = CapturedWarnings::default();
        decoder.warnings = said.warnings();
        let decoding = DecodeStage::new(decoder);
        let engine = Engine::new(&self.backbones, decoding, self.batch_size, &self.console)?;
        let networks = batch_slots(&self.backbones).into_iter();
        let networks: Vec<MultiTaskRunner<'_>> = networks
            .map(|backbone| self.runner(backbone, sources.len()))
            .collect();
        let finish = |ready: ReadyPhoto, found: OutputsByTask| match networks.first() {
            // How photos lie in the input is the same on all devices.
            Some(network) => {
                let decoding = said.take_for(&sources[ready.index].name());
                let mut prediction = self.read_outputs(network, ready, found)?;
                prediction.notes.splice(0..0, decoding);
                Ok(prediction)
            }
            None => Ok(Prediction::default()),
        };
        let by_reference: Vec<&Source> = sources.iter().collect();
        engine.run(&by_reference, &networks, |_, _, _| (), finish, each)
    }

    /// The bytes that photos may take together.
    fn memory_limit(&self) -> u64 {
        self.max_memory.unwrap_or_else(memory::usual_limit)
    }

    /// Refuses an image that there is no room for, before anything is allocated for it.
    fn check_memory(
        &self,
        network: &MultiTaskRunner<'_>,
        (width, height): (u32, u32),
    ) -> Result<()> {
        if width == 0 || height == 0 {
            let why = format!("the image has no pixels ({width} x {height})");
            return Err(Error::Usage(why));
        }
        let (bytes, limit) = (network.memory(0, (width, height)), self.memory_limit());
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

    /// Of all heads, over so many `photos`.
    fn runner<'p>(&'p self, backbone: &'p Backbone, photos: usize) -> MultiTaskRunner<'p> {
        let depth = self
            .depth
            .as_ref()
            .map(|reader| -> &dyn TaskPredictor { reader });
        let labels = self
            .labels
            .as_ref()
            .map(|reader| -> &dyn TaskPredictor { reader });
        let finders: Vec<&dyn TaskPredictor> = depth.into_iter().chain(labels).collect();
        let all = (1 << finders.len()) - 1;
        MultiTaskRunner::new(
            backbone,
            finders,
            (vec![all; photos], &|_| String::new()),
            self.batch_size,
            &self.console,
            &|_| (),
        )
    }

    /// Reads out what the heads found, in the order of [`Predictor::runner`].
    fn read_outputs(
        &self,
        network: &MultiTaskRunner<'_>,
        mut ready: ReadyPhoto,
        given: OutputsByTask,
    ) -> Result<Prediction> {
        let mut given = given.into_iter().flatten().enumerate();
        let mut next = |ready: &mut ReadyPhoto| -> Result<(Geometry, TaskOutput)> {
            let lost = || Error::Model("an image was lost in the network".into());
            let (task, given) = given.next().ok_or_else(lost)?;
            let geometry = network.layout(task, ready);
            Ok((geometry, network.predict(task, given?, &mut ready.watch)?))
        };
        let mut prediction = Prediction::default();
        if let Some(reader) = &self.depth {
            let (geometry, found) = next(&mut ready)?;
            let room = found.room_probability();
            let map = reader.read(found, &geometry, &ready.photo)?;
            let rows = InMemoryRows {
                width: map.width,
                values: &map.depth,
            };
            let doubt = reader.warning(&rows as &dyn RowSource, room);
            prediction.notes.extend(doubt);
            prediction.note_reduced(&geometry);
            prediction.depth = Some(DepthPrediction::new(map, reader.unit()));
        }
        if let Some(reader) = &self.labels {
            let (geometry, found) = next(&mut ready)?;
            let map = reader.read(found, &geometry, &ready.photo, &mut ready.watch)?;
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

/// What was said of photos while they were decoded, until they are finished.
#[derive(Default)]
struct CapturedWarnings(Arc<Mutex<Vec<String>>>);

impl CapturedWarnings {
    /// Warnings that are kept here.
    fn warnings(&self) -> Warnings {
        let lines = self.0.clone();
        let keep = move |line: &str| {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push(line.to_owned());
        };
        Warnings::new(keep, true)
    }

    /// The sentences about the photo of this `name`.
    fn take_for(&self, name: &str) -> Vec<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sentence = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
        let own = lines.iter().filter_map(|line| sentence(line)).collect();
        lines.retain(|line| sentence(line).is_none());
        own
    }
}
