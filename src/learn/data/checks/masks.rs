//! Checks of masks: ids beyond the list of classes, black and white masks, ids without a class, and classes without a
//! pixel.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::learn::data::labels;
use crate::learn::data::statistics::{LabelSample, MaskStatistics};
use crate::learn::data::taxonomy::{self, SetLabels, WHITES};
use crate::model::head::meta::Class;

/// A mask with more distinct numbers than this that are not ids was not drawn by hand.
const MANY: usize = 32;

/// The id of pixels without a class, which are neither learnt from nor evaluated, and who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IgnoredId {
    /// The id; none where all ids count.
    pub id: Option<u16>,
    /// Whether the user named it (`--ignore`); else it is the default.
    pub is_explicit: bool,
}

impl Default for IgnoredId {
    /// 255, as in PASCAL VOC and most other data sets.
    fn default() -> Self {
        IgnoredId {
            id: Some(255),
            is_explicit: false,
        }
    }
}

/// A check of the masks of one data set before they are used.
#[derive(Debug, Clone, Copy)]
pub struct MaskCheck<'a> {
    /// Name of the data set.
    pub name: &'a str,
    /// The masks that were sampled.
    pub sample: &'a LabelSample,
    /// The ids in these masks.
    pub statistics: &'a MaskStatistics,
    /// The meaning of the ids.
    pub set_labels: &'a SetLabels,
}

impl MaskCheck<'_> {
    /// The first sampled mask, to name in messages.
    fn first(&self) -> PathBuf {
        self.sample.labels.first().cloned().unwrap_or_default()
    }

    /// The id of white (255 or 65,535), where the masks are black and white and stand for two classes; else none.
    pub fn white(&self, ignored: IgnoredId) -> Option<u16> {
        if self.set_labels.allowed.len() != 2 || !self.set_labels.is_closed {
            return None;
        }
        let explicit_id = ignored.id.filter(|_| ignored.is_explicit);
        let ids = self.statistics.ids.keys().copied();
        let ids: Vec<u16> = ids.filter(|&id| Some(id) != explicit_id).collect();
        match ids[..] {
            [0, white] if WHITES.contains(&white) => Some(white),
            // With an explicit `--ignore` of another id, white can only be the second class.
            [0, 1, white] if WHITES.contains(&white) && ignored.is_explicit => {
                self.find_mixed_encodings(ignored).map(|_| white)
            }
            _ => None,
        }
    }

    /// A mask in black and white, a mask of the ids 0 and 1, and the id of white, where masks for two classes mix both
    /// encodings.
    fn find_mixed_encodings(&self, ignored: IgnoredId) -> Option<(&Path, &Path, u16)> {
        let explicit_id = ignored.id.filter(|_| ignored.is_explicit);
        let ids = self.statistics.ids.keys().copied();
        let ids: Vec<u16> = ids.filter(|&id| Some(id) != explicit_id).collect();
        let &[0, 1, white] = &ids[..] else {
            return None;
        };
        if !WHITES.contains(&white)
            || self.set_labels.allowed.len() != 2
            || !self.set_labels.is_closed
        {
            return None;
        }
        let has = |ids: &[u16], id: u16| ids.contains(&id);
        let statistics = self.statistics;
        // Masks with both 1 and white must be few: a stray pixel in one says nothing about the others.
        let count = |is_so: &dyn Fn(&[u16]) -> bool| {
            let files = statistics.files.iter();
            files.filter(|(_, ids)| is_so(ids)).count()
        };
        let both = count(&|ids| has(ids, 1) && has(ids, white));
        if 2 * both >= count(&|ids| has(ids, white)) {
            return None;
        }
        let of_white = statistics.file(|ids| has(ids, white))?;
        let of_one = statistics.file(|ids| has(ids, 1))?;
        Some((of_white, of_one, white))
    }

    /// Whether pixels of an id are learnt from and evaluated.
    fn is_counted(&self, id: u16, ignored: IgnoredId) -> bool {
        Some(id) != ignored.id && self.set_labels.is_known(id)
    }

    /// Warnings about the masks, as sentences.
    ///
    /// # Errors
    /// Where the meaning of white is not known, masks are black and white but the list has not two classes, or most
    /// masks have ids beyond the list of classes.
    pub fn check(&self, ignored: IgnoredId) -> Result<Vec<String>> {
        let MaskCheck {
            name,
            statistics,
            set_labels,
            ..
        } = *self;
        if statistics.masks == 0 {
            return Ok(Vec::new()); // No mask could be read; each is reported where it is used.
        }
        let classes = set_labels.allowed.len();
        let beyond = |id: u16| Some(id) != ignored.id && usize::from(id) >= classes;
        let masks_beyond = statistics.ids.iter().filter(|(id, _)| beyond(**id));
        let (most, found) = masks_beyond
            .map(|(&id, &(_, masks))| (masks, id))
            .max()
            .unwrap_or_default();
        if let Some((of_white, of_one, white)) = self.find_mixed_encodings(ignored) {
            return Err(Error::file(
                of_white,
                format!(
                    "has the ids 0 and {white}, but {} 0 and 1: whether {white} is no class or the second one is \
                     not known; --ignore {white} says the first, --ignore none the second",
                    of_one.display()
                ),
            ));
        }
        let only_white = matches!(statistics.ids.keys().copied().collect::<Vec<_>>()[..], [0, white] if WHITES.contains(&white));
        if set_labels.is_closed && only_white && classes != 2 && !ignored.is_explicit {
            return Err(Error::file(
                self.first(),
                format!(
                    "this and the other masks of {name} are black and white, but there {}; such masks are for a list of two \
                     (--classes), the second one white",
                    match classes {
                        1 => "is one class".to_owned(),
                        _ => format!("are {classes} classes"),
                    }
                ),
            ));
        }
        if set_labels.is_closed && 2 * most > statistics.masks {
            let ids: Vec<u16> = statistics
                .ids
                .keys()
                .copied()
                .filter(|&id| Some(id) != ignored.id)
                .collect();
            let from_one =
                ids.first() == Some(&1) && ids.last().copied().map(usize::from) == Some(classes);
            let file = statistics.file(|ids| ids.contains(&found));
            let file = file.map_or_else(|| self.first(), Path::to_owned);
            let strange = ids.iter().filter(|&&id| beyond(id)).count();
            let hint = match labels::lossy_format(&file) {
                _ if from_one => "its ids seem to count from 1, and must count from 0".to_owned(),
                Some(format) => format!(
                    "it is a {format}, which invents numbers between those of classes: make it again from its source and \
                     save it as PNG"
                ),
                None if strange > MANY => format!(
                    "{strange} of the numbers are no ids, so they may be brightness, or ids that were smoothed or resized: \
                     masks are resized without interpolation (nearest)"
                ),
                None => "--classes and --ignore say otherwise".to_owned(),
            };
            return Err(Error::file(
                file,
                format!(
                    "{most} of {} masks looked at have the id {found}, but {}; {hint}",
                    statistics.masks,
                    taxonomy::describe_ids(classes)
                ),
            ));
        }
        let none = statistics.share(|id| !self.is_counted(id, ignored));
        let mut sentences = Vec::new();
        if none > 0.5 {
            let id = ignored
                .id
                .map_or(String::new(), |id| format!("the id {id} or "));
            sentences.push(format!(
                "{name}: {:.0} % of the pixels of {} have {id}an id without a class, and do not count; --ignore says which \
                 id has none",
                100.0 * none,
                self.sample.describe("masks")
            ));
        }
        Ok(sentences)
    }

    /// The classes that the pixels which count may be.
    fn classes(&self, ignored: IgnoredId) -> impl Iterator<Item = u16> {
        let ids = self.statistics.ids.keys().copied();
        let ids = ids.filter(move |&id| self.is_counted(id, ignored));
        ids.flat_map(|id| self.set_labels.allowed[usize::from(id)].iter().copied())
    }
}

