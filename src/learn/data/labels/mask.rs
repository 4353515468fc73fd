//! Masks of class ids, from numbers, from colours that the list of classes names, or from a palette, whose indices
//! count unless its colours show that it was sorted in another order.
//!
//! In: a decoded raster and the list of classes. Out: a [`Mask`], and warnings about probable mistakes.

use std::collections::HashMap;
use std::path::Path;

use super::colors::{self, ColorIds, ColorMeaning};
use super::decode;
use super::label::Mask;
use super::raster::{LabelRaster, RasterContent};
use crate::error::{Error, Result};
use crate::io::output::MASK_CLASS_KEY;
use crate::model::head::Class;
use crate::terminal::warnings::Warnings;

/// Names of the array of masks in an archive of several, the surest first.
const KEYS: [&str; 9] = [
    "mask",
    "masks",
    "label",
    "labels",
    "segmentation",
    "seg",
    "ids",
    "gt",
    "arr_0",
];

/// Reads masks of class ids, with the list of classes that they are meant for.
#[derive(Debug, Clone)]
pub struct MaskReader<'a> {
    /// The classes by id, with their colours; empty where they are not known, so that colours are refused.
    pub classes: &'a [Class],
    /// Number of ids: numbers below it are ids. None where every number is one.
    pub id_count: Option<usize>,
    /// The id of pixels without a class.
    pub ignore: u16,
    /// Receives warnings about files that are probably not what the user meant.
    pub warnings: &'a Warnings,
}

