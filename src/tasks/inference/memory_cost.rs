//! The memory that a photo takes after the backbone, from which its memory permit is computed.

use crate::model::head::{Head, HeadNetwork};
use crate::model::input::Geometry;

/// Bytes a pixel that writing a picture takes beside the picture: the encoder's buffer.
pub const ENCODER_BYTES: u64 = 2;

/// Bytes that are counted for every photo, whatever its size: 16 MiB.
const FIXED_BYTES: u64 = 16 << 20;

/// The bytes of a photo as a function of its layout: 16 MiB, and `bytes` for each pixel of its own size.
pub fn pixel_cost(bytes: u64) -> impl Fn(&Geometry) -> u64 + Sync {
    move |geometry| {
        let (width, height) = geometry.photo;
        FIXED_BYTES + bytes * u64::from(width) * u64::from(height)
    }
}

/// Bytes of a head's scores over the input, with those of the mirror image and the intermediate values of the head.
pub fn score_bytes(head: &Head, geometry: &Geometry) -> u64 {
    let patches = geometry.grid().len() as u64;
    let scores = head.meta.outputs() as u64;
    match head.network {
        // Maps of four times the patch grid's side, with their deviations, and copies of the scores.
        HeadNetwork::Linear(_) => patches * (4 * 4 * scores + 16 * 16),
        // The last convolutions run at eight times the patch grid's side, with 128 channels and more.
        HeadNetwork::Dpt(_) => patches * 64 * 128 * 4 * 4,
    }
}
