//! `dino train depth`: a head with depth bins in metres on photos and depth maps.

use dino::Result;
use dino::engine::run_report::RunReport;
use dino::learn::data::labels::DepthLabelReader;
use dino::learn::data::{DataSet, LabelKind};
use dino::learn::eval::{DepthErrors, DepthEvaluator};
use dino::learn::train::loss::DepthLoss;
use dino::learn::train::samples::{SampleDraw, TrainingSamples};
use dino::learn::train::targets::UPSAMPLE;
use dino::learn::train::trainer::Objective;
use dino::learn::train::validation::ValidationTask;
use dino::model::head::global_token::GlobalToken;
use dino::model::head::meta::{Bins, DepthReadout, HeadTask};
use dino::terminal::console::Console;

use crate::cli::TrainDepthArgs;
use crate::commands::labels::{self, DepthCheckConfig};
use crate::commands::model;
use crate::commands::train::folds::{TrainingData, TrainingSetup};
use crate::commands::train::initial_weights::InitialWeights;
use crate::commands::train::{prepare, set_options, write};

/// Runs the command.
pub fn run(args: &TrainDepthArgs, console: &Console) -> Result<u8> {
    let common = &args.common;
    write::check_output(common)?;
    let mut parts = Vec::new();
    for path in &common.data {
        let set = DataSet::open(path, LabelKind::Depth)?;
        parts.push(prepare::split(common, set, console)?);
    }
    write::check_inputs(common, &parts, [])?;
    prepare::report_splits(&parts, common.hyper.folds, console)?;
    let figures = DepthErrors::default().named_values().map(|(name, _)| name);
    prepare::check_best_by(common, &figures, &parts)?;
    let labels = &args.labels;
    let layouts = parts.iter().map(|part| part.depth_scale);
    let scale = labels::resolve_depth_scale(labels.depth_scale, layouts, console)?;
    let reader = DepthLabelReader::new(labels.depth_scale, console.warnings().clone())
        .with_default_scale(scale);
    for part in &parts {
        let usage = DepthCheckConfig {
            explicit_scale: labels.depth_scale.or(part.depth_scale),
            scale,
            valid_range: (labels.min_depth, labels.max_depth),
            head_range: args.range,
        };
        let pairs = part.pairs.iter().map(|(pair, _)| pair);
        labels::check_depth(&part.name, pairs, usage, &reader, console)?;
    }
    let names: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    set_options::check_photo_limits(common, &names)?;
    let usual: Vec<f64> = parts.iter().map(|part| part.train_count() as f64).collect();
    let shares = set_options::sampling_shares(common, &names, &usual)?;
    let credits = prepare::credits(common, &parts);
    let model = model::load(&common.run, console)?;
    let blocks = prepare::select_blocks(common, &model)?;
    let inputs = prepare::head_inputs(common, &model, &blocks, &[GlobalToken::Cls]);
    let bins = Bins {
        spacing: args.spacing.into(),
        min: args.range.0,
        max: args.range.1,
        count: args.bins.into(),
    };
    let centres = bins.centres();
    let task = HeadTask::Depth {
        readout: DepthReadout::Bins {
            bins,
            upsample: UPSAMPLE,
        },
        unit: "m".into(),
    };
    let start = InitialWeights::load(common, &model, (&inputs, &blocks), &task)?;
    let mut report = RunReport::default();
    let sets = prepare::compute_features(common, &model, &blocks, parts, &mut report, console)?;
    let alignment = labels::label_alignment(&common.shape, console);
    let range = (labels.min_depth as f32, labels.max_depth as f32);
    let samples = TrainingSamples::depth(
        sets.iter().map(|set| set.train.as_slice()),
        &reader,
        range,
        &alignment,
        &mut report,
    )?;
    let validation_task = ValidationTask::Depth {
        evaluator: DepthEvaluator {
            crop: labels.crop.into(),
            min: range.0,
            max: range.1,
        },
        reader,
        centres: centres.clone(),
        upsample: UPSAMPLE,
    };
    let training_data = TrainingData::new(samples, sets, validation_task, alignment, &mut report)?;
    let setup = TrainingSetup {
        blocks,
        start,
        task,
        objective: Objective::Depth(DepthLoss {
            centres,
            lambda: args.lambda,
            gradient: args.gradient,
            absolute: args.absolute,
            bins: args.bin_loss,
        }),
        draw: SampleDraw {
            count: 0,
            set_shares: shares,
            balance: 0.0,
        },
        scale: 0.005,
        bias: 1.0,
        best_by: "rmse",
        label_sets: Vec::new(),
        data: credits,
    };
    write::train_and_write(
        common,
        &model,
        &inputs,
        training_data,
        setup,
        &report,
        console,
    )
}
