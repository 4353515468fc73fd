//! What a head for depth finds in a photo, and the depths that this stands for.

use image::RgbImage;

use super::{DEFAULT_REFINE, not_finite_error, readout_of, report, spread_of};
use crate::engine::{BackboneBatchOutput, BackboneOutput};
use crate::error::{Error, Result};
use crate::model::backbone::Backbone;
use crate::model::head::{DepthReadout, Head, HeadMeta, HeadTask};
use crate::model::head_zoo::depth_anything::{DepthAnythingHead, DepthAnythingScene};
use crate::model::head_zoo::official::{OfficialDataset, OfficialHead};
use crate::model::head_zoo::scene::SceneClassifier;
use crate::model::input::Geometry;
use crate::system::files::Digest;
use crate::tasks::inference_mode::InferenceMode;
use crate::tasks::memory_cost::{pixel_cost, score_bytes};
use crate::tasks::recipe::HeadRecipe;
use crate::tasks::scorer::HeadScorer;
use crate::tasks::{TaskOutput, TaskPredictor, no_scores_error};
use crate::terminal::console::Console;
use crate::vision::postprocess::depth::{self, BinSpread, DepthDecoder};
use crate::vision::postprocess::metres::{ConvertedRows, MAX_METRES};
use crate::vision::postprocess::rows::{InMemoryRows, RowSource};
use crate::vision::postprocess::{DepthMap, MetricConversion, ScaleShift, refine};

/// The unit of depths that are metres.
pub const METRE: &str = "m";

/// Photos whose greater part is nearer than this many metres are hardly of streets.
const INDOOR_METRES: f32 = 5.0;

/// Reads depths out with a head.
pub struct DepthPredictor {
    scorer: HeadScorer,
    decoder: DepthDecoder,
    has_deviation: bool,
    refines: bool,
    /// The head's own words, with another unit and range where metres are made of its numbers.
    meta: HeadMeta,
    conversion: Option<MetricConversion>,
    /// Tells rooms from what is out of doors, where its token is there.
    scene_classifier: Option<SceneClassifier>,
}

/// A photo that shows a room with a smaller probability than this is taken for out of doors, and the other way round.
const OUTDOOR_PROBABILITY: f32 = 0.3;

/// Heads that tell no farther distances, metres, are for rooms.
const LARGEST_ROOM_METRES: f64 = 20.0;

/// Of the greatest relative inverse depth, the least that logarithms are taken of.
const LEAST_INVERSE: f32 = 1e-3;

/// A map at the photo's size.
pub(super) struct FullSizeDepth<'m> {
    /// A few rows at a time; fitted to the photo's edges, they are there already.
    pub depth: Box<dyn RowSource + 'm>,
    pub deviation: Option<Box<dyn RowSource + 'm>>,
}

impl<'m> FullSizeDepth<'m> {
    /// Of a `map` over the padded input that `reader` read out, fitted to the edges of the photo where that is given;
    /// `buffer` holds it then.
    pub fn new(
        reader: &DepthPredictor,
        map: &'m DepthMap,
        geometry: &Geometry,
        photo: Option<&RgbImage>,
        buffer: &'m mut Vec<f32>,
    ) -> Result<Self> {
        let depth: Box<dyn RowSource + 'm> = match photo {
            None => map.depth_rows(geometry),
            Some(photo) => {
                *buffer = reader.refine(map, geometry, photo)?.depth;
                Box::new(InMemoryRows {
                    width: geometry.photo.0 as usize,
                    values: buffer,
                })
            }
        };
        let deviation = map.deviation_rows(geometry);
        let deviation = deviation.map(|rows| Box::new(rows) as Box<dyn RowSource + 'm>);
        let converted = |rows: Box<dyn RowSource + 'm>| match reader.conversion {
            Some(by) => Box::new(ConvertedRows {
                rows,
                conversion: by,
            }),
            None => rows,
        };
        Ok(FullSizeDepth {
            depth: converted(depth),
            deviation: deviation.map(converted),
        })
    }

    pub fn deviation(&self) -> Option<&dyn RowSource> {
        self.deviation.as_deref()
    }
}

