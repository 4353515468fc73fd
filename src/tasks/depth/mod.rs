//! Depths: scores become a map, drawn at once or (with one range for all photos) in a second pass.
//!
//! `reader` has the depths; `files` writes what was asked for of one photo, `points` its points as `cloud`'s cameras see
//! them, and `report` says it in words and JSON.

mod clip;
mod cloud;
mod files;
mod names;
mod points;
mod reader;
mod report;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::engine::outcomes::Outcome;
use crate::engine::{Seen, SeenBatch};
use crate::error::{Error, Result};
use crate::io::output::{CloudFormat, Job, Subject};
use crate::maths::Sampler;
use crate::model::backbone::Backbone;
use crate::model::head::{Head, HeadMeta, Readout, Task as HeadTask};
use crate::model::head_zoo::DepthCalibration;
use crate::model::input::Geometry;
use crate::model::weights::Record;
use crate::system::files::Digest;
use crate::system::files::spool::Spool;
use crate::tasks::clip::ClipTask;
use crate::tasks::costs::{of_scores, per_pixel};
use crate::tasks::recipe::{DepthRecipe, NumberFormat, RangeRule};
use crate::tasks::settings::{Settings, unusual};
use crate::tasks::{Context, Finder, Finished, Found, Item, Kept, Task, Way, Which, not_gathered};
use crate::terminal::console::Console;
use crate::vision::postprocess::DepthMap;
use crate::vision::postprocess::depth::Spread;
use crate::vision::render::Range;

use files::{Files, Measured};
pub use names::extensions;
use reader::Full;
pub use reader::{DepthReader, METRE, conversion_of, refined};

/// Values that one photo puts in to the range of all, so that large photos count little more than small ones.
const SAMPLES: usize = 1 << 16;

/// Whether borders are fitted to the photo if nothing is said about it.
pub const REFINE: bool = false;

/// Draws photos, or keeps their maps until the range of all is known.
pub struct DepthTask {
    recipe: DepthRecipe,
    reader: DepthReader,
    files: Files,
    context: Context,
    /// Where the recipe's scale and shift come from it.
    calibration: Option<DepthCalibration>,
    /// A range of earlier photos, in place of one of all.
    adopted: Option<Range>,
    waiting: Mutex<Waiting>,
    /// Of the frames of a clip, how probable a room is in all of them together, and how many they are.
    rooms: Mutex<(f64, usize)>,
}

/// The photos between the passes.
struct Waiting {
    /// Depth, then deviation, of each.
    maps: Spool,
    sampler: Sampler,
    photos: Vec<Kept>,
    /// Of all of them.
    range: Range,
}

