//! A confusion matrix as a picture: one coloured cell for each pair of classes, with the names of the rows.
//!
//! Shares of 0..1 take the colours of the default colour map.

use image::{Rgb, RgbImage};

use crate::vision::render::captions::Captions;
use crate::vision::render::colormap::Colormap;
use crate::vision::render::page_colors::PAPER;
use crate::vision::render::text::{Backing, TextStyle, draw_text, measure_text};

/// Line height of the labels, in pixels.
const TEXT: f32 = 15.0;
/// Space around labels and cells, in pixels.
const GAP: u32 = 8;
/// Colour of the labels.
const INK: Rgb<u8> = Rgb([30, 30, 30]);

/// Draws `shares` `[n, n]` of 0..1: a row for each of the `n` classes of `captions`, and columns in the same order,
/// with the ids of the classes above them.
pub fn draw_confusion_matrix(captions: &Captions, shares: &[f32]) -> RgbImage {
    let (n, fonts) = (captions.len() as u32, &captions.fonts);
    let cell = (900 / n.max(1)).clamp(18, 44);
    let labels: Vec<String> = (0..captions.len())
        .map(|id| captions.numbered(id))
        .collect();
    let widest = labels
        .iter()
        .map(|label| measure_text(fonts, label, TEXT).0)
        .max();
    let left = widest.unwrap_or(0) + 2 * GAP;
    let top = TEXT as u32 + 2 * GAP;
    let mut canvas = RgbImage::from_pixel(left + n * cell + GAP, top + n * cell + GAP, PAPER);
    let style = TextStyle {
        size: TEXT,
        color: INK,
        backing: Backing::None,
    };
    let colormap = Colormap::default();
    for (row, label) in labels.iter().enumerate() {
        let y = top + row as u32 * cell;
        let (width, height) = measure_text(fonts, label, TEXT);
        let place = (
            (left - GAP - width) as i32,
            (y + cell / 2) as i32 - (height / 2) as i32,
        );
        draw_text(&mut canvas, fonts, place, label, &style);
        let number = row.to_string();
        let (width, _) = measure_text(fonts, &number, TEXT);
        let x = left + row as u32 * cell;
        let place = ((x + cell / 2) as i32 - (width / 2) as i32, GAP as i32);
        draw_text(&mut canvas, fonts, place, &number, &style);
        for column in 0..n {
            let color = colormap.at(shares[row * n as usize + column as usize]);
            let x = left + column * cell;
            for (dx, dy) in (0..cell - 1).flat_map(|dy| (0..cell - 1).map(move |dx| (dx, dy))) {
                canvas.put_pixel(x + dx, y + dy, color);
            }
        }
    }
    canvas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::render::Fonts;

    fn captions(names: &[String]) -> Captions {
        Captions::new(names.iter().map(String::as_str), Fonts::built_in())
    }

    #[test]
    fn the_diagonal_is_bright_and_names_find_room() {
        let names: Vec<String> = ["sky", "a rather long name of a class"]
            .map(str::to_owned)
            .into();
        let canvas = draw_confusion_matrix(&captions(&names), &[1.0, 0.0, 0.25, 0.75]);
        let map = Colormap::default();
        let left = canvas.width() - GAP - 2 * 44;
        let top = canvas.height() - GAP - 2 * 44;
        assert_eq!(*canvas.get_pixel(left + 5, top + 5), map.at(1.0));
        assert_eq!(*canvas.get_pixel(left + 49, top + 5), map.at(0.0));
        assert_eq!(*canvas.get_pixel(left + 49, top + 49), map.at(0.75));
        // Something is written left of the second row.
        let mut cells = (0..left).flat_map(|x| (top + 44..top + 88).map(move |y| (x, y)));
        assert!(cells.any(|(x, y)| *canvas.get_pixel(x, y) == INK));
    }

    #[test]
    fn many_classes_stay_a_picture_of_sane_size() {
        let names: Vec<String> = (0..89).map(|i| format!("class {i}")).collect();
        let canvas = draw_confusion_matrix(&captions(&names), &vec![0.1; 89 * 89]);
        assert!(canvas.width() < 2000 && canvas.height() < 1800);
    }
}