impl DepthPredictor {
    /// With `head` as `recipe` has it, on a backbone whose patches have this side; standard deviations are read too where
    /// `has_deviation` asks for them and the head has a say in them.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for wishes that contradict each other, [`Error::Model`](crate::Error::Model)
    /// for a head that is not for depth.
    pub fn new(
        recipe: &HeadRecipe,
        head: Head,
        has_deviation: bool,
        patch_size: usize,
        console: &Console,
    ) -> Result<Self> {
        let spread = match has_deviation {
            true => spread_of(&head.meta),
            false => BinSpread::Omitted,
        };
        let scorer = HeadScorer::new(recipe, head, patch_size, console)?;
        Ok(DepthPredictor {
            decoder: DepthDecoder::new(readout_of(&scorer.head().meta)?, spread),
            has_deviation,
            refines: recipe.refine.unwrap_or(DEFAULT_REFINE),
            meta: scorer.head().meta.clone(),
            conversion: None,
            scene_classifier: SceneClassifier::of_weights(&scorer.head().meta.fingerprint)
                .filter(|judge| judge.is_served_by(&scorer.head().meta.requests())),
            scorer,
        })
    }

    /// Makes metres of what the head says, as `scale` and `shift` have it: `1 / (scale * value + shift)` of relative inverse
    /// depth, `scale` times as many of metres.
    ///
    /// # Errors
    /// [`Error::Usage`] if the head gives neither, or metres are to be shifted.
    pub fn with_conversion(mut self, scale: f64, shift: Option<f64>) -> Result<Self> {
        let conversion = conversion_of(&self.meta, scale, shift)?;
        self.meta.task = converted_task(&self.meta, conversion)?;
        self.conversion = Some(conversion);
        Ok(self)
    }

    /// How metres are made of what the head says, where that is not as it is.
    pub fn conversion(&self) -> Option<MetricConversion> {
        self.conversion
    }

    /// How the backbone sees photos, in words.
    pub fn describe_input(&self) -> String {
        self.scorer.mode().describe()
    }

    /// What is said of the depths: the head's own words, in metres where these are made.
    pub fn meta(&self) -> &HeadMeta {
        &self.meta
    }

    /// What stands for all that is farther than is known, where metres are made.
    pub fn farthest(&self) -> Option<f32> {
        self.conversion.and_then(MetricConversion::max_metres)
    }

    /// `map` fitted to the edges of the photo, at its size.
    fn refine(&self, map: &DepthMap, geometry: &Geometry, photo: &RgbImage) -> Result<DepthMap> {
        refine_depth(&self.scorer.head().meta, map, geometry, photo)
    }

    /// Goes to each device that has a backbone.
    ///
    /// # Errors
    /// If one of them has no memory for the head, or fails.
    pub fn attach_backbones(&mut self, backbones: &[Backbone]) -> Result<()> {
        self.scorer.attach_backbones(backbones)
    }

    /// The head.
    pub fn head(&self) -> &Head {
        self.scorer.head()
    }

    /// Digest of the head.
    ///
    /// # Errors
    /// As [`HeadScorer::digest`].
    pub fn digest(&self) -> Result<Digest> {
        self.scorer.digest()
    }

    /// The unit of the depths, `m` for metres.
    pub fn unit(&self) -> &str {
        report::unit(&self.meta)
    }

    /// Whether the depths are metres.
    pub fn is_metric(&self) -> bool {
        self.unit() == METRE
    }

    /// Whether borders are fitted to the photo.
    pub fn refines(&self) -> bool {
        self.refines
    }

