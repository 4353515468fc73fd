//! What a head for depth finds in a photo, and the depths that this stands for.

use image::RgbImage;

use crate::engine::{Seen, SeenBatch};
use crate::error::{Error, Result};
use crate::model::backbone::Backbone;
use crate::model::head::{Head, HeadMeta, Readout, Task};
use crate::model::head_zoo::depth_anything::{DepthAnything, Scene};
use crate::model::head_zoo::official::{Data, Official};
use crate::model::head_zoo::scene::SceneJudge;
use crate::model::input::Geometry;
use crate::system::files::Digest;
use crate::tasks::costs::{of_scores, per_pixel};
use crate::tasks::recipe::HeadRecipe;
use crate::tasks::scorer::Scorer;
use crate::tasks::way::Way;
use crate::tasks::{Finder, Found, no_scores};
use crate::terminal::console::Console;
use crate::vision::postprocess::depth::{self, Decoder, Spread};
use crate::vision::postprocess::metres::{Converted, FARTHEST};
use crate::vision::postprocess::rows::{Rows, Whole};
use crate::vision::postprocess::{Conversion, DepthMap, ToMetres, refine};

use super::{REFINE, not_finite, readout_of, report, spread_of};

/// The unit of depths that are metres.
pub const METRE: &str = "m";

/// Photos whose greater part is nearer than this many metres are hardly of streets.
const INDOORS: f32 = 5.0;

/// Reads depths out with a head.
pub struct DepthReader {
    scorer: Scorer,
    decoder: Decoder,
    has_deviation: bool,
    refines: bool,
    /// The head's own words, with another unit and range where metres are made of its numbers.
    meta: HeadMeta,
    conversion: Option<Conversion>,
    /// Tells rooms from what is out of doors, where its token is there.
    scene: Option<SceneJudge>,
}

/// A photo that shows a room with a smaller probability than this is taken for out of doors, and the other way round.
const OUTDOORS: f32 = 0.3;

/// Heads that tell no farther distances, metres, are for rooms.
const LARGEST_ROOM: f64 = 20.0;

/// Of the greatest relative inverse depth, the least that logarithms are taken of.
const LEAST_INVERSE: f32 = 1e-3;

/// A map at the photo's size.
pub(super) struct Full<'m> {
    /// A few rows at a time; fitted to the photo's edges, they are there already.
    pub depth: Box<dyn Rows + 'm>,
    pub deviation: Option<Box<dyn Rows + 'm>>,
}

impl<'m> Full<'m> {
    /// Of a `map` over the padded input that `reader` read out, fitted to the edges of the photo where that is given;
    /// `buffer` holds it then.
    pub fn new(
        reader: &DepthReader,
        map: &'m DepthMap,
        geometry: &Geometry,
        photo: Option<&RgbImage>,
        buffer: &'m mut Vec<f32>,
    ) -> Result<Self> {
        let depth: Box<dyn Rows + 'm> = match photo {
            None => map.depth_rows(geometry),
            Some(photo) => {
                *buffer = reader.refined(map, geometry, photo)?.depth;
                Box::new(Whole {
                    width: geometry.photo.0 as usize,
                    values: buffer,
                })
            }
        };
        let deviation = map.deviation_rows(geometry);
        let deviation = deviation.map(|rows| Box::new(rows) as Box<dyn Rows + 'm>);
        let converted = |rows: Box<dyn Rows + 'm>| match reader.conversion {
            Some(by) => Box::new(Converted { rows, by }),
            None => rows,
        };
        Ok(Full {
            depth: converted(depth),
            deviation: deviation.map(converted),
        })
    }

    pub fn deviation(&self) -> Option<&dyn Rows> {
        self.deviation.as_deref()
    }
}

