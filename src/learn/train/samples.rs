//! Everything that can be trained on, as an index: where its features lie and what it should be. A sample is a patch
//! with its classes, or a tile of patches with its depths. The features themselves stay on the disk; an epoch draws
//! samples from the index.

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;

use rayon::prelude::*;

use crate::engine::run_report::RunReport;
use crate::error::{Error, Result};
use crate::learn::data::labels::DepthLabelReader;
use crate::learn::data::taxonomy::SetLabels;
use crate::learn::data::{LabelAlignment, PhotoShape};
use crate::learn::train::cached_view::CachedView;
use crate::learn::train::targets::{self, DepthTargets, MaskTargets, POINTS, TILE};
use crate::model::weights::digest;
use crate::terminal::warnings::Warnings;

/// A label with the views of its photo.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledPhoto {
    /// The label's file.
    pub label: PathBuf,
    /// How its photo lies.
    pub shape: PhotoShape,
    /// Cached views of its photo, the plain one first.
    pub views: Vec<CachedView>,
    /// The fold whose training it is kept out of; none where it is always trained on.
    pub fold: Option<usize>,
}

/// What samples should be.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// `[tiles, POINTS, POINTS]`, metres; 0 where there is none.
    Depth(Vec<f32>),
    /// Ids with their shares; patch `i` has those from `starts[i]` to `starts[i + 1]`, the largest first.
    Shares {
        /// One more than there are patches.
        starts: Vec<usize>,
        /// Of all patches.
        shares: Vec<(u16, f32)>,
    },
}

/// The index.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSamples {
    /// Every view of every photo.
    pub views: Vec<CachedView>,
    /// Per frame, the fold whose training it is kept out of.
    pub folds: Vec<Option<usize>>,
    /// Per sample, its frame.
    pub view: Vec<u32>,
    /// Per sample, the place of its (first) patch on the frame's grid.
    pub patch: Vec<u32>,
    /// Per sample, what it should be.
    pub targets: Targets,
    /// Per data set, its samples.
    pub sets: Vec<Range<usize>>,
}

/// A patch of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PatchKey {
    /// Index of the frame.
    pub view: u32,
    /// Place on its grid.
    pub patch: u32,
}

/// How samples are drawn for an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleDraw {
    /// Samples in all.
    pub count: usize,
    /// Per data set, its part of them; they sum to 1.
    pub set_shares: Vec<f64>,
    /// A patch whose main class is the main class of `n` patches is drawn in proportion to `n^-balance`; 0 draws all
    /// alike, and none twice before the others.
    pub balance: f64,
}

/// What one frame gives.
enum ViewTargets {
    Depth(DepthTargets),
    Shares(MaskTargets),
}

impl ViewTargets {
    fn is_empty(&self) -> bool {
        match self {
            ViewTargets::Depth(found) => found.patches.is_empty(),
            ViewTargets::Shares(found) => found.patches.is_empty(),
        }
    }
}

impl TrainingSamples {
    /// Why a label gives no sample.
    fn no_target_message(&self) -> String {
        match self.targets {
            Targets::Depth(_) => format!(
                "gives nothing to learn from: no reading is within --min-depth and --max-depth, or the photo has fewer than {TILE} x {TILE} patches"
            ),
            Targets::Shares { .. } => {
                "gives nothing to learn from: no patch of it has a known class".to_owned()
            }
        }
    }

    fn empty(targets: Targets) -> Self {
        TrainingSamples {
            views: Vec::new(),
            folds: Vec::new(),
            view: Vec::new(),
            patch: Vec::new(),
            targets,
            sets: Vec::new(),
        }
    }

