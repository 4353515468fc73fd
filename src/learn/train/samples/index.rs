//! The index of training samples: for each its view, the place of its (first) patch on the view's grid, and its target.
//!
//! In: labels with the cached views of their photos, data set by data set. Out: [`TrainingSamples`], flat arrays over
//! all samples in the order of sets, labels, views and patches.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::labelled_photo::LabelledPhoto;
use crate::engine::run_report::RunReport;
use crate::error::{Error, Result};
use crate::learn::data::LabelAlignment;
use crate::learn::data::labels::DepthLabelReader;
use crate::learn::data::taxonomy::SetLabels;
use crate::learn::train::cached_view::CachedView;
use crate::learn::train::targets::{self, DepthTargets, MaskTargets, POINTS, TILE};
use crate::model::weights::digest;
use crate::terminal::warnings::Warnings;

/// The targets of all samples.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Mean depth at the points of each tile, `[tiles, POINTS, POINTS]` in metres; 0 where there is no reading.
    Depth(Vec<f32>),
    /// The shares of the class ids of each patch; patch `i` has those from `starts[i]` to `starts[i + 1]`, the largest
    /// first.
    Shares {
        /// `[patches + 1]`, rising from 0.
        starts: Vec<usize>,
        /// Ids and shares of all patches; those of one patch sum to 1.
        shares: Vec<(u16, f32)>,
    },
}

/// The index of all training samples.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSamples {
    /// Every view of every photo.
    pub views: Vec<CachedView>,
    /// Per view, the fold whose training it is kept out of; none where it is always trained on.
    pub folds: Vec<Option<usize>>,
    /// Per sample, the index of its view in [`TrainingSamples::views`].
    pub view: Vec<u32>,
    /// Per sample, the place of its patch on the view's grid, row-major; of a tile that of its top left patch.
    pub patch: Vec<u32>,
    /// The targets of all samples, in their order.
    pub targets: Targets,
    /// Per data set, the range of its samples.
    pub sets: Vec<Range<usize>>,
}

/// A patch of a view; ordered by view and then by place, as the features lie on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PatchKey {
    /// Index in [`TrainingSamples::views`].
    pub view: u32,
    /// Place on the view's grid, row-major.
    pub patch: u32,
}

impl Targets {
    /// The depths of no tile.
    fn no_depth() -> Self {
        Targets::Depth(Vec::new())
    }

    /// The shares of no patch.
    fn no_shares() -> Self {
        Targets::Shares {
            starts: vec![0],
            shares: Vec::new(),
        }
    }
}

/// The targets of one view's samples.
enum ViewTargets {
    Depth(DepthTargets),
    Shares(MaskTargets),
}

impl ViewTargets {
    fn is_empty(&self) -> bool {
        match self {
            ViewTargets::Depth(targets) => targets.patches.is_empty(),
            ViewTargets::Shares(targets) => targets.patches.is_empty(),
        }
    }
}

impl TrainingSamples {
    /// The message for a label that gives no sample.
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