    /// The depths that were `found`, over the padded input.
    ///
    /// # Errors
    /// If the head gave no numbers.
    pub fn read_out(&self, found: &TaskOutput, geometry: &Geometry) -> Result<DepthMap> {
        let TaskOutput::Scores {
            scores, mirrored, ..
        } = found
        else {
            return Err(no_scores_error(self.head()));
        };
        let map = depth::decode_photo(scores, mirrored.as_ref(), geometry, &self.decoder);
        match map.is_finite() {
            true => Ok(map),
            false => Err(not_finite_error(&self.head().meta)),
        }
    }

    /// The depths that were `found` in `photo`, at its size.
    ///
    /// # Errors
    /// As [`DepthPredictor::read_out`]; and if there is no memory for them.
    pub fn read(
        &self,
        found: TaskOutput,
        geometry: &Geometry,
        photo: &RgbImage,
    ) -> Result<DepthMap> {
        let map = self.read_out(&found, geometry)?;
        drop(found);
        let mut buffer = Vec::new();
        let guide = self.refines.then_some(photo);
        let full = FullSizeDepth::new(self, &map, geometry, guide, &mut buffer)?;
        let (width, height) = full.depth.size();
        let deviation = full.deviation().map(<dyn RowSource>::collect).transpose()?;
        let depth = match guide {
            Some(_) if self.conversion.is_none() => {
                drop(full);
                buffer
            }
            _ => full.depth.collect()?,
        };
        Ok(DepthMap {
            width,
            height,
            depth,
            deviation: deviation.unwrap_or_default(),
        })
    }

    /// What speaks against the `depth` of a photo that shows a room with a probability of `room`, where that is known: a head
    /// for rooms that looks out of doors, one for streets that looks at a room, or metres beyond all measure.
    pub fn warning(&self, depth: &dyn RowSource, room: Option<f32>) -> Option<String> {
        self.scene_warning(room)
            .or_else(|| self.depth_warning(depth))
    }

    /// What speaks against using the head where a photo shows a room with this probability.
    pub fn scene_warning(&self, room: Option<f32>) -> Option<String> {
        let (room, meta) = (room?, &self.head().meta);
        let readout = readout_of(meta).ok()?;
        if readout.is_inverse() || report::unit(meta) != METRE {
            return None;
        }
        let (_, farthest) = readout.range();
        let name = &meta.name;
        if room < OUTDOOR_PROBABILITY && farthest <= LARGEST_ROOM_METRES {
            return Some(format!(
                "seems to be out of doors ({:.0} % sure), and {name} knows rooms alone, up to {farthest} m: its metres mean \
                 nothing here; a kitti or da2-outdoor head is for streets, da2-small tells near from far anywhere",
                100.0 * (1.0 - room)
            ));
        }
        (room > 1.0 - OUTDOOR_PROBABILITY && farthest >= 2.0 * LARGEST_ROOM_METRES).then(|| {
            format!(
                "seems to be a room ({:.0} % sure), and {name} tells distances of streets, up to {farthest} m; a nyu or \
                 da2-indoor head is for rooms",
                100.0 * room
            )
        })
    }

    fn depth_warning(&self, depth: &dyn RowSource) -> Option<String> {
        if let Some(farthest) = self.farthest() {
            let mut beyond = 0usize;
            depth.for_each(|metres| beyond += usize::from(metres >= farthest));
            let (width, height) = depth.size();
            return (beyond > 0).then(|| {
                format!(
                    "by scale and shift, {beyond} of {} pixels are {farthest} m away or more; they count as {farthest} m",
                    width * height
                )
            });
        }
        let meta = &self.head().meta;
        let of_streets = OfficialHead::of(meta)
            .is_some_and(|head| head.dataset == OfficialDataset::Kitti)
            || DepthAnythingHead::of(meta)
                .is_some_and(|head| head.scene == DepthAnythingScene::Outdoor);
        let is_near = || {
            let (mut near, mut all) = (0usize, 0usize);
            depth.for_each(|metres| {
                near += usize::from(metres < INDOOR_METRES);
                all += 1;
            });
            2 * near > all
        };
        (of_streets && is_near()).then(|| {
            format!(
                "most of it is nearer than {INDOOR_METRES} m, so it may be indoors; {} was trained on streets, and {} heads are \
                 for rooms",
                meta.name,
                match OfficialHead::of(meta) {
                    Some(_) => "nyu",
                    None => "da2-indoor",
                }
            )
        })
    }
}

