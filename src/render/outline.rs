//! Lines along the borders between classes.

use image::RgbImage;
use rayon::prelude::*;

use crate::postprocess::{LabelMap, NONE};

/// Draws a line `2 * reach` pixels wide along all borders, `reach` on each side, in the colour that `color_of` gives
/// for the class on that side. Pixels of no class are left alone.
pub fn outline(
    picture: &mut RgbImage,
    map: &LabelMap,
    reach: usize,
    color_of: impl Fn(u16) -> [u8; 3] + Sync,
) {
    let LabelMap { width, height, .. } = *map;
    let is_border = |x: usize, y: usize, id: u16| {
        let near =
            |place: usize, side: usize| place.saturating_sub(reach)..(place + reach + 1).min(side);
        let row = &map.ids[y * width..][..width];
        row[near(x, width)].iter().any(|&other| other != id)
            || near(y, height).any(|y| map.ids[y * width + x] != id)
    };
    picture
        .par_chunks_exact_mut(3 * width)
        .enumerate()
        .for_each(|(y, line)| {
            for (x, rgb) in line.chunks_exact_mut(3).enumerate() {
                let id = map.ids[y * width + x];
                if id != NONE && is_border(x, y, id) {
                    rgb.copy_from_slice(&color_of(id));
                }
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_as_wide_as_asked_and_the_edge_is_none() {
        let map = LabelMap {
            width: 8,
            height: 1,
            ids: vec![0, 0, 0, 0, 1, 1, 1, NONE],
            confidence: vec![1.0; 8],
        };
        let mut picture = RgbImage::new(8, 1);
        outline(&mut picture, &map, 1, |id| [10 + id as u8; 3]);
        let reds: Vec<u8> = picture.pixels().map(|p| p.0[0]).collect();
        assert_eq!(reds, [0, 0, 0, 10, 11, 0, 11, 0]);
    }
}
