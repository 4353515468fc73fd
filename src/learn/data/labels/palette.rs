//! Ids of masks with a palette: the indices count, unless its colours are those of the classes in another order, or its
//! greys are the ids. Programs such as Pillow sort palettes anew when they save a picture.

use super::colors::{self, ColorIds, ColorMeaning};
use super::mask::MaskReader;
use super::raster::LabelRaster;

impl MaskReader<'_> {
    /// Ids from indices and palette; which of the two counts is decided from the colours that are used.
    pub(super) fn ids_from_palette(
        &self,
        raster: &LabelRaster,
        indices: &[u8],
        palette: &[[u8; 3]],
        name: &str,
    ) -> Result<Vec<u16>, String> {
        let values: Vec<i64> = indices.iter().map(|&index| i64::from(index)).collect();
        let used = colors::distinct(indices.iter().copied());
        let is_ramp = used
            .iter()
            .all(|&index| palette.get(usize::from(index)) == Some(&[index; 3]));
        if is_ramp {
            return self.ids_from_numbers(raster, &values, 8, name);
        }
        if self.classes.is_empty() {
            return match self.contrary_greys(&used, palette) {
                true => self.ids_from_palette_greys(raster, &shades(indices, palette), name),
                false => self.ids_from_integers(raster, &values, name),
            };
        }
        let table = ColorIds::new(self.classes);
        let is_ignored = |index: u8| u16::from(index) == self.ignore;
        let color = |index: u8| palette.get(usize::from(index)).copied();
        let named = |index: u8| color(index).and_then(|color| table.get(color));
        let agrees = |index: u8| {
            let own = self.classes.get(usize::from(index));
            is_ignored(index) || own.is_some_and(|class| color(index) == Some(class.color))
        };
        let is_id = |index: u8| self.is_id(i64::from(index));
        // The colour is that of another class; black is too common to say anything.
        let contradicts = |index: u8| {
            !agrees(index)
                && color(index) != Some([0; 3])
                && matches!(named(index), Some(ColorMeaning::Class(_)))
        };
        let by_color = used.iter().all(|&index| match named(index) {
            Some(ColorMeaning::Class(_)) => true,
            // A void colour counts where the index itself can be no id.
            Some(ColorMeaning::Void) => !is_id(index),
            _ => is_ignored(index),
        });
        let contradicting = used.iter().filter(|&&index| contradicts(index)).count();
        let are_ids = used.iter().all(|&index| is_id(index));
        if used.iter().all(|&index| agrees(index)) {
            return self.ids_from_integers(raster, &values, name);
        }
        if by_color && (contradicting > 0 || !are_ids) {
            self.warnings.add(
                "palette in another order",
                name,
                "the colours of its palette are those of classes with other ids than its indices; the colours count",
            );
            let is_none = |index: u8| is_ignored(index) && usize::from(index) >= self.classes.len();
            let id = |index: u8| match named(index) {
                Some(ColorMeaning::Class(id)) if !is_none(index) => id,
                _ => self.ignore,
            };
            let ids: Vec<u16> = (0..=u8::MAX).map(id).collect();
            return Ok(indices
                .iter()
                .map(|&index| ids[usize::from(index)])
                .collect());
        }
        if self.contrary_greys(&used, palette) {
            return self.ids_from_palette_greys(raster, &shades(indices, palette), name);
        }
        // Grey ids from whose palette unused shades were removed, as Pillow does in GIF.
        let grey = |index: u8| match color(index) {
            Some([r, g, b]) if r == g && g == b => Some(r),
            _ => None,
        };
        let greys: Option<Vec<u8>> = used.iter().map(|&index| grey(index)).collect();
        if let Some(greys) = greys.filter(|greys| self.greys_are_ids(greys, are_ids)) {
            self.warnings.add(
                "ids as greys of a palette",
                name,
                format_args!(
                    "the greys of its palette ({} to {}) are ids that its indices are not; the greys count",
                    greys[0],
                    greys[greys.len() - 1]
                ),
            );
            return self.ids_from_integers(raster, &shades(indices, palette), name);
        }
        if !are_ids {
            let at = indices.iter().position(|&index| !is_id(index));
            let at = at.unwrap_or_default();
            let [r, g, b] = color(indices[at]).unwrap_or_default();
            return Err(format!(
                "has the palette index {} at pixel {}, which is no id ({}), and its colour ({r}, {g}, {b}) {}",
                indices[at],
                raster.pixel(at),
                self.id_range(),
                colors::nearest_color_message(color(indices[at]).unwrap_or_default(), self.classes),
            ));
        }
        if contradicting >= 2 && 2 * contradicting >= used.len() {
            self.warnings.add(
                "palette of other classes",
                name,
                "some colours of its palette are those of classes with other ids than its indices; the indices count",
            );
        }
        self.ids_from_integers(raster, &values, name)
    }

    /// Whether all colours of a palette are greys in an order that ids would not have, because a program sorted them,
    /// as Pillow does with pictures of few greys, white first.
    fn contrary_greys(&self, used: &[u8], palette: &[[u8; 3]]) -> bool {
        let greys: Option<Vec<u8>> = used
            .iter()
            .map(|&index| palette.get(usize::from(index)).map(|color| color[0]))
            .collect();
        let Some(greys) = greys else {
            return false;
        };
        let is_grey = |[r, g, b]: &[u8; 3]| r == g && g == b;
        let is_distinct = colors::distinct(greys.iter().copied()).len() == greys.len();
        // In a palette that was never filled all entries are equal.
        let is_filled = palette.iter().any(|color| color != &palette[0]) || greys != [0];
        if !palette.iter().all(is_grey) || !is_distinct || !is_filled {
            return false;
        }
        // Black at 0 and white at 1 are the usual display of two ids.
        let is_shown = |(&index, &grey): (&u8, &u8)| match grey {
            0 => index == 0,
            u8::MAX => index == 1,
            _ => false,
        };
        let is_ignored = |grey: u8| u16::from(grey) == self.ignore && grey < u8::MAX;
        let two = |&grey: &u8| grey == 0 || grey == u8::MAX || is_ignored(grey);
        let beyond = |&index: &u8| !self.is_id(i64::from(index));
        let black_and_white = palette.iter().all(|color| two(&color[0]));
        !greys.is_sorted()
            || (black_and_white
                && (greys.iter().any(|&grey| is_ignored(grey))
                    || used.iter().any(beyond)
                    || !used.iter().zip(&greys).all(is_shown)))
    }

    /// Ids from the greys of a palette, with a warning.
    fn ids_from_palette_greys(
        &self,
        raster: &LabelRaster,
        greys: &[i64],
        name: &str,
    ) -> Result<Vec<u16>, String> {
        self.warnings.add(
            "greys of a palette in another order",
            name,
            "its palette holds greys, in another order than ids would have; the greys count, not the indices",
        );
        self.ids_from_integers(raster, greys, name)
    }

    /// Whether the greys of a palette are the ids, rather than its indices.
    fn greys_are_ids(&self, greys: &[u8], indices_are_ids: bool) -> bool {
        let is_grey_id = |&grey: &u8| self.is_id(i64::from(grey));
        // Black and white alone are the usual display of two ids.
        let speaks = |&grey: &u8| grey > 0 && u16::from(grey) != self.ignore;
        self.id_count.is_some()
            && greys.is_sorted()
            && greys.iter().all(is_grey_id)
            && (!indices_are_ids || greys.iter().any(speaks))
    }
}

/// The grey of each index; 0 of indices beyond the palette.
fn shades(indices: &[u8], palette: &[[u8; 3]]) -> Vec<i64> {
    let shade = |index: &u8| palette.get(usize::from(*index)).map_or(0, |color| color[0]);
    indices
        .iter()
        .map(|index| i64::from(shade(index)))
        .collect()
}
