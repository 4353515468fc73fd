//! Text on pictures: measuring and drawing a line in any script.
//!
//! Sizes are line heights in pixels. Text is placed by its line box, whose height is that of the built-in font for
//! every text, so that texts of one size line up, whatever their script.

use ab_glyph::PxScale;
use image::{GrayImage, ImageBuffer, Luma, Pixel, Rgb, RgbImage};
use imageproc::drawing::{draw_filled_rect_mut, draw_text_mut, text_size};
use imageproc::pixelops::weighted_sum;
use imageproc::rect::Rect;

use crate::vision::render::fonts::{BUILT_IN_FONT, Fonts};
use crate::vision::render::text_layout::TextLayout;

/// The ground that keeps text readable on any picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// None: the ground is plain already.
    None,
    /// A rim of this colour around the letters.
    Halo(Rgb<u8>),
    /// A filled box of this colour around the line.
    Box(Rgb<u8>),
}

/// The size and the colours of text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextStyle {
    /// Line height in pixels.
    pub size: f32,
    /// Colour of the letters.
    pub color: Rgb<u8>,
    /// The ground behind them.
    pub backing: Backing,
}

impl TextStyle {
    /// Pixels by which the rim or the box reaches beyond the line box.
    pub fn margin(&self) -> u32 {
        match self.backing {
            Backing::None => 0,
            Backing::Halo(_) => halo_margin(self.size),
            Backing::Box(_) => (self.size / 5.0).round().max(2.0) as u32,
        }
    }
}

/// Width and height in pixels of the line box of `text`, without its backing.
pub fn measure_text(fonts: &Fonts, text: &str, size: f32) -> (u32, u32) {
    match fonts.is_built_in(text) {
        true => text_size(PxScale::from(size), &*BUILT_IN_FONT, text),
        false => (TextLayout::new(fonts, text, size).width, size.ceil() as u32),
    }
}

/// Draws `text` with the top left corner of its line box at `(x, y)`. What lies outside of the canvas is cut off.
pub fn draw_text(
    canvas: &mut RgbImage,
    fonts: &Fonts,
    (x, y): (i32, i32),
    text: &str,
    style: &TextStyle,
) {
    let margin = style.margin() as i32;
    match style.backing {
        Backing::None => {}
        Backing::Halo(color) => draw_halo(canvas, fonts, (x, y), text, style.size, color),
        Backing::Box(color) => {
            let (width, height) = measure_text(fonts, text, style.size);
            // Letters leave space above and below: half the margin there looks like the whole at the sides.
            let sides = (width + 2 * margin as u32, height + margin as u32);
            let corner = Rect::at(x - margin, y - margin / 2);
            draw_filled_rect_mut(canvas, corner.of_size(sides.0, sides.1), color);
        }
    }
    draw_letters(canvas, fonts, (x, y), text, style.size, style.color);
}

/// Draws the letters alone: letter by letter if the built-in font has them all, else shaped, from their coverage.
fn draw_letters<P>(
    canvas: &mut ImageBuffer<P, Vec<u8>>,
    fonts: &Fonts,
    (x, y): (i32, i32),
    text: &str,
    size: f32,
    color: P,
) where
    P: Pixel<Subpixel = u8>,
{
    if fonts.is_built_in(text) {
        draw_text_mut(
            canvas,
            color,
            x,
            y,
            PxScale::from(size),
            &*BUILT_IN_FONT,
            text,
        );
        return;
    }
    let Some(coverage) = TextLayout::new(fonts, text, size).coverage() else {
        return;
    };
    let (left, top) = (x + coverage.origin.0, y + coverage.origin.1);
    for (i, &share) in coverage
        .shares
        .iter()
        .enumerate()
        .filter(|(_, s)| **s > 0.0)
    {
        let (dx, dy) = (i % coverage.width, i / coverage.width);
        let at = (left + dx as i32, top + dy as i32);
        if let (Ok(x), Ok(y)) = (u32::try_from(at.0), u32::try_from(at.1))
            && let Some(pixel) = canvas.get_pixel_mut_checked(x, y)
        {
            *pixel = weighted_sum(*pixel, color, 1.0 - share, share);
        }
    }
}

