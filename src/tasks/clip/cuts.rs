//! Shot detection: a cut is where both the mean patch token (by its cosine) and a thumbnail (by its colours) change
//! much from one frame to the next. Tokens alone jump now and then within a shot.
//!
//! In: each frame's mean patch token `[D]` and its [`thumbnail`]. Out: the indices of the first frames of new shots.

use std::collections::VecDeque;

use image::RgbImage;

use crate::engine::{BackboneBatchOutput, BackboneOutput, BackbonePass, FlipViews};
use crate::error::{Error, Result};
use crate::model::backbone::{Features, LayerRequest};
use crate::model::input::{Geometry, PatchGrid};
use crate::tasks::clip::state::NamedVectors;
use crate::tasks::{InferenceMode, TaskOutput, TaskPredictor};

/// The least change of the mean token at a cut, as 1 minus the cosine. Successive frames of one shot differ by less
/// than 0.01 where nothing moves fast, frames of one drive a second apart by 0.01 to 0.07, photos of different rooms by
/// 0.05 to 0.25, of different things by 0.1 to 1.
const MIN_TOKEN_CHANGE: f32 = 0.02;

/// The least mean change of [`thumbnail`] colours at a cut, of 255: a view that moves by a tenth of its width in a
/// second changes them by 1 to 4 from frame to frame, another photo by 20 to 90.
const MIN_COLOR_CHANGE: f32 = 8.0;

/// The least ratio of both changes at a cut to their medians over the frames before it, so that a fast pan is none.
const MEDIAN_FACTOR: f32 = 3.0;

/// The largest number of latest changes within the shot that medians are taken over. While there are none, a cut needs
/// changes above [`FIRST_TOKEN_CHANGE`] and [`FIRST_COLOR_CHANGE`].
const MEDIAN_WINDOW: usize = 12;

/// The least change of the mean token at a cut right after the first frame of a shot, as 1 minus the cosine.
const FIRST_TOKEN_CHANGE: f32 = 0.1;

/// The least mean change of colours at a cut right after the first frame of a shot, of 255.
const FIRST_COLOR_CHANGE: f32 = 16.0;

/// (columns, rows) of a thumbnail.
const THUMBNAIL: (usize, usize) = (16, 9);

/// The mean colours of 16 x 9 parts of a frame, `[9, 16, 3]`, from 0 to 255.
pub fn thumbnail(frame: &RgbImage) -> Vec<f32> {
    let (cols, rows) = THUMBNAIL;
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let mut sums = vec![0f64; 3 * cols * rows];
    let mut counts = vec![0u32; cols * rows];
    for (y, row) in frame.as_raw().chunks_exact((3 * width).max(1)).enumerate() {
        for (x, rgb) in row.as_chunks::<3>().0.iter().enumerate() {
            let part = y * rows / height * cols + x * cols / width;
            counts[part] += 1;
            for (sum, value) in sums[3 * part..].iter_mut().zip(rgb) {
                *sum += f64::from(*value);
            }
        }
    }
    let means = sums.iter().enumerate();
    let means = means.map(|(index, sum)| (sum / f64::from(counts[index / 3].max(1))) as f32);
    means.collect()
}

/// Change from the previous frame: of the mean token as 1 minus the cosine, of the thumbnail as the mean absolute
/// difference, from 0 to 255.
#[derive(Debug, Clone, Copy)]
struct FrameChange {
    token_change: f32,
    color_change: f32,
}

/// Detects cuts, frame by frame.
#[derive(Debug, Default)]
pub struct CutDetector {
    /// The mean patch token and the thumbnail of the last frame.
    last: Option<(Vec<f32>, Vec<f32>)>,
    steps: VecDeque<FrameChange>,
    frames: usize,
    cuts: Vec<usize>,
}

impl CutDetector {
    /// The indices, from 0, of the first frames of new shots so far.
    pub fn cuts(&self) -> &[usize] {
        &self.cuts
    }

