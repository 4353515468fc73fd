//! Statistics of the labels of a data set, for the checks before training or evaluation: how often each id occurs, and
//! how the depths are distributed.
//!
//! In: a [`LabelSample`], evenly spread over the data set, and a function that reads one label. Out: [`MaskStatistics`]
//! or [`DepthStatistics`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::Result;
use crate::learn::data::data_set::LabelledPair;
use crate::learn::data::labels::{DepthLabel, Mask};

/// Labels of a data set that are sampled, at most.
pub const MAX_LABELS: usize = 256;
/// Readings kept of one depth map, at most.
const READINGS: usize = 4096;

/// A sample of the labels of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSample {
    /// The files of the sampled labels.
    pub labels: Vec<PathBuf>,
    /// Number of labels of the data set.
    pub total: usize,
}

impl LabelSample {
    /// At most `count` of the labels of `pairs`, evenly spread.
    pub fn of<'a>(pairs: impl ExactSizeIterator<Item = &'a LabelledPair>, count: usize) -> Self {
        let total = pairs.len();
        let count = count.min(total);
        let is_taken = |at: usize| at * count / total != (at + 1) * count / total;
        let taken = pairs.enumerate().filter(|(at, _)| is_taken(*at));
        LabelSample {
            labels: taken.map(|(_, pair)| pair.label.clone()).collect(),
            total,
        }
    }

    /// Whether some labels are not in the sample.
    pub fn is_part(&self) -> bool {
        self.labels.len() < self.total
    }

    /// A phrase for messages: `its masks`, or `256 of its 2975 masks`.
    pub fn describe(&self, what: &str) -> String {
        match self.is_part() {
            true => format!("{} of its {} {what}", self.labels.len(), self.total),
            false => format!("its {what}"),
        }
    }
}

/// How often ids occur in masks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskStatistics {
    /// By id, its pixels over all masks and the number of masks that have it.
    pub ids: BTreeMap<u16, (u64, usize)>,
    /// Number of masks that could be read.
    pub masks: usize,
    /// The file of each of these masks and its ids, rising.
    pub files: Vec<(PathBuf, Vec<u16>)>,
}

impl MaskStatistics {
    /// Counts the ids of sampled masks, in parallel. Masks that cannot be read are left out; they are reported where
    /// they are used.
    pub fn of(sample: &LabelSample, read: impl Fn(&Path) -> Result<Mask> + Sync) -> Self {
        let count = |label: &PathBuf| {
            let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
            // Runs of one id are long, and cheap to count.
            for run in read(label).ok()?.ids.chunk_by(|a, b| a == b) {
                *counts.entry(run[0]).or_default() += run.len() as u64;
            }
            Some((label.clone(), counts))
        };
        let all: Vec<_> = sample.labels.par_iter().filter_map(count).collect();
        let mut statistics = MaskStatistics {
            masks: all.len(),
            ..MaskStatistics::default()
        };
        for (file, counts) in all {
            statistics
                .files
                .push((file, counts.keys().copied().collect()));
            for (id, pixels) in counts {
                let (sum, masks) = statistics.ids.entry(id).or_default();
                *sum += pixels;
                *masks += 1;
            }
        }
        statistics
    }

    /// Counts the pixels of the id `from` as those of `to`.
    pub fn rename(&mut self, from: u16, to: u16) {
        let (pixels, masks) = self.ids.remove(&from).unwrap_or_default();
        let (sum, all) = self.ids.entry(to).or_default();
        *sum += pixels;
        *all += masks;
        for (_, ids) in &mut self.files {
            ids.iter_mut()
                .filter(|id| **id == from)
                .for_each(|id| *id = to);
            ids.sort_unstable();
            ids.dedup();
        }
    }

    /// The first mask whose ids (rising) satisfy `is_so`.
    pub fn file(&self, is_so: impl Fn(&[u16]) -> bool) -> Option<&Path> {
        let mut files = self.files.iter();
        let found = files.find(|(_, ids)| is_so(ids));
        found.map(|(file, _)| file.as_path())
    }

    /// The share of pixels, 0..1, whose id satisfies `some`.
    pub fn share(&self, some: impl Fn(u16) -> bool) -> f64 {
        let sum = |some: &dyn Fn(u16) -> bool| -> u64 {
            let ids = self.ids.iter().filter(|(id, _)| some(**id));
            ids.map(|(_, (pixels, _))| pixels).sum()
        };
        sum(&some) as f64 / sum(&|_| true).max(1) as f64
    }
}

/// How the depths of depth maps are distributed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DepthStatistics {
    /// Some readings of all maps, rising; metres.
    pub readings: Vec<f32>,
    /// Mean share of pixels that have a reading, 0..1.
    pub valid_share: f64,
    /// Width divided by height of the first map.
    pub aspect_ratio: f64,
    /// Of each map its file, its median and its largest reading in metres; sorted by the medians.
    pub maps: Vec<(PathBuf, f32, f32)>,
}

