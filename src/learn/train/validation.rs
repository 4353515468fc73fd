//! The figures of a head on the validation frames, from their cached features.

use rayon::prelude::*;

use crate::error::Result;
use crate::learn::data::labels::DepthLabelReader;
use crate::learn::data::{LabelAlignment, SetLabels};
use crate::learn::eval::{Confusion, DepthErrors, Evaluator, MaskEvaluator};
use crate::learn::train::samples::LabelledPhoto;
use crate::learn::train::scores::CachedHead;
use crate::learn::train::trainer::MetricValues;
use crate::model::input::Geometry;
use crate::terminal::warnings::Warnings;
use crate::vision::postprocess::depth::{BinSpread, decode_bins};

/// What a head is validated on: data sets by name, with their frames.
#[derive(Debug)]
pub struct Validation {
    /// Names and frames.
    pub sets: Vec<(String, Vec<LabelledPhoto>)>,
    /// How frames are judged.
    pub task: ValidationTask,
    /// What is done about labels of another shape than their photo's.
    pub alignment: LabelAlignment,
}

/// How frames are judged.
#[derive(Debug, Clone)]
pub enum ValidationTask {
    /// As depth.
    Depth {
        /// Crop and range.
        evaluator: Evaluator,
        /// How labels are read.
        reader: DepthLabelReader,
        /// Bin centres.
        centres: Vec<f32>,
        /// How much finer than the grid the bins are read out.
        upsample: usize,
    },
    /// As classes; what the ids of each set mean.
    Segment {
        /// In the order of the sets.
        set_labels: Vec<SetLabels>,
        /// Classes of the head.
        classes: usize,
        /// The id that does not count.
        ignore: Option<u16>,
        /// Where doubts about masks go.
        warnings: Warnings,
    },
}

/// The figures of heads for classes, the most telling first.
pub const SEGMENT_METRICS: [&str; 3] = ["miou", "pixel_accuracy", "mean_accuracy"];

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subsampling {
    /// Frames of a set, evenly spread over it.
    pub photos: usize,
    /// Pixels of a frame's side are taken this far apart (of masks).
    pub stride: usize,
}

impl Subsampling {
    /// Everything.
    pub const FULL: Subsampling = Subsampling {
        photos: usize::MAX,
        stride: 1,
    };
}

impl Validation {
    /// Whether there is nothing to validate on.
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|(_, frames)| frames.is_empty())
    }

    /// The figures of a head.
    ///
    /// # Errors
    /// If a label cannot be read any more.
    pub fn metrics(&self, head: &CachedHead, effort: Subsampling) -> Result<MetricValues> {
        Ok(self.accumulate(head, effort)?.metrics())
    }

    /// What a head does on the frames, uncounted.
    ///
    /// # Errors
    /// If a label cannot be read any more.
    pub fn accumulate(&self, head: &CachedHead, effort: Subsampling) -> Result<MetricAccumulator> {
        let mut tally = MetricAccumulator::default();
        for (index, (name, frames)) in self.sets.iter().enumerate() {
            let chosen = Validation::spaced_subset(frames, effort.photos);
            let count = chosen.len();
            let counted = match &self.task {
                ValidationTask::Depth { .. } => SetCounts::Depth(self.depth(head, &chosen)?),
                ValidationTask::Segment {
                    set_labels: meanings,
                    classes,
                    ignore,
                    ..
                } => {
                    let judge = MaskEvaluator::new(&meanings[index], *classes, *ignore);
                    let ids = meanings[index].allowed.len();
                    SetCounts::Segment(self.segment(
                        head,
                        &chosen,
                        &judge,
                        &meanings[index],
                        ids,
                        effort.stride,
                    )?)
                }
            };
            tally.sets.push((name.clone(), count, counted));
        }
        Ok(tally)
    }

    /// At most `most` of `frames`, evenly spread over them.
    pub(super) fn spaced_subset(frames: &[LabelledPhoto], most: usize) -> Vec<&LabelledPhoto> {
        let count = frames.len().min(most.max(1));
        (0..count)
            .map(|i| &frames[(2 * i + 1) * frames.len() / (2 * count)])
            .collect()
    }

    fn depth(&self, head: &CachedHead, frames: &[&LabelledPhoto]) -> Result<Vec<DepthErrors>> {
        let ValidationTask::Depth {
            evaluator: judge,
            reader,
            centres,
            upsample,
        } = &self.task
        else {
            return Ok(Vec::new());
        };
        let one = |labelled: &&LabelledPhoto| -> Result<Option<DepthErrors>> {
            let (Some(frame), truth) = (
                labelled.views.first(),
                labelled.read_depth(reader, &self.alignment)?,
            ) else {
                return Ok(None);
            };
            let size = (truth.width, truth.height);
            let map = decode_bins(&head.scores(frame)?, centres, *upsample, BinSpread::Omitted)
                .to_photo(&label_geometry(&frame.geometry, size));
            Ok(judge.errors(&map.depth, &truth.metres, size))
        };
        let all: Vec<Option<DepthErrors>> = frames.par_iter().map(one).collect::<Result<_>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    fn segment(
        &self,
        head: &CachedHead,
        frames: &[&LabelledPhoto],
        judge: &MaskEvaluator<'_>,
        meaning: &SetLabels,
        ids: usize,
        stride: usize,
    ) -> Result<Confusion> {
        let mut sum = Confusion::new(ids);
        let ValidationTask::Segment {
            ignore, warnings, ..
        } = &self.task
        else {
            return Ok(sum);
        };
        let one = |labelled: &&LabelledPhoto| -> Result<Confusion> {
            let mut confusion = Confusion::new(ids);
            if let Some(frame) = labelled.views.first() {
                let mask = labelled.read_mask(meaning, (*ignore, warnings), &self.alignment)?;
                let scores = head.scores(frame)?;
                judge.count(&mut confusion, &mask, &scores, &frame.geometry, stride)?;
            }
            Ok(confusion)
        };
        let all: Vec<Confusion> = frames.par_iter().map(one).collect::<Result<_>>()?;
        all.iter().for_each(|one| sum.merge(one));
        Ok(sum)
    }
}

