//! The ids of classes by their colours, for masks in colours, and messages about colours of no class.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::raster::LabelRaster;
use crate::learn::data::taxonomy::voc_color;
use crate::model::head::Class;

/// Colours of pixels without a class in public data sets, unless a list of classes has them: the void of CamVid and
/// Cityscapes, and the border of PASCAL VOC.
const VOID_COLORS: [[u8; 3]; 2] = [[0, 0, 0], [224, 224, 192]];

/// A mask with more distinct colours of no class than this was not drawn by hand.
const MANY: usize = 32;

/// The meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColorMeaning {
    /// The class of this id.
    Class(u16),
    /// Several classes; the ids of the first two.
    Ambiguous(u16, u16),
    /// No class.
    Void,
}

/// The meaning of each colour of a list of classes.
#[derive(Debug)]
pub(super) struct ColorIds(HashMap<[u8; 3], ColorMeaning>);

impl ColorIds {
    /// The colours of `classes`, and those of no class.
    pub fn new(classes: &[Class]) -> Self {
        let mut ids: HashMap<[u8; 3], ColorMeaning> =
            HashMap::with_capacity(classes.len() + VOID_COLORS.len());
        for (id, class) in classes.iter().enumerate() {
            let id = id as u16;
            ids.entry(class.color)
                .and_modify(|named| {
                    if let ColorMeaning::Class(first) = *named {
                        *named = ColorMeaning::Ambiguous(first, id);
                    }
                })
                .or_insert(ColorMeaning::Class(id));
        }
        for void in VOID_COLORS {
            ids.entry(void).or_insert(ColorMeaning::Void);
        }
        ColorIds(ids)
    }

    /// The meaning of `color`; none where it is not in the list.
    pub fn get(&self, color: [u8; 3]) -> Option<ColorMeaning> {
        self.0.get(&color).copied()
    }
}

/// Whether the colour of a class is another than the default of its id.
pub(super) fn is_chosen(class: &Class, id: usize) -> bool {
    class.color != voc_color(id)
}

/// All different values, rising.
pub(super) fn distinct<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = BTreeSet::new();
    let mut last = None;
    for value in values {
        // Neighbouring pixels are mostly equal.
        if last != Some(value) {
            found.insert(value);
            last = Some(value);
        }
    }
    found.into_iter().collect()
}

/// The message for the first colour of `pixels` that is no class's.
pub(super) fn unknown_color_message(
    raster: &LabelRaster,
    pixels: &[[u8; 3]],
    table: &ColorIds,
    classes: &[Class],
) -> String {
    let is_unknown = |color: &[u8; 3]| table.get(*color).is_none();
    let at = pixels.iter().position(is_unknown).unwrap_or_default();
    let others: HashSet<_> = pixels.iter().filter(|color| is_unknown(color)).collect();
    let [r, g, b] = pixels[at];
    let more = match others.len() {
        0 | 1 => String::new(),
        n if n > MANY => format!(
            "; {} more of its colours are no class's, so it may be a photo, or a mask that was smoothed or compressed",
            n - 1
        ),
        n => format!("; {} more of its colours are no class's", n - 1),
    };
    format!(
        "has the colour ({r}, {g}, {b}) at pixel {}, which {}{more}",
        raster.pixel(at),
        nearest_color_message(pixels[at], classes)
    )
}

/// A phrase that a colour is no class's, and which class has the nearest one.
pub(super) fn nearest_color_message(color: [u8; 3], classes: &[Class]) -> String {
    let distance = |class: &&Class| -> u32 {
        let channels = class.color.iter().zip(color);
        channels
            .map(|(&own, other)| u32::from(own.abs_diff(other)).pow(2))
            .sum()
    };
    match classes.iter().min_by_key(distance) {
        Some(Class {
            name,
            color: [r, g, b],
        }) => format!("is no class's; the nearest is that of {name:?}, ({r}, {g}, {b})"),
        None => "is no class's".to_owned(),
    }
}
