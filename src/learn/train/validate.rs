//! The figures of a head on the validation frames, from their cached features.

use rayon::prelude::*;

use crate::error::Result;
use crate::learn::data::labels::DepthReader;
use crate::learn::data::{Depth, Fitting, Mask, SetLabels};
use crate::learn::eval::{Confusion, DepthErrors, Judge, MaskJudge};
use crate::learn::train::run::Figures;
use crate::learn::train::samples::Labelled;
use crate::learn::train::scores::CachedHead;
use crate::model::input::Geometry;
use crate::terminal::warnings::Warnings;
use crate::vision::postprocess::depth::{Spread, read_out};

/// What a head is validated on: data sets by name, with their frames.
#[derive(Debug)]
pub struct Validation {
    /// Names and frames.
    pub sets: Vec<(String, Vec<Labelled>)>,
    /// How frames are judged.
    pub how: How,
    /// What is done about labels of another shape than their photo's.
    pub fitting: Fitting,
}

/// How frames are judged.
#[derive(Debug, Clone)]
pub enum How {
    /// As depth.
    Depth {
        /// Crop and range.
        judge: Judge,
        /// How labels are read.
        reader: DepthReader,
        /// Bin centres.
        centres: Vec<f32>,
        /// How much finer than the grid the bins are read out.
        upsample: usize,
    },
    /// As classes; what the ids of each set mean.
    Segment {
        /// In the order of the sets.
        meanings: Vec<SetLabels>,
        /// Classes of the head.
        classes: usize,
        /// The id that does not count.
        ignore: Option<u16>,
        /// Where doubts about masks go.
        warnings: Warnings,
    },
}

/// The figures of heads for classes, the most telling first.
pub const SEGMENT_FIGURES: [&str; 3] = ["miou", "pixel_accuracy", "mean_accuracy"];

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Frames of a set, evenly spread over it.
    pub frames: usize,
    /// Pixels of a frame's side are taken this far apart (of masks).
    pub stride: usize,
}

