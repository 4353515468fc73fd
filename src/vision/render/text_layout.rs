//! From a line of text to outlines of glyphs: parts of one direction (UAX 9), script and face are shaped one by one,
//! so that Arabic letters join, marks stand on their letters, and Hebrew runs from right to left.
//!
//! All sizes are those of the built-in font, whose baseline every face shares.

use std::ops::Range;
use std::str::FromStr;

use ab_glyph::{
    Font as _, GlyphId, Outline, OutlineCurve, OutlinedGlyph, Point, PxScaleFactor, Rect, point,
};
use harfrust::font::glyph::bitmap::BitmapSource;
use harfrust::font::glyph::color::ColorGlyphVersion;
use harfrust::font::glyph::outline::{DrawMemory, DrawOptions, PathElement};
use harfrust::{Buffer, BufferFlags, Direction, Language, Script, ShapeOptions, ShaperFont, shape};
use unicode_bidi::BidiInfo;
use unicode_script::UnicodeScript;
use unicode_segmentation::UnicodeSegmentation;

use crate::vision::render::fonts::{BUILT_IN_FONT, Fonts, is_ignorable};

/// How far letters may rise above and hang below the line box, as a part of its height.
const OVERHANG: f32 = 0.12;
/// Text whose letters rise higher is drawn smaller, down to this part of its size; what is higher still is cut off.
const MIN_SCALE: f32 = 0.5;

/// A line of text in pixels, its line box at the origin.
pub struct TextLayout {
    glyphs: Vec<OutlinedGlyph>,
    /// Columns that it takes.
    pub width: u32,
    /// Rows beyond which nothing is drawn.
    rows: Range<i32>,
}

/// How much of each pixel letters cover.
pub struct GlyphCoverage {
    /// Column and row of the first pixel, relative to the line box.
    pub origin: (i32, i32),
    /// Columns.
    pub width: usize,
    /// 0 to 1, row by row.
    pub shares: Vec<f32>,
}

impl TextLayout {
    /// Lays `text` out in a line of `size` pixels. What no face has leaves a gap.
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
        // Letters may hang over at both ends.
        let left = (-ink.min.x).max(0.0) * pixels;
        let right = shaped.advance.max(ink.max.x) * pixels;
        let glyphs = shaped.glyphs.into_iter().filter_map(|glyph| {
            let factor = pixels / glyph.units_per_em;
            let at = point(left + pixels * glyph.x, baseline - pixels * glyph.y);
            let Outline { bounds, curves } = glyph.outline?;
            // Rows count downwards there, so the highest comes first.
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

    /// Coverage of the whole line; none if nothing is drawn.
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
                    // Letters that join share a border, which must not show.
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

/// The parts of `text` that no face draws.
pub fn missing<'t>(fonts: &Fonts, text: &'t str) -> Vec<&'t str> {
    let shaped = ShapedLine::new(fonts, text);
    // Per cluster its first byte and whether anything of it is drawn.
    let mut clusters: Vec<(usize, bool, bool)> = Vec::new();
    let mut glyphs: Vec<&ShapedGlyph> = shaped.glyphs.iter().collect();
    glyphs.sort_by_key(|glyph| glyph.cluster);
    for glyph in glyphs {
        let inked = glyph.outline.is_some();
        match clusters.last_mut().filter(|last| last.0 == glyph.cluster) {
            Some((_, any, unknown)) => {
                *any |= inked;
                *unknown |= glyph.is_unknown();
            }
            None => clusters.push((glyph.cluster, inked, glyph.is_unknown())),
        }
    }
    let ends = clusters.iter().skip(1).map(|&(start, ..)| start);
    let ends: Vec<usize> = ends.chain([text.len()]).collect();
    let parts = clusters.iter().zip(ends);
    parts
        .filter_map(|(&(start, inked, unknown), end)| {
            let part = text.get(start..end)?;
            let visible = |c: char| !c.is_whitespace() && !is_ignorable(c);
            (unknown || !inked && part.chars().any(visible)).then_some(part)
        })
        .collect()
}

/// A glyph where it belongs, in ems.
struct ShapedGlyph {
    /// None of a space and of what cannot be drawn.
    outline: Option<Outline>,
    units_per_em: f32,
    x: f32,
    y: f32,
    /// First byte of the text that it stands for.
    cluster: usize,
    /// In its face. The first is the box for a letter that the face lacks, and is never drawn.
    id: harfrust::GlyphId,
}

impl ShapedGlyph {
    fn is_unknown(&self) -> bool {
        self.id == harfrust::GlyphId::NOTDEF
    }
}

/// A line in ems, from left to right.
#[derive(Default)]
struct ShapedLine {
    glyphs: Vec<ShapedGlyph>,
    advance: f32,
}

/// Text of one direction, script and face.
struct ScriptRun {
    range: Range<usize>,
    face: usize,
    script: unicode_script::Script,
}

impl ShapedLine {
    fn new(fonts: &Fonts, text: &str) -> Self {
        let mut shaped = Self::default();
        let bidi = BidiInfo::new(text, None);
        for paragraph in &bidi.paragraphs {
            let (levels, runs) = bidi.visual_runs(paragraph, paragraph.range.clone());
            for run in runs {
                let rtl = levels.get(run.start).is_some_and(|level| level.is_rtl());
                let mut pieces = split_script_runs(fonts, text, run);
                if rtl {
                    pieces.reverse();
                }
                pieces
                    .iter()
                    .for_each(|piece| shaped.shape_run(fonts, text, piece, rtl));
            }
        }
        shaped
    }

