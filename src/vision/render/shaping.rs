//! Shaping of a line of text: from characters to outlines of glyphs with their positions, in ems.
//!
//! The line is split into runs of one direction (Unicode's bidirectional algorithm, UAX 9), script and face, which
//! HarfBuzz's port `harfrust` shapes one by one, so that Arabic letters join, marks attach to their letters, and Hebrew
//! runs from right to left.

use std::ops::Range;
use std::str::FromStr;

use ab_glyph::{Outline, OutlineCurve, Point, Rect, point};
use harfrust::font::glyph::bitmap::BitmapSource;
use harfrust::font::glyph::color::ColorGlyphVersion;
use harfrust::font::glyph::outline::{DrawMemory, DrawOptions, PathElement};
use harfrust::{Buffer, BufferFlags, Direction, Language, Script, ShapeOptions, ShaperFont, shape};
use unicode_bidi::BidiInfo;
use unicode_script::UnicodeScript;
use unicode_segmentation::UnicodeSegmentation;

use crate::vision::render::fonts::{Fonts, is_ignorable};

impl Fonts {
    /// The grapheme clusters of `text` that no face can draw, in order.
    pub fn missing<'t>(&self, text: &'t str) -> Vec<&'t str> {
        match self.is_built_in(text) {
            true => Vec::new(),
            false => missing_clusters(self, text),
        }
    }
}

/// The clusters of `text` of which no face draws anything, or lacks a part.
pub(super) fn missing_clusters<'t>(fonts: &Fonts, text: &'t str) -> Vec<&'t str> {
    let shaped = ShapedLine::new(fonts, text);
    // Per cluster: its first byte, whether any of it is drawn, and whether its face lacks a part of it.
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

/// A glyph at its position, in ems from the start of the baseline.
pub(super) struct ShapedGlyph {
    /// Its outline in units of its face; none for a space and for what cannot be drawn.
    pub outline: Option<Outline>,
    pub units_per_em: f32,
    pub x: f32,
    pub y: f32,
    /// Index of the first byte of its cluster in the text.
    pub cluster: usize,
    /// Its id in its face. Id 0, `.notdef`, replaces a letter that the face lacks, and is never drawn.
    pub id: harfrust::GlyphId,
}

impl ShapedGlyph {
    fn is_unknown(&self) -> bool {
        self.id == harfrust::GlyphId::NOTDEF
    }
}

/// A shaped line, from left to right.
#[derive(Default)]
pub(super) struct ShapedLine {
    pub glyphs: Vec<ShapedGlyph>,
    pub advance: f32,
}

/// A run of text of one direction, script and face.
struct ScriptRun {
    range: Range<usize>,
    face: usize,
    script: unicode_script::Script,
}

impl ShapedLine {
    pub fn new(fonts: &Fonts, text: &str) -> Self {
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
            // The outline of a coloured glyph may be merely the frame of its picture.
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

    /// The bounds of all outlines, in ems upwards from the baseline; empty if there are none.
    pub fn ink_bounds(&self) -> Rect {
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

/// Splits a run of one direction into runs of one face and script.
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

/// A path as an outline with its bounds; none if it encloses nothing.
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