    /// The index of tiles with readings between `range.0` and `range.1` metres, of the labels of each data set as
    /// `reader` reads them.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after Ctrl-C; labels that cannot be used are recorded in `report` and give no sample.
    pub fn depth<'a>(
        sets: impl Iterator<Item = &'a [LabelledPhoto]>,
        reader: &DepthLabelReader,
        range: (f32, f32),
        alignment: &LabelAlignment,
        report: &mut RunReport,
    ) -> Result<Self> {
        let mut samples = TrainingSamples::empty(Targets::no_depth());
        for set in sets {
            samples.add_set(set, report, |labelled| {
                let depth = labelled.read_depth(reader, alignment)?;
                let targets_of = |view: &CachedView| {
                    let (geometry, mirrored) = (&view.geometry, view.spec.mirrored);
                    ViewTargets::Depth(targets::depth_targets(&depth, geometry, mirrored, range))
                };
                Ok(labelled.views.iter().map(targets_of).collect())
            })?;
        }
        Ok(samples)
    }

    /// The index of patches with the shares of their class ids. Each data set comes with the meaning of its ids; pixels
    /// of the id `ignore`, and of ids that have no class, do not count.
    ///
    /// # Errors
    /// As [`TrainingSamples::depth`].
    pub fn segment<'a>(
        sets: impl Iterator<Item = (&'a [LabelledPhoto], &'a SetLabels)>,
        ignore: Option<u16>,
        warnings: &Warnings,
        alignment: &LabelAlignment,
        report: &mut RunReport,
    ) -> Result<Self> {
        let mut samples = TrainingSamples::empty(Targets::no_shares());
        for (set, set_labels) in sets {
            let known = |id: u16| Some(id) != ignore && set_labels.is_known(id);
            samples.add_set(set, report, |labelled| {
                let mask = labelled.read_mask(set_labels, (ignore, warnings), alignment)?;
                let targets_of = |view: &CachedView| {
                    let (geometry, mirrored) = (&view.geometry, view.spec.mirrored);
                    ViewTargets::Shares(targets::mask_targets(&mask, geometry, mirrored, known))
                };
                Ok(labelled.views.iter().map(targets_of).collect())
            })?;
        }
        Ok(samples)
    }

    /// Adds the samples of one data set; labels are read in parallel, 256 at a time, and added in their order.
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
            for (labelled, targets) in chunk.iter().zip(all) {
                let name = labelled.label.display().to_string();
                let Some(targets) = report.record(name, targets)? else {
                    continue;
                };
                if targets.iter().all(ViewTargets::is_empty) {
                    let why = Error::file(&labelled.label, self.no_target_message());
                    report.record::<()>(labelled.label.display().to_string(), Err(why))?;
                }
                for (view, targets) in labelled.views.iter().zip(targets) {
                    self.add_view(view, labelled.fold, targets);
                }
            }
        }
        self.sets.push(start..self.view.len());
        Ok(())
    }

    fn add_view(&mut self, view: &CachedView, fold: Option<usize>, targets: ViewTargets) {
        let patches = match (targets, &mut self.targets) {
            (ViewTargets::Depth(targets), Targets::Depth(metres)) => {
                metres.extend(targets.metres);
                targets.patches
            }
            (ViewTargets::Shares(targets), Targets::Shares { starts, shares }) => {
                let base = shares.len();
                starts.extend(targets.starts[1..].iter().map(|&at| base + at as usize));
                shares.extend(targets.shares);
                targets.patches
            }
            _ => return, // a task has one kind of target
        };
        let number = self.views.len() as u32;
        self.view.extend(patches.iter().map(|_| number));
        self.patch.extend(patches);
        self.views.push(view.clone());
        self.folds.push(fold);
    }

    /// The samples that the training of `fold` learns from: all but those of the views that it keeps out.
    pub fn without_fold(&self, fold: usize) -> Cow<'_, Self> {
        if !self.folds.contains(&Some(fold)) {
            return Cow::Borrowed(self);
        }
        let mut kept = TrainingSamples::empty(match &self.targets {
            Targets::Depth(_) => Targets::no_depth(),
            Targets::Shares { .. } => Targets::no_shares(),
        });
        let mut numbers = vec![None; self.views.len()];
        for (at, view) in self.views.iter().enumerate() {
            if self.folds[at] != Some(fold) {
                numbers[at] = Some(kept.views.len() as u32);
                kept.views.push(view.clone());
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

    /// Patches along a side of a sample: 1 for classes, [`TILE`] for depth.
    pub fn side(&self) -> usize {
        match self.targets {
            Targets::Depth(_) => TILE,
            Targets::Shares { .. } => 1,
        }
    }

    /// Patches of a sample: 1 for classes, `TILE * TILE` for depth.
    pub fn patches(&self) -> usize {
        self.side() * self.side()
    }

    /// Calls `visit` with each patch of a sample, row by row.
    pub fn each_patch(&self, sample: usize, mut visit: impl FnMut(PatchKey)) {
        let (view, first) = (self.view[sample], self.patch[sample]);
        if self.side() == 1 {
            return visit(PatchKey { view, patch: first });
        }
        let cols = self.views[view as usize].grid().cols as u32;
        for row in 0..self.side() as u32 {
            for col in 0..self.side() as u32 {
                let patch = first + row * cols + col;
                visit(PatchKey { view, patch });
            }
        }
    }

    /// The target of a tile, `[POINTS, POINTS]` in metres; empty where samples are patches.
    pub fn metres_of(&self, sample: usize) -> &[f32] {
        match &self.targets {
            Targets::Depth(metres) => &metres[sample * POINTS * POINTS..][..POINTS * POINTS],
            Targets::Shares { .. } => &[],
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.view.len()
    }

    /// Whether there is nothing to train on.
    pub fn is_empty(&self) -> bool {
        self.view.is_empty()
    }

    /// SHA-256 of the places and targets of all samples, as a part of what identifies a training.
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

    /// The index of the data set that a sample comes from.
    pub fn set_of(&self, sample: usize) -> usize {
        self.sets.partition_point(|range| range.end <= sample)
    }

    /// The ids of a patch and their shares, the largest first; empty where samples are tiles.
    pub fn shares_of(&self, sample: usize) -> &[(u16, f32)] {
        match &self.targets {
            Targets::Depth(_) => &[],
            Targets::Shares { starts, shares } => &shares[starts[sample]..starts[sample + 1]],
        }
    }
}
