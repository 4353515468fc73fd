//! `dino eval depth`: RMSE, AbsRel, log10, SILog and delta1 to delta3 of a depth head (Eigen et al. 2014), each the
//! mean of the photos' own values.

use dino::engine::run_report::RunReport;
use dino::learn::data::LabelKind;
use dino::learn::eval::{DepthErrors, IntervalCoverage};
use dino::tasks::depth::metric_conversion;
use dino::terminal::console::Console;
use dino::vision::postprocess::MetricConversion;
use dino::vision::render::{Colormap, ValueRange, colorize};
use dino::{Error, Result};
use serde_json::{Map, json};

use super::comparison::{DepthEvaluation, DepthMapPair, EvaluationPurpose, no_valid_readings};
use super::report::{EvalReport, PhotoMetrics, WorstPhotos, check_outputs, resize_to_label};
use crate::cli::{AlignChoice, EvalDepthArgs};

/// Runs the command.
pub fn run(args: &EvalDepthArgs, console: &Console) -> Result<u8> {
    let common = &args.common;
    let comparison = DepthEvaluation::new(&common.input, &args.labels)?;
    let calibration = match args.no_calibration || args.align == Some(AlignChoice::ScaleShift) {
        true => None,
        false => comparison.calibration(console)?,
    };
    let head = &comparison.selected.head;
    let is_inverse = head.meta.is_inverse_depth();
    let by_scale_shift = match (args.align, is_inverse && calibration.is_none()) {
        (Some(AlignChoice::ScaleShift), _) => true,
        (None, false) | (Some(AlignChoice::Median), false) => false,
        (None | Some(AlignChoice::Median), true) => {
            return Err(Error::Usage(format!(
                "the head {} gives relative inverse depth, which can be judged only once a scale and a shift bring it to each \
                 label; say --align scale-shift, or fit two numbers for all with `dino calibrate depth`",
                head.meta.name
            )));
        }
    };
    if comparison.paper.is_some() && by_scale_shift {
        return Err(Error::Usage(
            "--align scale-shift: the paper's figures are of depths as they are; leave one out"
                .into(),
        ));
    }
    let conversion = calibration
        .as_ref()
        .map(|it| metric_conversion(&head.meta, it.scale, it.shift))
        .transpose()?;
    let data = comparison.load_photos(
        &common.input,
        &args.labels,
        EvaluationPurpose::Evaluate(conversion),
        console,
    )?;
    let read = data.set.input_paths(&common.input);
    check_outputs(common, LabelKind::Depth, read, console)?;
    let evaluator = comparison.evaluator;
    let mut report = RunReport::default();
    let mut all: Vec<DepthErrors> = Vec::new();
    let mut coverage = IntervalCoverage::default();
    let mut files = Vec::new();
    let mut worst = WorstPhotos::new(common.output.is_some());
    let mut doubt = calibration.as_ref();
    comparison.for_each_photo(&common.input, &data, &mut report, console, |compared| {
        let DepthMapPair {
            pair,
            photo,
            input,
            mut map,
            truth,
            ..
        } = compared;
        let size = (truth.width, truth.height);
        if let Some(doubt) = doubt.take().and_then(|it| it.input_mismatch(input)) {
            console.warn(doubt);
        }
        if let Some(conversion) = conversion {
            conversion.convert_map(&mut map);
        }
        if by_scale_shift {
            let least = f32::MIN_POSITIVE;
            if !is_inverse {
                let inverse = |depth: &mut f32| *depth = 1.0 / depth.max(least);
                map.depth.iter_mut().for_each(inverse);
            }
            let to = evaluator
                .scale_shift(&map.depth, &truth.metres, size)
                .ok_or_else(|| no_valid_readings(pair))?;
            MetricConversion::Inverse(to).convert_map(&mut map);
        }
        let errors = evaluator
            .errors(&map.depth, &truth.metres, size)
            .ok_or_else(|| no_valid_readings(pair))?;
        worst.offer(-errors.delta1, &pair.photo, || {
            let known: Vec<f32> = truth.metres.iter().copied().filter(|&m| m > 0.0).collect();
            let (range, colormap) = (ValueRange::of(&known), Colormap::default());
            Ok(vec![
                resize_to_label(photo, size),
                colorize(&truth.metres, size.0, range, &colormap)?,
                colorize(&map.depth, size.0, range, &colormap)?,
            ])
        })?;
        if !map.deviation.is_empty() {
            coverage.merge(IntervalCoverage::count(&evaluator, &map, &truth.metres));
        }
        all.push(errors);
        files.push(PhotoMetrics {
            photo: pair.photo.clone(),
            metrics: named_metrics(&errors, by_scale_shift),
        });
        Ok(())
    })?;
    let labels = &args.labels;
    let mean = DepthErrors::mean(&all);
    // Errors that vanish once predictions are scaled to the label's median point at a wrong unit.
    if !by_scale_shift && mean.abs_rel > 0.6 && mean.abs_rel_aligned < mean.abs_rel / 3.0 {
        console.warn(format_args!(
            "{}: predictions are off by {:.0} % of the depth, but by {:.0} % once they are scaled to the labels' median; the \
             labels may be in another unit than they are read in ({}--depth-scale), or the photos taken by a very different \
             lens",
            data.set.name,
            100.0 * mean.abs_rel,
            100.0 * mean.abs_rel_aligned,
            match labels.depth_scale {
                Some(scale) => format!("now {scale}, "),
                None => String::new(),
            }
        ));
    }
    let mut figures = Map::new();
    figures.insert("task".into(), json!("depth"));
    figures.insert("head".into(), json!(head.meta.name));
    figures.insert("images".into(), json!(all.len()));
    figures.insert("unit".into(), json!("m"));
    figures.insert(
        "alignment".into(),
        json!(match by_scale_shift {
            true =>
                "inverse predictions are brought to inverse labels by scale and shift (least squares, each photo by itself), \
                 then clamped",
            false => "predictions are scaled by the medians, then clamped",
        }),
    );
    figures.insert(
        "averaging".into(),
        json!("every figure is the mean of the images' own, the rmse too"),
    );
    figures.insert("calibration".into(), json!(calibration));
    let means = named_metrics(&mean, by_scale_shift);
    for (name, value) in &means {
        figures.insert((*name).into(), json!(value));
    }
    let mut lines = match all.is_empty() {
        true => Vec::new(),
        false => means
            .iter()
            .map(|(name, value)| format!("{name:16} {value:.4}"))
            .collect(),
    };
    if by_scale_shift && !all.is_empty() {
        lines.push("alignment        scale and shift of inverse depth, photo by photo".into());
    }
    if let Some(calibration) = calibration.as_ref().filter(|_| !all.is_empty()) {
        lines.push(format!("calibration      {}", calibration.summary()));
    }
    if let Some((within_1, within_2)) = coverage.shares() {
        figures.insert("within_1_std".into(), json!(within_1));
        figures.insert("within_2_std".into(), json!(within_2));
        lines.push(format!("{:16} {within_1:.4}", "within_1_std"));
        lines.push(format!("{:16} {within_2:.4}", "within_2_std"));
    }
    if let Some(paper) = &comparison.paper {
        let how = match comparison.is_kitti() {
            true => "benchmark crop to 1216x352, garg crop, 0.001 to 80 m",
            false => "eigen crop, 0.001 to 10 m",
        };
        paper.add_to_report(how, &mut figures, &mut lines);
    }
    let eval_report = EvalReport {
        metrics: figures,
        lines,
        files,
        worst,
    };
    if !all.is_empty() {
        eval_report.write(common, console)?;
    }
    report.print_summary(console);
    Ok(report.exit_code())
}

/// Metrics by name, without those of median alignment where predictions were aligned by scale and shift.
fn named_metrics(errors: &DepthErrors, by_scale_shift: bool) -> Vec<(&'static str, f64)> {
    let mut all = errors.named_values().to_vec();
    all.retain(|(name, _)| !(by_scale_shift && name.ends_with("_aligned")));
    all
}
