//! Words on pictures: measuring and drawing with the one font that is built in (Roboto Medium, see `font/`).
//!
//! Sizes are in pixels of line height. Text is placed by its line box, whose height is the same for every word, so
//! that words of one size line up.

use std::sync::LazyLock;

use ab_glyph::{FontRef, PxScale};
use image::{GrayImage, Luma, Rgb, RgbImage};
use imageproc::drawing::{draw_filled_rect_mut, draw_text_mut, text_size};
use imageproc::rect::Rect;

/// The built-in font.
static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    // The file is part of the program, and a test reads it.
    #[allow(clippy::expect_used)]
    FontRef::try_from_slice(include_bytes!("font/Roboto-Medium.ttf")).expect("the font is sound")
});

/// What keeps text readable on any ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// The ground is plain already.
    None,
    /// A rim around the letters.
    Halo(Rgb<u8>),
    /// A filled box around the line.
    Box(Rgb<u8>),
}

/// How text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextStyle {
    /// Height of a line in pixels.
    pub size: f32,
    /// Of the letters.
    pub color: Rgb<u8>,
    /// Behind them.
    pub backing: Backing,
}

impl TextStyle {
    /// Width of the rim or of the box beyond the line, in pixels.
    pub fn margin(&self) -> u32 {
        match self.backing {
            Backing::None => 0,
            Backing::Halo(_) => halo_margin(self.size),
            Backing::Box(_) => (self.size / 5.0).round().max(2.0) as u32,
        }
    }
}

/// Width and height of the line box of `text`, without any backing.
pub fn measure(text: &str, size: f32) -> (u32, u32) {
    text_size(PxScale::from(size), &*FONT, text)
}

/// Draws `text` with the top left corner of its line box at `(x, y)`. What lies outside of the canvas is cut off.
pub fn draw_text(canvas: &mut RgbImage, (x, y): (i32, i32), text: &str, style: &TextStyle) {
    let scale = PxScale::from(style.size);
    let margin = style.margin() as i32;
    match style.backing {
        Backing::None => {}
        Backing::Halo(color) => draw_halo(canvas, (x, y), text, style.size, color),
        Backing::Box(color) => {
            let (width, height) = measure(text, style.size);
            // Letters fill a line box unevenly: half the margin above and below looks like the whole at the sides.
            let sides = (width + 2 * margin as u32, height + margin as u32);
            let corner = Rect::at(x - margin, y - margin / 2);
            draw_filled_rect_mut(canvas, corner.of_size(sides.0, sides.1), color);
        }
    }
    draw_text_mut(canvas, style.color, x, y, scale, &*FONT, text);
}

/// Draws the rim: the letters' coverage, grown by a disc. A square's corners would show on large letters.
fn draw_halo(canvas: &mut RgbImage, (x, y): (i32, i32), text: &str, size: f32, color: Rgb<u8>) {
    let margin = halo_margin(size);
    let (width, height) = measure(text, size);
    // Letters may hang over their line box a little.
    let edge = 2 * margin;
    let (width, height) = (width + 2 * edge, height + 2 * edge);
    let mut letters = GrayImage::new(width, height);
    let scale = PxScale::from(size);
    let inset = edge as i32;
    draw_text_mut(&mut letters, Luma([255]), inset, inset, scale, &*FONT, text);
    let (stride, reach) = (width as usize, margin as usize);
    let mut grown = vec![0u8; letters.len()];
    for dy in 0..=2 * reach {
        for dx in 0..=2 * reach {
            let (far_x, far_y) = (dx.abs_diff(reach), dy.abs_diff(reach));
            if far_x * far_x + far_y * far_y > reach * reach + reach {
                continue;
            }
            // The edge is wide enough that what wraps around a line's end is empty.
            let shift = dy * stride + dx;
            let middle = reach * stride + reach;
            let shifted = letters.as_raw()[shift..].iter();
            let targets = grown[middle..].iter_mut();
            targets
                .zip(shifted)
                .for_each(|(to, from)| *to = (*to).max(*from));
        }
    }
    for (i, &cover) in grown.iter().enumerate().filter(|(_, cover)| **cover > 0) {
        let at = (
            i64::from(x) + (i % stride) as i64 - i64::from(edge),
            i64::from(y) + (i / stride) as i64 - i64::from(edge),
        );
        let (Ok(x), Ok(y)) = (u32::try_from(at.0), u32::try_from(at.1)) else {
            continue;
        };
        if let Some(pixel) = canvas.get_pixel_mut_checked(x, y) {
            let mix = |below: u8, above: u8| {
                let (below, above, cover) = (u32::from(below), u32::from(above), u32::from(cover));
                ((below * (255 - cover) + above * cover + 127) / 255) as u8
            };
            *pixel = Rgb(std::array::from_fn(|c| mix(pixel.0[c], color.0[c])));
        }
    }
}

