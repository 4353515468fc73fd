//! Validation of a head during and after training: its metrics on photos that were kept out, from their cached
//! features.
//!
//! In: a [`CachedHead`] and labelled photos by data set. Out: [`MetricValues`]. Depth metrics are means over all photos
//! ([`DepthErrors`]); of classes, IoU and accuracies are taken from one confusion matrix a data set, in the ids of the
//! set, and averaged over the sets.

use rayon::prelude::*;

use crate::error::Result;
use crate::learn::data::labels::DepthLabelReader;
use crate::learn::data::{LabelAlignment, SetLabels};
use crate::learn::eval::{Confusion, DepthErrors, DepthEvaluator, MaskEvaluator};
use crate::learn::train::samples::LabelledPhoto;
use crate::learn::train::scores::CachedHead;
use crate::learn::train::trainer::MetricValues;
use crate::model::input::Geometry;
use crate::terminal::warnings::Warnings;
use crate::vision::postprocess::depth::{BinSpread, decode_bins};

/// The photos that heads are validated on, and how.
#[derive(Debug)]
pub struct Validation {
    /// Data sets by name, each with its photos.
    pub sets: Vec<(String, Vec<LabelledPhoto>)>,
    /// The task, with what its metrics need.
    pub task: ValidationTask,
    /// How labels are brought onto their photos.
    pub alignment: LabelAlignment,
}

/// How predictions are compared with labels.
#[derive(Debug, Clone)]
pub enum ValidationTask {
    /// Metric depth.
    Depth {
        /// Crop and range of the depths that count.
        evaluator: DepthEvaluator,
        /// The reader of depth labels.
        reader: DepthLabelReader,
        /// Bin centres of the head, metres.
        centres: Vec<f32>,
        /// How many times as fine as the patch grid depth is read out.
        upsample: usize,
    },
    /// Classes.
    Segment {
        /// The meaning of the ids of each data set, in the order of [`Validation::sets`].
        set_labels: Vec<SetLabels>,
        /// Number of classes of the head.
        classes: usize,
        /// The id of pixels that do not count; none where all count.
        ignore: Option<u16>,
        /// Receives warnings about masks.
        warnings: Warnings,
    },
}

/// Names of the metrics of segmentation heads, the most telling first.
pub const SEGMENT_METRICS: [&str; 3] = ["miou", "pixel_accuracy", "mean_accuracy"];

/// How much of the validation data is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subsampling {
    /// Photos of each data set at most, evenly spread over it.
    pub photos: usize,
    /// Every so many-th pixel of masks is evaluated, in both directions; 1 takes all.
    pub stride: usize,
}

impl Subsampling {
    /// All photos and pixels.
    pub const FULL: Subsampling = Subsampling {
        photos: usize::MAX,
        stride: 1,
    };
}

