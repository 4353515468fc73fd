//! A contact sheet: small pictures in rows and columns, each under its name.

use image::RgbImage;

use crate::error::Result;
use crate::vision::render::compose;
use crate::vision::render::fonts::Fonts;
use crate::vision::render::page_colors::{INK, PAPER};
use crate::vision::render::text::{Backing, TextStyle, draw_text, measure_text};

/// Line height of the names, in pixels.
const LINE: f32 = 20.0;
/// Space around pictures and names, in pixels.
const GAP: u32 = 8;

/// A sheet of `tiles` (name and picture, all pictures of one size), with about as many columns as make it square.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the sheet does not fit.
pub fn contact_sheet(tiles: &[(String, RgbImage)]) -> Result<RgbImage> {
    // The names are those of heads and numbers, which the built-in font has.
    let fonts = Fonts::built_in();
    let widest = tiles
        .iter()
        .map(|(name, tile)| tile.width().max(measure_text(&fonts, name, LINE).0));
    let width = widest.max().unwrap_or(0) + GAP;
    let height = tiles.iter().map(|(_, tile)| tile.height()).max();
    let height = height.unwrap_or(0) + LINE as u32 + 2 * GAP;
    let count = tiles.len() as u32;
    let square = (f64::from(count) * f64::from(height) / f64::from(width)).sqrt();
    // The number of columns near that which leaves the fewest places empty.
    let near = (square.floor().max(1.0) as u32)..=(square.ceil() as u32 + 1);
    let columns = near
        .map(|columns| columns.min(count).max(1))
        .min_by_key(|&columns| columns * count.div_ceil(columns) - count)
        .unwrap_or(1);
    let rows = count.div_ceil(columns);
    let corner = |index: usize| {
        let (row, column) = (index as u32 / columns, index as u32 % columns);
        (GAP + column * width, GAP + row * height)
    };
    let places: Vec<(&RgbImage, (u32, u32))> = tiles
        .iter()
        .enumerate()
        .map(|(index, (_, tile))| {
            let (x, y) = corner(index);
            (tile, (x, y + LINE as u32 + GAP / 2))
        })
        .collect();
    let size = (GAP + columns * width, GAP + rows * height);
    let mut sheet = compose::canvas(size, PAPER, &places)?;
    let style = TextStyle {
        size: LINE,
        color: INK,
        backing: Backing::None,
    };
    for (index, (name, _)) in tiles.iter().enumerate() {
        let (x, y) = corner(index);
        draw_text(&mut sheet, &fonts, (x as i32, y as i32), name, &style);
    }
    Ok(sheet)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn every_tile_is_whole_and_named() {
        for (count, size) in [
            (1, (30, 20)),
            (8, (200, 150)),
            (14, (60, 400)),
            (26, (1, 1)),
        ] {
            let tile = |i: usize| RgbImage::from_pixel(size.0, size.1, Rgb([i as u8 + 100, 0, 0]));
            let tiles: Vec<_> = (0..count).map(|i| (format!("head {i}"), tile(i))).collect();
            let sheet = contact_sheet(&tiles).unwrap();
            for i in 0..count {
                let own = Rgb([i as u8 + 100, 0, 0]);
                let pixels = sheet.pixels().filter(|&&pixel| pixel == own).count();
                assert_eq!(pixels, (size.0 * size.1) as usize, "tile {i} of {count}");
            }
            let ink = sheet.pixels().filter(|&&pixel| pixel == INK).count();
            assert!(ink > 20 * count, "{ink}");
        }
    }
}