impl DepthStatistics {
    /// Measures sampled depth maps, in parallel. Maps that cannot be read are left out; they are reported where they
    /// are used.
    pub fn of(sample: &LabelSample, read: impl Fn(&Path) -> Result<DepthLabel> + Sync) -> Self {
        let measure = |label: &PathBuf| {
            let depth = read(label).ok()?;
            let known = depth.metres.iter().copied().filter(|&metres| metres > 0.0);
            let known: Vec<f32> = known.collect();
            let step = known.len().div_ceil(READINGS).max(1);
            let valid = known.len() as f64 / depth.metres.len().max(1) as f64;
            let top = known.iter().copied().fold(0.0, f32::max);
            let some: Vec<f32> = known.into_iter().step_by(step).collect();
            let mut rising = some.clone();
            rising.sort_unstable_by(f32::total_cmp);
            let median = rising.get(rising.len() / 2).copied();
            let map = median.map(|median| (label.clone(), median, top));
            let shape = depth.width as f64 / depth.height.max(1) as f64;
            Some((some, valid, shape, map))
        };
        let all: Vec<_> = sample.labels.par_iter().filter_map(measure).collect();
        let valid_share =
            all.iter().map(|(_, valid, ..)| valid).sum::<f64>() / all.len().max(1) as f64;
        let aspect_ratio = all.first().map_or(1.0, |(_, _, shape, _)| *shape);
        let mut maps: Vec<_> = all.iter().filter_map(|(.., map)| map.clone()).collect();
        maps.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut readings: Vec<f32> = all.into_iter().flat_map(|(some, ..)| some).collect();
        readings.sort_unstable_by(f32::total_cmp);
        DepthStatistics {
            readings,
            valid_share,
            aspect_ratio,
            maps,
        }
    }

    /// The first two maps, in the order of their medians, whose medians differ by `factor` or more.
    pub fn find_unit_gap(&self, factor: f32) -> Option<[&(PathBuf, f32, f32); 2]> {
        let mut pairs = self.maps.windows(2);
        let [low, high] = pairs.find(|pair| pair[1].1 >= factor * pair[0].1)? else {
            return None;
        };
        Some([low, high])
    }

    /// The middle maps of two extensions, the nearer first, where their medians differ by `factor` or more.
    pub fn find_format_gap(&self, factor: f32) -> Option<[&(PathBuf, f32, f32); 2]> {
        let mut by_ending: BTreeMap<String, Vec<&(PathBuf, f32, f32)>> = BTreeMap::new();
        for map in &self.maps {
            let ending = map.0.extension().unwrap_or_default().to_ascii_lowercase();
            let ending = ending.to_string_lossy().into_owned();
            by_ending.entry(ending).or_default().push(map);
        }
        // The maps of each extension are still sorted by their medians.
        let middles = by_ending
            .values()
            .filter_map(|maps| maps.get(maps.len() / 2).copied());
        let low = middles.clone().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let high = middles.max_by(|a, b| a.1.total_cmp(&b.1))?;
        (high.1 >= factor * low.1).then_some([low, high])
    }

    /// The largest reading, where all of at least two maps have exactly the same one.
    pub fn shared_maximum(&self) -> Option<f32> {
        let [(.., first), _, ..] = self.maps[..] else {
            return None;
        };
        self.maps
            .iter()
            .all(|(.., top)| *top == first)
            .then_some(first)
    }

    /// The quantile of the readings at `share` (0..1), in metres, without interpolation; 0 where there are no readings.
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.readings.len().saturating_sub(1) as f64;
        let reading = self.readings.get((share * last).round() as usize);
        reading.copied().map_or(0.0, f64::from)
    }

    /// The share of readings from `low` (included) to `high` (excluded) metres, 0..1.
    pub fn share_within(&self, low: f64, high: f64) -> f64 {
        let below = |metres: f64| self.readings.partition_point(|&m| f64::from(m) < metres);
        let within = below(high).saturating_sub(below(low));
        within as f64 / self.readings.len().max(1) as f64
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn pairs(count: usize) -> Vec<LabelledPair> {
        let pair = |at: usize| LabelledPair {
            photo: format!("{at}.jpg").into(),
            label: format!("{at}.png").into(),
        };
        (0..count).map(pair).collect()
    }

    #[test]
    fn samples_are_spread_and_say_so() {
        let few = pairs(10);
        let sample = LabelSample::of(few.iter(), 4);
        assert_eq!(
            sample.labels,
            ["2.png", "4.png", "7.png", "9.png"].map(PathBuf::from)
        );
        assert_eq!(sample.describe("masks"), "4 of its 10 masks");
        let sample = LabelSample::of(few.iter(), 20);
        assert_eq!(
            (sample.labels.len(), sample.describe("masks").as_str()),
            (10, "its masks")
        );
    }

    #[test]
    fn ids_and_distances_are_counted() {
        let few = pairs(3);
        let sample = LabelSample::of(few.iter(), 9);
        let masks = MaskStatistics::of(&sample, |path| match path.to_str() {
            Some("2.png") => Err(Error::file(path, "no")),
            Some("0.png") => Ok(Mask {
                width: 4,
                height: 1,
                ids: vec![0, 0, 7, 0],
            }),
            _ => Ok(Mask {
                width: 4,
                height: 1,
                ids: vec![0, 255, 255, 255],
            }),
        });
        assert_eq!(masks.masks, 2);
        assert_eq!(masks.ids, [(0, (4, 2)), (7, (1, 1)), (255, (3, 1))].into());
        assert_eq!(masks.share(|id| id == 255), 3.0 / 8.0);
        let depth = DepthStatistics::of(&sample, |_| {
            Ok(DepthLabel {
                width: 5,
                height: 1,
                metres: vec![4.0, 0.0, 2.0, 1.0, 3.0],
            })
        });
        assert_eq!((depth.quantile(0.5), depth.aspect_ratio), (3.0, 5.0));
        assert!((depth.valid_share - 0.8).abs() < 1e-9);
        assert_eq!(depth.share_within(2.0, 4.0), 0.5);
    }
}
