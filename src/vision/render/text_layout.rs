//! Layout of a shaped line of text in pixels, and the coverage of its glyphs. All faces share the baseline and the line
//! box of the built-in font.

use std::ops::Range;

use ab_glyph::{Font as _, GlyphId, Outline, OutlinedGlyph, PxScaleFactor, Rect, point};

use crate::vision::render::fonts::{BUILT_IN_FONT, Fonts};
use crate::vision::render::shaping::ShapedLine;

/// How far letters may reach above and below the line box, as a share of its height.
const OVERHANG: f32 = 0.12;
/// Text whose letters reach further is drawn smaller, down to this share of its size; the rest is cut off.
const MIN_SCALE: f32 = 0.5;

/// A line of text in pixels, with the upper left corner of its line box at the origin.
pub struct TextLayout {
    glyphs: Vec<OutlinedGlyph>,
    /// Width of the line box.
    pub width: u32,
    /// Rows within which letters are drawn.
    rows: Range<i32>,
}

/// The share of each pixel that letters cover.
pub struct GlyphCoverage {
    /// Column and row of the first pixel, relative to the line box.
    pub origin: (i32, i32),
    /// Number of columns.
    pub width: usize,
    /// 0..1, row by row.
    pub shares: Vec<f32>,
}

impl TextLayout {
    /// Lays `text` out in a line of `size` pixels. Letters that no face has leave a gap.
    pub fn new(fonts: &Fonts, text: &str, size: f32) -> Self {
        let shaped = ShapedLine::new(fonts, text);
        // Ascent and descent of the line box, in ems; below the baseline is negative.
        let em = BUILT_IN_FONT.units_per_em().unwrap_or(1000.0);
        let (ascent, descent) = (
            BUILT_IN_FONT.ascent_unscaled() / em,
            BUILT_IN_FONT.descent_unscaled() / em,
        );
        let slack = OVERHANG * (ascent - descent);
        let ink = shaped.ink_bounds();
        let scale = [(ascent + slack, ink.max.y), (slack - descent, -ink.min.y)]
            .into_iter()
            .map(|(room, needed)| room / needed.max(room))
            .fold(1.0, f32::min)
            .max(MIN_SCALE);
        let pixels = scale * size / (ascent - descent);
        let baseline = size * ascent / (ascent - descent);
        // Letters may reach beyond both ends of the advance.
        let left = (-ink.min.x).max(0.0) * pixels;
        let right = shaped.advance.max(ink.max.x) * pixels;
        let glyphs = shaped.glyphs.into_iter().filter_map(|glyph| {
            let factor = pixels / glyph.units_per_em;
            let at = point(left + pixels * glyph.x, baseline - pixels * glyph.y);
            let Outline { bounds, curves } = glyph.outline?;
            // ab_glyph counts rows downwards, so that the highest is the minimum.
            let outline = Outline {
                bounds: Rect {
                    min: point(bounds.min.x, bounds.max.y),
                    max: point(bounds.max.x, bounds.min.y),
                },
                curves,
            };
            let id = GlyphId(0).with_scale_and_position(size, at);
            let factor = PxScaleFactor {
                horizontal: factor,
                vertical: factor,
            };
            Some(OutlinedGlyph::new(id, outline, factor))
        });
        let slack = (OVERHANG * size).ceil() as i32 + 1;
        Self {
            glyphs: glyphs.collect(),
            width: (left + right).ceil() as u32 + 1,
            rows: -slack..size.ceil() as i32 + slack,
        }
    }