impl Validation {
    /// Whether there is nothing to validate on.
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|(_, photos)| photos.is_empty())
    }

    /// The metrics of a head.
    ///
    /// # Errors
    /// Where a label or features cannot be read any more.
    pub fn metrics(&self, head: &CachedHead, subsampling: Subsampling) -> Result<MetricValues> {
        Ok(self.accumulate(head, subsampling)?.metrics())
    }

    /// The errors and counts of a head, before metrics are computed from them.
    ///
    /// # Errors
    /// As [`Validation::metrics`].
    pub fn accumulate(
        &self,
        head: &CachedHead,
        subsampling: Subsampling,
    ) -> Result<MetricAccumulator> {
        let mut accumulator = MetricAccumulator::default();
        for (index, (name, photos)) in self.sets.iter().enumerate() {
            let chosen = Validation::spaced_subset(photos, subsampling.photos);
            let count = chosen.len();
            let counted = match &self.task {
                ValidationTask::Depth { .. } => SetCounts::Depth(self.depth(head, &chosen)?),
                ValidationTask::Segment {
                    set_labels,
                    classes,
                    ignore,
                    ..
                } => {
                    let evaluator = MaskEvaluator::new(&set_labels[index], *classes, *ignore);
                    let ids = set_labels[index].allowed.len();
                    SetCounts::Segment(self.segment(
                        head,
                        &chosen,
                        &evaluator,
                        &set_labels[index],
                        ids,
                        subsampling.stride,
                    )?)
                }
            };
            accumulator.sets.push((name.clone(), count, counted));
        }
        Ok(accumulator)
    }

    /// At most `most` of `photos`, evenly spread over them.
    pub(super) fn spaced_subset(photos: &[LabelledPhoto], most: usize) -> Vec<&LabelledPhoto> {
        let count = photos.len().min(most.max(1));
        (0..count)
            .map(|i| &photos[(2 * i + 1) * photos.len() / (2 * count)])
            .collect()
    }

    fn depth(&self, head: &CachedHead, photos: &[&LabelledPhoto]) -> Result<Vec<DepthErrors>> {
        let ValidationTask::Depth {
            evaluator,
            reader,
            centres,
            upsample,
        } = &self.task
        else {
            return Ok(Vec::new());
        };
        let one = |labelled: &&LabelledPhoto| -> Result<Option<DepthErrors>> {
            let (Some(view), truth) = (
                labelled.views.first(),
                labelled.read_depth(reader, &self.alignment)?,
            ) else {
                return Ok(None);
            };
            let size = (truth.width, truth.height);
            let map = decode_bins(&head.scores(view)?, centres, *upsample, BinSpread::Omitted)
                .to_photo(&label_geometry(&view.geometry, size));
            Ok(evaluator.errors(&map.depth, &truth.metres, size))
        };
        let all: Vec<Option<DepthErrors>> = photos.par_iter().map(one).collect::<Result<_>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    fn segment(
        &self,
        head: &CachedHead,
        photos: &[&LabelledPhoto],
        evaluator: &MaskEvaluator<'_>,
        set_labels: &SetLabels,
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
            if let Some(view) = labelled.views.first() {
                let mask = labelled.read_mask(set_labels, (*ignore, warnings), &self.alignment)?;
                let scores = head.scores(view)?;
                evaluator.count(&mut confusion, &mask, &scores, &view.geometry, stride)?;
            }
            Ok(confusion)
        };
        let all: Vec<Confusion> = photos.par_iter().map(one).collect::<Result<_>>()?;
        all.iter().for_each(|one| sum.merge(one));
        Ok(sum)
    }
}

impl ValidationTask {
    /// Reads the label of a photo of the data set with index `set`, so that what is wrong with it is known before
    /// training.
    ///
    /// # Errors
    /// Where the label cannot be read or does not fit its photo.
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
                set_labels,
                ignore,
                warnings,
                ..
            } => labelled
                .read_mask(&set_labels[set], (*ignore, warnings), alignment)
                .map(|_| ()),
        }
    }
}

/// Errors and counts over photos, by data set, from which metrics are computed; those of the heads of several folds are
/// merged and count as one.
#[derive(Debug, Default)]
pub struct MetricAccumulator {
    /// By data set: its name, number of photos, and counts.
    sets: Vec<(String, usize, SetCounts)>,
}

/// What is accumulated over the photos of one data set.
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
    /// Adds the errors and counts of another head on other photos of the same data sets.
    pub fn merge(&mut self, other: MetricAccumulator) {
        if self.sets.is_empty() {
            *self = other;
            return;
        }
        for ((_, photos, own), (_, more, others)) in self.sets.iter_mut().zip(other.sets) {
            *photos += more;
            match (own, others) {
                (SetCounts::Depth(own), SetCounts::Depth(others)) => own.extend(others),
                (SetCounts::Segment(own), SetCounts::Segment(others)) => own.merge(&others),
                _ => (), // a task has one kind of counts
            }
        }
    }

    /// Number of photos over all data sets.
    pub fn photos(&self) -> usize {
        self.sets.iter().map(|(_, photos, _)| photos).sum()
    }

    /// Names and values of all metrics, the most telling first: over all data sets and, where there are several, of
    /// each (`miou:street`). Empty where there are no photos.
    pub fn metrics(&self) -> MetricValues {
        let seen = self.sets.iter().filter(|(_, photos, _)| *photos > 0);
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

/// The geometry of a view with the label in the place of the photo: maps resampled by it lie on the pixels of the
/// label.
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

/// The mean of every metric over the data sets.
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
