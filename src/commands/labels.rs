//! Checks of a labelled data set before training, evaluation or calibration: which files are left out, the unit of
//! depth maps, and whether the labels' values are plausible.

use dino::learn::data::checks::{self, DepthMapCheck, IgnoredId, MaskCheck};
use dino::learn::data::labels::DepthLabelReader;
use dino::learn::data::statistics::{DepthStatistics, LabelSample, MAX_LABELS, MaskStatistics};
use dino::learn::data::{DataSet, LabelAlignment, LabelledPair, SetLabels};
use dino::model::head::meta::{Class, DepthReadout};
use dino::terminal::console::Console;
use dino::terminal::warnings::Warnings;
use dino::{Error, Result};

use crate::cli::LabelShapeArgs;

/// Units per metre of depth maps of whole numbers, unless option or layout say otherwise: millimetres.
const DEFAULT_DEPTH_SCALE: f64 = 1000.0;

/// Notes how the pairs of a data set were found, and warns of files that are left out.
pub fn report_data_set(set: &DataSet, console: &Console) {
    for note in &set.notes {
        console.note(format_args!("{}: {note}", set.name));
    }
    for sentence in set.left_out() {
        console.warn(sentence);
    }
}

/// How labels of another shape than their photo's are treated, as `--stretch-labels` says.
pub fn label_alignment(args: &LabelShapeArgs, console: &Console) -> LabelAlignment {
    LabelAlignment {
        stretch: args.stretch_labels,
        warnings: console.warnings().clone(),
    }
}

/// Units per metre of depth maps: `--depth-scale`, else what the layouts of all sets say, else millimetres.
///
/// # Errors
/// If the layouts of the sets have different units.
pub fn resolve_depth_scale(
    said: Option<f64>,
    layouts: impl Iterator<Item = Option<f64>>,
    console: &Console,
) -> Result<f64> {
    if let Some(said) = said {
        return Ok(said);
    }
    let mut scales: Vec<f64> = layouts
        .map(|scale| scale.unwrap_or(DEFAULT_DEPTH_SCALE))
        .collect();
    scales.dedup();
    match scales[..] {
        [DEFAULT_DEPTH_SCALE] | [] => Ok(DEFAULT_DEPTH_SCALE),
        [scale] => {
            console.note(format_args!(
                "this is KITTI's depth, in units of 1/{scale} metre; --depth-scale says otherwise"
            ));
            Ok(scale)
        }
        [one, other, ..] => Err(Error::Model(format!(
            "the depth maps of one data set are in units of 1/{one} metre, of another 1/{other}; bring them to one, or \
             name it with --depth-scale"
        ))),
    }
}

/// The range of a head's depths in metres; 0 to infinity for relative inverse depth.
pub fn depth_range(readout: &DepthReadout) -> (f64, f64) {
    match readout.is_inverse() {
        true => (0.0, f64::INFINITY),
        false => readout.range(),
    }
}

/// The depth scale that maps are read with, and the ranges that they are checked against.
#[derive(Debug, Clone, Copy)]
pub struct DepthCheckConfig {
    /// Units per metre that `--depth-scale` or the data set's layout states; none if the default is assumed.
    pub explicit_scale: Option<f64>,
    /// Units per metre in force.
    pub scale: f64,
    /// Lowest and highest reading that counts, in metres.
    pub valid_range: (f64, f64),
    /// Range of the head's predictions, in metres.
    pub head_range: (f64, f64),
}

/// Inspects a sample of depth maps, and warns if their unit or range may be wrong.
///
/// # Errors
/// As [`DepthMapCheck::check`], where `explicit_scale` stands for a scale that the user named.
pub fn check_depth<'a>(
    name: &str,
    pairs: impl ExactSizeIterator<Item = &'a LabelledPair>,
    usage: DepthCheckConfig,
    reader: &DepthLabelReader,
    console: &Console,
) -> Result<()> {
    let sample = LabelSample::of(pairs, MAX_LABELS);
    let statistics = DepthStatistics::of(&sample, |path| reader.read(path));
    let maps = DepthMapCheck {
        name,
        sample: &sample,
        statistics: &statistics,
        user_scale: usage.explicit_scale,
        scale: usage.scale,
        counted_range: usage.valid_range,
        head_range: usage.head_range,
    };
    maps.check()?
        .iter()
        .for_each(|sentence| console.warn(sentence));
    Ok(())
}