    fn shape_run(&mut self, fonts: &Fonts, text: &str, piece: &ScriptRun, rtl: bool) {
        let Some(face) = fonts.faces.get(piece.face) else {
            return;
        };
        let Some(part) = text.get(piece.range.clone()) else {
            return;
        };
        let mut buffer = Buffer::new();
        buffer.push_str(part);
        buffer.set_direction(match rtl {
            true => Direction::RightToLeft,
            false => Direction::LeftToRight,
        });
        buffer.set_script(Script::from_str(piece.script.short_name()).ok());
        if piece.script == unicode_script::Script::Han {
            buffer.set_language(Language::new(fonts.han_language));
        }
        buffer.set_flags(BufferFlags::REMOVE_DEFAULT_IGNORABLES);
        let font = ShaperFont::new(&face.font);
        let units_per_em = f32::from(face.font.units_per_em());
        if shape(&font, &mut buffer, ShapeOptions::new()).is_err() {
            self.glyphs.push(ShapedGlyph {
                outline: None,
                units_per_em,
                x: self.advance,
                y: 0.0,
                cluster: piece.range.start,
                id: harfrust::GlyphId::NOTDEF,
            });
            return;
        }
        let outlines = face.font.outline_glyphs();
        let (colored, strikes) = (face.font.color_glyphs(), face.font.bitmap_strikes());
        let pictures = strikes.source() == Some(BitmapSource::Sbix);
        for (info, position) in buffer.glyph_infos().iter().zip(buffer.glyph_positions()) {
            let glyph = harfrust::GlyphId::new(info.glyph_id);
            let is_unknown = glyph == harfrust::GlyphId::NOTDEF;
            // The outline of a coloured glyph may be no more than the frame of its picture.
            let is_picture = colored
                .get_with_version(glyph, ColorGlyphVersion::ColrV1)
                .is_some()
                || pictures && strikes.select_bitmap(glyph, None).is_some();
            let ems = |units: i32| units as f32 / units_per_em;
            let mut path = Vec::new();
            if !is_unknown
                && !is_picture
                && let Some(outline) = outlines.get(glyph)
            {
                let options = DrawOptions::new();
                if outline
                    .draw(&options, DrawMemory::Scratch, &mut path)
                    .is_err()
                {
                    path.clear();
                }
            }
            self.glyphs.push(ShapedGlyph {
                outline: outline_from_path(&path),
                units_per_em,
                x: self.advance + ems(position.x_offset),
                y: ems(position.y_offset),
                cluster: piece.range.start + info.cluster as usize,
                id: glyph,
            });
            if !is_unknown {
                self.advance += ems(position.x_advance);
            }
        }
    }

