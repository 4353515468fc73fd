//! A legend beside or below a picture: a line for each entry, with colour, name and share, in the order given.
//!
//! Its letters grow with the picture but never become too small to read; where the picture is smaller than its legend,
//! the canvas grows. Entries that do not fit are summed up in the last line.

use image::{Rgb, RgbImage};
use imageproc::drawing::{draw_filled_rect_mut, draw_hollow_rect_mut, draw_line_segment_mut};
use imageproc::rect::Rect;

use crate::error::Result;
use crate::vision::render::compose;
use crate::vision::render::fonts::Fonts;
use crate::vision::render::page_colors::{INK, PAPER};
use crate::vision::render::text::{Backing, TextStyle, draw_text, measure_text};

/// One line of a legend.
#[derive(Debug, Clone, PartialEq)]
pub struct LegendEntry {
    /// The text of the line.
    pub name: String,
    /// The mark before the name.
    pub swatch: Swatch,
    /// Its share of the picture, 0..1.
    pub share: f64,
}

/// The mark before the name of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swatch {
    /// A square of the colour that it has in the picture, sRGB.
    Color([u8; 3]),
    /// An empty square with a diagonal: the photo shows there.
    Photo,
    /// No mark.
    None,
}

/// Colour of shares, and of entries without a colour.
const FAINT: Rgb<u8> = Rgb([112; 3]);

/// Lines that are shown in any case, however small the picture is.
const LINES: usize = 8;

/// The line height in pixels for text on a picture of (width, height): a 24th of the short side, 16..=160.
pub fn text_size((width, height): (u32, u32)) -> f32 {
    (width.min(height) as f32 / 24.0).clamp(16.0, 160.0)
}

/// A share of 0..1 in percent, such as `12.3%`; `<0.1%` for what would round to 0, and `100%` without decimals.
pub fn format_percent(share: f64) -> String {
    match share * 100.0 {
        p if p >= 99.95 => "100%".into(),
        p if p < 0.05 && p > 0.0 => "<0.1%".into(),
        p => format!("{p:.1}%"),
    }
}

/// The picture with its legend: at the right, or below a picture that is at least twice as wide as it is high.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the canvas does not fit.
pub fn with_legend(picture: &RgbImage, entries: &[LegendEntry], fonts: &Fonts) -> Result<RgbImage> {
    let (width, height) = picture.dimensions();
    if entries.is_empty() {
        return compose::canvas((width, height), PAPER, &[(picture, (0, 0))]);
    }
    let style = LegendStyle::new(text_size((width, height)), fonts);
    let below = width >= 2 * height;
    let measured = LegendColumns::measure(entries, &style);
    let (columns, lines) = match below {
        true => {
            let columns = ((width.saturating_sub(style.margin)) / measured.width()).max(1) as usize;
            let fitting = height / 2 / style.line_height;
            (columns, LINES.div_ceil(columns).max(fitting as usize))
        }
        false => {
            let fitting = height.saturating_sub(2 * style.margin) / style.line_height;
            (1, LINES.max(fitting as usize))
        }
    };
    let shown = fit_entries(entries, columns * lines);
    let rows = shown.len().div_ceil(columns) as u32;
    let block = (
        measured.width() * (shown.len().min(columns)) as u32 + style.margin,
        rows * style.line_height + 2 * style.margin,
    );
    let (canvas, origin) = match below {
        true => ((width.max(block.0), height + block.1), (0, height)),
        false => ((width + block.0, height.max(block.1)), (width, 0)),
    };
    let mut both = compose::canvas(canvas, PAPER, &[(picture, (0, 0))])?;
    for (index, entry) in shown.iter().enumerate() {
        let (column, row) = ((index % columns) as u32, (index / columns) as u32);
        let x = origin.0 + style.margin + column * measured.width();
        let y = origin.1 + style.margin + row * style.line_height;
        measured.draw(&mut both, (x as i32, y as i32), entry, &style);
    }
    Ok(both)
}

/// The entries for at most `max_lines` lines; the last line sums up those that do not fit.
fn fit_entries(entries: &[LegendEntry], max_lines: usize) -> Vec<LegendEntry> {
    if entries.len() <= max_lines {
        return entries.to_vec();
    }
    let (shown, others) = entries.split_at(max_lines.max(1) - 1);
    let rest = LegendEntry {
        name: format!("{} more", others.len()),
        swatch: Swatch::None,
        share: others.iter().map(|entry| entry.share).sum(),
    };
    shown.iter().cloned().chain([rest]).collect()
}

/// The fonts, and sizes in pixels that follow from the line height of the text.
struct LegendStyle<'a> {
    fonts: &'a Fonts,
    text_size: f32,
    line_height: u32,
    margin: u32,
    swatch: u32,
}

impl<'a> LegendStyle<'a> {
    fn new(text_size: f32, fonts: &'a Fonts) -> Self {
        Self {
            fonts,
            text_size,
            line_height: (text_size * 1.35).round() as u32,
            margin: (text_size * 0.7).round() as u32,
            swatch: (text_size * 0.85).round() as u32,
        }
    }

    fn width(&self, text: &str) -> u32 {
        measure_text(self.fonts, text, self.text_size).0
    }
}