fn halo_margin(size: f32) -> u32 {
    (size / 12.0).round().max(1.0) as u32
}

/// Black or white, whichever is easier to read on `ground`.
pub fn readable_on(ground: Rgb<u8>) -> Rgb<u8> {
    let Rgb([r, g, b]) = ground;
    // Rec. 601 luma.
    let luma = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
    match luma > 140_000 {
        true => Rgb([0; 3]),
        false => Rgb([255; 3]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: Rgb<u8> = Rgb([0; 3]);
    const WHITE: Rgb<u8> = Rgb([255; 3]);

    fn drawn(backing: Backing, at: (i32, i32)) -> RgbImage {
        let mut canvas = RgbImage::from_pixel(60, 24, Rgb([128; 3]));
        let style = TextStyle {
            size: 18.0,
            color: BLACK,
            backing,
        };
        draw_text(&mut canvas, at, "chair", &style);
        canvas
    }

    fn count(canvas: &RgbImage, color: Rgb<u8>) -> usize {
        canvas.pixels().filter(|&&pixel| pixel == color).count()
    }

    #[test]
    fn the_font_has_what_labels_need() {
        use ab_glyph::{Font, GlyphId};
        let signs = "0123456789.±×−–≤ m°ABCxyzäéçñßŁžШжΩ";
        for sign in signs.chars() {
            assert_ne!(FONT.glyph_id(sign), GlyphId(0), "{sign}");
        }
    }

    #[test]
    fn letters_stay_in_their_line_box() {
        let (width, height) = measure("chair", 18.0);
        let canvas = drawn(Backing::None, (2, 1));
        assert!(count(&canvas, BLACK) > 20);
        for (x, y, &pixel) in canvas.enumerate_pixels() {
            let inside = (2..2 + width).contains(&x) && (1..1 + height).contains(&y);
            assert!(inside || pixel == Rgb([128; 3]), "({x}, {y})");
        }
    }

    #[test]
    fn a_halo_surrounds_and_a_box_covers() {
        assert_eq!(count(&drawn(Backing::None, (4, 2)), WHITE), 0);
        let halo = count(&drawn(Backing::Halo(WHITE), (4, 2)), WHITE);
        let boxed = count(&drawn(Backing::Box(WHITE), (4, 2)), WHITE);
        assert!(halo > 50 && boxed > halo, "{halo} {boxed}");
    }

    #[test]
    fn text_beyond_the_edge_is_cut_off() {
        assert!(count(&drawn(Backing::Box(WHITE), (-20, -9)), BLACK) > 0);
        assert_eq!(
            count(&drawn(Backing::Halo(WHITE), (900, 900)), Rgb([128; 3])),
            60 * 24
        );
    }

    #[test]
    fn ink_suits_the_ground() {
        assert_eq!(readable_on(Rgb([250, 240, 60])), BLACK);
        assert_eq!(readable_on(Rgb([60, 20, 160])), WHITE);
    }
}