impl DepthTask {
    /// With `head`, on a backbone whose patches have this side; its `calibration` is used unless the recipe has numbers of
    /// its own, or leaves it out.
    ///
    /// # Errors
    /// [`Error::Usage`] for wishes that contradict each other or that the head cannot fulfil.
    pub fn new(
        recipe: DepthRecipe,
        (head, calibration): (Head, Option<DepthCalibration>),
        patch_size: usize,
        context: Context,
        console: &Console,
    ) -> Result<Self> {
        let (recipe, calibration) = calibrated(recipe, calibration);
        let is_inverse = readout_of(&head.meta)?.is_inverse();
        if is_inverse {
            refuse_metres(&recipe, &head.meta)?;
        }
        let is_inverse = is_inverse && recipe.scale.is_none();
        let files = Files::new(&recipe, is_inverse, context.subject("depth"), context.json)?;
        let is_film = recipe.save.contains(&NumberFormat::Ffv1);
        if recipe.depth_scale.is_some() && names::depth_scale(&recipe).is_none() && !is_film {
            let why = "--depth-scale is for --save png16 and ffv1; the other formats hold the numbers as they are";
            return Err(Error::Usage(why.into()));
        }
        let has_bins = matches!(readout_of(&head.meta)?, Readout::Bins { .. });
        if recipe.uncertainty && !has_bins {
            return Err(Error::Usage(format!(
                "--uncertainty: the head {} gives depths alone; heads with bins know how sure they are",
                head.meta.name
            )));
        }
        if recipe.uncertainty && head.meta.calibration.is_none() {
            console.note(format_args!(
                "--uncertainty: the head {} was not calibrated, so this is the plain spread over its bins, which may \
                 be far wider than its errors",
                head.meta.name
            ));
        }
        let deviation = files.wants_deviation();
        let reader = DepthReader::new(&recipe.head, head, deviation, patch_size, console)?;
        let reader = match recipe.scale {
            Some(scale) => reader.with_conversion(scale, recipe.shift)?,
            None => reader,
        };
        if let Some(calibration) = &calibration {
            let name = &calibration.head;
            let sentence = calibration.sentence();
            console.note(format_args!(
                "{name}: {sentence}; --no-calibration leaves that out"
            ));
            if let Some(doubt) = calibration.doubt(&reader.input()) {
                console.warn(doubt);
            }
        }
        files.prepare_scale(reader.meta(), console)?;
        Ok(DepthTask {
            reader,
            files,
            context,
            calibration,
            adopted: None,
            waiting: Mutex::new(Waiting {
                maps: Spool::new("depth maps", "--range auto"),
                sampler: Sampler::default(),
                photos: Vec::new(),
                range: Range {
                    low: 0.0,
                    high: 1.0,
                },
            }),
            rooms: Mutex::default(),
            recipe,
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Finder for DepthTask {
    fn way(&self) -> &Way {
        self.reader.way()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        let refined = if self.reader.refines() { 4 } else { 0 };
        let drawn = per_pixel(refined + self.files.bytes_per_pixel());
        of_scores(self.reader.head(), geometry) + drawn(geometry)
    }

    fn pixels(&self) -> &[(u32, u32)] {
        &self.recipe.at
    }

    fn needs_photo(&self) -> bool {
        self.files.wants_photo() || self.reader.refines()
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        self.reader.find(seen)
    }

    fn find_all(&self, batch: &SeenBatch) -> Result<Vec<Result<Found>>> {
        self.reader.find_all(batch)
    }
}

impl Task for DepthTask {
    fn subject(&self) -> Subject {
        self.context.subject("depth")
    }

    fn extensions(&self) -> Vec<&'static str> {
        extensions(&self.recipe)
    }

    fn elsewhere(&self) -> Option<(&'static str, &Path)> {
        let cloud = self.recipe.pointcloud.as_ref()?;
        Some((CloudFormat::extension(cloud.format), cloud.path.as_deref()?))
    }

    fn which(&self) -> Which {
        match (self.recipe.at.is_empty(), self.recipe.range) {
            (false, _) => Which::All,
            (true, RangeRule::Global) if self.adopted.is_none() => Which::AllOrNone,
            (true, _) => Which::Missing,
        }
    }

    fn siblings(&self) -> &'static [&'static str] {
        names::SIBLINGS
    }

    fn settings(&self, extension: &str) -> Result<Settings> {
        let recipe = names::recipe_of(&self.recipe, extension);
        Ok(Settings::of(&recipe)?
            .with("head", self.reader.digest()?)
            .with_font(
                self.recipe
                    .font
                    .as_deref()
                    .filter(|_| recipe.font.is_some()),
            ))
    }

    fn waits(&self) -> bool {
        self.recipe.range == RangeRule::Global && self.adopted.is_none()
    }

    fn fit_bytes(&self) -> Result<Vec<u8>> {
        let range = self.waiting().range;
        let json = serde_json::json!({"low": range.low, "high": range.high});
        Ok(json.to_string().into_bytes())
    }

    fn adopt_fit(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
        let range: Option<Value> = serde_json::from_slice(&text).ok();
        let number = |key: &str| Some(range.as_ref()?.get(key)?.as_f64()? as f32);
        let range = number("low").zip(number("high"));
        let Some((low, high)) = range.filter(|(low, high)| low <= high) else {
            let why = "is no range of depths; leave --keep-fit out";
            return Err(Error::file(path, why));
        };
        self.adopted = Some(Range { low, high });
        Ok(())
    }

    fn reads(&self) -> Vec<&Path> {
        let head = self.recipe.head.name.as_deref();
        head.into_iter()
            .chain(self.recipe.font.as_deref())
            .collect()
    }

    fn head(&self) -> Option<&Head> {
        Some(self.reader.head())
    }

    fn head_digest(&self) -> Result<Option<Digest>> {
        self.reader.digest().map(Some)
    }

    fn parameters(&self) -> Value {
        unusual(&self.recipe)
    }

    fn as_clip_task(&self) -> Option<&dyn ClipTask> {
        Some(self)
    }

    fn meet(&mut self, backbones: &[Backbone], _: &Record, _: &Console) -> Result<()> {
        self.reader.meet(backbones)
    }

    fn finish(&self, item: Item<'_>, words: &Console) -> Result<Finished> {
        let Item {
            job,
            photo,
            geometry,
            found,
            stamp,
            mut watch,
            ..
        } = item;
        let map = watch.time("read out", || self.reader.read_out(&found, &geometry))?;
        let guide = self.reader.refines().then_some(photo);
        let mut buffer = Vec::new();
        let full = watch.time("upsample", || {
            Full::new(&self.reader, &map, &geometry, guide, &mut buffer)
        })?;
        let room = found.room();
        if let Some(doubt) = self.reader.doubt(&*full.depth, room) {
            words.warn(format_args!("{}: {doubt}", job.source.name()));
        }
        let range = match (self.recipe.range, self.adopted) {
            (RangeRule::Global, Some(range)) => range,
            (RangeRule::Global, None) => {
                let (width, height) = full.depth.size();
                // An odd stride does not keep to the same few columns of photos whose width is a power of two.
                let stride = (width * height).div_ceil(SAMPLES) | 1;
                let mut samples = Vec::new();
                full.depth.for_each_nth(stride, |value| samples.push(value));
                drop(full);
                return Ok(Finished::Kept(Box::new(Kept {
                    job: job.clone(),
                    photo: None,
                    stamp,
                    geometry,
                    size: (map.width, map.height),
                    values: [map.depth, map.deviation].concat(),
                    samples,
                    room,
                    watch,
                })));
            }
            (RangeRule::Auto, _) => watch.time("range", || Range::of_rows(&*full.depth)),
            (RangeRule::Fixed(range), _) => range,
            (RangeRule::Head, _) => {
                let (min, max) = readout_of(self.reader.meta())?.range();
                Range::new(min as f32, max as f32)
            }
        };
        let measured = Measured {
            job,
            photo: Some(photo),
            geometry: &geometry,
            depth: &*full.depth,
            deviation: full.deviation(),
            range,
            meta: self.reader.meta(),
            conversion: self.reader.conversion(),
            calibration: self.calibration.as_ref(),
            farthest: self.reader.farthest(),
            room,
            watch,
        };
        self.files.write(measured, words).map(Finished::Written)
    }

    fn take(&self, finished: Finished) -> Result<Option<Outcome>> {
        match finished {
            Finished::Written(outcome) | Finished::Annotated(outcome, _) => Ok(Some(outcome)),
            Finished::Gathered(_) => Err(not_gathered()),
            Finished::Kept(mut kept) => {
                let mut waiting = self.waiting();
                waiting.maps.push(&std::mem::take(&mut kept.values))?;
                for value in std::mem::take(&mut kept.samples) {
                    waiting.sampler.push(value);
                }
                waiting.photos.push(*kept);
                Ok(None)
            }
        }
    }

    fn fit(&self, _: &Console) -> Result<usize> {
        let mut waiting = self.waiting();
        if !waiting.photos.is_empty() {
            waiting.range = Range::of_sampled(std::mem::take(&mut waiting.sampler));
        }
        Ok(waiting.photos.len())
    }

    fn kept(&self, index: usize, job: &Job) -> Result<Kept> {
        let mut waiting = self.waiting();
        let values = match self.has_nothing_to_do(job) {
            true => Vec::new(),
            false => waiting.maps.read(index)?,
        };
        Ok(waiting.photos[index].taken_up(job, values))
    }

    fn finish_kept(&self, kept: Kept, words: &Console) -> Result<Finished> {
        let Kept {
            job,
            geometry,
            size: (width, height),
            values: mut depth,
            room,
            stamp,
            mut watch,
            ..
        } = kept;
        if self.has_nothing_to_do(&job) {
            return Ok(Finished::Written(Outcome::Skipped));
        }
        let deviation = depth.split_off(width * height);
        let map = DepthMap {
            width,
            height,
            depth,
            deviation,
        };
        let photo = match self.files.wants_photo() || self.reader.refines() {
            true => Some(watch.time("decode", || {
                self.context.decode_again(&job.source, stamp.as_ref())
            })?),
            false => None,
        };
        let guide = photo.as_ref().filter(|_| self.reader.refines());
        let mut buffer = Vec::new();
        let full = watch.time("upsample", || {
            Full::new(&self.reader, &map, &geometry, guide, &mut buffer)
        })?;
        let measured = Measured {
            job: &job,
            photo: photo.as_ref(),
            geometry: &geometry,
            depth: &*full.depth,
            deviation: full.deviation(),
            range: self.waiting().range,
            meta: self.reader.meta(),
            conversion: self.reader.conversion(),
            calibration: self.calibration.as_ref(),
            farthest: self.reader.farthest(),
            room,
            watch,
        };
        self.files.write(measured, words).map(Finished::Written)
    }
}

impl DepthTask {
    fn has_nothing_to_do(&self, job: &Job) -> bool {
        self.files.has_nothing_to_do(job)
    }
}

/// The recipe with the numbers of the head's calibration, if that counts, and the calibration then.
fn calibrated(
    recipe: DepthRecipe,
    calibration: Option<DepthCalibration>,
) -> (DepthRecipe, Option<DepthCalibration>) {
    let calibration = calibration.filter(|_| recipe.scale.is_none() && !recipe.no_calibration);
    let (scale, shift) = match &calibration {
        Some(calibration) => (Some(calibration.scale), calibration.shift),
        None => (recipe.scale, recipe.shift),
    };
    // Outputs are the same whether a calibration was left out or there was none.
    let recipe = DepthRecipe {
        scale,
        shift,
        no_calibration: false,
        ..recipe
    };
    (recipe, calibration)
}

/// Refuses what only metres are for, of a head that gives relative inverse depth.
fn refuse_metres(recipe: &DepthRecipe, meta: &HeadMeta) -> Result<()> {
    if recipe.range == RangeRule::Head {
        return Err(Error::Usage(format!(
            "--range head: relative inverse depth, which the head {} gives, has no greatest number; auto, global and MIN,MAX \
             will do",
            meta.name
        )));
    }
    let metric = [
        ("--save png16", recipe.save.contains(&NumberFormat::Png16)),
        ("--pointcloud", recipe.pointcloud.is_some()),
    ];
    match metric
        .iter()
        .find(|(_, wanted)| *wanted && recipe.scale.is_none())
    {
        Some((what, _)) => Err(Error::Usage(format!(
            "{what} is of metres, and the head {} gives relative inverse depth; --scale A and --shift B make 1 / (A * value + \
             B) of it, `dino calibrate depth` fits both to photos with depth, or choose a head in metres, such as \
             da2-indoor-small",
            meta.name
        ))),
        None => Ok(()),
    }
}

/// What a head's spread over its bins says: the deviation that it was calibrated for, else the spread itself.
pub fn spread_of(meta: &HeadMeta) -> Spread {
    meta.calibration
        .as_ref()
        .map_or(Spread::Plain, |calibration| {
            Spread::Scaled(calibration.scale as f32)
        })
}

/// Why depths that are no numbers are not shown.
pub fn not_finite(meta: &HeadMeta) -> Error {
    Error::Model(format!(
        "the head {} gave depths that are not finite: its weights are damaged or far too large; fetch or train it anew",
        meta.name
    ))
}

/// What the numbers of a head for depth mean.
///
/// # Errors
/// [`Error::Model`] if it is for something else.
pub fn readout_of(meta: &HeadMeta) -> Result<&Readout> {
    match &meta.task {
        HeadTask::Depth { readout, .. } => Ok(readout),
        _ => Err(Error::Model(format!(
            "the head {} is not for depth; `dino heads list` names those that are",
            meta.name
        ))),
    }
}
