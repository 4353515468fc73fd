//! Tracking: the labels of a clip's first frame, propagated to the other frames by the similarity of patch tokens.
//!
//! In: a mask of ids `[height, width]` and each frame's patch tokens `[rows * cols, D]`. Out: a film with the labels
//! over the frames, and a lossless video of ids. The propagation is that of [`Tracker`].

use std::sync::{Mutex, PoisonError};

use image::RgbImage;
use serde_json::{Map, Value, json};

use crate::analysis::tracking::{Tracker, TrackerConfig};
use crate::engine::BackboneOutput;
use crate::error::{Error, Result};
use crate::io::output::LineSubject;
use crate::learn::data::labels::Mask;
use crate::model::backbone::{Backbone, LayerRequest};
use crate::model::head::{Class, Scores};
use crate::model::input::{Geometry, PatchGrid, SizeRule};
use crate::model::weights::ModelRecord;
use crate::system::files::Digest;
use crate::tasks::clip::{
    ClipTask, FrameImages, FrameValues, NamedVectors, RenderedFrame, ValueVideo,
};
use crate::tasks::inference::memory_cost::pixel_cost;
use crate::tasks::settings::OutputSettings;
use crate::tasks::{
    FinishedPhoto, InferenceMode, PredictedPhoto, Task, TaskOutput, TaskPredictor, layer,
};
use crate::terminal::console::Console;
use crate::vision::postprocess::{LabelMap, refine, segment};
use crate::vision::render::segment::{SegmentContent, SegmentStyle, draw_segmentation};
use crate::vision::render::{Captions, Fonts, palette};

/// The style of labels over frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackStyle {
    /// Opacity of the colours, from 0 to 1.
    pub alpha: f32,
    /// Whether borders between labels are drawn.
    pub outline: bool,
    /// Whether borders are fitted to each frame's edges.
    pub refine: bool,
}

/// Propagates the labels of a clip's first frame.
pub struct TrackTask {
    mode: InferenceMode,
    layer: LayerRequest,
    size: SizeRule,
    config: TrackerConfig,
    style: TrackStyle,
    /// The mask's name in messages.
    name: String,
    /// The ids of the first frame, at the clip's size.
    mask: Mask,
    /// The distinct ids of the mask, ascending; 0, if there, is the background.
    ids: Vec<u16>,
    classes: Vec<Class>,
    captions: Captions,
    /// The tracker; `None` before the first frame.
    tracker: Mutex<Option<Tracker>>,
}

impl TrackTask {
    /// A task that tracks the ids of `mask`, 0 for the background, by the patch tokens of `layer`, of frames that are
    /// resized to `size`, in patches of `patch_size` pixels.
    ///
    /// # Errors
    /// [`Error::Usage`] if the mask has one id only.
    pub fn new(
        (name, mask): (&str, Mask),
        (config, style): (TrackerConfig, TrackStyle),
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
        let classes = ids.iter().zip(palette::distinct_colors(ids.len()));
        let classes = classes.map(|(id, color)| Class {
            name: id.to_string(),
            color,
        });
        Ok(TrackTask {
            mode: InferenceMode::Whole(layer::layer_pass(layer, size, patch_size)),
            layer,
            size,
            config,
            style,
            captions: Captions::new([], Fonts::built_in()),
            classes: classes.collect(),
            ids,
            name: name.to_owned(),
            mask,
            tracker: Mutex::new(None),
        })
    }

