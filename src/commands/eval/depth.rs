//! `dino eval depth`.

use dino::batch::Report;
use dino::console::Console;
use dino::data::{LabelKind, labels};
use dino::eval::{DepthErrors, Judge};
use dino::head::Task;
use dino::postprocess::depth::read_out_photo;
use dino::postprocess::refine;
use dino::render::{Colormap, Range, colorize};
use dino::train::validate::at_label;
use dino::{Error, Result};
use serde_json::{Map, json};

use super::report::{FileFigures, Sheet, Worst, same_size};
use crate::cli::EvalDepthArgs;

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
    let Task::Depth { bins, upsample, .. } = &head.meta.task else {
        return Err(Error::Model(format!(
            "the head {} is not for depth",
            head.meta.name
        )));
    };
    let centres = bins.centres();
    let judge = Judge {
        crop: labels.crop.into(),
        min: labels.min_depth as f32,
        max: labels.max_depth as f32,
    };
    let pairs = super::pairs(common, LabelKind::Depth, console)?;
    let mut report = Report::default();
    let mut all: Vec<DepthErrors> = Vec::new();
    let mut files = Vec::new();
    let mut worst = Worst::new(common.output.is_some());
    super::each(common, &head, &pairs, &mut report, console, |judged| {
        let truth = labels::read_depth(&judged.pair.label, labels.depth_scale)?;
        let size = (truth.width, truth.height);
        let geometry = at_label(&judged.scored.geometry, size);
        let map = read_out_photo(
            &judged.scored.scores,
            judged.scored.mirrored.as_ref(),
            &judged.scored.geometry,
            &centres,
            *upsample,
        );
        let map = match common.head.refines(crate::commands::depth::REFINE) {
            true => refine::depth(&map, &judged.scored.geometry, &judged.scored.photo)?
                .resize(size.0, size.1),
            false => map.to_photo(&geometry),
        };
        let errors = judge
            .errors(&map.depth, &truth.metres, size)
            .ok_or_else(|| {
                Error::file(
                    &judged.pair.label,
                    "has no reading that counts; --min-depth, --max-depth and --crop say what does",
                )
            })?;
        worst.offer(-errors.delta1, &judged.pair.photo, || {
            let known: Vec<f32> = truth.metres.iter().copied().filter(|&m| m > 0.0).collect();
            let (range, colormap) = (Range::of(&known), Colormap::default());
            vec![
                same_size(&judged.scored.photo, size),
                colorize(&truth.metres, size.0, range, &colormap),
                colorize(&map.depth, size.0, range, &colormap),
            ]
        });
        all.push(errors);
        files.push(FileFigures {
            file: judged.pair.photo.clone(),
            figures: errors.named().to_vec(),
        });
        Ok(())
    })?;
    let mean = DepthErrors::mean(&all);
    let mut figures = Map::new();
    figures.insert("task".into(), json!("depth"));
    figures.insert("head".into(), json!(head.meta.name));
    figures.insert("images".into(), json!(all.len()));
    figures.insert("unit".into(), json!("m"));
    figures.insert(
        "averaging".into(),
        json!("every figure is the mean of the images' own, the rmse too"),
    );
    for (name, value) in mean.named() {
        figures.insert(name.into(), json!(value));
    }
    let lines = match all.is_empty() {
        true => Vec::new(),
        false => mean
            .named()
            .map(|(name, value)| format!("{name:16} {value:.4}"))
            .to_vec(),
    };
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
