//! Both passes of the depths: a map is drawn at once, or with `--range global` kept until the range of all photos is
//! known.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::RgbImage;
use serde_json::Value;

use super::deferred::{DeferredDepth, for_each_sample};
use super::file_names::{self, extensions};
use super::files::DepthWriter;
use super::full_size::FullSizeDepth;
use super::head::{apply_calibration, depth_readout, refuse_metres};
use super::photo_depth::PhotoDepth;
use super::predictor::DepthPredictor;
use crate::engine::run_report::Outcome;
use crate::engine::stage_timings::StageTimings;
use crate::engine::{BackboneBatchOutput, BackboneOutput};
use crate::error::{Error, Result};
use crate::io::output::{CloudFormat, LineSubject, OutputJob};
use crate::model::backbone::Backbone;
use crate::model::head::{DepthReadout, Head};
use crate::model::head_zoo::DepthCalibration;
use crate::model::input::Geometry;
use crate::model::weights::ModelRecord;
use crate::tasks::clip::ClipTask;
use crate::tasks::inference::memory_cost::{pixel_cost, score_bytes};
use crate::tasks::inference::scorer::HeadScorer;
use crate::tasks::recipe::{DepthFileFormat, DepthRecipe, RangeRule};
use crate::tasks::settings::{OutputSettings, non_default_settings};
use crate::tasks::{
    DeferredPhoto, FinishedPhoto, InferenceMode, PhotoSelection, PredictedPhoto, Task, TaskContext,
    TaskOutput, TaskPredictor, unexpected_row_error,
};
use crate::terminal::console::Console;
use crate::vision::postprocess::DepthMap;
use crate::vision::render::ValueRange;

/// Writes the depths of photos, at once or in a second pass.
pub struct DepthTask {
    pub(super) recipe: DepthRecipe,
    pub(super) predictor: DepthPredictor,
    pub(super) writer: DepthWriter,
    context: TaskContext,
    /// The calibration that the recipe's scale and shift come from, if they do.
    calibration: Option<DepthCalibration>,
    /// The range of an earlier run (`--keep-fit`), instead of one of all photos.
    pub(super) adopted_range: Option<ValueRange>,
    deferred: Mutex<DeferredDepth>,
    /// The sum of the probabilities of a room over the frames of a clip, and their number.
    pub(super) room_probabilities: Mutex<(f64, usize)>,
}

impl DepthTask {
    /// A task of `head` on a backbone with patches of `patch_size` pixels. The head's `calibration` is used unless the
    /// recipe has a scale of its own, or ignores it.
    ///
    /// # Errors
    /// [`Error::Usage`] for options that contradict each other or the head.
    pub fn new(
        recipe: DepthRecipe,
        (head, calibration): (Head, Option<DepthCalibration>),
        patch_size: usize,
        context: TaskContext,
        console: &Console,
    ) -> Result<Self> {
        let (recipe, calibration) = apply_calibration(recipe, calibration);
        let is_inverse = depth_readout(&head.meta)?.is_inverse();
        if is_inverse {
            refuse_metres(&recipe, &head.meta)?;
        }
        let is_inverse = is_inverse && recipe.scale.is_none();
        let writer = DepthWriter::new(&recipe, is_inverse, context.subject("depth"), context.json)?;
        let is_film = recipe.save.contains(&DepthFileFormat::Ffv1);
        if recipe.depth_scale.is_some() && file_names::depth_scale(&recipe).is_none() && !is_film {
            let why = "--depth-scale is for --save png16 and ffv1; the other formats hold the numbers as they are";
            return Err(Error::Usage(why.into()));
        }
        let has_bins = matches!(depth_readout(&head.meta)?, DepthReadout::Bins { .. });
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
        let deviation = writer.needs_deviation();
        let predictor = DepthPredictor::new(&recipe.head, head, deviation, patch_size, console)?;
        let predictor = match recipe.scale {
            Some(scale) => predictor.with_conversion(scale, recipe.shift)?,
            None => predictor,
        };
        if let Some(calibration) = &calibration {
            let name = &calibration.head;
            let sentence = calibration.summary();
            console.note(format_args!(
                "{name}: {sentence}; --no-calibration leaves that out"
            ));
            if let Some(doubt) = calibration.input_mismatch(&predictor.describe_input()) {
                console.warn(doubt);
            }
        }
        writer.prepare_scale(predictor.meta(), console)?;
        Ok(DepthTask {
            predictor,
            writer,
            context,
            calibration,
            adopted_range: None,
            deferred: Mutex::new(DeferredDepth::new()),
            room_probabilities: Mutex::default(),
            recipe,
        })
    }

