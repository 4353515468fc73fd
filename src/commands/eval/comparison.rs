//! A head's depths beside labels of depth, photo by photo, both at the label's pixels.

use dino::engine::Cut;
use dino::engine::outcomes::Report;
use dino::learn::data::labels::{Depth, DepthReader};
use dino::learn::data::{LabelKind, Pair};
use dino::learn::eval::{Crop, Judge, kitti_crop};
use dino::learn::train::validate::at_label;
use dino::model::head_zoo::{DepthCalibration, Found, Heads, official};
use dino::model::weights::Store;
use dino::tasks;
use dino::tasks::depth::{REFINE, not_finite, readout_of, refined, spread_of};
use dino::terminal::console::Console;
use dino::vision::postprocess::depth::{Decoder, Spread, read_out_photo};
use dino::vision::postprocess::{Conversion, DepthMap};
use dino::{Error, Result};
use image::RgbImage;

use super::{Data, Paper};
use crate::cli::{DepthLabelArgs, JudgeArgs};
use crate::commands::labels::{DepthUse, check_depth, depth_scale, range_of};

/// A head, and which pixels of labels it is compared with.
pub struct Comparison {
    /// The head.
    pub found: Found,
    /// As the paper did it, if that is asked for.
    pub paper: Option<Paper>,
    /// Which pixels count.
    pub judge: Judge,
    decoder: Decoder,
}

/// The labelled photos of a comparison.
pub struct LabelledPhotos {
    /// What the set is called, and its pairs.
    pub set: Data,
    reader: DepthReader,
}

/// One photo: what the head gave, before anything is converted, and the label.
pub struct Compared<'a> {
    /// Its place among the pairs.
    pub index: usize,
    /// The files.
    pub pair: &'a Pair,
    /// The photo, upright.
    pub photo: &'a RgbImage,
    /// How the backbone saw it, in words.
    pub input: &'a str,
    /// The head's numbers at the label's pixels.
    pub map: DepthMap,
    /// The label.
    pub truth: Depth,
}

/// What labels are for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// Judging what the head gives, after this conversion.
    Judge(Option<Conversion>),
    /// Finding the conversion, whatever distances the head has without it.
    Calibrate,
}

/// Why a photo cannot be compared.
pub fn nothing_counts(pair: &Pair) -> Error {
    Error::file(
        &pair.label,
        "has no reading that counts; --min-depth, --max-depth and --crop say what does",
    )
}

impl Comparison {
    /// With the head and the pixels that were asked for.
    ///
    /// # Errors
    /// If there is no such head, or the wishes contradict each other.
    pub fn new(args: &JudgeArgs, labels: &DepthLabelArgs) -> Result<Self> {
        if labels.min_depth >= labels.max_depth {
            return Err(Error::Usage(format!(
                "--min-depth {} is not below --max-depth {}",
                labels.min_depth, labels.max_depth
            )));
        }
        let found = super::head(args, "depth")?;
        let meta = &found.head.meta;
        let spread = match meta.calibration {
            Some(_) => spread_of(meta),
            None => Spread::Unread,
        };
        let decoder = Decoder::new(readout_of(meta)?, spread);
        let paper = super::paper(args, &found.head)?;
        let of_paper = paper.as_ref().map(|paper| match paper.is_kitti() {
            true => (Crop::Garg, 80.0),
            false => (Crop::Eigen, 10.0),
        });
        let judge = match of_paper {
            None => Judge {
                crop: labels.crop.into(),
                min: labels.min_depth as f32,
                max: labels.max_depth as f32,
            },
            Some((crop, max)) => Judge {
                crop,
                min: 0.001,
                max,
            },
        };
        Ok(Comparison {
            found,
            paper,
            judge,
            decoder,
        })
    }

    /// What was fitted to the head, if anything was.
    ///
    /// # Errors
    /// If its file is damaged.
    pub fn calibration(&self, console: &Console) -> Result<Option<DepthCalibration>> {
        let heads = Heads::at(Store::open()?.root());
        heads.calibration(&self.found, &mut |why| console.warn(why))
    }

