//! `dino train segment`: a head with one score per class on photos and masks, of one class list or a taxonomy of data
//! sets.

use std::path::Path;

use dino::engine::run_report::RunReport;
use dino::learn::data::checks::{IgnoredId, join_some};
use dino::learn::data::statistics::MAX_LABELS;
use dino::learn::data::{DataSet, LabelKind, SetLabels, Taxonomy, taxonomy};
use dino::learn::train::loss::SegmentLoss;
use dino::learn::train::samples::{SampleDraw, TrainingSamples};
use dino::learn::train::trainer::Objective;
use dino::learn::train::validation::{SEGMENT_METRICS, ValidationTask};
use dino::model::head::meta::{Class, HeadTask};
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::TrainSegmentArgs;
use crate::commands::labels::{self, MaskInspection};
use crate::commands::model;
use crate::commands::train::folds::{TrainingData, TrainingSetup};
use crate::commands::train::initial_weights::InitialWeights;
use crate::commands::train::prepare::{self, SplitDataSet};
use crate::commands::train::set_options;
use crate::commands::train::write;

/// How many masks are inspected if a first sample lacks a class.
const MAX_SAMPLE: usize = 4096;

/// Runs the command.
pub fn run(args: &TrainSegmentArgs, console: &Console) -> Result<u8> {
    let common = &args.common;
    write::check_output(common)?;
    let (classes, label_sets, parts) = open_data(args, console)?;
    let joint = args.sets.is_some();
    let names: Vec<&str> = label_sets.iter().map(|set| set.name.as_str()).collect();
    set_options::check_photo_limits(common, &names)?;
    let usual: Vec<f64> = parts
        .iter()
        .map(|part| {
            if joint {
                1.0
            } else {
                part.train_count() as f64
            }
        })
        .collect();
    let shares = set_options::sampling_shares(common, &names, &usual)?;
    // Sets with a share of 0 are left out altogether.
    let mut kept: Vec<(SetLabels, SplitDataSet, f64)> = label_sets
        .into_iter()
        .zip(parts)
        .zip(shares)
        .map(|((label_set, part), share)| (label_set, part, share))
        .collect();
    kept.retain(|(_, _, share)| *share > 0.0);
    let (mut label_sets, mut parts, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for (label_set, part, share) in kept {
        label_sets.push(label_set);
        parts.push(part);
        shares.push(share);
    }
    let named = [args.classes.as_deref(), args.sets.as_deref()];
    write::check_inputs(common, &parts, named)?;
    prepare::report_splits(&parts, common.hyper.folds, console)?;
    prepare::check_best_by(common, &SEGMENT_METRICS, &parts)?;
    let ignored = args.ignore.ignored_id();
    check_masks(&parts, &mut label_sets, &classes, ignored, console)?;
    let ignore = ignored.id;
    let credits = prepare::credits(common, &parts);
    let model = model::load(&common.run, console)?;
    let blocks = prepare::select_blocks(common, &model)?;
    let inputs = prepare::head_inputs(common, &model, &blocks, &[]);
    let count = classes.len();
    let task = HeadTask::Segment { classes };
    let start = InitialWeights::load(common, &model, (&inputs, &blocks), &task)?;
    let mut report = RunReport::default();
    let sets = prepare::compute_features(common, &model, &blocks, parts, &mut report, console)?;
    let alignment = labels::label_alignment(&common.shape, console);
    let labelled = sets.iter().zip(&label_sets);
    let samples = TrainingSamples::segment(
        labelled.map(|(set, label_set)| (set.train.as_slice(), label_set)),
        ignore,
        console.warnings(),
        &alignment,
        &mut report,
    )?;
    let validation_task = ValidationTask::Segment {
        set_labels: label_sets.clone(),
        classes: count,
        ignore,
        warnings: console.warnings().clone(),
    };
    let data = TrainingData::new(samples, sets, validation_task, alignment, &mut report)?;
    let setup = TrainingSetup {
        start,
        blocks,
        objective: Objective::Segment(
            SegmentLoss {
                smoothing: args.smoothing as f32,
            },
            label_sets.clone(),
            count,
        ),
        draw: SampleDraw {
            count: 0,
            set_shares: shares,
            balance: args.balance,
        },
        scale: 0.0,
        bias: 0.0,
        best_by: "miou",
        label_sets: match joint {
            true => label_sets.iter().map(SetLabels::to_head).collect(),
            false => Vec::new(),
        },
        task,
        data: credits,
    };
    write::train_and_write(common, &model, &inputs, data, setup, &report, console)
}

/// Inspects the masks, warns of what may be wrong with them, and takes black and white ones as two classes.
fn check_masks(
    parts: &[SplitDataSet],
    label_sets: &mut [SetLabels],
    classes: &[Class],
    ignored: IgnoredId,
    console: &Console,
) -> Result<()> {
    let inspect = |count: usize, label_sets: &[SetLabels]| -> Vec<MaskInspection> {
        let sets = parts.iter().zip(label_sets);
        let seen = sets.map(|(part, label_set)| {
            let pairs = part.pairs.iter().map(|(pair, _)| pair);
            MaskInspection::with_limit(&part.name, pairs, label_set, ignored, count)
        });
        seen.collect()
    };
    let mut inspected = inspect(MAX_LABELS, label_sets);
    for (one, label_set) in inspected.iter_mut().zip(&mut *label_sets) {
        one.check(label_set, classes, ignored, console)?;
    }
    let mut absent = labels::absent_classes(&inspected, label_sets, classes, ignored);
    // A class that the sample lacks may be in the other masks.
    if inspected.iter().any(MaskInspection::is_partial)
        && absent.as_ref().map_or(true, |absent| !absent.is_empty())
    {
        inspected = inspect(MAX_SAMPLE, label_sets);
        absent = labels::absent_classes(&inspected, label_sets, classes, ignored);
    }
    let absent = absent?;
    if !absent.is_empty() {
        console.warn(format_args!(
            "{} {} of the {} classes have no pixel, and cannot be learnt: {}",
            labels::inspected_scope(&inspected),
            absent.len(),
            classes.len(),
            join_some(&absent)
        ));
    }
    Ok(())
}

/// The classes, the label set and the split of each data set.
fn open_data(
    args: &TrainSegmentArgs,
    console: &Console,
) -> Result<(Vec<Class>, Vec<SetLabels>, Vec<SplitDataSet>)> {
    let common = &args.common;
    if let Some(file) = &args.sets {
        let [root] = &common.data[..] else {
            return Err(Error::Usage(
                "with --sets, DATA is the one folder that the data sets lie in".into(),
            ));
        };
        let Taxonomy { classes, mut sets } = Taxonomy::read(file)?;
        let mut parts = Vec::new();
        for set in &mut sets {
            let path = root.join(set.data.as_deref().unwrap_or(&set.name));
            set.own_classes = taxonomy::own_classes(&path).unwrap_or_default();
            let mut found = DataSet::open(&path, LabelKind::Masks)?;
            found.name.clone_from(&set.name);
            parts.push(prepare::split(common, found, console)?);
        }
        return Ok((classes, sets, parts));
    }
    let classes = taxonomy::read_classes(&match &args.classes {
        Some(file) => file.clone(),
        None => find_class_list(&common.data[0])?,
    })?;
    let (mut label_sets, mut parts) = (Vec::new(), Vec::new());
    for path in &common.data {
        let part = prepare::split(common, DataSet::open(path, LabelKind::Masks)?, console)?;
        label_sets.push(SetLabels::identity(&part.name, &classes));
        parts.push(part);
    }
    Ok((classes, label_sets, parts))
}

/// `classes.json` in the folder of a data set or above it.
fn find_class_list(data: &Path) -> Result<std::path::PathBuf> {
    data.ancestors()
        .take(2)
        .map(|folder| folder.join("classes.json"))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            Error::file(
                data,
                "has no classes.json; name the list of classes with --classes",
            )
        })
}
