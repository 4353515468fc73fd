//! Where what labels hold contradicts what is about to be done with them: said before hours are spent on it.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::learn::data::labels;
use crate::learn::data::statistics::{DepthStatistics, LabelSample, MaskStatistics};
use crate::learn::data::taxonomy::{self, SetLabels, WHITES};
use crate::model::head::meta::Class;

/// More different numbers than this that are no ids were not drawn by hand.
const MANY: usize = 32;
/// No two maps of one kind of place differ so much in their medians.
const UNIT_GAP: f32 = 20.0;
/// Nor do those of one format from those of another.
const UNIT_GAP_BETWEEN_FORMATS: f32 = 3.0;
/// The largest numbers of maps that were scaled to be looked at.
const NORMALISED_MAXIMA: [f32; 3] = [1.0, 255.0, 65_535.0];
/// Units of a metre that depth maps come in.
const SCALES: [f64; 9] = [
    1.0, 10.0, 100.0, 256.0, 1000.0, 4000.0, 5000.0, 10_000.0, 100_000.0,
];

/// The id that is ignored, and whether the user said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IgnoredId {
    /// None where all ids count.
    pub id: Option<u16>,
    /// Else it is the usual one.
    pub is_explicit: bool,
}

impl Default for IgnoredId {
    /// 255, as PASCAL VOC and most others have it.
    fn default() -> Self {
        IgnoredId {
            id: Some(255),
            is_explicit: false,
        }
    }
}

/// The masks of one data set that are about to be used.
#[derive(Debug, Clone, Copy)]
pub struct MaskCheck<'a> {
    /// What the set is called.
    pub name: &'a str,
    /// Those that were looked at.
    pub sample: &'a LabelSample,
    /// What they hold.
    pub statistics: &'a MaskStatistics,
    /// What their ids mean.
    pub set_labels: &'a SetLabels,
}