    /// Tiles with depth between `range.0` and `range.1` metres, of labels as `reader` reads them.
    ///
    /// # Errors
    /// Only what concerns the whole run; labels that cannot be used are recorded in `report`.
    pub fn depth<'a>(
        sets: impl Iterator<Item = &'a [LabelledPhoto]>,
        reader: &DepthLabelReader,
        range: (f32, f32),
        fitting: &LabelAlignment,
        report: &mut RunReport,
    ) -> Result<Self> {
        let mut samples = TrainingSamples::empty(Targets::Depth(Vec::new()));
        for set in sets {
            samples.add_set(set, report, |labelled| {
                let depth = reader.read(&labelled.label)?;
                let depth = fitting.align_depth(depth, &labelled.label, labelled.shape)?;
                let of = |frame: &CachedView| {
                    let mirrored = frame.spec.mirrored;
                    ViewTargets::Depth(targets::depth_targets(
                        &depth,
                        &frame.geometry,
                        mirrored,
                        range,
                    ))
                };
                Ok(labelled.views.iter().map(of).collect())
            })?;
        }
        Ok(samples)
    }

    /// Patches with class shares; the ids of each set are those of its `labels`, and `ignore` is none.
    ///
    /// # Errors
    /// Only what concerns the whole run; masks that cannot be used are recorded in `report`.
    pub fn segment<'a>(
        sets: impl Iterator<Item = (&'a [LabelledPhoto], &'a SetLabels)>,
        ignore: Option<u16>,
        warnings: &Warnings,
        fitting: &LabelAlignment,
        report: &mut RunReport,
    ) -> Result<Self> {
        let mut samples = TrainingSamples::empty(Targets::Shares {
            starts: vec![0],
            shares: Vec::new(),
        });
        for (set, meaning) in sets {
            samples.add_set(set, report, |labelled| {
                let mask = meaning.read_mask(&labelled.label, ignore, warnings)?;
                let mask = fitting.align_mask(mask, &labelled.label, labelled.shape)?;
                let known = |id: u16| Some(id) != ignore && meaning.is_known(id);
                let of = |frame: &CachedView| {
                    let mirrored = frame.spec.mirrored;
                    ViewTargets::Shares(targets::mask_targets(
                        &mask,
                        &frame.geometry,
                        mirrored,
                        known,
                    ))
                };
                Ok(labelled.views.iter().map(of).collect())
            })?;
        }
        Ok(samples)
    }

    fn add_set(
        &mut self,
        set: &[LabelledPhoto],
        report: &mut RunReport,
        find: impl Fn(&LabelledPhoto) -> Result<Vec<ViewTargets>> + Sync,
    ) -> Result<()> {
        let start = self.view.len();
        for chunk in set.chunks(256) {
            crate::system::interrupt::check()?;
            let all: Vec<Result<Vec<ViewTargets>>> = chunk.par_iter().map(&find).collect();
            for (labelled, found) in chunk.iter().zip(all) {
                let name = labelled.label.display().to_string();
                let Some(found) = report.record(name, found)? else {
                    continue;
                };
                if found.iter().all(ViewTargets::is_empty) {
                    let why = Error::file(&labelled.label, self.no_target_message());
                    report.record::<()>(labelled.label.display().to_string(), Err(why))?;
                }
                for (frame, found) in labelled.views.iter().zip(found) {
                    self.add_view(frame, labelled.fold, found);
                }
            }
        }
        self.sets.push(start..self.view.len());
        Ok(())
    }

    fn add_view(&mut self, frame: &CachedView, fold: Option<usize>, found: ViewTargets) {
        let patches = match (found, &mut self.targets) {
            (ViewTargets::Depth(found), Targets::Depth(metres)) => {
                metres.extend(found.metres);
                found.patches
            }
            (ViewTargets::Shares(found), Targets::Shares { starts, shares }) => {
                let base = shares.len();
                starts.extend(found.starts[1..].iter().map(|&at| base + at as usize));
                shares.extend(found.shares);
                found.patches
            }
            _ => return, // a task has one kind of target
        };
        let number = self.views.len() as u32;
        self.view.extend(patches.iter().map(|_| number));
        self.patch.extend(patches);
        self.views.push(frame.clone());
        self.folds.push(fold);
    }

    /// What the training of `fold` learns from: all but the frames that it keeps out.
    pub fn without_fold(&self, fold: usize) -> Cow<'_, Self> {
        if !self.folds.contains(&Some(fold)) {
            return Cow::Borrowed(self);
        }
        let mut kept = TrainingSamples::empty(match &self.targets {
            Targets::Depth(_) => Targets::Depth(Vec::new()),
            Targets::Shares { .. } => Targets::Shares {
                starts: vec![0],
                shares: Vec::new(),
            },
        });
        let mut numbers = vec![None; self.views.len()];
        for (at, frame) in self.views.iter().enumerate() {
            if self.folds[at] != Some(fold) {
                numbers[at] = Some(kept.views.len() as u32);
                kept.views.push(frame.clone());
                kept.folds.push(self.folds[at]);
            }
        }
        for set in &self.sets {
            let start = kept.len();
            for sample in set.clone() {
                let Some(number) = numbers[self.view[sample] as usize] else {
                    continue;
                };
                kept.view.push(number);
                kept.patch.push(self.patch[sample]);
                match &mut kept.targets {
                    Targets::Depth(metres) => metres.extend_from_slice(self.metres_of(sample)),
                    Targets::Shares { starts, shares } => {
                        shares.extend_from_slice(self.shares_of(sample));
                        starts.push(shares.len());
                    }
                }
            }
            kept.sets.push(start..kept.len());
        }
        Cow::Owned(kept)
    }

    /// Patches along a side of a sample.
    pub fn side(&self) -> usize {
        match self.targets {
            Targets::Depth(_) => TILE,
            Targets::Shares { .. } => 1,
        }
    }

    /// Patches of a sample.
    pub fn patches(&self) -> usize {
        self.side() * self.side()
    }

    /// Calls `visit` with each patch of a sample, row by row.
    pub fn each_patch(&self, sample: usize, mut visit: impl FnMut(PatchKey)) {
        let (frame, first) = (self.view[sample], self.patch[sample]);
        if self.side() == 1 {
            return visit(PatchKey {
                view: frame,
                patch: first,
            });
        }
        let cols = self.views[frame as usize].grid().cols as u32;
        for row in 0..self.side() as u32 {
            for col in 0..self.side() as u32 {
                let patch = first + row * cols + col;
                visit(PatchKey { view: frame, patch });
            }
        }
    }

    /// The depths of a tile; none of a patch.
    pub fn metres_of(&self, sample: usize) -> &[f32] {
        match &self.targets {
            Targets::Depth(metres) => &metres[sample * POINTS * POINTS..][..POINTS * POINTS],
            Targets::Shares { .. } => &[],
        }
    }

    /// Samples in all.
    pub fn len(&self) -> usize {
        self.view.len()
    }

    /// Whether there is nothing to train on.
    pub fn is_empty(&self) -> bool {
        self.view.is_empty()
    }

    /// SHA-256 of what all samples are and should be, for telling whether two trainings are one.
    pub fn digest(&self) -> String {
        let numbers = self.view.iter().chain(&self.patch);
        let mut bytes: Vec<u8> = numbers.flat_map(|n| n.to_le_bytes()).collect();
        match &self.targets {
            Targets::Depth(metres) => bytes.extend(metres.iter().flat_map(|m| m.to_le_bytes())),
            Targets::Shares { starts, shares } => {
                bytes.extend(starts.iter().flat_map(|&at| (at as u64).to_le_bytes()));
                for (id, share) in shares {
                    bytes.extend(id.to_le_bytes());
                    bytes.extend(share.to_le_bytes());
                }
            }
        }
        digest::sha256(&bytes)
    }

    /// The data set of a sample.
    pub fn set_of(&self, sample: usize) -> usize {
        self.sets.partition_point(|range| range.end <= sample)
    }

    /// The ids and shares of a patch; none of a depth set.
    pub fn shares_of(&self, sample: usize) -> &[(u16, f32)] {
        match &self.targets {
            Targets::Depth(_) => &[],
            Targets::Shares { starts, shares } => &shares[starts[sample]..starts[sample + 1]],
        }
    }

    /// Draws the samples of an epoch, in the order of training. The same seed gives the same samples.
    pub fn draw(&self, draw: &SampleDraw, seed: u64) -> Vec<u32> {
        let mut order: Vec<u32> = Vec::with_capacity(draw.count);
        for (number, (range, part)) in self.sets.iter().zip(&draw.set_shares).enumerate() {
            let count = (draw.count as f64 * part).round() as usize;
            if range.is_empty() || count == 0 {
                continue;
            }
            let mut rng = fastrand::Rng::with_seed(mix_seed(seed, number as u64));
            if draw.balance > 0.0 && matches!(self.targets, Targets::Shares { .. }) {
                self.draw_balanced(range.clone(), count, draw.balance, &mut rng, &mut order);
            } else {
                draw_evenly(range.clone(), count, &mut rng, &mut order);
            }
        }
        fastrand::Rng::with_seed(mix_seed(seed, u64::MAX)).shuffle(&mut order);
        order
    }

    fn draw_balanced(
        &self,
        range: Range<usize>,
        count: usize,
        balance: f64,
        rng: &mut fastrand::Rng,
        order: &mut Vec<u32>,
    ) {
        let main = |sample: usize| usize::from(self.shares_of(sample)[0].0);
        let mut by_id: Vec<f64> = Vec::new();
        for sample in range.clone() {
            let id = main(sample);
            if by_id.len() <= id {
                by_id.resize(id + 1, 0.0);
            }
            by_id[id] += 1.0;
        }
        let mut sum = 0f64;
        let sums: Vec<f64> = range
            .clone()
            .map(|sample| {
                sum += by_id[main(sample)].powf(-balance);
                sum
            })
            .collect();
        order.extend((0..count).map(|_| {
            let at = rng.f64() * sum;
            let index = sums.partition_point(|&s| s <= at).min(sums.len() - 1);
            (range.start + index) as u32
        }));
    }
}