/// The names of classes without a pixel in the sampled masks of any data set.
///
/// # Errors
/// Where no more than one class has pixels, so that there is nothing to learn.
pub fn absent_classes(
    sets: &[MaskCheck<'_>],
    classes: &[Class],
    ignored: IgnoredId,
) -> Result<Vec<String>> {
    let mut found = vec![false; classes.len()];
    for class in sets.iter().flat_map(|set| set.classes(ignored)) {
        if let Some(found) = found.get_mut(usize::from(class)) {
            *found = true;
        }
    }
    let present = classes.iter().zip(&found).filter(|(_, found)| **found);
    let present: Vec<&str> = present.map(|(class, _)| class.name.as_str()).collect();
    let looked_at: usize = sets.iter().map(|set| set.statistics.masks).sum();
    if looked_at == 0 {
        return Ok(Vec::new()); // No mask could be read; each is reported where it is used.
    }
    if present.len() < 2 {
        let what = match present[..] {
            [one] => format!("all pixels that count are of one class, {one}"),
            _ => "no pixel counts".to_owned(),
        };
        let first = sets.first().map(MaskCheck::first).unwrap_or_default();
        return Err(Error::file(
            first,
            format!(
                "in this and the other masks {what}, so there is nothing to learn; --classes names classes, --ignore the id \
                 that is none ({})",
                ignored
                    .id
                    .map_or("none now".to_owned(), |id| format!("{id} now"))
            ),
        ));
    }
    let absent = classes.iter().zip(found).filter(|(_, found)| !found);
    Ok(absent.map(|(class, _)| class.name.clone()).collect())
}

/// Names joined by commas; of more than six the first six, and how many more there are.
pub fn join_some(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}