/// The widths of the columns of all lines, in pixels.
struct LegendColumns {
    swatch: u32,
    name: u32,
    share: u32,
    gap: u32,
}

impl LegendColumns {
    fn measure(entries: &[LegendEntry], style: &LegendStyle<'_>) -> Self {
        let widths = entries.iter().map(|entry| style.width(&entry.name));
        Self {
            swatch: style.swatch,
            name: widths.max().unwrap_or(0).max(style.width("00 more")),
            share: style.width("00.0%"),
            gap: (style.text_size * 0.45).round() as u32,
        }
    }

    /// The width of one line, with the space at its right.
    fn width(&self) -> u32 {
        self.swatch + self.gap + self.name + 2 * self.gap + self.share + 2 * self.gap
    }

    fn draw(
        &self,
        canvas: &mut RgbImage,
        (x, y): (i32, i32),
        entry: &LegendEntry,
        style: &LegendStyle<'_>,
    ) {
        let text = |color| TextStyle {
            size: style.text_size,
            color,
            backing: Backing::None,
        };
        let top = y + ((style.text_size - self.swatch as f32) / 2.0).round() as i32;
        let square = Rect::at(x, top).of_size(self.swatch, self.swatch);
        match entry.swatch {
            Swatch::Color(color) => draw_filled_rect_mut(canvas, square, Rgb(color)),
            Swatch::Photo => {
                draw_hollow_rect_mut(canvas, square, FAINT);
                let (left, right) = (square.left() as f32, square.right() as f32);
                let (upper, lower) = (square.top() as f32, square.bottom() as f32);
                draw_line_segment_mut(canvas, (left, lower), (right, upper), FAINT);
            }
            Swatch::None => {}
        }
        let name_at = x + (self.swatch + self.gap) as i32;
        let ink = match entry.swatch {
            Swatch::Color(_) => INK,
            Swatch::Photo | Swatch::None => FAINT,
        };
        draw_text(canvas, style.fonts, (name_at, y), &entry.name, &text(ink));
        // Right-aligned.
        let share = format_percent(entry.share);
        let width = style.width(&share);
        let share_at = name_at + (self.name + 2 * self.gap + self.share) as i32 - width as i32;
        draw_text(canvas, style.fonts, (share_at, y), &share, &text(FAINT));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entries(count: usize) -> Vec<LegendEntry> {
        let entry = |i: usize| LegendEntry {
            name: format!("class {i}"),
            swatch: Swatch::Color([i as u8, 200, 30]),
            share: 1.0 / count as f64,
        };
        (0..count).map(entry).collect()
    }

    #[test]
    fn the_picture_itself_is_untouched_and_every_swatch_is_there() {
        for size in [(1, 1), (40, 3000), (3000, 40), (640, 480), (480, 640)] {
            let picture = RgbImage::from_pixel(size.0, size.1, Rgb([1, 2, 3]));
            let both = with_legend(&picture, &entries(6), &Fonts::built_in()).unwrap();
            let (width, height) = both.dimensions();
            assert!(width > size.0 || height > size.1);
            let same = picture
                .enumerate_pixels()
                .all(|(x, y, pixel)| both.get_pixel(x, y) == pixel);
            assert!(same, "{size:?}");
            for entry in entries(6) {
                let is_it = |p: &&Rgb<u8>| Swatch::Color(p.0) == entry.swatch;
                let count = both.pixels().filter(is_it).count();
                assert!(count >= 144, "{size:?}: {count} pixels of {}", entry.name);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_summed_up() {
        let shown = fit_entries(&entries(100), 8);
        assert_eq!(shown.len(), 8);
        assert_eq!(
            (shown[7].name.as_str(), shown[7].swatch),
            ("93 more", Swatch::None)
        );
        assert!((shown[7].share - 0.93).abs() < 1e-9);
        assert_eq!(fit_entries(&entries(8), 8), entries(8));
        let picture = RgbImage::new(320, 240);
        let all = with_legend(&picture, &entries(100), &Fonts::built_in()).unwrap();
        assert_eq!(
            all.height(),
            240,
            "the picture is high enough for ten lines"
        );
    }

    #[test]
    fn what_shows_the_photo_has_an_empty_square() {
        let picture = RgbImage::from_pixel(640, 480, Rgb([1, 2, 3]));
        let with = |swatch| {
            let entry = LegendEntry {
                name: String::new(),
                swatch,
                share: 0.0,
            };
            let both = with_legend(&picture, &[entry], &Fonts::built_in()).unwrap();
            both.pixels().filter(|pixel| **pixel == FAINT).count()
        };
        let side = (text_size((640, 480)) * 0.85).round() as usize;
        let lines = with(Swatch::Photo) - with(Swatch::None);
        assert!(
            (4 * side..6 * side).contains(&(lines + 4)),
            "{lines} of {side}"
        );
    }

    #[test]
    fn shares_are_short() {
        let found = [1.0, 0.1234, 0.0001, 0.0, 0.9999].map(format_percent);
        assert_eq!(found, ["100%", "12.3%", "<0.1%", "0.0%", "100%"]);
    }
}