/// Statistics of a sample of the masks of a data set.
#[derive(Debug)]
pub struct MaskInspection {
    name: String,
    sample: LabelSample,
    statistics: MaskStatistics,
}

impl MaskInspection {
    /// Inspects a sample of the masks.
    pub fn of<'a>(
        name: &str,
        pairs: impl ExactSizeIterator<Item = &'a LabelledPair>,
        meaning: &SetLabels,
        ignored: IgnoredId,
    ) -> Self {
        Self::with_limit(name, pairs, meaning, ignored, MAX_LABELS)
    }

    /// Inspects at most `count` masks.
    pub fn with_limit<'a>(
        name: &str,
        pairs: impl ExactSizeIterator<Item = &'a LabelledPair>,
        meaning: &SetLabels,
        ignored: IgnoredId,
        count: usize,
    ) -> Self {
        let sample = LabelSample::of(pairs, count);
        let statistics = MaskStatistics::of(&sample, |path| {
            // Ids outside the class list are counted too.
            meaning.read_ids(path, ignored.id, &Warnings::silent())
        });
        MaskInspection {
            name: name.to_owned(),
            sample,
            statistics,
        }
    }

    /// Whether masks were left out of the sample.
    pub fn is_partial(&self) -> bool {
        self.sample.is_part()
    }

    fn masks<'a>(&'a self, meaning: &'a SetLabels) -> MaskCheck<'a> {
        MaskCheck {
            name: &self.name,
            sample: &self.sample,
            statistics: &self.statistics,
            set_labels: meaning,
        }
    }

    /// Warns of ids that may be wrong, and takes masks in black and white as two classes.
    ///
    /// # Errors
    /// If most masks cannot be used.
    pub fn check(
        &mut self,
        meaning: &mut SetLabels,
        classes: &[Class],
        ignored: IgnoredId,
        console: &Console,
    ) -> Result<()> {
        if let Some(white) = self.masks(meaning).white(ignored) {
            console.note(format_args!(
                "{}: {} are black and white{}; black is {}, white is {} (--ignore {white} leaves white out)",
                self.name,
                self.sample.describe("masks"),
                match self.statistics.ids.contains_key(&1) {
                    true => ", or have 1 for white",
                    false => "",
                },
                meaning.name_of(0, classes),
                meaning.name_of(1, classes)
            ));
            meaning.white = Some(white);
            self.statistics.rename(white, 1);
        }
        let doubts = self.masks(meaning).check(ignored)?;
        doubts.iter().for_each(|sentence| console.warn(sentence));
        Ok(())
    }
}

/// Names of classes without a pixel in all of the sets.
///
/// # Errors
/// If fewer than two classes have pixels.
pub fn absent_classes(
    seen: &[MaskInspection],
    meanings: &[SetLabels],
    classes: &[Class],
    ignored: IgnoredId,
) -> Result<Vec<String>> {
    let sets = seen
        .iter()
        .zip(meanings)
        .map(|(seen, meaning)| seen.masks(meaning));
    checks::absent_classes(&sets.collect::<Vec<_>>(), classes, ignored)
}

/// Which masks were inspected, in words.
pub fn inspected_scope(seen: &[MaskInspection]) -> String {
    match seen {
        [one] => format!("{}: in {}", one.name, one.sample.describe("masks")),
        many if many.iter().any(MaskInspection::is_partial) => "in the masks looked at".to_owned(),
        _ => "in all masks".to_owned(),
    }
}