/// None twice before all were drawn once.
fn draw_evenly(
    range: Range<usize>,
    mut count: usize,
    rng: &mut fastrand::Rng,
    order: &mut Vec<u32>,
) {
    let mut all: Vec<u32> = range.map(|sample| sample as u32).collect();
    while count > 0 {
        let take = count.min(all.len());
        for at in 0..take {
            let other = rng.usize(at..all.len());
            all.swap(at, other);
        }
        order.extend(&all[..take]);
        count -= take;
    }
}

/// A seed from two numbers (SplitMix64's finaliser).
pub fn mix_seed(a: u64, b: u64) -> u64 {
    let mut z = a
        .wrapping_add(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sets of ten patches; of each set the first has class 1, the rest class 0.
    fn samples() -> TrainingSamples {
        let shares: Vec<(u16, f32)> = (0..20).map(|i| (u16::from(i % 10 == 0), 1.0)).collect();
        TrainingSamples {
            views: Vec::new(),
            folds: Vec::new(),
            view: vec![0; 20],
            patch: vec![0; 20],
            targets: Targets::Shares {
                starts: (0..=20).collect(),
                shares,
            },
            sets: vec![0..10, 10..20],
        }
    }

    #[test]
    fn even_draws_take_everything_before_anything_again() {
        let draw = SampleDraw {
            count: 20,
            set_shares: vec![0.5, 0.5],
            balance: 0.0,
        };
        let mut order = samples().draw(&draw, 1);
        assert_eq!(order, samples().draw(&draw, 1));
        assert_ne!(order, samples().draw(&draw, 2));
        order.sort_unstable();
        assert_eq!(order, (0..20).collect::<Vec<u32>>());
    }

    #[test]
    fn sets_have_their_parts_and_rare_classes_more() {
        let draw = SampleDraw {
            count: 4000,
            set_shares: vec![0.75, 0.25],
            balance: 1.0,
        };
        let order = samples().draw(&draw, 3);
        let of_first = order.iter().filter(|&&sample| sample < 10).count();
        assert_eq!(of_first, 3000);
        let rare = order.iter().filter(|&&sample| sample % 10 == 0).count();
        assert!((1800..2200).contains(&rare), "{rare}");
        assert_eq!(samples().set_of(9), 0);
        assert_eq!(samples().set_of(10), 1);
    }
}