/// The conversion that `scale` and `shift` stand for with a head of this `meta`.
///
/// # Errors
/// [`Error::Usage`] if the head gives neither relative inverse depth nor metres, or metres are to be shifted.
pub fn conversion_of(meta: &HeadMeta, scale: f64, shift: Option<f64>) -> Result<MetricConversion> {
    let name = &meta.name;
    match (readout_of(meta)?.is_inverse(), shift) {
        (true, shift) => Ok(MetricConversion::Inverse(ScaleShift {
            scale,
            shift: shift.unwrap_or(0.0),
        })),
        (false, Some(_)) => Err(Error::Usage(format!(
            "--shift is of relative inverse depth, and the head {name} gives depths in {}; leave it out",
            report::unit(meta)
        ))),
        (false, None) if report::unit(meta) != METRE => Err(Error::Usage(format!(
            "--scale makes metres of relative inverse depth, or of other metres, and the head {name} gives depths in {}; \
             leave it out",
            report::unit(meta)
        ))),
        (false, None) => Ok(MetricConversion::Factor(scale)),
    }
}

/// The unit and the range of what `conversion` makes of a head's numbers.
fn converted_task(meta: &HeadMeta, conversion: MetricConversion) -> Result<HeadTask> {
    let (min, max) = match conversion {
        MetricConversion::Inverse(_) => (f64::from(f32::MIN_POSITIVE), f64::from(MAX_METRES)),
        MetricConversion::Factor(factor) => {
            let (min, max) = readout_of(meta)?.range();
            (factor * min, factor * max)
        }
    };
    Ok(HeadTask::Depth {
        readout: DepthReadout::Direct { min, max },
        unit: METRE.to_owned(),
    })
}

/// A `map` that a head of this `meta` gave, fitted to the edges of the photo, at its size.
///
/// # Errors
/// If the photo cannot be resized, or there is no memory for the map.
pub fn refine_depth(
    meta: &HeadMeta,
    map: &DepthMap,
    geometry: &Geometry,
    photo: &RgbImage,
) -> Result<DepthMap> {
    if !readout_of(meta)?.is_inverse() {
        return refine::refine_depth(map, geometry, photo);
    }
    // Fitting is by logarithms, which nothing that is infinitely far has.
    let greatest = map.depth.iter().copied().fold(0.0, f32::max);
    let least = (LEAST_INVERSE * greatest).max(f32::MIN_POSITIVE);
    let raised = DepthMap {
        depth: map.depth.iter().map(|value| value.max(least)).collect(),
        ..map.clone()
    };
    refine::refine_depth(&raised, geometry, photo)
}

impl TaskPredictor for DepthPredictor {
    fn mode(&self) -> &InferenceMode {
        self.scorer.mode()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        let maps = 1 + u64::from(self.has_deviation);
        score_bytes(self.head(), geometry) + pixel_cost(4 * maps)(geometry)
    }

    fn predict(&self, seen: &BackboneOutput) -> Result<TaskOutput> {
        let mut found = self.scorer.score(seen)?;
        if let Some(judge) = &self.scene_classifier {
            let rooms = judge.probabilities(&seen.features)?;
            found.set_room_probability(rooms.first().copied());
        }
        Ok(found)
    }

    fn predict_batch(&self, batch: &BackboneBatchOutput) -> Result<Vec<Result<TaskOutput>>> {
        let mut all = self.scorer.score_batch(batch)?;
        if let Some(judge) = &self.scene_classifier {
            let rooms = judge.probabilities(&batch.features)?;
            for (found, room) in all.iter_mut().zip(rooms) {
                if let Ok(found) = found {
                    found.set_room_probability(Some(room));
                }
            }
        }
        Ok(all)
    }
}
