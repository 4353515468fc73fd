//! Self-check on a user's machine: known outputs of published weights, computed there on any device and compared with
//! those of the models' publishers or of PyTorch; and `device`, which compares a device with the CPU.

mod device;

use image::{Rgb, RgbImage};

use crate::engine::{BackbonePass, FlipViews, InputScales};
use crate::error::Result;
use crate::model::backbone::{Backbone, LayerRequest};
use crate::model::head::Head;
use crate::vision::preprocess::{PreparedImage, Preprocessor};

pub use device::{Agreement, compare_device};

/// Which values of a model are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReferenceKind {
    /// A backbone's tokens of [`test_pattern`], after the final norm: three channels of the cls token, of the first
    /// patch and of the last.
    Tokens,
    /// The top left 3 x 3 of a DPT head's own map of the publisher's example photo, in metres.
    ExampleDepths,
}

/// Reference values of one model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReferenceValues {
    /// The name of the installed model or head.
    pub name: &'static str,
    /// Which values.
    pub kind: ReferenceKind,
    /// The reference values.
    pub expected: [f32; 9],
    /// The largest absolute difference that agrees.
    pub tolerance: f32,
    /// Who computed the reference values, in words.
    pub source: &'static str,
}

/// All reference values.
pub const REFERENCES: [ReferenceValues; 2] = [
    ReferenceValues {
        name: "vits14-focus",
        kind: ReferenceKind::Tokens,
        expected: [
            0.093_400_57,
            0.305_296_8,
            3.465_313,
            0.472_277_8,
            -1.503_066,
            1.377_895_7,
            0.359_417_54,
            1.174_732_8,
            1.643_778_5,
        ],
        tolerance: 5e-4,
        source: "PyTorch, f64",
    },
    ReferenceValues {
        name: "nyu-dpt-vits14",
        kind: ReferenceKind::ExampleDepths,
        expected: [
            3.3576, 3.4741, 3.4345, 3.4324, 3.5012, 3.2775, 3.2560, 3.3563, 3.2354,
        ],
        tolerance: 1e-3,
        source: "transformers' conversion script, from the original implementation",
    },
];

/// The path of the example photo on the publisher's host.
pub const EXAMPLE_PHOTO: &str = "images/example.jpg";

/// A synthetic picture, by a formula: at (x, y, c) `((7 x + 3 y + 85 c) xor (11 (x / 16) (y / 16))) mod 256`, divisions
/// rounded down.
pub fn test_pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let value = |c: u32| ((x * 7 + y * 3 + c * 85) ^ ((x / 16) * (y / 16) * 11)) as u8;
        Rgb([value(0), value(1), value(2)])
    })
}

/// Computes the values of [`ReferenceKind::Tokens`].
///
/// # Errors
/// If the device fails.
pub fn compute_tokens(backbone: &Backbone) -> Result<[f32; 9]> {
    let preprocessor = Preprocessor::published(backbone.config().patch_size);
    let photo = preprocessor.prepare(&test_pattern(98, 70))?;
    let pixels = PreparedImage::stack(&[&photo])?;
    let request = LayerRequest {
        block: backbone.config().depth - 1,
        norm: true,
    };
    let features = backbone.forward(&pixels, &[request])?;
    let layer = &features.layers[0];
    let cls: Vec<f32> = layer.cls_token.flatten_all()?.to_vec1()?;
    let patches: Vec<f32> = layer.patch_tokens.flatten_all()?.to_vec1()?;
    let last = patches.len() - cls.len();
    let mut found = [0.0; 9];
    let parts = [&cls[..3], &patches[..3], &patches[last..last + 3]];
    for (found, part) in found.chunks_exact_mut(3).zip(parts) {
        found.copy_from_slice(part);
    }
    Ok(found)
}

/// Computes the values of [`ReferenceKind::ExampleDepths`] in metres: the head's outputs plus the least depth of its
/// range.
///
/// # Errors
/// If the device fails, or the photo is too small.
pub fn compute_example_depths(
    backbone: &Backbone,
    head: &Head,
    photo: &RgbImage,
) -> Result<[f32; 9]> {
    let pass = BackbonePass {
        preprocessor: Preprocessor::published(backbone.config().patch_size),
        requests: head.meta.requests(),
        views: FlipViews::Plain,
        scales: InputScales::Full,
    };
    let prepared = pass.preprocessor.prepare(photo)?;
    let outputs = pass.forward(backbone, &[&prepared], &|_| ())?.split()?;
    let scores = head.scores(&outputs[0].features)?;
    let least = match &head.meta.task {
        crate::model::head::HeadTask::Depth { readout, .. } => readout.range().0 as f32,
        _ => 0.0,
    };
    let mut found = [f32::NAN; 9];
    for (i, found) in found.iter_mut().enumerate() {
        if let Some(above) = scores.values.get(i / 3 * scores.grid.cols + i % 3) {
            *found = above + least;
        }
    }
    Ok(found)
}

impl ReferenceValues {
    /// The largest absolute difference of `found` from the reference values; NaN if one of them is NaN.
    pub fn difference(&self, found: &[f32; 9]) -> f32 {
        let pairs = self.expected.iter().zip(found);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, |worst, off| {
            match off > worst || off.is_nan() {
                true => off,
                false => worst,
            }
        })
    }

    /// Whether `found` agrees within the tolerance.
    pub fn agrees(&self, found: &[f32; 9]) -> bool {
        self.difference(found) <= self.tolerance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_close_agrees() {
        let known = REFERENCES[1];
        assert!(known.agrees(&known.expected));
        let mut off = known.expected;
        off[4] += 0.002;
        assert!(!known.agrees(&off) && (known.difference(&off) - 0.002).abs() < 1e-5);
        off[4] = f32::NAN;
        off[5] += 0.5;
        assert!(!known.agrees(&off));
    }
}