    pub(super) fn deferred(&self) -> MutexGuard<'_, DeferredDepth> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The photo with its depths and the range of its colours, for the writer.
    fn measured<'p>(
        &'p self,
        (job, photo, geometry): (&'p OutputJob, Option<&'p RgbImage>, &'p Geometry),
        full: &'p FullSizeDepth<'_>,
        range: ValueRange,
        (room_probability, timings): (Option<f32>, StageTimings),
    ) -> PhotoDepth<'p> {
        PhotoDepth {
            job,
            photo,
            geometry,
            depth: &*full.depth,
            deviation: full.deviation(),
            range,
            meta: self.predictor.meta(),
            conversion: self.predictor.conversion(),
            calibration: self.calibration.as_ref(),
            farthest: self.predictor.farthest(),
            room_probability,
            timings,
        }
    }

    fn is_up_to_date(&self, job: &OutputJob) -> bool {
        self.writer.is_up_to_date(job)
    }
}

impl TaskPredictor for DepthTask {
    fn mode(&self) -> &InferenceMode {
        self.predictor.mode()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        let refined = if self.predictor.refines() { 4 } else { 0 };
        let drawn = pixel_cost(refined + self.writer.bytes_per_pixel());
        score_bytes(self.predictor.head(), geometry) + drawn(geometry)
    }

    fn required_pixels(&self) -> &[(u32, u32)] {
        &self.recipe.at
    }

    fn needs_photo(&self) -> bool {
        self.writer.uses_photo() || self.predictor.refines()
    }

    fn predict(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput> {
        self.predictor.predict(backbone_output)
    }

    fn predict_batch(&self, batch: &BackboneBatchOutput) -> Result<Vec<Result<TaskOutput>>> {
        self.predictor.predict_batch(batch)
    }
}

impl Task for DepthTask {
    fn subject(&self) -> LineSubject {
        self.context.subject("depth")
    }

    fn extensions(&self) -> Vec<&'static str> {
        extensions(&self.recipe)
    }

    fn redirected_output(&self) -> Option<(&'static str, &Path)> {
        let cloud = self.recipe.pointcloud.as_ref()?;
        Some((CloudFormat::extension(cloud.format), cloud.path.as_deref()?))
    }

    fn photo_selection(&self) -> PhotoSelection {
        match (self.recipe.at.is_empty(), self.recipe.range) {
            (false, _) => PhotoSelection::All,
            (true, RangeRule::Global) if self.adopted_range.is_none() => PhotoSelection::AllOrNone,
            (true, _) => PhotoSelection::Missing,
        }
    }

