//! A scale bar at the right of a picture: the colours of its colour map with the values that they stand for, labelled
//! at round numbers.
//!
//! The bar is added to the picture, never drawn over it. Its text grows with the picture, and is at least
//! [`SMALLEST_LINE`] pixels high.

use image::{Rgb, RgbImage};
use imageproc::drawing::draw_filled_rect_mut;
use imageproc::rect::Rect;

use crate::error::Result;
use crate::vision::render::colormap::Colormap;
use crate::vision::render::compose;
use crate::vision::render::depth::ValueRange;
use crate::vision::render::fonts::Fonts;
use crate::vision::render::page_colors::{INK, PAPER};
use crate::vision::render::text::{Backing, TextStyle, draw_text, measure_text};

/// Least line height of the labels, in pixels.
pub const SMALLEST_LINE: f32 = 14.0;

/// Number of text lines in the height of a picture, which defines the line height.
const LINES: f32 = 32.0;

/// Least height of the canvas, in lines.
const FEWEST_LINES: f32 = 7.0;

/// Least distance between two labels, in lines.
const SPACING: f32 = 1.6;

/// Most labels of a bar.
const MOST_LABELS: f32 = 9.0;

/// The frame of the bar, without which a white end would be lost on the paper.
const RIM: Rgb<u8> = Rgb([150; 3]);

/// The content of a scale bar.
#[derive(Clone, Copy)]
pub struct ScaleBar<'a> {
    /// The values at the bottom and at the top.
    pub range: ValueRange,
    /// The colour map, its first colour at the bottom.
    pub colormap: &'a Colormap,
    /// The unit that follows every number, such as `m`.
    pub unit: &'a str,
    /// A prefix of every number, such as `±`.
    pub prefix: &'a str,
    /// Words at the bottom and at the top in place of all numbers, for values without a unit.
    pub end_labels: Option<(&'a str, &'a str)>,
    /// The fonts of the labels.
    pub fonts: &'a Fonts,
}

/// `picture` with the bar at its right.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the canvas does not fit.
pub fn with_scale_bar(picture: &RgbImage, bar: &ScaleBar<'_>) -> Result<RgbImage> {
    canvas_with_scale_bar(picture.dimensions(), &[(picture, (0, 0))], bar).map(|(canvas, _)| canvas)
}

/// A canvas for a picture of (width, height), with the bar at its right and `pictures` already drawn into the picture's
/// place, with their corners at (left, top) of it; and the row of the canvas in which that place begins.
///
/// # Errors
/// As [`with_scale_bar`].
pub fn canvas_with_scale_bar(
    (width, height): (u32, u32),
    pictures: &[(&RgbImage, (u32, u32))],
    bar: &ScaleBar<'_>,
) -> Result<(RgbImage, u32)> {
    // For a tall and narrow picture the width counts, or the bar would be wider than the picture.
    let line = ((height as f32).min(1.5 * width as f32) / LINES).max(SMALLEST_LINE);
    let canvas_height = height.max((FEWEST_LINES * line) as u32);
    let room = (canvas_height as f32 / line - 1.5) / SPACING;
    let ticks = Ticks::new(bar.range, room.min(MOST_LABELS));
    let numbers = ticks.values().map(|(place, number)| {
        let label = format!("{}{number} {}", bar.prefix, bar.unit);
        (place, label.trim_end().to_owned())
    });
    let labels: Vec<(f32, String)> = match bar.end_labels {
        Some((bottom, top)) => vec![(0.0, bottom.to_owned()), (1.0, top.to_owned())],
        None => numbers.collect(),
    };
    let widest = labels
        .iter()
        .map(|(_, label)| measure_text(bar.fonts, label, line).0)
        .max();
    let layout = ScaleBarLayout::new(width, canvas_height, line);
    let across = layout.labels_left + widest.unwrap_or(0) + layout.gap;
    let first = (canvas_height - height) / 2;
    let placed = |&(picture, (left, top))| (picture, (left, first + top));
    let pictures: Vec<(&RgbImage, (u32, u32))> = pictures.iter().map(placed).collect();
    let mut canvas = compose::canvas((across, canvas_height), PAPER, &pictures)?;
    layout.draw_bar(&mut canvas, bar.colormap);
    for (place, label) in &labels {
        layout.draw_label(&mut canvas, bar.fonts, *place, label);
    }
    Ok((canvas, first))
}

