//! Masks of class ids, from whatever people keep them in: numbers, colours that the list of classes names, or a palette,
//! whose indices count unless its colours say that it was sorted anew.

use std::collections::HashMap;
use std::path::Path;

use super::Mask;
use super::colors::{self, ColorIds, Named};
use super::raster::{self, Content, Raster};
use crate::error::{Error, Result};
use crate::head::Class;
use crate::output::{MASK_CLASS, MASK_CLASSES};
use crate::warnings::Warnings;

/// What the array of an archive with several is called, the surest name first.
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

/// Reads masks, and says what of a file is not as it was meant.
#[derive(Debug, Clone)]
pub struct MaskReader<'a> {
    /// What the ids stand for, by id, with their colours; empty where it is not known, and colours are refused.
    pub classes: &'a [Class],
    /// Numbers below this are ids; without it all are.
    pub ids: Option<usize>,
    /// The id of pixels without a class.
    pub ignore: u16,
    /// Where doubts go.
    pub warnings: &'a Warnings,
}

impl MaskReader<'_> {
    /// Reads a mask: PNG, TIFF, GIF, BMP, PGM or WebP of numbers, of a palette or of the classes' colours, and NPY and
    /// NPZ of whole numbers. Ids beyond [`MaskReader::ids`] are given as they are.
    ///
    /// # Errors
    /// Names the file, and the pixel and the number or colour that is no class's.
    pub fn read(&self, path: &Path) -> Result<Mask> {
        let raster = raster::read(path, &KEYS)?;
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

    fn ids_of(&self, raster: &Raster, name: &str) -> Result<Vec<u16>, String> {
        if raster.is_own_picture() {
            return Err(
                "is a picture that dino drew to be looked at, not a mask; `dino segment --save ids` writes masks".into(),
            );
        }
        let ids = match &raster.content {
            Content::Integers { values, bits } => self.of_numbers(raster, values, *bits, name)?,
            Content::Truths(values) => self.plain(raster, values, name)?,
            Content::Floats(values) => {
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
                self.plain(raster, &whole, name)?
            }
            Content::Indexed { indices, palette } => {
                self.of_palette(raster, indices, palette, name)?
            }
            Content::Colors(pixels) => self.of_colors(raster, pixels, name)?,
            Content::OtherColors(kind) => {
                return Err(format!(
                    "is a {} in {kind}; a mask holds ids, or 8-bit colours that the list of classes names",
                    raster.format
                ));
            }
        };
        self.of_other_classes(raster, ids, name)
    }

    /// Ids as numbers: at home in any type, with -1 for no class.
    fn plain(&self, raster: &Raster, values: &[i64], name: &str) -> Result<Vec<u16>, String> {
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

    /// One number a pixel: ids, or the grey of classes.
    fn of_numbers(
        &self,
        raster: &Raster,
        values: &[i64],
        bits: u8,
        name: &str,
    ) -> Result<Vec<u16>, String> {
        if let Some(class) = raster.note(MASK_CLASS) {
            return self.of_one_class(values, class);
        }
        let found = colors::distinct(values.iter().copied());
        let are_ids = found.iter().all(|&value| self.is_id(value));
        if let Some(ids) = self.as_greys(&found, false) {
            self.warnings.add(
                "grey colours of classes",
                name,
                "its numbers are no ids, but the grey colours of classes, and were read as such",
            );
            return Ok(values.iter().map(|value| ids[value]).collect());
        }
        // 8-bit ids that a program widened to 16 bits as if they were brightness.
        let is_widened = bits == 16
            && self.ids.is_some()
            && !are_ids
            && found.iter().all(|&v| v % 257 == 0 && self.is_id(v / 257));
        if is_widened {
            self.warnings.add(
                "ids times 257",
                name,
                "its 16-bit numbers are 8-bit ids times 257, and were read as those ids",
            );
            let narrow: Vec<i64> = values.iter().map(|value| value / 257).collect();
            return self.plain(raster, &narrow, name);
        }
        self.plain(raster, values, name)
    }

    /// The ids of greys that are classes' colours, where that is what they are: by number.
    fn as_greys(&self, found: &[i64], in_colors: bool) -> Option<HashMap<i64, u16>> {
        let table = ColorIds::new(self.classes);
        let id = |&value: &i64| {
            let grey = u8::try_from(value).ok()?;
            match table.get([grey; 3]) {
                Some(Named::Class(id)) => Some((value, id)),
                _ => None,
            }
        };
        let ids: HashMap<i64, u16> = found.iter().map(id).collect::<Option<_>>()?;
        if ids.iter().all(|(&value, &id)| value == i64::from(id)) {
            return None; // both readings are the same
        }
        let are_ids = found.iter().all(|&value| self.is_id(value));
        // The scheme that nameless colours come from has greys that nobody chose.
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

    fn of_colors(
        &self,
        raster: &Raster,
        pixels: &[[u8; 3]],
        name: &str,
    ) -> Result<Vec<u16>, String> {
        if pixels.iter().all(|[r, g, b]| r == g && g == b) {
            let values: Vec<i64> = pixels.iter().map(|color| i64::from(color[0])).collect();
            let found = colors::distinct(values.iter().copied());
            return match self.as_greys(&found, true) {
                Some(ids) => Ok(values.iter().map(|value| ids[value]).collect()),
                None => self.plain(raster, &values, name),
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
                Some(Named::Class(id)) => id,
                Some(Named::Void) => {
                    void += 1;
                    self.ignore
                }
                Some(Named::Classes(a, b)) => return Err(self.shared_color(color, a, b)),
                None => return Err(colors::unknown(raster, pixels, &table, self.classes)),
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

    /// Indices of a palette, unless all its colours are classes' and say otherwise.
    fn of_palette(
        &self,
        raster: &Raster,
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
            return self.of_numbers(raster, &values, 8, name);
        }
        if self.classes.is_empty() {
            return self.plain(raster, &values, name);
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
        // A colour of another class; of black alone too little can be said.
        let contradicts = |index: u8| {
            !agrees(index)
                && color(index) != Some([0; 3])
                && matches!(named(index), Some(Named::Class(_)))
        };
        let by_color = used.iter().all(|&index| match named(index) {
            Some(Named::Class(_)) => true,
            // Void is believed where the index itself can be no class's.
            Some(Named::Void) => !is_id(index),
            _ => is_ignored(index),
        });
        let contradicting = used.iter().filter(|&&index| contradicts(index)).count();
        let are_ids = used.iter().all(|&index| is_id(index));
        if used.iter().all(|&index| agrees(index)) {
            return self.plain(raster, &values, name);
        }
        if by_color && (contradicting > 0 || !are_ids) {
            self.warnings.add(
                "palette in another order",
                name,
                "the colours of its palette are those of classes with other ids than its indices; the colours count",
            );
            let is_none = |index: u8| is_ignored(index) && usize::from(index) >= self.classes.len();
            let id = |index: u8| match named(index) {
                Some(Named::Class(id)) if !is_none(index) => id,
                _ => self.ignore,
            };
            let ids: Vec<u16> = (0..=u8::MAX).map(id).collect();
            return Ok(indices
                .iter()
                .map(|&index| ids[usize::from(index)])
                .collect());
        }
        // Grey ids whose unused shades a program left out of the palette, as Pillow does in GIF.
        let grey = |index: u8| match color(index) {
            Some([r, g, b]) if r == g && g == b => Some(r),
            _ => None,
        };
        let greys: Option<Vec<u8>> = used.iter().map(|&index| grey(index)).collect();
        if let Some(greys) = greys.filter(|greys| self.are_meant(greys, are_ids)) {
            self.warnings.add(
                "ids as greys of a palette",
                name,
                format_args!(
                    "the greys of its palette ({} to {}) are ids that its indices are not; the greys count",
                    greys[0],
                    greys[greys.len() - 1]
                ),
            );
            let shade = |&index: &u8| i64::from(grey(index).unwrap_or_default());
            let values: Vec<i64> = indices.iter().map(shade).collect();
            return self.plain(raster, &values, name);
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
                colors::nearest(color(indices[at]).unwrap_or_default(), self.classes),
            ));
        }
        if contradicting >= 2 && 2 * contradicting >= used.len() {
            self.warnings.add(
                "palette of other classes",
                name,
                "some colours of its palette are those of classes with other ids than its indices; the indices count",
            );
        }
        self.plain(raster, &values, name)
    }

    /// Whether the greys of a palette are ids, rather than its indices.
    fn are_meant(&self, greys: &[u8], indices_are_ids: bool) -> bool {
        let is_grey_id = |&grey: &u8| self.is_id(i64::from(grey));
        // Black and white alone are how two indices are shown.
        let speaks = |&grey: &u8| grey > 0 && u16::from(grey) != self.ignore;
        self.ids.is_some()
            && greys.is_sorted()
            && greys.iter().all(is_grey_id)
            && (!indices_are_ids || greys.iter().any(speaks))
    }

    /// White on black, as `dino segment --save masks` writes it of one class: two classes can be told from it.
    fn of_one_class(&self, values: &[i64], class: &str) -> Result<Vec<u16>, String> {
        let position = self.classes.iter().position(|own| own.name == class);
        let (white, black) = match (self.classes.len(), position) {
            (2, Some(0)) => (0, 1),
            (2, _) => (1, 0),
            _ => {
                return Err(format!(
                    "is the black and white mask that dino wrote of the class {class:?} alone; `dino segment --save ids` \
                     writes all classes in one"
                ));
            }
        };
        Ok(values
            .iter()
            .map(|&value| if value > 0 { white } else { black })
            .collect())
    }

    /// Ids that this program wrote for classes in another order, as they are here.
    fn of_other_classes(
        &self,
        raster: &Raster,
        ids: Vec<u16>,
        name: &str,
    ) -> Result<Vec<u16>, String> {
        let names: Option<Vec<String>> = raster
            .note(MASK_CLASSES)
            .and_then(|text| serde_json::from_str(text).ok());
        let own = self.classes.iter().map(|class| class.name.as_str());
        let Some(names) = names.filter(|names| {
            !self.classes.is_empty() && own.clone().ne(names.iter().map(String::as_str))
        }) else {
            return Ok(ids);
        };
        // Where the palette was followed by its colours, there is nothing left to translate.
        let by_color = matches!(&raster.content, Content::Indexed { indices, .. }
            if indices.iter().zip(&ids).any(|(&index, &id)| u16::from(index) != id));
        if by_color {
            return Ok(ids);
        }
        let here: Vec<Option<u16>> = names
            .iter()
            .map(|name| own.clone().position(|own| own == name).map(|id| id as u16))
            .collect();
        // What has no class is the largest number, beyond all names.
        let none = |id: u16| id == self.ignore || usize::from(id) >= names.len();
        let used = colors::distinct(ids.iter().copied().filter(|&id| !none(id)));
        let translated = |id: u16| here.get(usize::from(id)).copied().flatten();
        if let Some(&missing) = used.iter().find(|&&id| translated(id).is_none()) {
            let missing = names.get(usize::from(missing));
            return Err(format!(
                "was written by dino for other classes: {:?} is not in the list",
                missing.map_or("an id without a name", String::as_str)
            ));
        }
        if used.iter().any(|&id| translated(id) != Some(id)) {
            self.warnings.add(
                "ids of another list of classes",
                name,
                "says that it has the classes in another order than the list; they were matched by their names",
            );
        }
        let id = |id: u16| match none(id) {
            true => self.ignore,
            false => translated(id).unwrap_or(self.ignore),
        };
        Ok(ids.into_iter().map(id).collect())
    }

    fn warn_of_format(&self, raster: &Raster, name: &str) {
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

    /// Adds to a complaint what of the file itself may be the reason.
    fn explain(&self, raster: &Raster, why: String) -> String {
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

    fn shared_color(&self, [r, g, b]: [u8; 3], first: u16, second: u16) -> String {
        let name = |id: u16| &self.classes[usize::from(id)].name;
        format!(
            "has the colour ({r}, {g}, {b}), which the list gives to both {:?} and {:?}",
            name(first),
            name(second)
        )
    }

    /// Whether a number can be a pixel's id, or stands for none.
    fn is_id(&self, value: i64) -> bool {
        let below = |limit: usize| usize::try_from(value).is_ok_and(|value| value < limit);
        value == i64::from(self.ignore) || below(self.ids.unwrap_or(usize::from(u16::MAX) + 1))
    }

    fn id_range(&self) -> String {
        let last = self
            .ids
            .unwrap_or(usize::from(u16::MAX) + 1)
            .saturating_sub(1);
        format!("0 to {last}, or {} for none", self.ignore)
    }
}