    /// The coverage of the whole line; none if nothing is drawn.
    pub fn coverage(&self) -> Option<GlyphCoverage> {
        let bounds = self.glyphs.iter().map(OutlinedGlyph::px_bounds);
        let bounds = bounds.reduce(|a, b| Rect {
            min: point(a.min.x.min(b.min.x), a.min.y.min(b.min.y)),
            max: point(a.max.x.max(b.max.x), a.max.y.max(b.max.y)),
        })?;
        let (left, right) = (bounds.min.x as i32, bounds.max.x as i32);
        let top = (bounds.min.y as i32).max(self.rows.start);
        let bottom = (bounds.max.y as i32).min(self.rows.end).max(top);
        let width = (right - left).max(0) as usize;
        let mut shares = vec![0f32; width * (bottom - top) as usize];
        for glyph in &self.glyphs {
            let corner = glyph.px_bounds().min;
            let (x, y) = (corner.x as i32 - left, corner.y as i32 - top);
            glyph.draw(|dx, dy, share| {
                let (x, y) = (x + dx as i32, y + dy as i32);
                let inside = (0..width as i32).contains(&x) && (0..bottom - top).contains(&y);
                if inside && let Some(sum) = shares.get_mut(y as usize * width + x as usize) {
                    // Joined letters share a border, which must not show.
                    *sum = (*sum + share.clamp(0.0, 1.0)).min(1.0);
                }
            });
        }
        Some(GlyphCoverage {
            origin: (left, top),
            width,
            shares,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::vision::render::FontFace;
    use crate::vision::render::shaping::missing_clusters as missing;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fonts");

    /// Arabic, Devanagari, Thai, Hebrew and Chinese, a few letters each.
    pub fn scripts() -> Vec<FontFace> {
        FontFace::parse_all(std::fs::read(format!("{FOLDER}/scripts.ttc")).unwrap())
    }

    /// The built-in font, and the five scripts behind it.
    pub fn all_fonts() -> Fonts {
        let mut fonts = Fonts::built_in();
        scripts().into_iter().for_each(|face| fonts.push(face));
        fonts
    }

    #[test]
    fn words_are_shaped_as_harfbuzz_does() {
        #[derive(serde::Deserialize)]
        struct Word {
            face: usize,
            word: String,
            glyphs: Vec<(u32, i32, i32)>,
        }
        let words = std::fs::read(format!("{FOLDER}/shaped.json")).unwrap();
        let words: Vec<Word> = serde_json::from_slice(&words).unwrap();
        assert_eq!(words.len(), 12);
        for Word { face, word, glyphs } in words {
            let alone = Fonts::preferring(vec![scripts().swap_remove(face)]);
            // The same whether the face is the first or found among others.
            for fonts in [alone, all_fonts()] {
                let shaped = ShapedLine::new(&fonts, &word);
                let found = shaped.glyphs.iter().map(|glyph| {
                    let units = |ems: f32| (ems * glyph.units_per_em).round() as i32;
                    (glyph.id.to_u32(), units(glyph.x), units(glyph.y))
                });
                assert_eq!(found.collect::<Vec<_>>(), glyphs, "{word}");
                assert_eq!(missing(&fonts, &word), [""; 0], "{word}");
            }
        }
    }

    /// Index of the first byte of each glyph's cluster, from left to right.
    fn order(text: &str) -> Vec<usize> {
        let shaped = ShapedLine::new(&all_fonts(), text);
        assert!(shaped.glyphs.is_sorted_by(|a, b| a.x <= b.x), "{text}");
        shaped.glyphs.iter().map(|glyph| glyph.cluster).collect()
    }

    #[test]
    fn both_directions_find_their_places() {
        // Hebrew letters have two bytes.
        assert_eq!(order("חתול"), [6, 4, 2, 0]);
        assert_eq!(order("a חתול b"), [0, 1, 8, 6, 4, 2, 10, 11]);
        // A line that begins from right to left continues so, but for the number in it.
        assert_eq!(order("חתול 12"), [9, 10, 8, 6, 4, 2, 0]);
        // What is isolated does not carry the number off.
        let isolated = "\u{2068}חתול\u{2069} 12";
        // The space stands for the removed end of the isolate too.
        assert_eq!(order(isolated), [9, 7, 5, 3, 11, 15, 16]);
    }

    #[test]
    fn what_no_face_has_is_told_and_left_out() {
        let fonts = all_fonts();
        assert_eq!(missing(&fonts, "a猫 虎🐱b"), ["虎", "🐱"]);
        assert_eq!(missing(&Fonts::built_in(), "हि"), ["हि"]);
        let line = |text| TextLayout::new(&fonts, text, 20.0);
        assert!(line("虎🐱").coverage().is_none(), "no boxes");
        assert!(TextLayout::new(&fonts, "", 20.0).coverage().is_none());
        assert_eq!(line("a虎").width, line("a\u{200D}").width);
    }

    #[test]
    fn letters_stay_near_their_line_box() {
        let fonts = all_fonts();
        let pile = format!("e{}", "\u{5B8}".repeat(40));
        for text in ["天空", "ท้องฟ้าที่", "क्षेत्र", "שָׁמַיִם", "قطة", &pile]
        {
            for size in [9.0, 16.0, 37.5, 160.0] {
                let line = TextLayout::new(&fonts, text, size);
                let GlyphCoverage {
                    origin,
                    width,
                    shares,
                } = line.coverage().unwrap();
                let rows = (shares.len() / width) as i32;
                let slack = (OVERHANG * size).ceil() as i32 + 1;
                assert!(origin.1 >= -slack, "{text} {size}: {origin:?}");
                assert!(
                    origin.1 + rows <= size.ceil() as i32 + slack,
                    "{text} {size}"
                );
                assert!(origin.0 >= 0, "{text}");
                assert!(origin.0 + width as i32 <= line.width as i32 + 1, "{text}");
                assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
                let ink: f32 = shares.iter().sum();
                assert!(ink > 0.05 * size * size, "{text} {size}: {ink}");
            }
        }
    }
}
