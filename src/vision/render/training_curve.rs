//! Training curves as a picture: one panel for each figure, epochs from left to right, with the best epoch marked.
//!
//! Input are values by epoch; output is a picture 900 pixels wide, with 260 rows for each figure.

use image::{Rgb, RgbImage};
use imageproc::drawing::{draw_filled_circle_mut, draw_line_segment_mut};

use crate::vision::render::fonts::Fonts;
use crate::vision::render::page_colors::PAPER;
use crate::vision::render::text::{Backing, TextStyle, draw_text, measure_text};

/// Width of the picture, in pixels.
const WIDTH: u32 = 900;
/// Height of a panel, in pixels.
const PANEL: u32 = 260;
/// Margins of the plot within its panel, in pixels.
const LEFT: u32 = 90;
const RIGHT: u32 = 24;
const TOP: u32 = 40;
const BOTTOM: u32 = 34;
/// Line height of the text, in pixels.
const TEXT: f32 = 16.0;
/// Colours of text, grid, curve and best epoch.
const INK: Rgb<u8> = Rgb([40, 40, 40]);
const FAINT: Rgb<u8> = Rgb([222, 222, 222]);
const LINE: Rgb<u8> = Rgb([31, 119, 180]);
const MARK: Rgb<u8> = Rgb([214, 39, 40]);

/// The values of one figure over the epochs, such as a loss.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingCurve<'a> {
    /// The title of its panel.
    pub title: &'a str,
    /// One value for each epoch; those that are not finite leave a gap.
    pub values: Vec<f64>,
}

/// Draws `curves` in panels below each other; `best` is the epoch to mark, counted from 0 (labels count from 1).
pub fn draw_curves(curves: &[TrainingCurve<'_>], best: Option<usize>) -> RgbImage {
    let mut canvas = RgbImage::from_pixel(WIDTH, PANEL * curves.len().max(1) as u32, PAPER);
    for (index, curve) in curves.iter().enumerate() {
        draw_panel(&mut canvas, index as u32 * PANEL, curve, best);
    }
    canvas
}

/// Draws one panel, from row `top` on.
fn draw_panel(canvas: &mut RgbImage, top: u32, curve: &TrainingCurve<'_>, best: Option<usize>) {
    let numbers = || curve.values.iter().copied().filter(|v| v.is_finite());
    let (mut low, mut high) = numbers().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
        (a.min(v), b.max(v))
    });
    if !low.is_finite() {
        (low, high) = (0.0, 1.0);
    }
    if high - low < 1e-9 {
        (low, high) = (low - 0.5, high + 0.5);
    }
    let fonts = &Fonts::built_in();
    let style = TextStyle {
        size: TEXT,
        color: INK,
        backing: Backing::None,
    };
    let (plot_top, plot_bottom) = ((top + TOP) as f32, (top + PANEL - BOTTOM) as f32);
    let (plot_left, plot_right) = (LEFT as f32, (WIDTH - RIGHT) as f32);
    let y_of = |v: f64| plot_bottom - (plot_bottom - plot_top) * ((v - low) / (high - low)) as f32;
    let last = curve.values.len().saturating_sub(1);
    let x_of =
        |epoch: usize| plot_left + (plot_right - plot_left) * epoch as f32 / last.max(1) as f32;
    let title = (LEFT as i32, (top + 10) as i32);
    draw_text(canvas, fonts, title, curve.title, &style);
    for step in 0..=4 {
        let value = low + (high - low) * f64::from(step) / 4.0;
        let y = y_of(value);
        draw_line_segment_mut(canvas, (plot_left, y), (plot_right, y), FAINT);
        let text = format!("{value:.4}");
        let (width, height) = measure_text(fonts, &text, TEXT);
        let place = (
            LEFT as i32 - 8 - width as i32,
            y as i32 - (height / 2) as i32,
        );
        draw_text(canvas, fonts, place, &text, &style);
    }
    // About ten epochs are labelled.
    for epoch in (0..=last).step_by(last.div_ceil(10).max(1)) {
        let text = (epoch + 1).to_string();
        let (width, _) = measure_text(fonts, &text, TEXT);
        let place = (
            x_of(epoch) as i32 - (width / 2) as i32,
            plot_bottom as i32 + 8,
        );
        draw_text(canvas, fonts, place, &text, &style);
    }
    for (epoch, pair) in curve.values.windows(2).enumerate() {
        if pair[0].is_finite() && pair[1].is_finite() {
            let (from, to) = (
                (x_of(epoch), y_of(pair[0])),
                (x_of(epoch + 1), y_of(pair[1])),
            );
            // Two pixels wide.
            draw_line_segment_mut(canvas, from, to, LINE);
            draw_line_segment_mut(canvas, (from.0, from.1 + 1.0), (to.0, to.1 + 1.0), LINE);
        }
    }
    for (epoch, &value) in curve.values.iter().enumerate() {
        if value.is_finite() {
            let (color, radius) = match best == Some(epoch) {
                true => (MARK, 5),
                false => (LINE, 3),
            };
            let at = (x_of(epoch) as i32, y_of(value) as i32);
            draw_filled_circle_mut(canvas, at, radius, color);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colours(canvas: &RgbImage, wanted: Rgb<u8>) -> usize {
        canvas.pixels().filter(|pixel| **pixel == wanted).count()
    }

    #[test]
    fn every_curve_has_its_panel_and_the_best_its_mark() {
        let curve = |title, values| TrainingCurve { title, values };
        let curves = [
            curve("loss", vec![3.0, 2.0, 1.0]),
            curve("rmse", vec![0.9, 0.7, 0.8]),
        ];
        let canvas = draw_curves(&curves, Some(1));
        assert_eq!(canvas.dimensions(), (WIDTH, 2 * PANEL));
        assert!(colours(&canvas, LINE) > 500);
        // The middle epoch of the second panel is its lowest.
        let place = ((LEFT + WIDTH - RIGHT) / 2, 2 * PANEL - BOTTOM);
        assert_eq!(*canvas.get_pixel(place.0, place.1), MARK);
        assert_eq!(colours(&draw_curves(&curves, None), MARK), 0);
    }

    #[test]
    fn one_epoch_flat_lines_and_gaps_do_no_harm() {
        for values in [
            vec![],
            vec![0.5],
            vec![0.5; 4],
            vec![f64::NAN, 1.0, f64::NAN],
        ] {
            let canvas = draw_curves(
                &[TrainingCurve {
                    title: "loss",
                    values,
                }],
                Some(0),
            );
            assert_eq!(canvas.height(), PANEL);
        }
    }
}
