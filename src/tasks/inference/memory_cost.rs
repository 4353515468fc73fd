//! What commands take of memory for a photo once the backbone is through with it.

use crate::model::head::{Head, HeadNetwork};
use crate::model::input::Geometry;

/// Bytes a pixel that writing a picture takes beside it: what an encoder has packed.
pub const ENCODER_BYTES: u64 = 2;

/// Whatever the size of a photo.
const FIXED_BYTES: u64 = 16 << 20;

/// Of so many bytes a pixel.
pub fn pixel_cost(bytes: u64) -> impl Fn(&Geometry) -> u64 + Sync {
    move |geometry| {
        let (width, height) = geometry.photo;
        FIXED_BYTES + bytes * u64::from(width) * u64::from(height)
    }
}

/// Of the scores of a head, with those of the mirror image and what is made of them before they are brought to the photo.
pub fn score_bytes(head: &Head, geometry: &Geometry) -> u64 {
    let patches = geometry.grid().len() as u64;
    let scores = head.meta.outputs() as u64;
    match head.network {
        // Four times as many in a row and a column, with their deviations; and copies of the scores.
        HeadNetwork::Linear(_) => patches * (4 * 4 * scores + 16 * 16),
        // The last convolutions are over eight times as many, of 128 channels and more.
        HeadNetwork::Dpt(_) => patches * 64 * 128 * 4 * 4,
    }
}
