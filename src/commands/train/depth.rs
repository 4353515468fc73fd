//! `dino train depth`.

use dino::Result;
use dino::engine::outcomes::Report;
use dino::learn::data::labels::DepthReader;
use dino::learn::data::{DataSet, LabelKind};
use dino::learn::eval::{DepthErrors, Judge};
use dino::learn::train::loss::DepthLoss;
use dino::learn::train::run::Objective;
use dino::learn::train::samples::{Draw, Samples};
use dino::learn::train::targets::UPSAMPLE;
use dino::learn::train::validate::How;
use dino::model::head::globals::GlobalToken;
use dino::model::head::meta::{Bins, Readout, Task};
use dino::terminal::console::Console;

use crate::cli::TrainDepthArgs;
use crate::commands::labels::{self, DepthUse};
use crate::commands::model;
use crate::commands::train::start::Start;
use crate::commands::train::{folds, prepare, write};

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
    prepare::announce(&parts, common.recipe.folds, console)?;
    let figures = DepthErrors::default().named().map(|(name, _)| name);
    prepare::check_best_by(common, &figures, &parts)?;
    let labels = &args.labels;
    let layouts = parts.iter().map(|part| part.depth_scale);
    let scale = labels::depth_scale(labels.depth_scale, layouts, console)?;
    let reader =
        DepthReader::new(labels.depth_scale, console.warnings().clone()).with_usual_scale(scale);
    for part in &parts {
        let usage = DepthUse {
            said_scale: labels.depth_scale.or(part.depth_scale),
            scale,
            counted: (labels.min_depth, labels.max_depth),
            head: args.range,
        };
        let pairs = part.pairs.iter().map(|(pair, _)| pair);
        labels::check_depth(&part.name, pairs, usage, &reader, console)?;
    }
    let names: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    prepare::check_photos(common, &names)?;
    let usual: Vec<f64> = parts.iter().map(|part| part.learnt() as f64).collect();
    let shares = prepare::parts(common, &names, &usual)?;
    let data = prepare::credits(common, &parts);
    let model = model::load(&common.run, console)?;
    let blocks = prepare::blocks(common, &model)?;
    let inputs = prepare::inputs(common, &model, &blocks, &[GlobalToken::Cls]);
    let bins = Bins {
        spacing: args.spacing.into(),
        min: args.range.0,
        max: args.range.1,
        count: args.bins.into(),
    };
    let centres = bins.centres();
    let task = Task::Depth {
        readout: Readout::Bins {
            bins,
            upsample: UPSAMPLE,
        },
        unit: "m".into(),
    };
    let start = Start::find(common, &model, (&inputs, &blocks), &task)?;
    let mut report = Report::default();
    let mut sets = prepare::features(common, &model, &blocks, parts, &mut report, console)?;
    let fitting = prepare::fitting(common, console);
    let range = (labels.min_depth as f32, labels.max_depth as f32);
    let samples = Samples::depth(
        sets.iter().map(|set| set.learnt.as_slice()),
        &reader,
        range,
        &fitting,
        &mut report,
    )?;
    let how = How::Depth {
        judge: Judge {
            crop: labels.crop.into(),
            min: range.0,
            max: range.1,
        },
        reader,
        centres: centres.clone(),
        upsample: UPSAMPLE,
    };
    prepare::leave_out_failed(&mut sets, &how, &fitting, &mut report)?;
    let learn = folds::Learn {
        samples,
        sets,
        how,
        fitting,
    };
    let setup = folds::Setup {
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
        draw: Draw {
            count: 0,
            parts: shares,
            balance: 0.0,
        },
        scale: 0.005,
        bias: 1.0,
        best_by: "rmse",
        label_sets: Vec::new(),
        data,
    };
    write::train(common, &model, &inputs, learn, setup, &report, console)
}
