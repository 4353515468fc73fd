//! Lines along the borders between the classes of a label map, drawn into its picture.
//!
//! Each side of a border is drawn in a colour of its own; the photo's edges are no borders.

use image::RgbImage;
use rayon::prelude::*;

use crate::vision::postprocess::{LabelMap, NO_CLASS};

/// Draws a line of `2 * reach` pixels along all borders, `reach` on each side, in the colour that `color_of` gives for
/// the class on that side. Pixels of [`NO_CLASS`] keep their colour.
pub fn draw_outlines(
    picture: &mut RgbImage,
    map: &LabelMap,
    reach: usize,
    color_of: impl Fn(u16) -> [u8; 3] + Sync,
) {
    let LabelMap { width, height, .. } = *map;
    let row = |y: usize| &map.ids[y * width..][..width];
    picture
        .par_chunks_exact_mut(3 * width)
        .enumerate()
        .for_each_init(
            || vec![false; width],
            |border, (y, line)| {
                let own = row(y);
                border.fill(false);
                // Whole rows are compared, which the compiler vectorises.
                let mark = |border: &mut [bool], own: &[u16], other: &[u16]| {
                    for ((border, own), other) in border.iter_mut().zip(own).zip(other) {
                        *border |= own != other;
                    }
                };
                for other in y.saturating_sub(reach)..(y + reach + 1).min(height) {
                    mark(border, own, row(other));
                }
                for shift in 1..=reach.min(width - 1) {
                    mark(border, own, &own[shift..]);
                    mark(&mut border[shift..], &own[shift..], own);
                }
                for ((rgb, &id), _) in line
                    .chunks_exact_mut(3)
                    .zip(own)
                    .zip(border.iter())
                    .filter(|((_, id), border)| **border && **id != NO_CLASS)
                {
                    rgb.copy_from_slice(&color_of(id));
                }
            },
        );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_as_wide_as_asked_and_the_edge_is_none() {
        let map = LabelMap {
            width: 8,
            height: 1,
            ids: vec![0, 0, 0, 0, 1, 1, 1, NO_CLASS],
            confidence: vec![1.0; 8],
        };
        let mut picture = RgbImage::new(8, 1);
        draw_outlines(&mut picture, &map, 1, |id| [10 + id as u8; 3]);
        let reds: Vec<u8> = picture.pixels().map(|p| p.0[0]).collect();
        assert_eq!(reds, [0, 0, 0, 10, 11, 0, 11, 0]);
    }
}
