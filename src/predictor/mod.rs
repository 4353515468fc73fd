//! For Rust programs: images in memory, or files, to depths and labels.
//!
//! A [`Predictor`] holds a backbone and heads, and shows a photo to the backbone once for all heads that see it alike. It
//! does what the commands do, with their code: the same heads, the same numbers. It prints nothing and writes no file but
//! those of the store, into which a default backbone that is missing is fetched.

mod builder;
mod found;

use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
use crate::engine::{BatchSize, Decoding, Engine, Network, Ready, seats};
use crate::error::{Error, Result};
use crate::io::inputs::{PhotoDecoder, Source};
use crate::model::backbone::Backbone;
use crate::model::device;
use crate::model::head::Class;
use crate::model::input::Geometry;
use crate::system::memory::{self, Permit, readable};
use crate::tasks::depth::DepthReader;
use crate::tasks::network::FoundByTask;
use crate::tasks::segment::LabelReader;
use crate::tasks::{Finder, Found, TaskNetwork};
use crate::terminal::console::Console;
use crate::terminal::warnings::Warnings;
use crate::vision::postprocess::rows::{Rows, Whole};

pub use builder::Builder;
pub use found::{Depth, Labels, Prediction};

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
    backbones: Vec<Backbone>,
    depth: Option<DepthReader>,
    labels: Option<LabelReader>,
    /// Of the labels.
    classes: Arc<[Class]>,
    batch_size: BatchSize,
    max_memory: Option<u64>,
    notes: Vec<String>,
    /// Shows nothing.
    console: Console,
}

impl Predictor {
    /// What it is to be made of.
    pub fn builder() -> Builder {
        Builder::default()
    }

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
        let network = self.network(backbone, 1);
        self.admit(&network, image.dimensions())?;
        let mut ready = [Ready {
            index: 0,
            photo: image.clone(),
            prepared: network.prepare(0, image)?,
            stamp: None,
            sha256: None,
            watch: Stopwatch::default(),
            permit: Permit::free(),
        }];
        let found = network.run(&mut ready).map_err(|error| {
            match device::is_out_of_memory(&error) && matches!(error, Error::Tensor(_)) {
                true => Error::Memory(format!(
                    "{} has too little memory left for this image; give a smaller .size(…) to the builder, or another \
                     .device(…)",
                    network.device()
                )),
                false => error,
            }
        })?;
        let [ready] = ready;
        self.read(
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
        decoder.options.max_memory = self.limit();
        let said = Said::default();
        decoder.warnings = said.warnings();
        let decoding = Decoding::new(decoder);
        let engine = Engine::new(&self.backbones, decoding, self.batch_size, &self.console)?;
        let networks = seats(&self.backbones).into_iter();
        let networks: Vec<TaskNetwork<'_>> = networks
            .map(|backbone| self.network(backbone, sources.len()))
            .collect();
        let finish = |ready: Ready, found: FoundByTask| match networks.first() {
            // How photos lie in the input is the same on all devices.
            Some(network) => {
                let decoding = said.take(&sources[ready.index].name());
                let mut prediction = self.read(network, ready, found)?;
                prediction.notes.splice(0..0, decoding);
                Ok(prediction)
            }
            None => Ok(Prediction::default()),
        };
        let by_reference: Vec<&Source> = sources.iter().collect();
        engine.run(&by_reference, &networks, |_, _, _| (), finish, each)
    }

    /// The bytes that photos may take together.
    fn limit(&self) -> u64 {
        self.max_memory.unwrap_or_else(memory::usual_limit)
    }

    /// Refuses an image that there is no room for, before anything is allocated for it.
    fn admit(&self, network: &TaskNetwork<'_>, (width, height): (u32, u32)) -> Result<()> {
        if width == 0 || height == 0 {
            let why = format!("the image has no pixels ({width} x {height})");
            return Err(Error::Usage(why));
        }
        let (bytes, limit) = (network.memory(0, (width, height)), self.limit());
        match bytes <= limit {
            true => Ok(()),
            false => Err(Error::Memory(format!(
                "an image of {width} x {height} pixels needs about {} of memory, and may take {} (.max_memory(BYTES) of \
                 the builder, else four fifths of what is free); make it smaller",
                readable(bytes),
                readable(limit)
            ))),
        }
    }

    /// Of all heads, over so many `photos`.
    fn network<'p>(&'p self, backbone: &'p Backbone, photos: usize) -> TaskNetwork<'p> {
        let depth = self.depth.as_ref().map(|reader| -> &dyn Finder { reader });
        let labels = self.labels.as_ref().map(|reader| -> &dyn Finder { reader });
        let finders: Vec<&dyn Finder> = depth.into_iter().chain(labels).collect();
        let all = (1 << finders.len()) - 1;
        TaskNetwork::new(
            backbone,
            finders,
            (vec![all; photos], &|_| String::new()),
            self.batch_size,
            &self.console,
            &|_| (),
        )
    }

    /// Reads out what the heads found, in the order of [`Predictor::network`].
    fn read(
        &self,
        network: &TaskNetwork<'_>,
        mut ready: Ready,
        given: FoundByTask,
    ) -> Result<Prediction> {
        let mut given = given.into_iter().flatten().enumerate();
        let mut next = |ready: &mut Ready| -> Result<(Geometry, Found)> {
            let lost = || Error::Model("an image was lost in the network".into());
            let (task, given) = given.next().ok_or_else(lost)?;
            let geometry = network.layout(task, ready);
            Ok((geometry, network.find(task, given?, &mut ready.watch)?))
        };
        let mut prediction = Prediction::default();
        if let Some(reader) = &self.depth {
            let (geometry, found) = next(&mut ready)?;
            let room = found.room();
            let map = reader.read(found, &geometry, &ready.photo)?;
            let rows = Whole {
                width: map.width,
                values: &map.depth,
            };
            let doubt = reader.doubt(&rows as &dyn Rows, room);
            prediction.notes.extend(doubt);
            prediction.note_reduced(&geometry);
            prediction.depth = Some(Depth::new(map, reader.unit()));
        }
        if let Some(reader) = &self.labels {
            let (geometry, found) = next(&mut ready)?;
            let map = reader.read(found, &geometry, &ready.photo, &mut ready.watch)?;
            prediction.note_reduced(&geometry);
            prediction.labels = Some(Labels::new(map, self.classes.clone()));
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
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
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
    fn take(&self, name: &str) -> Vec<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sentence = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
        let own = lines.iter().filter_map(|line| sentence(line)).collect();
        lines.retain(|line| sentence(line).is_none());
        own
    }
}