    fn sibling_extensions(&self) -> &'static [&'static str] {
        file_names::SIBLING_EXTENSIONS
    }

    fn settings(&self, extension: &str) -> Result<OutputSettings> {
        let recipe = file_names::recipe_for_file(&self.recipe, extension);
        Ok(OutputSettings::from_recipe(&recipe)?
            .with("head", self.predictor.digest()?)
            .with_font(
                self.recipe
                    .font
                    .as_deref()
                    .filter(|_| recipe.font.is_some()),
            ))
    }

    fn is_two_pass(&self) -> bool {
        self.recipe.range == RangeRule::Global && self.adopted_range.is_none()
    }

    fn fit_bytes(&self) -> Result<Vec<u8>> {
        let range = self.deferred().range;
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
        self.adopted_range = Some(ValueRange { low, high });
        Ok(())
    }

    fn input_files(&self) -> Vec<&Path> {
        let head = self.recipe.head.name.as_deref();
        head.into_iter()
            .chain(self.recipe.font.as_deref())
            .collect()
    }

    fn scorer(&self) -> Option<&HeadScorer> {
        Some(self.predictor.scorer())
    }

    fn parameters(&self) -> Value {
        non_default_settings(&self.recipe)
    }

    fn as_clip_task(&self) -> Option<&dyn ClipTask> {
        Some(self)
    }

    fn attach_backbones(
        &mut self,
        backbones: &[Backbone],
        _: &ModelRecord,
        _: &Console,
    ) -> Result<()> {
        self.predictor.attach_backbones(backbones)
    }

    fn finish_photo(&self, item: PredictedPhoto<'_>, console: &Console) -> Result<FinishedPhoto> {
        let PredictedPhoto {
            job,
            photo,
            geometry,
            output,
            stamp,
            mut timings,
            ..
        } = item;
        let map = timings.time("read out", || self.predictor.read_out(&output, &geometry))?;
        let guide = self.predictor.refines().then_some(photo);
        let mut buffer = Vec::new();
        let full = timings.time("upsample", || {
            self.predictor
                .full_size(&map, &geometry, guide, &mut buffer)
        })?;
        let room = output.room_probability();
        if let Some(doubt) = self.predictor.warning(&*full.depth, room) {
            console.warn(format_args!("{}: {doubt}", job.source.name()));
        }
        let range = match (self.recipe.range, self.adopted_range) {
            (RangeRule::Global, Some(range)) => range,
            (RangeRule::Global, None) => {
                let mut samples = Vec::new();
                for_each_sample(&*full.depth, |value| samples.push(value));
                drop(full);
                return Ok(FinishedPhoto::Deferred(Box::new(DeferredPhoto {
                    job: job.clone(),
                    photo: None,
                    stamp,
                    geometry,
                    grid_size: (map.width, map.height),
                    values: [map.depth, map.deviation].concat(),
                    samples,
                    room_probability: room,
                    timings,
                })));
            }
            (RangeRule::Auto, _) => timings.time("range", || ValueRange::from_rows(&*full.depth)),
            (RangeRule::Fixed(range), _) => range,
            (RangeRule::Head, _) => {
                let (min, max) = depth_readout(self.predictor.meta())?.range();
                ValueRange::new(min as f32, max as f32)
            }
        };
        let measured = self.measured((job, Some(photo), &geometry), &full, range, (room, timings));
        self.writer
            .write(measured, console)
            .map(FinishedPhoto::Written)
    }

    fn collect_finished(&self, finished: FinishedPhoto) -> Result<Option<Outcome>> {
        match finished {
            FinishedPhoto::Written(outcome) | FinishedPhoto::Annotated(outcome, _) => {
                Ok(Some(outcome))
            }
            FinishedPhoto::Gathered(_) => Err(unexpected_row_error()),
            FinishedPhoto::Deferred(photo) => {
                self.deferred().push_photo(*photo)?;
                Ok(None)
            }
        }
    }

    fn fit(&self, _: &Console) -> Result<usize> {
        let mut deferred = self.deferred();
        let photos = deferred.photo_count();
        if photos > 0 {
            deferred.fit_range();
        }
        Ok(photos)
    }

    fn read_deferred(&self, index: usize, job: &OutputJob) -> Result<DeferredPhoto> {
        let up_to_date = self.is_up_to_date(job);
        self.deferred().read(index, job, up_to_date)
    }

    fn finish_deferred(&self, kept: DeferredPhoto, console: &Console) -> Result<FinishedPhoto> {
        let DeferredPhoto {
            job,
            geometry,
            grid_size: (width, height),
            values: mut depth,
            room_probability: room,
            stamp,
            mut timings,
            ..
        } = kept;
        if self.is_up_to_date(&job) {
            return Ok(FinishedPhoto::Written(Outcome::Skipped));
        }
        let deviation = depth.split_off(width * height);
        let map = DepthMap {
            width,
            height,
            depth,
            deviation,
        };
        let photo = match self.needs_photo() {
            true => Some(timings.time("decode", || {
                self.context.decode_again(&job.source, stamp.as_ref())
            })?),
            false => None,
        };
        let guide = photo.as_ref().filter(|_| self.predictor.refines());
        let mut buffer = Vec::new();
        let full = timings.time("upsample", || {
            self.predictor
                .full_size(&map, &geometry, guide, &mut buffer)
        })?;
        let range = self.deferred().range;
        let shown = (&job, photo.as_ref(), &geometry);
        let measured = self.measured(shown, &full, range, (room, timings));
        self.writer
            .write(measured, console)
            .map(FinishedPhoto::Written)
    }
}