impl DepthReader {
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
            false => Spread::Unread,
        };
        let scorer = Scorer::new(recipe, head, patch_size, console)?;
        Ok(DepthReader {
            decoder: Decoder::new(readout_of(&scorer.head().meta)?, spread),
            has_deviation,
            refines: recipe.refine.unwrap_or(REFINE),
            meta: scorer.head().meta.clone(),
            conversion: None,
            scene: SceneJudge::of_weights(&scorer.head().meta.fingerprint)
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
        self.meta.task = converted(&self.meta, conversion)?;
        self.conversion = Some(conversion);
        Ok(self)
    }

    /// How metres are made of what the head says, where that is not as it is.
    pub fn conversion(&self) -> Option<Conversion> {
        self.conversion
    }

    /// How the backbone sees photos, in words.
    pub fn input(&self) -> String {
        self.scorer.way().words()
    }

    /// What is said of the depths: the head's own words, in metres where these are made.
    pub fn meta(&self) -> &HeadMeta {
        &self.meta
    }

    /// What stands for all that is farther than is known, where metres are made.
    pub fn farthest(&self) -> Option<f32> {
        self.conversion.and_then(Conversion::farthest)
    }

    /// `map` fitted to the edges of the photo, at its size.
    fn refined(&self, map: &DepthMap, geometry: &Geometry, photo: &RgbImage) -> Result<DepthMap> {
        refined(&self.scorer.head().meta, map, geometry, photo)
    }

    /// Goes to each device that has a backbone.
    ///
    /// # Errors
    /// If one of them has no memory for the head, or fails.
    pub fn meet(&mut self, backbones: &[Backbone]) -> Result<()> {
        self.scorer.meet(backbones)
    }

    /// The head.
    pub fn head(&self) -> &Head {
        self.scorer.head()
    }

    /// Digest of the head.
    ///
    /// # Errors
    /// As [`Scorer::digest`].
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
    pub fn read_out(&self, found: &Found, geometry: &Geometry) -> Result<DepthMap> {
        let Found::Scores {
            scores, mirrored, ..
        } = found
        else {
            return Err(no_scores(self.head()));
        };
        let map = depth::read_out_photo(scores, mirrored.as_ref(), geometry, &self.decoder);
        match map.is_finite() {
            true => Ok(map),
            false => Err(not_finite(&self.head().meta)),
        }
    }

    /// The depths that were `found` in `photo`, at its size.
    ///
    /// # Errors
    /// As [`DepthReader::read_out`]; and if there is no memory for them.
    pub fn read(&self, found: Found, geometry: &Geometry, photo: &RgbImage) -> Result<DepthMap> {
        let map = self.read_out(&found, geometry)?;
        drop(found);
        let mut buffer = Vec::new();
        let guide = self.refines.then_some(photo);
        let full = Full::new(self, &map, geometry, guide, &mut buffer)?;
        let (width, height) = full.depth.size();
        let deviation = full.deviation().map(<dyn Rows>::collect).transpose()?;
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
    pub fn doubt(&self, depth: &dyn Rows, room: Option<f32>) -> Option<String> {
        self.doubt_of_scene(room)
            .or_else(|| self.doubt_of_depth(depth))
    }

    /// What speaks against using the head where a photo shows a room with this probability.
    pub fn doubt_of_scene(&self, room: Option<f32>) -> Option<String> {
        let (room, meta) = (room?, &self.head().meta);
        let readout = readout_of(meta).ok()?;
        if readout.is_inverse() || report::unit(meta) != METRE {
            return None;
        }
        let (_, farthest) = readout.range();
        let name = &meta.name;
        if room < OUTDOORS && farthest <= LARGEST_ROOM {
            return Some(format!(
                "seems to be out of doors ({:.0} % sure), and {name} knows rooms alone, up to {farthest} m: its metres mean \
                 nothing here; a kitti or da2-outdoor head is for streets, da2-small tells near from far anywhere",
                100.0 * (1.0 - room)
            ));
        }
        (room > 1.0 - OUTDOORS && farthest >= 2.0 * LARGEST_ROOM).then(|| {
            format!(
                "seems to be a room ({:.0} % sure), and {name} tells distances of streets, up to {farthest} m; a nyu or \
                 da2-indoor head is for rooms",
                100.0 * room
            )
        })
    }

    fn doubt_of_depth(&self, depth: &dyn Rows) -> Option<String> {
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
        let of_streets = Official::of(meta).is_some_and(|head| head.data == Data::Kitti)
            || DepthAnything::of(meta).is_some_and(|head| head.scene == Scene::Outdoor);
        let is_near = || {
            let (mut near, mut all) = (0usize, 0usize);
            depth.for_each(|metres| {
                near += usize::from(metres < INDOORS);
                all += 1;
            });
            2 * near > all
        };
        (of_streets && is_near()).then(|| {
            format!(
                "most of it is nearer than {INDOORS} m, so it may be indoors; {} was trained on streets, and {} heads are \
                 for rooms",
                meta.name,
                match Official::of(meta) {
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
pub fn conversion_of(meta: &HeadMeta, scale: f64, shift: Option<f64>) -> Result<Conversion> {
    let name = &meta.name;
    match (readout_of(meta)?.is_inverse(), shift) {
        (true, shift) => Ok(Conversion::Inverse(ToMetres {
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
        (false, None) => Ok(Conversion::Factor(scale)),
    }
}

/// The unit and the range of what `conversion` makes of a head's numbers.
fn converted(meta: &HeadMeta, conversion: Conversion) -> Result<Task> {
    let (min, max) = match conversion {
        Conversion::Inverse(_) => (f64::from(f32::MIN_POSITIVE), f64::from(FARTHEST)),
        Conversion::Factor(factor) => {
            let (min, max) = readout_of(meta)?.range();
            (factor * min, factor * max)
        }
    };
    Ok(Task::Depth {
        readout: Readout::Direct { min, max },
        unit: METRE.to_owned(),
    })
}

/// A `map` that a head of this `meta` gave, fitted to the edges of the photo, at its size.
///
/// # Errors
/// If the photo cannot be resized, or there is no memory for the map.
pub fn refined(
    meta: &HeadMeta,
    map: &DepthMap,
    geometry: &Geometry,
    photo: &RgbImage,
) -> Result<DepthMap> {
    if !readout_of(meta)?.is_inverse() {
        return refine::depth(map, geometry, photo);
    }
    // Fitting is by logarithms, which nothing that is infinitely far has.
    let greatest = map.depth.iter().copied().fold(0.0, f32::max);
    let least = (LEAST_INVERSE * greatest).max(f32::MIN_POSITIVE);
    let raised = DepthMap {
        depth: map.depth.iter().map(|value| value.max(least)).collect(),
        ..map.clone()
    };
    refine::depth(&raised, geometry, photo)
}

impl Finder for DepthReader {
    fn way(&self) -> &Way {
        self.scorer.way()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        let maps = 1 + u64::from(self.has_deviation);
        of_scores(self.head(), geometry) + per_pixel(4 * maps)(geometry)
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        let mut found = self.scorer.find(seen)?;
        if let Some(judge) = &self.scene {
            let rooms = judge.probabilities(&seen.features)?;
            found.note_room(rooms.first().copied());
        }
        Ok(found)
    }

    fn find_all(&self, batch: &SeenBatch) -> Result<Vec<Result<Found>>> {
        let mut all = self.scorer.find_all(batch)?;
        if let Some(judge) = &self.scene {
            let rooms = judge.probabilities(&batch.features)?;
            for (found, room) in all.iter_mut().zip(rooms) {
                if let Ok(found) = found {
                    found.note_room(Some(room));
                }
            }
        }
        Ok(all)
    }
}