impl Effort {
    /// Everything.
    pub const FULL: Effort = Effort {
        frames: usize::MAX,
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
    pub fn figures(&self, head: &CachedHead, effort: Effort) -> Result<Figures> {
        Ok(self.tally(head, effort)?.figures())
    }

    /// What a head does on the frames, uncounted.
    ///
    /// # Errors
    /// If a label cannot be read any more.
    pub fn tally(&self, head: &CachedHead, effort: Effort) -> Result<Tally> {
        let mut tally = Tally::default();
        for (index, (name, frames)) in self.sets.iter().enumerate() {
            let chosen = Validation::spread(frames, effort.frames);
            let count = chosen.len();
            let counted = match &self.how {
                How::Depth { .. } => Counted::Depth(self.depth(head, &chosen)?),
                How::Segment {
                    meanings,
                    classes,
                    ignore,
                    ..
                } => {
                    let judge = MaskJudge::new(&meanings[index], *classes, *ignore);
                    let ids = meanings[index].allowed.len();
                    Counted::Segment(self.segment(
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
    pub(super) fn spread(frames: &[Labelled], most: usize) -> Vec<&Labelled> {
        let count = frames.len().min(most.max(1));
        (0..count)
            .map(|i| &frames[(2 * i + 1) * frames.len() / (2 * count)])
            .collect()
    }

    fn depth(&self, head: &CachedHead, frames: &[&Labelled]) -> Result<Vec<DepthErrors>> {
        let How::Depth {
            judge,
            reader,
            centres,
            upsample,
        } = &self.how
        else {
            return Ok(Vec::new());
        };
        let one = |labelled: &&Labelled| -> Result<Option<DepthErrors>> {
            let (Some(frame), truth) = (
                labelled.frames.first(),
                read_depth(labelled, reader, &self.fitting)?,
            ) else {
                return Ok(None);
            };
            let size = (truth.width, truth.height);
            let map = read_out(&head.scores(frame)?, centres, *upsample, Spread::Unread)
                .to_photo(&at_label(&frame.geometry, size));
            Ok(judge.errors(&map.depth, &truth.metres, size))
        };
        let all: Vec<Option<DepthErrors>> = frames.par_iter().map(one).collect::<Result<_>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    fn segment(
        &self,
        head: &CachedHead,
        frames: &[&Labelled],
        judge: &MaskJudge<'_>,
        meaning: &SetLabels,
        ids: usize,
        stride: usize,
    ) -> Result<Confusion> {
        let mut sum = Confusion::new(ids);
        let How::Segment {
            ignore, warnings, ..
        } = &self.how
        else {
            return Ok(sum);
        };
        let one = |labelled: &&Labelled| -> Result<Confusion> {
            let mut confusion = Confusion::new(ids);
            if let Some(frame) = labelled.frames.first() {
                let mask = read_mask(labelled, meaning, (*ignore, warnings), &self.fitting)?;
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

/// The label of a frame as it lies on its photo.
pub(super) fn read_depth(
    labelled: &Labelled,
    reader: &DepthReader,
    fitting: &Fitting,
) -> Result<Depth> {
    let depth = reader.read(&labelled.label)?;
    fitting.depth(depth, &labelled.label, labelled.shape)
}

/// The label of a frame as it lies on its photo.
fn read_mask(
    labelled: &Labelled,
    meaning: &SetLabels,
    (ignore, warnings): (Option<u16>, &Warnings),
    fitting: &Fitting,
) -> Result<Mask> {
    let mask = meaning.read_mask(&labelled.label, ignore, warnings)?;
    fitting.mask(mask, &labelled.label, labelled.shape)
}

impl How {
    /// Reads the label of a frame of a set, for errors before anything is judged.
    ///
    /// # Errors
    /// Names the label.
    pub fn check(&self, set: usize, labelled: &Labelled, fitting: &Fitting) -> Result<()> {
        match self {
            How::Depth { reader, .. } => read_depth(labelled, reader, fitting).map(|_| ()),
            How::Segment {
                meanings,
                ignore,
                warnings,
                ..
            } => read_mask(labelled, &meanings[set], (*ignore, warnings), fitting).map(|_| ()),
        }
    }
}

/// What heads did on frames, before it comes to figures, so that what was seen in several trainings can be counted as
/// one.
#[derive(Debug, Default)]
pub struct Tally {
    /// By data set: its name, frames and counts.
    sets: Vec<(String, usize, Counted)>,
}

/// The counts of one data set.
#[derive(Debug)]
enum Counted {
    Depth(Vec<DepthErrors>),
    Segment(Confusion),
}

impl Counted {
    fn figures(&self) -> Figures {
        match self {
            Counted::Depth(errors) => named(&DepthErrors::mean(errors)),
            Counted::Segment(counts) => {
                let values = [
                    counts.mean_iou(),
                    counts.pixel_accuracy(),
                    counts.mean_accuracy(),
                ];
                let named = SEGMENT_FIGURES.iter().zip(values);
                named.map(|(name, value)| ((*name).into(), value)).collect()
            }
        }
    }
}

impl Tally {
    /// Adds what another head did on other frames of the same sets.
    pub fn merge(&mut self, other: Tally) {
        if self.sets.is_empty() {
            *self = other;
            return;
        }
        for ((_, frames, own), (_, more, others)) in self.sets.iter_mut().zip(other.sets) {
            *frames += more;
            match (own, others) {
                (Counted::Depth(own), Counted::Depth(others)) => own.extend(others),
                (Counted::Segment(own), Counted::Segment(others)) => own.merge(&others),
                _ => (), // a task has one kind of counts
            }
        }
    }

    /// Frames in all.
    pub fn frames(&self) -> usize {
        self.sets.iter().map(|(_, frames, _)| frames).sum()
    }

    /// Names and values of all figures, the most telling first: over all sets, and with several also of each
    /// (`miou:street`). None where there are no frames.
    pub fn figures(&self) -> Figures {
        let seen = self.sets.iter().filter(|(_, frames, _)| *frames > 0);
        let by_set: Vec<(&str, Figures)> = seen
            .clone()
            .map(|(name, _, counted)| (name.as_str(), counted.figures()))
            .collect();
        let errors: Vec<DepthErrors> = seen
            .filter_map(|(_, _, counted)| match counted {
                Counted::Depth(errors) => Some(errors.as_slice()),
                Counted::Segment(_) => None,
            })
            .flatten()
            .copied()
            .collect();
        let mut all = match errors.is_empty() {
            true => mean_of(&by_set),
            false => named(&DepthErrors::mean(&errors)),
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
pub fn at_label(geometry: &Geometry, (width, height): (usize, usize)) -> Geometry {
    Geometry {
        photo: (width as u32, height as u32),
        ..*geometry
    }
}

fn named(errors: &DepthErrors) -> Figures {
    errors
        .named()
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// The mean of every figure over the sets.
fn mean_of(by_set: &[(&str, Figures)]) -> Figures {
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