    /// Around all outlines, in ems, upwards from the baseline; empty if there are none.
    fn ink_bounds(&self) -> Rect {
        let bounds = self.glyphs.iter().filter_map(|glyph| {
            let Rect { min, max } = glyph.outline.as_ref()?.bounds;
            let place = |p: Point| {
                point(
                    glyph.x + p.x / glyph.units_per_em,
                    glyph.y + p.y / glyph.units_per_em,
                )
            };
            Some((place(min), place(max)))
        });
        let (min, max) = bounds
            .reduce(|a, b| {
                (
                    point(a.0.x.min(b.0.x), a.0.y.min(b.0.y)),
                    point(a.1.x.max(b.1.x), a.1.y.max(b.1.y)),
                )
            })
            .unwrap_or_default();
        Rect { min, max }
    }
}

/// Cuts a run into pieces that one face draws in one script.
fn split_script_runs(fonts: &Fonts, text: &str, run: Range<usize>) -> Vec<ScriptRun> {
    use unicode_script::Script::{Common, Inherited, Unknown};
    let mut pieces: Vec<ScriptRun> = Vec::new();
    let Some(part) = text.get(run.clone()) else {
        return pieces;
    };
    for (at, cluster) in part.grapheme_indices(true) {
        let range = run.start + at..run.start + at + cluster.len();
        let face = fonts.face_for(cluster).unwrap_or(0);
        let script = cluster
            .chars()
            .map(|c| c.script())
            .find(|script| !matches!(script, Common | Inherited | Unknown));
        match pieces.last_mut() {
            Some(last)
                if last.face == face
                    && (last.script == Common || script.is_none_or(|own| own == last.script)) =>
            {
                last.range.end = range.end;
                last.script = script.unwrap_or(last.script);
            }
            _ => pieces.push(ScriptRun {
                range,
                face,
                script: script.unwrap_or(Common),
            }),
        }
    }
    pieces
}

/// A path as lines and curves with their bounds; none if it encloses nothing.
fn outline_from_path(path: &[PathElement]) -> Option<Outline> {
    let mut curves = Vec::new();
    let (mut first, mut at) = (Point::default(), Point::default());
    for element in path {
        match *element {
            PathElement::MoveTo { x, y } => (first, at) = (point(x, y), point(x, y)),
            PathElement::LineTo { x, y } => {
                curves.push(OutlineCurve::Line(at, point(x, y)));
                at = point(x, y);
            }
            PathElement::QuadTo { cx0, cy0, x, y } => {
                curves.push(OutlineCurve::Quad(at, point(cx0, cy0), point(x, y)));
                at = point(x, y);
            }
            PathElement::CurveTo {
                cx0,
                cy0,
                cx1,
                cy1,
                x,
                y,
            } => {
                let (a, b) = (point(cx0, cy0), point(cx1, cy1));
                curves.push(OutlineCurve::Cubic(at, a, b, point(x, y)));
                at = point(x, y);
            }
            PathElement::Close => {
                if at != first {
                    curves.push(OutlineCurve::Line(at, first));
                }
                at = first;
            }
        }
    }
    let points = curves.iter().flat_map(|curve| match *curve {
        OutlineCurve::Line(a, b) => [a, b, b, b],
        OutlineCurve::Quad(a, b, c) => [a, b, c, c],
        OutlineCurve::Cubic(a, b, c, d) => [a, b, c, d],
    });
    let bounds = points.map(|p| (p, p)).reduce(|a, b| {
        (
            point(a.0.x.min(b.0.x), a.0.y.min(b.0.y)),
            point(a.1.x.max(b.1.x), a.1.y.max(b.1.y)),
        )
    });
    let (min, max) = bounds?;
    let encloses = max.x > min.x && max.y > min.y;
    encloses.then_some(Outline {
        bounds: Rect { min, max },
        curves,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::vision::render::FontFace;

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

    /// First bytes of what the glyphs stand for, from left to right.
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
        // A line that begins from right to left goes on so, but for the number in it.
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