    /// The ids that are tracked, without 0.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.ids.iter().copied().filter(|id| *id != 0)
    }

    /// Bytes of an id in the video: 1, or 2 for ids above 255.
    fn bytes_per_id(&self) -> usize {
        match self.ids.last() {
            Some(last) if *last > 255 => 2,
            _ => 1,
        }
    }

    /// The share of each id in each patch of the first frame, `[rows * cols, K]`; padding counts as the first id.
    ///
    /// # Errors
    /// [`Error::Usage`] if the mask has another size than the frame.
    fn patch_shares(&self, geometry: &Geometry) -> Result<Vec<f32>> {
        let (width, height) = (self.mask.width as u32, self.mask.height as u32);
        if geometry.photo != (width, height) {
            return Err(Error::Usage(format!(
                "{}: the mask is {width} x {height} pixels, and the first frame {} x {}; they must be of one size",
                self.name, geometry.photo.0, geometry.photo.1
            )));
        }
        let PatchGrid { rows, cols } = geometry.grid();
        let k = self.ids.len();
        let mut shares = vec![0f32; rows * cols * k];
        let places = |places: Vec<f32>, cells: usize| -> Vec<usize> {
            let cell = |place: f32| (place as usize).min(cells.saturating_sub(1));
            places.into_iter().map(cell).collect()
        };
        let columns = places(geometry.column_positions(), cols);
        for (row, ids) in places(geometry.row_positions(), rows)
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

    /// The labels of the first frame: the mask.
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

impl TaskPredictor for TrackTask {
    fn mode(&self) -> &InferenceMode {
        &self.mode
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        pixel_cost(2 + 4 + 3 + 3)(geometry)
    }

    fn predict(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput> {
        layer::token_output(&backbone_output.features, self.layer)
    }
}

impl Task for TrackTask {
    fn subject(&self) -> LineSubject {
        LineSubject {
            task: "track",
            label: None,
        }
    }

    fn extensions(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn sibling_extensions(&self) -> &'static [&'static str] {
        &[]
    }

    fn settings(&self, _: &str) -> Result<OutputSettings> {
        let TrackerConfig {
            context_frames: context,
            radius,
            top_k: matches,
            temperature,
        } = self.config;
        let ids = self.mask.ids.iter().flat_map(|id| id.to_le_bytes());
        let ids: Vec<u8> = ids.collect();
        let settings = json!({
            "size": self.size.to_string(),
            "layer": [json!(self.layer.block), json!(self.layer.norm)],
            "tracking": [json!(context), json!(radius), json!(matches), json!(temperature)],
            "look": [json!(self.style.alpha), json!(self.style.outline), json!(self.style.refine)],
        });
        Ok(OutputSettings::from_recipe(&settings)?.with("mask", Digest::of_bytes(&ids)))
    }

    fn as_clip_task(&self) -> Option<&dyn ClipTask> {
        Some(self)
    }

    fn attach_backbones(&mut self, _: &[Backbone], _: &ModelRecord, _: &Console) -> Result<()> {
        Ok(())
    }

    fn finish_photo(&self, _: PredictedPhoto<'_>, _: &Console) -> Result<FinishedPhoto> {
        Err(Error::Model("photos are not followed, clips are".into()))
    }
}

impl ClipTask for TrackTask {
    fn propagate(
        &self,
        output: TaskOutput,
        _: &RgbImage,
        geometry: &Geometry,
    ) -> Result<TaskOutput> {
        let TaskOutput::Tokens(tokens, grid) = output else {
            return Err(Error::Model("tracking is by tokens".into()));
        };
        let k = self.ids.len();
        let mut tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        let values = match &mut *tracker {
            Some(tracker) => tracker.propagate(tokens),
            none => {
                let shares = self.patch_shares(geometry)?;
                *none = Some(Tracker::new(self.config, grid, tokens, (shares, k)));
                return Ok(TaskOutput::Labels(self.first_map()));
            }
        };
        let scores = Scores { values, k, grid };
        Ok(TaskOutput::Scores {
            scores,
            mirrored: None,
            room_probability: None,
        })
    }

    fn is_guided(&self) -> bool {
        self.style.refine
    }

    fn state(&self) -> NamedVectors {
        let tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = NamedVectors::default();
        for (name, values) in tracker.iter().flat_map(Tracker::state) {
            state.put(name, &values);
        }
        state
    }

    fn restore(&self, state: &NamedVectors) -> Result<()> {
        let tracker = Tracker::from_state(self.config, |name| state.get(name));
        let tracker =
            tracker.ok_or_else(|| Error::Model("a segment lacks what was tracked in it".into()))?;
        *self.tracker.lock().unwrap_or_else(PoisonError::into_inner) = Some(tracker);
        Ok(())
    }

    fn render_frame(
        &self,
        frame: FrameImages<'_>,
        geometry: &Geometry,
        output: TaskOutput,
    ) -> Result<RenderedFrame> {
        let map = match output {
            TaskOutput::Labels(map) => map,
            TaskOutput::Scores { scores, .. } if self.style.refine => {
                refine::refine_labels(&scores, geometry, frame.guide)?
            }
            TaskOutput::Scores { scores, .. } => segment::label(&scores, geometry, &[])?,
            TaskOutput::Tokens(..) | TaskOutput::Features(_) => {
                return Err(Error::Model("a frame was not followed".into()));
            }
        };
        let style = SegmentStyle {
            alpha: Some(self.style.alpha),
            outline: self.style.outline,
            side_by_side: false,
            names: false,
            legend: false,
        };
        let ids = map.ids.iter().map(|class| self.ids[usize::from(*class)]);
        let ids: Vec<u16> = ids.collect();
        let mut shown = map;
        // The background shows the frame.
        if self.ids[0] == 0 {
            let kept: Vec<bool> = (0..self.ids.len()).map(|class| class > 0).collect();
            shown.retain_classes(&kept);
        }
        let drawn = SegmentContent {
            map: &shown,
            areas: &[],
            unlabelled: 0,
        };
        let picture =
            draw_segmentation(frame.photo, &drawn, &self.classes, &style, &self.captions)?;
        Ok(RenderedFrame {
            size: frame.photo.dimensions(),
            picture,
            numbers: FrameValues::Labels(LabelMap { ids, ..shown }),
        })
    }

    fn value_video(&self) -> Option<ValueVideo> {
        Some(ValueVideo {
            extension: "ids.mkv",
            bytes: self.bytes_per_id(),
        })
    }

    fn encode_values(&self, frame: &RenderedFrame) -> (Vec<u8>, usize) {
        let FrameValues::Labels(map) = &frame.numbers else {
            return (Vec::new(), 0);
        };
        let bytes = match self.bytes_per_id() {
            1 => map.ids.iter().map(|id| *id as u8).collect(),
            _ => map.ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
        };
        (bytes, 0)
    }

    fn metadata(&self) -> Map<String, Value> {
        let ids: Vec<u16> = self.ids().collect();
        Map::from_iter([("ids".to_owned(), json!(ids))])
    }
}
