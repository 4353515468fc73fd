//! `dino eval depth`.

use dino::batch::Report;
use dino::console::Console;
use dino::data::LabelKind;
use dino::data::labels::DepthReader;
use dino::engine::Cut;
use dino::eval::{Coverage, Crop, DepthErrors, Judge, kitti_crop};
use dino::heads::official::Data;
use dino::postprocess::depth::{Decoder, Spread, read_out_photo};
use dino::render::{Colormap, Range, colorize};
use dino::tasks::Found;
use dino::tasks::depth::{REFINE, not_finite, readout_of, refined, spread_of};
use dino::train::validate::at_label;
use dino::{Error, Result};
use serde_json::{Map, json};

use super::report::{FileFigures, Sheet, Worst, same_size};
use crate::cli::{AlignChoice, EvalDepthArgs};
use crate::commands::labels::{DepthUse, check_depth, depth_scale, range_of};

/// Runs the command.
pub fn run(args: &EvalDepthArgs, console: &Console) -> Result<u8> {
    let common = &args.common;
    let labels = &args.labels;
    if labels.min_depth >= labels.max_depth {
        return Err(Error::Usage(format!(
            "--min-depth {} is not below --max-depth {}",
            labels.min_depth, labels.max_depth
        )));
    }
    let head = super::head(common, "depth")?.head;
    let spread = match head.meta.calibration {
        Some(_) => spread_of(&head.meta),
        None => Spread::Unread,
    };
    let is_inverse = readout_of(&head.meta)?.is_inverse();
    let by_scale_shift = match (args.align, is_inverse) {
        (Some(AlignChoice::ScaleShift), _) => true,
        (None, false) | (Some(AlignChoice::Median), false) => false,
        (None | Some(AlignChoice::Median), true) => {
            return Err(Error::Usage(format!(
                "the head {} gives relative inverse depth, which can be judged only once a scale and a shift bring it to each \
                 label; say --align scale-shift",
                head.meta.name
            )));
        }
    };
    let decoder = Decoder::new(readout_of(&head.meta)?, spread);
    let paper = super::paper(common, &head)?;
    if paper.is_some() && by_scale_shift {
        return Err(Error::Usage(
            "--align scale-shift: the paper's figures are of depths as they are; leave one out"
                .into(),
        ));
    }
    let kitti = paper
        .as_ref()
        .is_some_and(|paper| paper.head.data == Data::Kitti);
    let data = super::data(common, LabelKind::Depth, None, console)?;
    let (judge, scale) = match &paper {
        None => {
            let judge = Judge {
                crop: labels.crop.into(),
                min: labels.min_depth as f32,
                max: labels.max_depth as f32,
            };
            let layout = std::iter::once(data.depth_scale);
            let scale = depth_scale(labels.depth_scale, layout, console)?;
            (judge, scale)
        }
        Some(_) => {
            let (crop, max, scale) = match kitti {
                true => (Crop::Garg, 80.0, 256.0),
                false => (Crop::Eigen, 10.0, 1000.0),
            };
            let min = 0.001;
            (Judge { crop, min, max }, scale)
        }
    };
    let reader =
        DepthReader::new(labels.depth_scale, console.warnings().clone()).with_usual_scale(scale);
    let cut: Option<Cut> = if kitti { Some(kitti_crop) } else { None };
    let usage = DepthUse {
        said_scale: labels
            .depth_scale
            .or(data.depth_scale)
            .or(paper.as_ref().map(|_| scale)),
        scale,
        counted: (f64::from(judge.min), f64::from(judge.max)),
        head: range_of(readout_of(&head.meta)?),
    };
    check_depth(&data.name, data.pairs.iter(), usage, &reader, console)?;
    let fitting = super::fitting(common, console);
    let mut report = Report::default();
    let mut all: Vec<DepthErrors> = Vec::new();
    let mut coverage = Coverage::default();
    let mut files = Vec::new();
    let mut worst = Worst::new(common.output.is_some());
    super::each(
        common,
        &head,
        &data.pairs,
        cut,
        &mut report,
        console,
        |judged| {
            let mut truth = reader.read(&judged.pair.label)?;
            if let Some(cut) = cut {
                truth = truth.cut(cut);
            }
            let shape = super::shape_of(&judged, cut)?;
            let truth = fitting.depth(truth, &judged.pair.label, shape)?;
            let size = (truth.width, truth.height);
            let geometry = at_label(&judged.scored.geometry, size);
            let Found::Scores { scores, mirrored } = &judged.scored.found else {
                return Err(Error::Model("labels where depths are wanted".into()));
            };
            let map = read_out_photo(scores, mirrored.as_ref(), &judged.scored.geometry, &decoder);
            if !map.is_finite() {
                return Err(not_finite(&head.meta));
            }
            let mut map = match common.head.refine().unwrap_or(REFINE) {
                true => refined(
                    &head.meta,
                    &map,
                    &judged.scored.geometry,
                    &judged.scored.photo,
                )?
                .resize(size.0, size.1),
                false => map.to_photo(&geometry),
            };
            let nothing_counts = || {
                Error::file(
                    &judged.pair.label,
                    "has no reading that counts; --min-depth, --max-depth and --crop say what does",
                )
            };
            if by_scale_shift {
                let least = f32::MIN_POSITIVE;
                if !is_inverse {
                    let inverse = |depth: &mut f32| *depth = 1.0 / depth.max(least);
                    map.depth.iter_mut().for_each(inverse);
                }
                let to = judge
                    .scale_shift(&map.depth, &truth.metres, size)
                    .ok_or_else(nothing_counts)?;
                let metres = |value: &mut f32| *value = to.metres(*value);
                map.depth.iter_mut().for_each(metres);
                // They are of other depths.
                map.deviation.clear();
            }
            let errors = judge
                .errors(&map.depth, &truth.metres, size)
                .ok_or_else(nothing_counts)?;
            worst.offer(-errors.delta1, &judged.pair.photo, || {
                let known: Vec<f32> = truth.metres.iter().copied().filter(|&m| m > 0.0).collect();
                let (range, colormap) = (Range::of(&known), Colormap::default());
                Ok(vec![
                    same_size(&judged.scored.photo, size),
                    colorize(&truth.metres, size.0, range, &colormap)?,
                    colorize(&map.depth, size.0, range, &colormap)?,
                ])
            })?;
            if !map.deviation.is_empty() {
                coverage.merge(Coverage::count(&judge, &map, &truth.metres));
            }
            all.push(errors);
            files.push(FileFigures {
                file: judged.pair.photo.clone(),
                figures: named(&errors, by_scale_shift),
            });
            Ok(())
        },
    )?;
    let mean = DepthErrors::mean(&all);
    // Scaled to the truth's median the errors are those of a good head, else as if all were far off.
    if !by_scale_shift && mean.abs_rel > 0.6 && mean.abs_rel_aligned < mean.abs_rel / 3.0 {
        console.warn(format_args!(
            "{}: predictions are off by {:.0} % of the depth, but by {:.0} % once they are scaled to the labels' median; the \
             labels may be in another unit than they are read in ({}--depth-scale), or the photos taken by a very different \
             lens",
            data.name,
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
    let means = named(&mean, by_scale_shift);
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
    if let Some((within_1, within_2)) = coverage.shares() {
        figures.insert("within_1_std".into(), json!(within_1));
        figures.insert("within_2_std".into(), json!(within_2));
        lines.push(format!("{:16} {within_1:.4}", "within_1_std"));
        lines.push(format!("{:16} {within_2:.4}", "within_2_std"));
    }
    if let Some(paper) = &paper {
        let how = match kitti {
            true => "benchmark crop to 1216x352, garg crop, 0.001 to 80 m",
            false => "eigen crop, 0.001 to 10 m",
        };
        paper.tell(how, &mut figures, &mut lines);
    }
    let sheet = Sheet {
        figures,
        lines,
        files,
        worst,
        captions: "photo, label, prediction",
    };
    if !all.is_empty() {
        sheet.write(common, console)?;
    }
    report.finish(console);
    Ok(report.exit_code())
}

/// Figures by name; those of alignment by the median are left out of predictions that were aligned in another way.
fn named(errors: &DepthErrors, by_scale_shift: bool) -> Vec<(&'static str, f64)> {
    let mut all = errors.named().to_vec();
    all.retain(|(name, _)| !(by_scale_shift && name.ends_with("_aligned")));
    all
}