    /// The state after the frames so far.
    pub fn state(&self) -> NamedVectors {
        let mut state = NamedVectors::default();
        let (token, picture) = self.last.clone().unwrap_or_default();
        let steps: Vec<f32> = self
            .steps
            .iter()
            .flat_map(|step| [step.token_change, step.color_change])
            .collect();
        // f32 holds integers of up to 24 bits exactly.
        let halves = |count: &usize| [(count >> 24) as f32, (count & 0xff_ffff) as f32];
        let cuts: Vec<f32> = self.cuts.iter().flat_map(halves).collect();
        state.put("token", &token);
        state.put("picture", &picture);
        state.put("steps", &steps);
        state.put("cuts", &cuts);
        state.put("frames", &halves(&self.frames));
        state
    }

    /// Sets the state that [`CutDetector::state`] returned.
    pub fn restore(&mut self, state: &NamedVectors) {
        let values = |name: &str| state.get(name).unwrap_or_default();
        let pairs = |name: &str| values(name).as_chunks::<2>().0.iter();
        let counts =
            |name: &str| pairs(name).map(|&[high, low]| (high as usize) << 24 | low as usize);
        let (token, picture) = (values("token"), values("picture"));
        self.last = (!token.is_empty()).then(|| (token.to_vec(), picture.to_vec()));
        self.steps = pairs("steps")
            .map(|&[turn, fade]| FrameChange {
                token_change: turn,
                color_change: fade,
            })
            .collect();
        self.cuts = counts("cuts").collect();
        self.frames = counts("frames").next().unwrap_or_default();
    }