/// The places of the bar and its labels, in pixels.
struct ScaleBarLayout {
    line: f32,
    gap: u32,
    /// Columns of the bar.
    bar: std::ops::Range<u32>,
    /// Rows of the bar: half a line short of the canvas, so that the outermost labels fit.
    rows: std::ops::Range<u32>,
    labels_left: u32,
    /// Thickness of tick marks.
    stroke: u32,
}

impl ScaleBarLayout {
    fn new(picture_width: u32, height: u32, line: f32) -> Self {
        let pixels = |lines: f32| (lines * line).round() as u32;
        let left = picture_width + pixels(0.6);
        let right = left + pixels(1.1);
        Self {
            line,
            gap: pixels(0.5),
            bar: left..right,
            rows: pixels(0.75)..height - pixels(0.75),
            labels_left: right + pixels(0.6),
            stroke: pixels(1.0 / 14.0).max(1),
        }
    }

    fn draw_bar(&self, canvas: &mut RgbImage, colormap: &Colormap) {
        let last = self.rows.len().saturating_sub(1).max(1) as f32;
        let around = Rect::at(
            self.bar.start as i32 - self.stroke as i32,
            self.rows.start as i32 - self.stroke as i32,
        )
        .of_size(
            self.bar.len() as u32 + 2 * self.stroke,
            self.rows.len() as u32 + 2 * self.stroke,
        );
        draw_filled_rect_mut(canvas, around, RIM);
        for y in self.rows.clone() {
            let color = colormap.at((self.rows.end - 1 - y) as f32 / last);
            for x in self.bar.clone() {
                canvas.put_pixel(x, y, color);
            }
        }
    }

    /// A mark at the right edge of the bar and `label` beside it, for the value at `place` (0 at the bottom, 1 at the
    /// top).
    fn draw_label(&self, canvas: &mut RgbImage, fonts: &Fonts, place: f32, label: &str) {
        let last = self.rows.len().saturating_sub(1) as f32;
        let y = self.rows.start as f32 + (1.0 - place) * last;
        let top = (y - 0.5 * (self.stroke - 1) as f32).round() as u32;
        for y in top..(top + self.stroke).min(canvas.height()) {
            for x in self.bar.end..self.bar.end + self.gap * 3 / 5 {
                canvas.put_pixel(x, y, INK);
            }
        }
        let style = TextStyle {
            size: self.line,
            color: INK,
            backing: Backing::None,
        };
        let corner = (
            self.labels_left as i32,
            (y - 0.5 * self.line).round() as i32,
        );
        draw_text(canvas, fonts, corner, label, &style);
    }
}

/// Round numbers within a value range.
struct Ticks {
    range: ValueRange,
    /// Distance between two numbers.
    step: f64,
    /// Digits after the decimal point.
    decimals: usize,
}

impl Ticks {
    /// The finest of the steps 1, 2 and 5 (times a power of ten) into which the range divides fewer than `most` times
    /// (2 if that is less). A range may hold a single such number.
    fn new(range: ValueRange, most: f32) -> Self {
        let extent = f64::from(range.high) - f64::from(range.low);
        // A range without extent has no ticks.
        let extent = match extent.is_finite() && extent > 0.0 {
            true => extent,
            false => return Self::none(range),
        };
        let mut power = extent.log10().floor() as i32 - 2;
        let (step, power) = loop {
            let fits = [1.0, 2.0, 5.0]
                .into_iter()
                .map(|digit| digit * 10f64.powi(power))
                .find(|step| extent / step < f64::from(most.max(2.0)));
            match fits {
                Some(step) => break (step, power),
                None => power += 1,
            }
        };
        Self {
            range,
            step,
            decimals: (-power).max(0) as usize,
        }
    }

    /// No ticks.
    fn none(range: ValueRange) -> Self {
        Self {
            range,
            step: f64::INFINITY,
            decimals: 0,
        }
    }

