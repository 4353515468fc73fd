//! Predicted depths beside depth labels, photo by photo, both at the label's pixels; for evaluation and calibration.

use dino::engine::PhotoCrop;
use dino::engine::run_report::RunReport;
use dino::learn::data::labels::{DepthLabel, DepthLabelReader};
use dino::learn::data::{LabelKind, LabelledPair};
use dino::learn::eval::{Crop, DepthEvaluator, kitti_crop};
use dino::learn::train::validation::label_geometry;
use dino::model::head_zoo::{DepthCalibration, HeadStore, LocatedHead};
use dino::model::weights::Store;
use dino::tasks::depth::{
    DEFAULT_REFINE, bin_spread, depth_readout, not_finite_error, refine_depth,
};
use dino::terminal::console::Console;
use dino::vision::postprocess::depth::{BinSpread, DepthDecoder, decode_photo};
use dino::vision::postprocess::{DepthMap, MetricConversion};
use dino::{Error, Result, tasks};
use image::RgbImage;

use super::data::{self, EvalData};
use super::paper_protocol::{PaperProtocol, find_paper_protocol};
use super::predictions::{self, EvalSample};
use crate::cli::{DepthLabelArgs, EvalInputArgs};
use crate::commands::labels::{
    DepthCheckConfig, check_depth, depth_range, label_alignment, resolve_depth_scale,
};

/// A depth head, and the label pixels that it is compared on.
pub struct DepthEvaluation {
    /// The head.
    pub selected: LocatedHead,
    /// The paper's protocol, with `--protocol paper`.
    pub paper: Option<PaperProtocol>,
    /// Crop and depth range (metres) of the pixels that count.
    pub evaluator: DepthEvaluator,
    decoder: DepthDecoder,
}

/// The labelled photos of a comparison.
pub struct LabelledPhotos {
    /// The data set.
    pub set: EvalData,
    reader: DepthLabelReader,
}

/// One photo: the head's prediction before any conversion, and the label.
pub struct DepthMapPair<'a> {
    /// Index of the pair in the data set.
    pub index: usize,
    /// Paths of photo and label.
    pub pair: &'a LabelledPair,
    /// The photo, upright.
    pub photo: &'a RgbImage,
    /// Size and inference mode of the backbone's input, in words.
    pub input: &'a str,
    /// The prediction at the label's pixels: metres, or relative inverse depth.
    pub map: DepthMap,
    /// The label in metres, 0 where there is no reading.
    pub truth: DepthLabel,
}

/// The purpose of a comparison of predictions with labels.
#[derive(Debug, Clone, Copy)]
pub enum EvaluationPurpose {
    /// Metrics of the predictions after this conversion.
    Evaluate(Option<MetricConversion>),
    /// Fitting a conversion; the head's own range of depths does not matter.
    Calibrate,
}

/// The error of a label without a reading that counts.
pub fn no_valid_readings(pair: &LabelledPair) -> Error {
    Error::file(
        &pair.label,
        "has no reading that counts; --min-depth, --max-depth and --crop say what does",
    )
}

impl DepthEvaluation {
    /// The head and the pixels that the options select.
    ///
    /// # Errors
    /// If there is no such head, or options contradict each other.
    pub fn new(args: &EvalInputArgs, labels: &DepthLabelArgs) -> Result<Self> {
        if labels.min_depth >= labels.max_depth {
            return Err(Error::Usage(format!(
                "--min-depth {} is not below --max-depth {}",
                labels.min_depth, labels.max_depth
            )));
        }
        let selected = predictions::select_head(args, "depth")?;
        let meta = &selected.head.meta;
        let spread = match meta.calibration {
            Some(_) => bin_spread(meta),
            None => BinSpread::Omitted,
        };
        let decoder = DepthDecoder::new(depth_readout(meta)?, spread);
        let paper = find_paper_protocol(args, &selected.head)?;
        let of_paper = paper.as_ref().map(|paper| match paper.is_kitti() {
            true => (Crop::Garg, 80.0),
            false => (Crop::Eigen, 10.0),
        });
        let evaluator = match of_paper {
            None => DepthEvaluator {
                crop: labels.crop.into(),
                min: labels.min_depth as f32,
                max: labels.max_depth as f32,
            },
            Some((crop, max)) => DepthEvaluator {
                crop,
                min: 0.001,
                max,
            },
        };
        Ok(DepthEvaluation {
            selected,
            paper,
            evaluator,
            decoder,
        })
    }