    /// Whether the frame with this mean patch token and [`thumbnail`] begins a new shot; the first frame does not.
    pub fn push_frame(&mut self, token: Vec<f32>, picture: Vec<f32>) -> bool {
        let step = self.last.as_ref().map(|(last, shown)| FrameChange {
            token_change: 1.0 - cosine(last, &token),
            color_change: mean_difference(shown, &picture),
        });
        self.last = Some((token, picture));
        self.frames += 1;
        let Some(step) = step else { return false };
        let is_more = |of: fn(&FrameChange) -> f32, least: f32, first: f32| match self.median(of) {
            Some(median) => of(&step) > least.max(MEDIAN_FACTOR * median),
            None => of(&step) > first,
        };
        let is_cut = is_more(
            |step| step.token_change,
            MIN_TOKEN_CHANGE,
            FIRST_TOKEN_CHANGE,
        ) && is_more(
            |step| step.color_change,
            MIN_COLOR_CHANGE,
            FIRST_COLOR_CHANGE,
        );
        if is_cut {
            self.steps.clear();
            self.cuts.push(self.frames - 1);
            return true;
        }
        if self.steps.len() == MEDIAN_WINDOW {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
        false
    }

    fn median(&self, of: fn(&FrameChange) -> f32) -> Option<f32> {
        let mut sorted: Vec<f32> = self.steps.iter().map(of).collect();
        sorted.sort_by(f32::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }
}

/// The mean absolute difference of two vectors.
fn mean_difference(a: &[f32], b: &[f32]) -> f32 {
    let sum: f32 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
    sum / a.len().max(1) as f32
}

/// Predicts the mean patch token of a frame, of the last block with the final norm.
pub struct MeanTokenPredictor {
    mode: InferenceMode,
    layer: LayerRequest,
}

impl MeanTokenPredictor {
    /// A predictor that shares the input of `pass`, another task's pass, through a backbone of `depth` blocks.
    pub fn for_pass(pass: &BackbonePass, depth: usize) -> Self {
        let layer = LayerRequest {
            block: depth - 1,
            norm: true,
        };
        MeanTokenPredictor {
            mode: InferenceMode::Whole(BackbonePass {
                requests: vec![layer],
                views: FlipViews::Plain,
                ..pass.clone()
            }),
            layer,
        }
    }

    /// The mean tokens `[B][D]` of the photos of a batch.
    fn mean_tokens(&self, features: &Features) -> Result<Vec<Vec<f32>>> {
        let mut layers = features.layers.iter();
        let layer = layers.find(|one| one.request == self.layer);
        let layer = layer.ok_or_else(|| Error::Model("the last block was not computed".into()))?;
        let tokens = layer.patch_tokens.to_dtype(candle_core::DType::F32)?;
        Ok(tokens.mean(1)?.to_vec2()?)
    }
}

impl TaskPredictor for MeanTokenPredictor {
    fn mode(&self) -> &InferenceMode {
        &self.mode
    }

    fn memory(&self, _: &Geometry) -> u64 {
        0
    }

    fn needs_photo(&self) -> bool {
        false
    }

    fn predict(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput> {
        let mean = self
            .mean_tokens(&backbone_output.features)?
            .into_iter()
            .next();
        Ok(TaskOutput::Tokens(mean.unwrap_or_default(), SINGLE_PATCH))
    }

    fn predict_batch(&self, batch: &BackboneBatchOutput) -> Result<Vec<Result<TaskOutput>>> {
        let means = self.mean_tokens(&batch.features)?.into_iter();
        Ok(means
            .map(|mean| Ok(TaskOutput::Tokens(mean, SINGLE_PATCH)))
            .collect())
    }
}

/// The grid under which a mean token is returned.
const SINGLE_PATCH: PatchGrid = PatchGrid { rows: 1, cols: 1 };

/// The cosine of two vectors; 1 where one of them is zero.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    match norms > 0.0 {
        true => (dot(a, b) / norms) as f32,
        false => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    /// A direction in the plane.
    fn at(degrees: f32) -> Vec<f32> {
        vec![degrees.to_radians().cos(), degrees.to_radians().sin()]
    }

    fn cuts(frames: impl IntoIterator<Item = (f32, f32)>) -> Vec<usize> {
        let mut detector = CutDetector::default();
        for (degrees, grey) in frames {
            detector.push_frame(at(degrees), vec![grey; 3]);
            // A detector that is restored detects the same.
            let mut next = CutDetector::default();
            next.restore(&detector.state());
            detector = next;
        }
        detector.cuts().to_vec()
    }

    #[test]
    fn cuts_stand_out_from_what_is_usual() {
        // 1 - cos: 0.00015 for 1 degree, 0.034 for 15, 0.1 for 26.
        let still = |at: f32, grey: f32| (0..20).map(move |n| (at + (n % 2) as f32, grey));
        assert_eq!(cuts(still(0.0, 50.0).chain(still(20.0, 90.0))), [20]);
        assert_eq!(
            cuts(still(0.0, 50.0).chain(still(20.0, 51.0))),
            NONE,
            "tokens alone jump"
        );
        assert_eq!(
            cuts(still(0.0, 50.0).chain(still(0.0, 90.0))),
            NONE,
            "a light is switched on"
        );
        assert_eq!(
            cuts((0..40).map(|n| (8.0 * n as f32, 5.0 * n as f32))),
            NONE,
            "a pan"
        );
        assert_eq!(
            cuts([(0.0, 0.0), (90.0, 90.0), (91.0, 90.0), (0.0, 0.0)]),
            [1, 3]
        );
        assert_eq!(
            cuts([(0.0, 0.0), (20.0, 90.0)]),
            NONE,
            "one step says little"
        );
        assert_eq!(cuts([]), NONE);
    }

    #[test]
    fn a_thumbnail_has_the_colours_of_the_frame() {
        let frame = RgbImage::from_fn(64, 45, |x, _| {
            image::Rgb([if x < 32 { 10 } else { 90 }, 7, 0])
        });
        let found = thumbnail(&frame);
        assert_eq!(
            (found.len(), &found[..3], &found[45..48]),
            (432, &[10.0, 7.0, 0.0][..], &[90.0, 7.0, 0.0][..])
        );
        assert_eq!(thumbnail(&RgbImage::new(1, 1)).len(), 432);
    }
}