    /// The position on the bar (0 at the bottom, 1 at the top) and the text of each number.
    fn values(&self) -> impl Iterator<Item = (f32, String)> {
        // So that a rounding error of the range does not lose a number at its very end.
        let slack = 1e-4;
        let first = (f64::from(self.range.low) / self.step - slack).ceil() as i64;
        let last = match self.step.is_finite() {
            true => (f64::from(self.range.high) / self.step + slack).floor() as i64,
            false => first.saturating_sub(1),
        };
        (first..=last).map(|i| {
            let value = i as f64 * self.step;
            let place = self.range.normalise(value as f32).clamp(0.0, 1.0);
            (place, format!("{value:.*}", self.decimals))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn numbers(low: f32, high: f32, most: f32) -> Vec<String> {
        Ticks::new(ValueRange::new(low, high), most)
            .values()
            .map(|(_, number)| number)
            .collect()
    }

    #[test]
    fn numbers_are_round_and_few() {
        assert_eq!(numbers(0.83, 4.61, 7.0), ["1", "2", "3", "4"]);
        assert_eq!(
            numbers(0.0, 10.0, 6.0),
            ["0", "2", "4", "6", "8", "10"].map(String::from)
        );
        assert_eq!(
            numbers(1.99, 2.012, 6.0),
            ["1.990", "1.995", "2.000", "2.005", "2.010"]
        );
        assert_eq!(numbers(3.0, 171.0, 5.0), ["50", "100", "150"]);
        for (low, high) in [(0.013, 0.0171), (0.5, 0.94), (2.2, 79.0), (7.01, 7.99)] {
            for most in 3..12 {
                let count = numbers(low, high, most as f32).len();
                assert!(
                    (1..=most + 1).contains(&count),
                    "{low} {high} {most}: {count}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_range_has_no_numbers() {
        let (nan, infinite) = (f32::NAN, f32::INFINITY);
        for (low, high) in [
            (nan, nan),
            (0.0, infinite),
            (-infinite, 1.0),
            (1.0, nan),
            (2.0, 2.0),
            (3.0, 1.0),
        ] {
            let range = ValueRange { low, high };
            let ticks = Ticks::new(range, 6.0).values().count();
            assert_eq!(ticks, 0, "{low} {high}");
        }
        let widest = ValueRange {
            low: f32::MIN,
            high: f32::MAX,
        };
        assert!((2..=9).contains(&Ticks::new(widest, 6.0).values().count()));
        let thinnest = ValueRange {
            low: 1e-38,
            high: 2e-38,
        };
        assert!((1..=9).contains(&Ticks::new(thinnest, 6.0).values().count()));
    }

    fn bar<'a>(colormap: &'a Colormap, fonts: &'a Fonts) -> ScaleBar<'a> {
        ScaleBar {
            range: ValueRange::new(1.0, 5.0),
            colormap,
            unit: "m",
            prefix: "",
            end_labels: None,
            fonts,
        }
    }

    #[test]
    fn the_picture_is_kept_and_the_ends_have_the_right_colours() {
        let (red, map) = (Rgb([200, 0, 0]), Colormap::default());
        let picture = RgbImage::from_pixel(400, 300, red);
        let with = with_scale_bar(&picture, &bar(&map, &Fonts::built_in())).unwrap();
        assert_eq!(with.height(), 300);
        assert!((430..520).contains(&with.width()), "{}", with.width());
        assert!((0..400).all(|x| *with.get_pixel(x, 299) == red));
        let column: Vec<_> = (0..300).map(|y| *with.get_pixel(415, y)).collect();
        let inside: Vec<_> = column
            .iter()
            .filter(|&&pixel| pixel != PAPER && pixel != RIM)
            .collect();
        assert_eq!(*inside[0], map.at(1.0));
        assert_eq!(*inside[inside.len() - 1], map.at(0.0));
    }

    #[test]
    fn small_and_odd_pictures_get_readable_labels() {
        let map = Colormap::default();
        for (width, height) in [(1, 1), (8, 600), (3000, 40), (5000, 4000)] {
            let picture = RgbImage::from_pixel(width, height, Rgb([200, 0, 0]));
            let with = with_scale_bar(&picture, &bar(&map, &Fonts::built_in())).unwrap();
            assert!(
                with.height() >= height && with.height() as f32 >= FEWEST_LINES * SMALLEST_LINE
            );
            let ink = with.pixels().filter(|&&pixel| pixel == INK).count();
            assert!(ink > 10, "{width}x{height}: {ink}");
            let own = with
                .pixels()
                .filter(|&&pixel| pixel == Rgb([200, 0, 0]))
                .count();
            assert_eq!(own, (width * height) as usize);
        }
    }
}