    /// Whether frames are cut as KITTI's benchmark has them.
    pub fn is_kitti(&self) -> bool {
        self.paper.as_ref().is_some_and(Paper::is_kitti)
    }

    /// The photos that were asked for, whose labels were looked at.
    ///
    /// # Errors
    /// If there are none, or the labels cannot be what they are taken for.
    pub fn data(
        &self,
        args: &JudgeArgs,
        labels: &DepthLabelArgs,
        purpose: Purpose,
        console: &Console,
    ) -> Result<LabelledPhotos> {
        let set = super::data(args, LabelKind::Depth, console)?;
        let of_paper = self.paper.as_ref().map(|paper| match paper.is_kitti() {
            true => 256.0,
            false => 1000.0,
        });
        let scale = match of_paper {
            Some(scale) => scale,
            None => depth_scale(
                labels.depth_scale,
                std::iter::once(set.depth_scale),
                console,
            )?,
        };
        let warnings = console.warnings().clone();
        let reader = DepthReader::new(labels.depth_scale, warnings).with_usual_scale(scale);
        let (least, greatest) = range_of(readout_of(&self.found.head.meta)?);
        let usage = DepthUse {
            said_scale: labels.depth_scale.or(set.depth_scale).or(of_paper),
            scale,
            counted: (f64::from(self.judge.min), f64::from(self.judge.max)),
            head: match purpose {
                Purpose::Judge(Some(Conversion::Factor(factor))) => {
                    (factor * least, factor * greatest)
                }
                Purpose::Judge(_) => (least, greatest),
                Purpose::Calibrate => (0.0, f64::INFINITY),
            },
        };
        check_depth(&set.name, set.pairs.iter(), usage, &reader, console)?;
        Ok(LabelledPhotos { set, reader })
    }

    /// Calls `take` with what the head gave for each photo. Photos that fail are recorded and left out.
    ///
    /// # Errors
    /// If the backbone cannot be loaded, or the run is interrupted.
    pub fn each(
        &self,
        args: &JudgeArgs,
        photos: &LabelledPhotos,
        report: &mut Report,
        console: &Console,
        mut take: impl FnMut(Compared<'_>) -> Result<()>,
    ) -> Result<()> {
        let head = &self.found.head;
        let cut: Option<Cut> = if self.is_kitti() {
            Some(kitti_crop)
        } else {
            None
        };
        let fitting = super::fitting(args, console);
        let compare = |judged: super::Judged<'_>| {
            let label = &judged.pair.label;
            let mut truth = photos.reader.read(label)?;
            if let Some(cut) = cut {
                truth = truth.cut(cut);
            }
            let shape = super::shape_of(&judged, cut)?;
            let truth = fitting.depth(truth, label, shape)?;
            let scored = &judged.scored;
            let tasks::Found::Scores {
                scores, mirrored, ..
            } = &scored.found
            else {
                return Err(Error::Model("labels where depths are wanted".into()));
            };
            let map = read_out_photo(scores, mirrored.as_ref(), &scored.geometry, &self.decoder);
            if !map.is_finite() {
                return Err(not_finite(&head.meta));
            }
            let size = (truth.width, truth.height);
            let map = match args.head.refine().unwrap_or(REFINE) {
                true => refined(&head.meta, &map, &scored.geometry, &scored.photo)?
                    .resize(size.0, size.1),
                false => map.to_photo(&at_label(&scored.geometry, size)),
            };
            take(Compared {
                index: judged.index,
                pair: judged.pair,
                photo: &scored.photo,
                input: judged.input,
                map,
                truth,
            })
        };
        super::each(args, head, &photos.set.pairs, cut, report, console, compare)
    }
}

impl Paper {
    /// Whether the head is for KITTI, whose frames are cut.
    fn is_kitti(&self) -> bool {
        self.head.data == official::Data::Kitti
    }
}
