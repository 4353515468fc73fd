//! Labels of a clip's first frame that follow what they lie on.

use std::sync::{Mutex, PoisonError};

use image::RgbImage;
use serde_json::{Map, Value, json};

use crate::analysis::tracking::{TrackRecipe, Tracker};
use crate::engine::Seen;
use crate::error::{Error, Result};
use crate::io::output::Subject;
use crate::learn::data::labels::Mask;
use crate::model::backbone::{Backbone, LayerRequest};
use crate::model::head::{Class, Scores};
use crate::model::input::Grid;
use crate::model::input::{Geometry, SizeRule};
use crate::model::weights::Record;
use crate::system::files::Digest;
use crate::tasks::clip::{ClipTask, DrawnFrame, FrameNumbers, NumberFilm, ShownFrame, Vectors};
use crate::tasks::costs::per_pixel;
use crate::tasks::settings::Settings;
use crate::tasks::{Finder, Finished, Found, Item, Task, Way, layer};
use crate::terminal::console::Console;
use crate::vision::postprocess::{LabelMap, refine, segment};
use crate::vision::render::Captions;
use crate::vision::render::segment::{SegmentLook, Shown, picture};
use crate::vision::render::{Fonts, palette};

/// How labels are shown over frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackLook {
    /// Opacity of the colours, from 0 to 1.
    pub alpha: f32,
    /// Whether borders are drawn.
    pub outline: bool,
    /// Whether borders are fitted to each frame's edges.
    pub refine: bool,
}

/// Carries the labels of the first frame on.
pub struct TrackTask {
    way: Way,
    layer: LayerRequest,
    size: SizeRule,
    recipe: TrackRecipe,
    look: TrackLook,
    /// What the mask is called.
    name: String,
    /// Of the first frame.
    mask: Mask,
    /// The ids of the mask, from low to high; the first is of what is no object where it is 0.
    ids: Vec<u16>,
    classes: Vec<Class>,
    captions: Captions,
    /// None before the first frame.
    tracker: Mutex<Option<Tracker>>,
}

impl TrackTask {
    /// With the ids of `mask`, which is called so, and of which 0 is none, on the patch tokens of `layer`, of frames that are seen at `size` in
    /// patches of `patch_size`.
    ///
    /// # Errors
    /// [`Error::Usage`] if the mask has nothing but one id.
    pub fn new(
        (name, mask): (&str, Mask),
        (recipe, look): (TrackRecipe, TrackLook),
        layer: LayerRequest,
        size: SizeRule,
        patch_size: usize,
    ) -> Result<Self> {
        let mut ids = mask.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < 2 {
            return Err(Error::Usage(format!(
                "{name}: the mask has the id {} everywhere; it must have 0 where nothing is to be followed, and other ids where \
                 something is",
                ids.first().copied().unwrap_or_default()
            )));
        }
        let classes = ids.iter().zip(palette::distinct(ids.len()));
        let classes = classes.map(|(id, color)| Class {
            name: id.to_string(),
            color,
        });
        Ok(TrackTask {
            way: Way::AtOnce(layer::pass(layer, size, patch_size)),
            layer,
            size,
            recipe,
            look,
            captions: Captions::new([], Fonts::built_in()),
            classes: classes.collect(),
            ids,
            name: name.to_owned(),
            mask,
            tracker: Mutex::new(None),
        })
    }

    /// The ids that are followed, 0 not among them.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.ids.iter().copied().filter(|id| *id != 0)
    }

    /// Bytes of an id.
    fn bytes(&self) -> usize {
        match self.ids.last() {
            Some(last) if *last > 255 => 2,
            _ => 1,
        }
    }

    /// The shares of the ids in the patches of the first frame `[N, k]`; what is beyond the photo is of the first id.
    fn shares(&self, geometry: &Geometry) -> Result<Vec<f32>> {
        let (width, height) = (self.mask.width as u32, self.mask.height as u32);
        if geometry.photo != (width, height) {
            return Err(Error::Usage(format!(
                "{}: the mask is {width} x {height} pixels, and the first frame {} x {}; they must be of one size",
                self.name, geometry.photo.0, geometry.photo.1
            )));
        }
        let Grid { rows, cols } = geometry.grid();
        let k = self.ids.len();
        let mut shares = vec![0f32; rows * cols * k];
        let places = |places: Vec<f32>, cells: usize| -> Vec<usize> {
            let cell = |place: f32| (place as usize).min(cells.saturating_sub(1));
            places.into_iter().map(cell).collect()
        };
        let columns = places(geometry.columns(), cols);
        for (row, ids) in places(geometry.rows(), rows)
            .into_iter()
            .zip(self.mask.ids.chunks_exact(self.mask.width.max(1)))
        {
            for (col, id) in columns.iter().zip(ids) {
                let class = self.ids.binary_search(id).unwrap_or_default();
                shares[(row * cols + col) * k + class] += 1.0;
            }
        }
        for patch in shares.chunks_exact_mut(k) {
            let all: f32 = patch.iter().sum();
            match all > 0.0 {
                true => patch.iter_mut().for_each(|share| *share /= all),
                false => patch[0] = 1.0,
            }
        }
        Ok(shares)
    }

    /// The mask as labels.
    fn first_map(&self) -> LabelMap {
        let classes = self.mask.ids.iter();
        let classes = classes.map(|id| self.ids.binary_search(id).unwrap_or_default() as u16);
        LabelMap {
            width: self.mask.width,
            height: self.mask.height,
            ids: classes.collect(),
            confidence: vec![1.0; self.mask.ids.len()],
        }
    }
}

