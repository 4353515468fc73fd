//! Colours of the page around pictures: what legends, scale bars and contact sheets are drawn with.

use image::Rgb;

/// The ground: white.
pub(super) const PAPER: Rgb<u8> = Rgb([255; 3]);
/// Text and tick marks on it: nearly black.
pub(super) const INK: Rgb<u8> = Rgb([32; 3]);