impl ValidationTask {
    /// Reads the label of a frame of a set, for errors before anything is judged.
    ///
    /// # Errors
    /// Names the label.
    pub fn check(
        &self,
        set: usize,
        labelled: &LabelledPhoto,
        alignment: &LabelAlignment,
    ) -> Result<()> {
        match self {
            ValidationTask::Depth { reader, .. } => {
                labelled.read_depth(reader, alignment).map(|_| ())
            }
            ValidationTask::Segment {
                set_labels: meanings,
                ignore,
                warnings,
                ..
            } => labelled
                .read_mask(&meanings[set], (*ignore, warnings), alignment)
                .map(|_| ()),
        }
    }
}

/// What heads did on frames, before it comes to figures, so that what was seen in several trainings can be counted as
/// one.
#[derive(Debug, Default)]
pub struct MetricAccumulator {
    /// By data set: its name, frames and counts.
    sets: Vec<(String, usize, SetCounts)>,
}

/// The counts of one data set.
#[derive(Debug)]
enum SetCounts {
    Depth(Vec<DepthErrors>),
    Segment(Confusion),
}

impl SetCounts {
    fn metrics(&self) -> MetricValues {
        match self {
            SetCounts::Depth(errors) => depth_metrics(&DepthErrors::mean(errors)),
            SetCounts::Segment(counts) => {
                let values = [
                    counts.mean_iou(),
                    counts.pixel_accuracy(),
                    counts.mean_accuracy(),
                ];
                let named = SEGMENT_METRICS.iter().zip(values);
                named.map(|(name, value)| ((*name).into(), value)).collect()
            }
        }
    }
}

impl MetricAccumulator {
    /// Adds what another head did on other frames of the same sets.
    pub fn merge(&mut self, other: MetricAccumulator) {
        if self.sets.is_empty() {
            *self = other;
            return;
        }
        for ((_, frames, own), (_, more, others)) in self.sets.iter_mut().zip(other.sets) {
            *frames += more;
            match (own, others) {
                (SetCounts::Depth(own), SetCounts::Depth(others)) => own.extend(others),
                (SetCounts::Segment(own), SetCounts::Segment(others)) => own.merge(&others),
                _ => (), // a task has one kind of counts
            }
        }
    }

    /// Frames in all.
    pub fn photos(&self) -> usize {
        self.sets.iter().map(|(_, frames, _)| frames).sum()
    }

    /// Names and values of all figures, the most telling first: over all sets, and with several also of each
    /// (`miou:street`). None where there are no frames.
    pub fn metrics(&self) -> MetricValues {
        let seen = self.sets.iter().filter(|(_, frames, _)| *frames > 0);
        let by_set: Vec<(&str, MetricValues)> = seen
            .clone()
            .map(|(name, _, counted)| (name.as_str(), counted.metrics()))
            .collect();
        let errors: Vec<DepthErrors> = seen
            .filter_map(|(_, _, counted)| match counted {
                SetCounts::Depth(errors) => Some(errors.as_slice()),
                SetCounts::Segment(_) => None,
            })
            .flatten()
            .copied()
            .collect();
        let mut all = match errors.is_empty() {
            true => mean_of(&by_set),
            false => depth_metrics(&DepthErrors::mean(&errors)),
        };
        if by_set.len() > 1 {
            for (set, figures) in by_set {
                let of_set = |(name, value)| (format!("{name}:{set}"), value);
                all.extend(figures.into_iter().map(of_set));
            }
        }
        all
    }
}

/// The geometry by which a map comes to the pixels of a label.
pub fn label_geometry(geometry: &Geometry, (width, height): (usize, usize)) -> Geometry {
    Geometry {
        photo: (width as u32, height as u32),
        ..*geometry
    }
}

fn depth_metrics(errors: &DepthErrors) -> MetricValues {
    errors
        .named_values()
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// The mean of every figure over the sets.
fn mean_of(by_set: &[(&str, MetricValues)]) -> MetricValues {
    let n = by_set.len() as f64;
    let first = by_set.first().map(|(_, figures)| figures.as_slice());
    first
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(at, (name, _))| {
            let sum: f64 = by_set.iter().map(|(_, figures)| figures[at].1).sum();
            (name.clone(), sum / n)
        })
        .collect()
}