impl MaskReader<'_> {
    /// Reads a mask: PNG, TIFF, GIF, BMP, PGM or WebP of numbers, of a palette or of the colours of classes, and NPY
    /// and NPZ of whole numbers. Ids beyond [`MaskReader::id_count`] are returned as they are.
    ///
    /// # Errors
    /// Where the file cannot be decoded, or holds a number that can be no id or a colour of no class, with the pixel.
    pub fn read(&self, path: &Path) -> Result<Mask> {
        let raster = decode::read(path, &KEYS)?;
        let name = path.display().to_string();
        let ids = self
            .ids_of(&raster, &name)
            .map_err(|why| Error::file(path, self.explain(&raster, why)))?;
        self.warn_of_format(&raster, &name);
        Ok(Mask {
            width: raster.width,
            height: raster.height,
            ids,
        })
    }

    /// The ids of a raster.
    fn ids_of(&self, raster: &LabelRaster, name: &str) -> Result<Vec<u16>, String> {
        if raster.is_own_picture() {
            return Err(
                "is a picture that dino drew to be looked at, not a mask; `dino segment --save ids` writes masks".into(),
            );
        }
        let ids = match &raster.content {
            RasterContent::Integers { values, bits } => {
                self.ids_from_numbers(raster, values, *bits, name)?
            }
            RasterContent::Booleans(values) => self.ids_from_integers(raster, values, name)?,
            RasterContent::Floats(values) => {
                let whole = values.iter().map(|&value| match value.fract() == 0.0 {
                    true => Some(value as i64),
                    false => None,
                });
                let whole: Option<Vec<i64>> = whole.collect();
                let whole = whole.ok_or_else(|| {
                    let at = values.iter().position(|value| value.fract() != 0.0);
                    let at = at.unwrap_or_default();
                    format!(
                        "holds {} at pixel {}; ids are whole numbers",
                        values[at],
                        raster.pixel(at)
                    )
                })?;
                self.ids_from_integers(raster, &whole, name)?
            }
            RasterContent::Indexed { indices, palette } => {
                self.ids_from_palette(raster, indices, palette, name)?
            }
            RasterContent::Colors(pixels) => self.ids_from_colors(raster, pixels, name)?,
            RasterContent::OtherColors(kind) => {
                return Err(format!(
                    "is a {} in {kind}; a mask holds ids, or 8-bit colours that the list of classes names",
                    raster.format
                ));
            }
        };
        self.remap_classes(raster, ids, name)
    }

    /// Ids from whole numbers: -1, and the number that the file states for no value, become the ignored id.
    pub(super) fn ids_from_integers(
        &self,
        raster: &LabelRaster,
        values: &[i64],
        name: &str,
    ) -> Result<Vec<u16>, String> {
        if values.contains(&-1) {
            self.warnings.add(
                "ids of -1",
                name,
                format_args!(
                    "has the id -1, which is taken for no class, as {} is",
                    self.ignore
                ),
            );
        }
        let is_none =
            |value: i64| value == -1 || (Some(value) == raster.nodata && !self.is_id(value));
        let id = |(at, &value): (usize, &i64)| match u16::try_from(value) {
            _ if is_none(value) => Ok(self.ignore),
            Ok(id) => Ok(id),
            Err(_) => Err(format!(
                "has the number {value} at pixel {}, which can be no class id; those go from 0 to 65535",
                raster.pixel(at)
            )),
        };
        values.iter().enumerate().map(id).collect()
    }

    /// Ids from whole numbers that may also be the grey colours of classes, or ids that were widened to 16 bits.
    pub(super) fn ids_from_numbers(
        &self,
        raster: &LabelRaster,
        values: &[i64],
        bits: u8,
        name: &str,
    ) -> Result<Vec<u16>, String> {
        if let Some(class) = raster.note(MASK_CLASS_KEY) {
            return self.ids_from_class_mask(values, class);
        }
        let found = colors::distinct(values.iter().copied());
        let are_ids = found.iter().all(|&value| self.is_id(value));
        if let Some(ids) = self.match_grey_colors(&found, false) {
            self.warnings.add(
                "grey colours of classes",
                name,
                "its numbers are no ids, but the grey colours of classes, and were read as such",
            );
            return Ok(values.iter().map(|value| ids[value]).collect());
        }
        // Some programs widen 8-bit ids to 16 bits as if they were brightness.
        let is_widened = bits == 16
            && self.id_count.is_some()
            && !are_ids
            && found.iter().all(|&v| v % 257 == 0 && self.is_id(v / 257));
        if is_widened {
            self.warnings.add(
                "ids times 257",
                name,
                "its 16-bit numbers are 8-bit ids times 257, and were read as those ids",
            );
            let narrow: Vec<i64> = values.iter().map(|value| value / 257).collect();
            return self.ids_from_integers(raster, &narrow, name);
        }
        self.ids_from_integers(raster, values, name)
    }

    /// By number, the ids of classes with grey colours, where the numbers `found` are such greys rather than ids.
    fn match_grey_colors(&self, found: &[i64], in_colors: bool) -> Option<HashMap<i64, u16>> {
        let table = ColorIds::new(self.classes);
        let id = |&value: &i64| {
            let grey = u8::try_from(value).ok()?;
            match table.get([grey; 3]) {
                Some(ColorMeaning::Class(id)) => Some((value, id)),
                _ => None,
            }
        };
        let ids: HashMap<i64, u16> = found.iter().map(id).collect::<Option<_>>()?;
        if ids.iter().all(|(&value, &id)| value == i64::from(id)) {
            return None; // Greys and ids are the same numbers.
        }
        let are_ids = found.iter().all(|&value| self.is_id(value));
        // The default colours have greys, too, which nobody chose.
        let is_chosen = |id: u16| {
            let id = usize::from(id);
            colors::is_chosen(&self.classes[id], id)
        };
        let ignored = ids.get(&i64::from(self.ignore));
        let hides_class = ignored.is_some_and(|&id| is_chosen(id));
        let is_meant = match are_ids && !in_colors {
            true => hides_class,
            false => ids.values().any(|&id| is_chosen(id)),
        };
        is_meant.then_some(ids)
    }

    /// Ids from the colours of classes; greys alone may also be ids.
    fn ids_from_colors(
        &self,
        raster: &LabelRaster,
        pixels: &[[u8; 3]],
        name: &str,
    ) -> Result<Vec<u16>, String> {
        if pixels.iter().all(|[r, g, b]| r == g && g == b) {
            let values: Vec<i64> = pixels.iter().map(|color| i64::from(color[0])).collect();
            let found = colors::distinct(values.iter().copied());
            return match self.match_grey_colors(&found, true) {
                Some(ids) => Ok(values.iter().map(|value| ids[value]).collect()),
                None => self.ids_from_integers(raster, &values, name),
            };
        }
        if self.classes.is_empty() {
            return Err(
                "is a picture in colours, not a mask of ids, and no list of classes says what its colours mean"
                    .into(),
            );
        }
        let table = ColorIds::new(self.classes);
        let mut void = 0usize;
        let mut ids = Vec::with_capacity(pixels.len());
        for &color in pixels {
            ids.push(match table.get(color) {
                Some(ColorMeaning::Class(id)) => id,
                Some(ColorMeaning::Void) => {
                    void += 1;
                    self.ignore
                }
                Some(ColorMeaning::Ambiguous(a, b)) => return Err(self.shared_color(color, a, b)),
                None => {
                    return Err(colors::unknown_color_message(
                        raster,
                        pixels,
                        &table,
                        self.classes,
                    ));
                }
            });
        }
        if void == pixels.len() {
            return Err(
                "has no colour of a class: all of it is void (black, or VOC's border)".into(),
            );
        }
        if void > 0 {
            self.warnings.add(
                "void colours",
                name,
                format_args!(
                    "{void} of its {} pixels are black or of VOC's border (224, 224, 192), which no class is; they are \
                     taken for no class, as {} is",
                    pixels.len(),
                    self.ignore
                ),
            );
        }
        Ok(ids)
    }

    /// Warns of lossy compression and of transparency.
    fn warn_of_format(&self, raster: &LabelRaster, name: &str) {
        if raster.is_lossy {
            self.warnings.add(
                "lossy mask",
                name,
                format_args!(
                    "is a {}, which blurs borders into numbers between the ids; all of them happen to be ids, but save masks \
                     as PNG",
                    raster.format
                ),
            );
        }
        if raster.transparent > 0 {
            self.warnings.add(
                "transparent mask",
                name,
                format_args!(
                    "{} of its {} pixels are not opaque; the id or colour under them counts",
                    raster.transparent,
                    raster.width * raster.height
                ),
            );
        }
    }

    /// Adds to the message of an error what in the format of the file may be its cause.
    fn explain(&self, raster: &LabelRaster, why: String) -> String {
        let mut why = why;
        if raster.is_lossy {
            why += &format!(
                "; it is a {}, which invents values between those of classes: save masks as PNG",
                raster.format
            );
        }
        if raster.transparent > 0 {
            why += &format!(
                "; {} of its pixels are not opaque, and what lies under them counts",
                raster.transparent
            );
        }
        why
    }

    /// The message for a colour that two classes have.
    fn shared_color(&self, [r, g, b]: [u8; 3], first: u16, second: u16) -> String {
        let name = |id: u16| &self.classes[usize::from(id)].name;
        format!(
            "has the colour ({r}, {g}, {b}), which the list gives to both {:?} and {:?}",
            name(first),
            name(second)
        )
    }

    /// Whether a number is an id of the list, or the ignored id.
    pub(super) fn is_id(&self, value: i64) -> bool {
        let below = |limit: usize| usize::try_from(value).is_ok_and(|value| value < limit);
        value == i64::from(self.ignore) || below(self.id_count.unwrap_or(usize::from(u16::MAX) + 1))
    }

    /// The range of ids, for messages.
    pub(super) fn id_range(&self) -> String {
        let last = self
            .id_count
            .unwrap_or(usize::from(u16::MAX) + 1)
            .saturating_sub(1);
        format!("0 to {last}, or {} for none", self.ignore)
    }
}