impl Finder for TrackTask {
    fn way(&self) -> &Way {
        &self.way
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        per_pixel(2 + 4 + 3 + 3)(geometry)
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        let tokens = layer::tokens(&seen.features, self.layer)?;
        Ok(Found::Tokens(tokens, seen.features.grid))
    }
}

impl Task for TrackTask {
    fn subject(&self) -> Subject {
        Subject {
            task: "track",
            label: None,
        }
    }

    fn extensions(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn siblings(&self) -> &'static [&'static str] {
        &[]
    }

    fn settings(&self, _: &str) -> Result<Settings> {
        let TrackRecipe {
            context,
            radius,
            matches,
            temperature,
        } = self.recipe;
        let ids = self.mask.ids.iter().flat_map(|id| id.to_le_bytes());
        let ids: Vec<u8> = ids.collect();
        let settings = json!({
            "size": self.size.to_string(),
            "layer": [json!(self.layer.block), json!(self.layer.norm)],
            "tracking": [json!(context), json!(radius), json!(matches), json!(temperature)],
            "look": [json!(self.look.alpha), json!(self.look.outline), json!(self.look.refine)],
        });
        Ok(Settings::of(&settings)?.with("mask", Digest::of_bytes(&ids)))
    }

    fn as_clip_task(&self) -> Option<&dyn ClipTask> {
        Some(self)
    }

    fn meet(&mut self, _: &[Backbone], _: &Record, _: &Console) -> Result<()> {
        Ok(())
    }

    fn finish(&self, _: Item<'_>, _: &Console) -> Result<Finished> {
        Err(Error::Model("photos are not followed, clips are".into()))
    }
}

impl ClipTask for TrackTask {
    fn follow(&self, found: Found, _: &RgbImage, geometry: &Geometry) -> Result<Found> {
        let Found::Tokens(tokens, grid) = found else {
            return Err(Error::Model("tracking is by tokens".into()));
        };
        let k = self.ids.len();
        let mut tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        let values = match &mut *tracker {
            Some(tracker) => tracker.follow(tokens),
            none => {
                let shares = self.shares(geometry)?;
                *none = Some(Tracker::new(self.recipe, grid, tokens, (shares, k)));
                return Ok(Found::Labels(self.first_map()));
            }
        };
        let scores = Scores { values, k, grid };
        Ok(Found::Scores {
            scores,
            mirrored: None,
            room: None,
        })
    }

    fn is_guided(&self) -> bool {
        self.look.refine
    }

    fn state(&self) -> Vectors {
        let tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = Vectors::default();
        for (name, values) in tracker.iter().flat_map(Tracker::state) {
            state.put(name, &values);
        }
        state
    }

    fn restore(&self, state: &Vectors) -> Result<()> {
        let found = Tracker::restored(self.recipe, |name| state.get(name));
        let found =
            found.ok_or_else(|| Error::Model("a segment lacks what was tracked in it".into()))?;
        *self.tracker.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(())
    }

    fn draw(&self, frame: ShownFrame<'_>, geometry: &Geometry, found: Found) -> Result<DrawnFrame> {
        let map = match found {
            Found::Labels(map) => map,
            Found::Scores { scores, .. } if self.look.refine => {
                refine::label(&scores, geometry, frame.guide)?
            }
            Found::Scores { scores, .. } => segment::label(&scores, geometry, &[])?,
            Found::Tokens(..) | Found::Features(_) => {
                return Err(Error::Model("a frame was not followed".into()));
            }
        };
        let look = SegmentLook {
            alpha: Some(self.look.alpha),
            outline: self.look.outline,
            side_by_side: false,
            names: false,
            legend: false,
        };
        let ids = map.ids.iter().map(|class| self.ids[usize::from(*class)]);
        let ids: Vec<u16> = ids.collect();
        let mut shown = map;
        // What is no object is left as it is.
        if self.ids[0] == 0 {
            let kept: Vec<bool> = (0..self.ids.len()).map(|class| class > 0).collect();
            shown.keep(&kept);
        }
        let drawn = Shown {
            map: &shown,
            areas: &[],
            unlabelled: 0,
        };
        let picture = picture(frame.photo, &drawn, &self.classes, &look, &self.captions)?;
        Ok(DrawnFrame {
            size: frame.photo.dimensions(),
            picture,
            numbers: FrameNumbers::Labels(LabelMap { ids, ..shown }),
        })
    }

    fn number_film(&self) -> Option<NumberFilm> {
        Some(NumberFilm {
            extension: "ids.mkv",
            bytes: self.bytes(),
        })
    }

    fn film_numbers(&self, frame: &DrawnFrame) -> (Vec<u8>, usize) {
        let FrameNumbers::Labels(map) = &frame.numbers else {
            return (Vec::new(), 0);
        };
        let bytes = match self.bytes() {
            1 => map.ids.iter().map(|id| *id as u8).collect(),
            _ => map.ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
        };
        (bytes, 0)
    }

    fn facts(&self) -> Map<String, Value> {
        let ids: Vec<u16> = self.ids().collect();
        Map::from_iter([("ids".to_owned(), json!(ids))])
    }
}