impl MaskCheck<'_> {
    fn first(&self) -> PathBuf {
        self.sample.labels.first().cloned().unwrap_or_default()
    }

    /// The white of masks in black and white that are to be told apart as two classes.
    pub fn white(&self, ignored: IgnoredId) -> Option<u16> {
        if self.set_labels.allowed.len() != 2 || !self.set_labels.is_closed {
            return None;
        }
        let said = ignored.id.filter(|_| ignored.is_explicit);
        let ids = self.statistics.ids.keys().copied();
        let ids: Vec<u16> = ids.filter(|&id| Some(id) != said).collect();
        match ids[..] {
            [0, white] if WHITES.contains(&white) => Some(white),
            // Who says that no id is ignored says what white is, too.
            [0, 1, white] if WHITES.contains(&white) && ignored.is_explicit => {
                self.find_mixed_encodings(ignored).map(|_| white)
            }
            _ => None,
        }
    }

    /// Of masks for two classes one in black and white and one of the ids 0 and 1, where no mask has white beside 1.
    fn find_mixed_encodings(&self, ignored: IgnoredId) -> Option<(&Path, &Path, u16)> {
        let said = ignored.id.filter(|_| ignored.is_explicit);
        let ids = self.statistics.ids.keys().copied();
        let ids: Vec<u16> = ids.filter(|&id| Some(id) != said).collect();
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
        // A stray pixel in one mask tells nothing of the others.
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

    /// Whether an id is learnt from and judged.
    fn is_counted(&self, id: u16, ignored: IgnoredId) -> bool {
        Some(id) != ignored.id && self.set_labels.is_known(id)
    }

    /// What may not be as it was meant, in sentences.
    ///
    /// # Errors
    /// If most masks have ids that the classes have not, or nothing that counts.
    pub fn check(&self, ignored: IgnoredId) -> Result<Vec<String>> {
        let MaskCheck {
            name,
            statistics,
            set_labels: meaning,
            ..
        } = *self;
        if statistics.masks == 0 {
            return Ok(Vec::new()); // Each is named where it is used.
        }
        let classes = meaning.allowed.len();
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
        if meaning.is_closed && only_white && classes != 2 && !ignored.is_explicit {
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
        if meaning.is_closed && 2 * most > statistics.masks {
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

    /// The classes that its pixels may be.
    fn classes(&self, ignored: IgnoredId) -> impl Iterator<Item = u16> {
        let ids = self.statistics.ids.keys().copied();
        let ids = ids.filter(move |&id| self.is_counted(id, ignored));
        ids.flat_map(|id| self.set_labels.allowed[usize::from(id)].iter().copied())
    }
}

/// The names of classes without a pixel in any of the sets.
///
/// # Errors
/// If no more than one class has pixels: there is nothing to tell apart.
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
    let there = classes.iter().zip(&found).filter(|(_, found)| **found);
    let there: Vec<&str> = there.map(|(class, _)| class.name.as_str()).collect();
    let looked_at: usize = sets.iter().map(|set| set.statistics.masks).sum();
    if looked_at == 0 {
        return Ok(Vec::new()); // Each mask is named where it is used.
    }
    if there.len() < 2 {
        let what = match there[..] {
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

/// Names in words, the first of many.
pub fn join_some(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

/// The depth maps of one data set that are about to be used.
#[derive(Debug, Clone, Copy)]
pub struct DepthMapCheck<'a> {
    /// What the set is called.
    pub name: &'a str,
    /// Those that were looked at.
    pub sample: &'a LabelSample,
    /// What they hold.
    pub statistics: &'a DepthStatistics,
    /// Units of a metre that the user named.
    pub user_scale: Option<f64>,
    /// Units of a metre in use.
    pub scale: f64,
    /// `--min-depth` and `--max-depth`, metres.
    pub counted_range: (f64, f64),
    /// The distances that the head tells, metres.
    pub head_range: (f64, f64),
}

impl DepthMapCheck<'_> {
    /// What may not be as it was meant, in sentences.
    ///
    /// # Errors
    /// If the median reading is not among those that count, as with a wrong scale, unless the user named it.
    pub fn check(&self) -> Result<Vec<String>> {
        let statistics = self.statistics;
        let mut sentences = Vec::new();
        if statistics.readings.is_empty() {
            return Ok(sentences);
        }
        let (low, high) = (
            self.head_range.0.max(self.counted_range.0),
            self.head_range.1.min(self.counted_range.1),
        );
        let median = statistics.quantile(0.5);
        let counted = statistics.share_within(self.counted_range.0, self.counted_range.1);
        let what = self.sample.describe("depth maps");
        let first = || self.sample.labels.first().cloned().unwrap_or_default();
        if let Some(top) = statistics.common_top() {
            if !self.holds_integers()
                && NORMALISED_MAXIMA.contains(&top)
                && self.user_scale.is_none()
            {
                let why = format!(
                    "this and the other depth maps of {} all reach exactly {top}, as maps do that were scaled to it one by \
                     one and are no metres any more; who names --depth-scale 1 is believed",
                    self.name
                );
                return Err(Error::file(first(), why));
            }
            let units = (f64::from(top) * self.scale).round();
            if self.holds_integers() && (units == 65_535.0 || units == 255.0) {
                sentences.push(format!(
                    "{}: {what} all reach exactly {units}, which stands for no reading, or they were scaled to it one by one \
                     and are no distances",
                    self.name
                ));
            }
        }
        if let Some([low, high]) = statistics
            .gap(UNIT_GAP)
            .or_else(|| statistics.find_format_gap(UNIT_GAP_BETWEEN_FORMATS))
        {
            sentences.push(format!(
                "{}: the median of {} is {}, but that of {} {}; they seem to be in different units",
                self.name,
                low.0.display(),
                format_metres(low.1.into()),
                high.0.display(),
                format_metres(high.1.into())
            ));
        }
        // A head for rooms may well be for a table top.
        if !(0.5 * low..=high).contains(&median) {
            let core = format!(
                "readings go from {} to {}, {} in the median, but what counts is {} to {}{}; {}",
                format_metres(statistics.quantile(0.02)),
                format_metres(statistics.quantile(0.98)),
                format_metres(median),
                format_metres(low),
                format_metres(high),
                match self.user_scale {
                    Some(scale) => format!(" (--depth-scale {scale})"),
                    None => String::new(),
                },
                self.suggest_option(low, high)
            );
            if self.user_scale.is_none() {
                let why = format!(
                    "in this and the other depth maps of {} {core}; who names --depth-scale is believed",
                    self.name
                );
                return Err(Error::file(first(), why));
            }
            sentences.push(format!("{}: in {what} {core}", self.name));
        } else if counted < 0.75 {
            sentences.push(format!(
                "{}: {:.0} % of the readings of {what} are not within --min-depth {} and --max-depth {}, and do not count",
                self.name,
                100.0 * (1.0 - counted),
                format_number(self.counted_range.0),
                format_number(self.counted_range.1)
            ));
        } else if let within = statistics.share_within(self.head_range.0, self.head_range.1)
            && within < 0.5
        {
            sentences.push(format!(
                "{}: {:.0} % of the readings of {what} are not within {} to {}, which is what the head tells; {}",
                self.name,
                100.0 * (1.0 - within),
                format_metres(self.head_range.0),
                format_metres(self.head_range.1),
                self.suggest_option(low, high)
            ));
        }
        // One turning laser and a long frame.
        let is_lidar =
            statistics.valid_share < 0.4 && (3.0..3.8).contains(&statistics.aspect_ratio);
        if is_lidar && self.user_scale.is_none() && self.scale == 1000.0 && self.holds_integers() {
            sentences.push(format!(
                "{}: {what} look like KITTI's, whose units are 1/256 metre; they are read as millimetres, --depth-scale 256 \
                 says otherwise",
                self.name
            ));
        }
        Ok(sentences)
    }

    /// Whether the format is one of whole numbers.
    fn holds_integers(&self) -> bool {
        let first = self.sample.labels.first().and_then(|path| path.extension());
        first.is_some_and(|ending| {
            ending.eq_ignore_ascii_case("png") || ending.eq_ignore_ascii_case("pgm")
        })
    }

    /// The option that settles it.
    fn suggest_option(&self, low: f64, high: f64) -> String {
        let units = self.statistics.quantile(0.5) * self.scale;
        if (self.head_range.0..=self.head_range.1).contains(&self.statistics.quantile(0.5)) {
            return "--max-depth and --min-depth say which distances count".to_owned();
        }
        let range =
            "--max-depth and --min-depth, and in training --range, say which distances count";
        let fits = |scale: &f64| *scale != self.scale && (low..=high).contains(&(units / scale));
        let fitting: Vec<f64> = SCALES.into_iter().filter(fits).collect();
        let median = self.statistics.quantile(0.5);
        let units_of = [(1000.0, "millimetres"), (100.0, "centimetres")];
        let floats = units_of
            .into_iter()
            .find(|(units, _)| (low..=high).contains(&(median / units)));
        match self.holds_integers() {
            false if let Some((units, name)) = floats => format!(
                "floats are metres, and these look like {name}, which --depth-scale {units} says they are; {range}"
            ),
            _ if fitting.is_empty() => range.to_owned(),
            true => {
                let one = |scale: &f64| {
                    format!(
                        "--depth-scale {scale} would make it {} in the median",
                        format_metres(units / scale)
                    )
                };
                let all: Vec<String> = fitting.iter().map(one).collect();
                format!("{}; {range}", all.join(", "))
            }
            false => format!("of whole numbers --depth-scale says the unit; {range}"),
        }
    }
}

/// A number as it was typed, where it came from a narrower float.
fn format_number(value: f64) -> String {
    match f64::from(value as f32) == value {
        true => (value as f32).to_string(),
        false => value.to_string(),
    }
}

/// A distance in words.
fn format_metres(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0} m"),
        v if v >= 1.0 => format!("{v:.1} m"),
        v if v >= 0.1 => format!("{v:.2} m"),
        v => format!("{v:.4} m"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sample(ending: &str) -> LabelSample {
        LabelSample {
            labels: vec![format!("a.{ending}").into()],
            total: 1,
        }
    }

    fn classes(count: usize) -> Vec<Class> {
        let class = |at: usize| Class {
            name: format!("class {at}"),
            color: [0; 3],
        };
        (0..count).map(class).collect()
    }

    /// What is said of masks that have each id in one of ten masks, `count` classes and what is ignored.
    fn said(
        ids: &[(u16, u64)],
        count: usize,
        ignored: IgnoredId,
    ) -> (Option<u16>, Result<Vec<String>>, Result<Vec<String>>) {
        let statistics = MaskStatistics {
            ids: ids.iter().map(|&(id, pixels)| (id, (pixels, 10))).collect(),
            masks: 10,
            files: Vec::new(),
        };
        let meaning = SetLabels::identity("toy", &classes(count));
        let sample = sample("png");
        let masks = MaskCheck {
            name: "toy",
            sample: &sample,
            statistics: &statistics,
            set_labels: &meaning,
        };
        let white = masks.white(ignored);
        let doubts = masks.check(ignored);
        let absent = absent_classes(&[masks], &classes(count), ignored);
        (white, doubts, absent)
    }

    const SAID: IgnoredId = IgnoredId {
        id: Some(255),
        is_explicit: true,
    };

    #[test]
    fn black_and_white_is_two_classes_or_an_error() {
        for white in WHITES {
            assert_eq!(
                said(&[(0, 5), (white, 5)], 2, IgnoredId::default()).0,
                Some(white)
            );
        }
        let none = IgnoredId {
            id: None,
            is_explicit: true,
        };
        assert_eq!(said(&[(0, 5), (255, 5)], 2, none).0, Some(255));
        let (white, _, absent) = said(&[(0, 5), (255, 5)], 2, SAID);
        assert_eq!(white, None);
        assert!(
            absent
                .unwrap_err()
                .to_string()
                .contains("one class, class 0")
        );
        for count in [1, 3] {
            let (white, doubts, _) = said(&[(0, 5), (255, 5)], count, IgnoredId::default());
            assert_eq!(white, None);
            assert!(doubts.unwrap_err().to_string().contains("black and white"));
        }
        assert_eq!(
            said(&[(0, 5), (1, 5), (255, 5)], 2, IgnoredId::default()).0,
            None
        );
    }

    #[test]
    fn white_beside_ones_is_not_taken_for_void_in_silence() {
        let meaning = SetLabels::identity("toy", &classes(2));
        let sample = sample("png");
        let said = |files: &[&[u16]], ignored: IgnoredId| {
            let file = |(at, ids): (usize, &&[u16])| (format!("{at}.png").into(), ids.to_vec());
            let mut statistics = MaskStatistics {
                masks: files.len(),
                files: files.iter().enumerate().map(file).collect(),
                ..MaskStatistics::default()
            };
            for &id in files.iter().copied().flatten() {
                let (pixels, masks) = statistics.ids.entry(id).or_default();
                (*pixels, *masks) = (*pixels + 9, *masks + 1);
            }
            let masks = MaskCheck {
                name: "toy",
                sample: &sample,
                statistics: &statistics,
                set_labels: &meaning,
            };
            (
                masks.white(ignored),
                masks.check(ignored).map_err(|error| error.to_string()),
            )
        };
        let ignored = |id: Option<u16>| IgnoredId {
            id,
            is_explicit: true,
        };
        let mixed: [&[u16]; 3] = [&[0, 1], &[0], &[0, 255]];
        let (white, doubts) = said(&mixed, IgnoredId::default());
        let why = doubts.unwrap_err();
        assert_eq!(white, None);
        assert!(
            why.contains("2.png") && why.contains("0.png 0 and 1"),
            "{why}"
        );
        assert_eq!(said(&mixed, ignored(None)).0, Some(255));
        let (white, doubts) = said(&mixed, ignored(Some(255)));
        assert_eq!((white, doubts), (None, Ok(vec![])));
        // A mask that has both says that white is no class.
        let (white, doubts) = said(&[&[0, 255], &[0, 1, 255], &[0, 1]], IgnoredId::default());
        assert_eq!((white, doubts), (None, Ok(vec![])));
        // A trimap.
        let trimap: [&[u16]; 2] = [&[0, 128, 255], &[0, 128, 255]];
        assert_eq!(said(&trimap, ignored(Some(128))).0, Some(255));
        assert!(said(&trimap, IgnoredId::default()).1.is_err());
        // What was smoothed.
        let smooth: Vec<u16> = (0..100).collect();
        let why = said(&[&smooth, &smooth], IgnoredId::default())
            .1
            .unwrap_err();
        assert!(why.contains("without interpolation"), "{why}");
    }

    #[test]
    fn maps_that_are_no_metres_are_told_by_their_ends_and_medians() {
        let told = |maps: &[(&str, f32, f32)], readings: &[f32]| {
            let statistics = DepthStatistics {
                readings: readings.to_vec(),
                valid_share: 0.9,
                aspect_ratio: 1.3,
                maps: maps
                    .iter()
                    .map(|&(file, median, top)| (file.into(), median, top))
                    .collect(),
            };
            let maps = DepthMapCheck {
                name: "toy",
                sample: &sample("npy"),
                statistics: &statistics,
                user_scale: None,
                scale: 1000.0,
                counted_range: (0.001, 10.0),
                head_range: (0.5, 10.0),
            };
            maps.check().map_err(|error| error.to_string())
        };
        let readings = [0.6, 0.8, 1.0];
        let why = told(&[("a", 0.5, 1.0), ("b", 0.6, 1.0)], &readings).unwrap_err();
        assert!(why.contains("reach exactly 1"), "{why}");
        assert_eq!(
            told(&[("a", 0.5, 1.0), ("b", 0.6, 1.01)], &readings),
            Ok(vec![])
        );
        let gap = told(&[("a", 0.003, 0.1), ("b", 2.0, 3.0)], &readings).unwrap();
        assert!(gap[0].contains("the median of a is 0.0030 m"), "{gap:?}");
        let unlike = [
            ("a.png", 0.5, 0.9),
            ("b.png", 0.6, 1.0),
            ("c.npy", 2.0, 3.0),
            ("d.npy", 2.1, 3.0),
        ];
        assert!(told(&unlike, &readings).unwrap()[0].contains("that of d.npy 2.1 m"));
        assert_eq!(told(&unlike[1..3], &readings).unwrap().len(), 1);
        let near = told(&[], &[0.1, 0.2, 0.3, 0.4, 0.6]).unwrap();
        assert!(near[0].contains("80 % of the readings"), "{near:?}");
    }

    #[test]
    fn ids_that_do_not_count_are_said() {
        let (_, doubts, absent) = said(&[(0, 5), (1, 5), (255, 90)], 4, IgnoredId::default());
        assert!(doubts.unwrap()[0].contains("90 % of the pixels of its masks have the id 255"));
        assert_eq!(absent.unwrap(), ["class 2", "class 3"]);
        let (_, doubts, _) = said(&[(1, 5), (2, 5), (3, 5)], 3, IgnoredId::default());
        assert!(doubts.unwrap_err().to_string().contains("count from 1"));
        let (_, doubts, _) = said(&[(0, 5), (7, 5)], 3, IgnoredId::default());
        assert!(
            doubts
                .unwrap_err()
                .to_string()
                .contains("10 of 10 masks looked at have the id 7")
        );
        let (_, doubts, absent) = said(&[(0, 50), (1, 40), (255, 10)], 2, IgnoredId::default());
        assert!(doubts.unwrap().is_empty() && absent.unwrap().is_empty());
        assert!(said(&[(255, 10)], 2, IgnoredId::default()).2.is_err());
    }

    fn depth(
        readings: &[f32],
        ending: &str,
        said_scale: Option<f64>,
        head: (f64, f64),
    ) -> Result<Vec<String>> {
        let statistics = DepthStatistics {
            readings: readings.to_vec(),
            valid_share: 0.9,
            aspect_ratio: 1.3,
            maps: Vec::new(),
        };
        let maps = DepthMapCheck {
            name: "toy",
            sample: &sample(ending),
            statistics: &statistics,
            user_scale: said_scale,
            scale: said_scale.unwrap_or(1000.0),
            counted_range: (0.001, 10.0),
            head_range: head,
        };
        maps.check()
    }

    #[test]
    fn a_wrong_scale_is_told_from_metres() {
        let indoor = (0.5, 10.0);
        assert!(
            depth(&[1.0, 2.5, 4.0], "png", None, indoor)
                .unwrap()
                .is_empty()
        );
        // Metres in whole numbers, TUM's 1/5000 m as 1/1000 m, millimetres as metres.
        let error = |readings, ending| {
            depth(readings, ending, None, indoor)
                .unwrap_err()
                .to_string()
        };
        assert!(
            error(&[0.002, 0.003, 0.004], "png")
                .contains("--depth-scale 1 would make it 3.0 m in the median")
        );
        let tum = error(&[21.0, 30.0, 40.0], "png");
        assert!(
            tum.contains("--depth-scale 5000 would make it 6.0 m"),
            "{tum}"
        );
        assert!(error(&[1000.0, 2500.0, 4000.0], "npy").contains("look like millimetres"));
        // Who names the scale is told, and obeyed.
        let said = depth(&[0.002, 0.003, 0.004], "png", Some(1000.0), indoor).unwrap();
        assert!(said[0].contains("(--depth-scale 1000)"), "{said:?}");
        let half = depth(&[5.0, 8.0, 9.0, 60.0, 70.0], "png", None, indoor).unwrap();
        assert!(half[0].contains("40 % of the readings"), "{half:?}");
        let far = depth(&[5.0, 12.0, 40.0], "png", None, (1.0, 80.0)).unwrap_err();
        assert!(far.to_string().contains("10.0 m; --max-depth"), "{far}");
    }
}