    /// The calibration that `dino calibrate depth` fitted to the head, if any.
    ///
    /// # Errors
    /// If its file is damaged.
    pub fn calibration(&self, console: &Console) -> Result<Option<DepthCalibration>> {
        let heads = HeadStore::at(Store::open()?.root());
        heads.calibration(&self.selected, &mut |why| console.warn(why))
    }

    /// Whether photos are cropped to KITTI's benchmark size.
    pub fn is_kitti(&self) -> bool {
        self.paper.as_ref().is_some_and(PaperProtocol::is_kitti)
    }

    /// Opens the data set and checks a sample of its labels.
    ///
    /// # Errors
    /// If there are no pairs, or the labels' values are implausible.
    pub fn load_photos(
        &self,
        args: &EvalInputArgs,
        labels: &DepthLabelArgs,
        purpose: EvaluationPurpose,
        console: &Console,
    ) -> Result<LabelledPhotos> {
        let set = data::open_data(args, LabelKind::Depth, console)?;
        let of_paper = self.paper.as_ref().map(|paper| match paper.is_kitti() {
            true => 256.0,
            false => 1000.0,
        });
        let scale = match of_paper {
            Some(scale) => scale,
            None => resolve_depth_scale(
                labels.depth_scale,
                std::iter::once(set.depth_scale),
                console,
            )?,
        };
        let warnings = console.warnings().clone();
        let reader = DepthLabelReader::new(labels.depth_scale, warnings).with_default_scale(scale);
        let (least, greatest) = depth_range(depth_readout(&self.selected.head.meta)?);
        let usage = DepthCheckConfig {
            explicit_scale: labels.depth_scale.or(set.depth_scale).or(of_paper),
            scale,
            valid_range: (f64::from(self.evaluator.min), f64::from(self.evaluator.max)),
            head_range: match purpose {
                EvaluationPurpose::Evaluate(Some(MetricConversion::Factor(factor))) => {
                    (factor * least, factor * greatest)
                }
                EvaluationPurpose::Evaluate(_) => (least, greatest),
                EvaluationPurpose::Calibrate => (0.0, f64::INFINITY),
            },
        };
        check_depth(&set.name, set.pairs.iter(), usage, &reader, console)?;
        Ok(LabelledPhotos { set, reader })
    }

    /// Calls `take` with the prediction for each photo. Photos that fail are recorded in the report and left out.
    ///
    /// # Errors
    /// If the backbone cannot be loaded, or the run is interrupted.
    pub fn for_each_photo(
        &self,
        args: &EvalInputArgs,
        photos: &LabelledPhotos,
        report: &mut RunReport,
        console: &Console,
        mut take: impl FnMut(DepthMapPair<'_>) -> Result<()>,
    ) -> Result<()> {
        let head = &self.selected.head;
        let cut: Option<PhotoCrop> = if self.is_kitti() {
            Some(kitti_crop)
        } else {
            None
        };
        let alignment = label_alignment(&args.shape, console);
        let compare = |sample: EvalSample<'_>| {
            let label = &sample.pair.label;
            let mut truth = photos.reader.read(label)?;
            if let Some(cut) = cut {
                truth = truth.crop(cut);
            }
            let shape = predictions::photo_shape(&sample, cut)?;
            let truth = alignment.align_depth(truth, label, shape)?;
            let scored = &sample.scored;
            let tasks::TaskOutput::Scores {
                scores, mirrored, ..
            } = &scored.output
            else {
                return Err(Error::Model("labels where depths are wanted".into()));
            };
            let map = decode_photo(scores, mirrored.as_ref(), &scored.geometry, &self.decoder);
            if !map.is_finite() {
                return Err(not_finite_error(&head.meta));
            }
            let size = (truth.width, truth.height);
            let map = match args.head.refine().unwrap_or(DEFAULT_REFINE) {
                true => refine_depth(&head.meta, &map, &scored.geometry, &scored.photo)?
                    .resize(size.0, size.1),
                false => map.to_photo(&label_geometry(&scored.geometry, size)),
            };
            take(DepthMapPair {
                index: sample.index,
                pair: sample.pair,
                photo: &scored.photo,
                input: sample.input,
                map,
                truth,
            })
        };
        predictions::for_each_photo(args, head, &photos.set.pairs, cut, report, console, compare)
    }
}