/// Draws the rim: the letters' coverage dilated by a disc, since the corners of a square would show on large letters.
fn draw_halo(
    canvas: &mut RgbImage,
    fonts: &Fonts,
    (x, y): (i32, i32),
    text: &str,
    size: f32,
    color: Rgb<u8>,
) {
    let margin = halo_margin(size);
    let (width, height) = measure_text(fonts, text, size);
    // Shaped letters may reach a little beyond their line box.
    let edge = match fonts.is_built_in(text) {
        true => 2 * margin,
        false => 3 * margin + 2,
    };
    let (width, height) = (width + 2 * edge, height + 2 * edge);
    let mut letters = GrayImage::new(width, height);
    let inset = edge as i32;
    draw_letters(&mut letters, fonts, (inset, inset), text, size, Luma([255]));
    let (stride, reach) = (width as usize, margin as usize);
    let mut grown = vec![0u8; letters.len()];
    for dy in 0..=2 * reach {
        for dx in 0..=2 * reach {
            let (far_x, far_y) = (dx.abs_diff(reach), dy.abs_diff(reach));
            if far_x * far_x + far_y * far_y > reach * reach + reach {
                continue;
            }
            // The edge is so wide that what wraps around the end of a row is empty.
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

/// Width of the rim for text of a line height of `size`, in pixels.
fn halo_margin(size: f32) -> u32 {
    (size / 12.0).round().max(1.0) as u32
}

/// Black or white, whichever is easier to read on `ground`.
pub fn contrasting_color(ground: Rgb<u8>) -> Rgb<u8> {
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
        draw_text(&mut canvas, &Fonts::built_in(), at, "chair", &style);
        canvas
    }

    fn count(canvas: &RgbImage, color: Rgb<u8>) -> usize {
        canvas.pixels().filter(|&&pixel| pixel == color).count()
    }

    #[test]
    fn letters_stay_in_their_line_box() {
        let (width, height) = measure_text(&Fonts::built_in(), "chair", 18.0);
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
    fn letters_of_all_scripts_stand_on_one_line() {
        let fonts = crate::vision::render::text_layout::tests::all_fonts();
        // Rows with ink, of words that reach neither below the baseline nor above the capitals by much.
        let rows = |text: &str, backing| {
            let mut canvas = RgbImage::from_pixel(400, 80, Rgb([128; 3]));
            let style = TextStyle {
                size: 60.0,
                color: BLACK,
                backing,
            };
            draw_text(&mut canvas, &fonts, (10, 10), text, &style);
            let inked = |y: &u32| (0..400).any(|x| *canvas.get_pixel(x, *y) == BLACK);
            let mut rows = (0..80).filter(inked);
            (rows.next().unwrap_or(0), rows.next_back().unwrap_or(0))
        };
        let (_, baseline) = rows("HE", Backing::None);
        for (text, reach) in [("חתו", 2), ("ท", 2), ("天空", 8)] {
            let (top, bottom) = rows(text, Backing::None);
            assert!(bottom.abs_diff(baseline) <= reach, "{text}: {bottom}");
            assert!((10..36).contains(&top), "{text}: {top}");
            let haloed = rows(text, Backing::Halo(WHITE));
            assert_eq!((top, bottom), haloed, "{text}: the rim lies behind");
        }
        let (width, height) = measure_text(&fonts, "天空", 60.0);
        assert_eq!(height, 60);
        // Two squares as wide as the em, which is 1 / 1.17 of a line.
        assert!((102..106).contains(&width), "{width}");
    }

    #[test]
    fn ink_suits_the_ground() {
        assert_eq!(contrasting_color(Rgb([250, 240, 60])), BLACK);
        assert_eq!(contrasting_color(Rgb([60, 20, 160])), WHITE);
    }
}
