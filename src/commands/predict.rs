//! The way that every command with a head goes: inputs, plan, head, its backbone, scores, one by one.

use dino::batch::{Outcome, Report};
use dino::console::Console;
use dino::head::{Head, Scores};
use dino::heads::Heads;
use dino::output::{Job, Plan};
use dino::pipeline::{Extracted, Pipeline};
use dino::preprocess::{Geometry, Preprocessor, Resample, SizeRule};
use dino::stopwatch::Stopwatch;
use dino::weights::Store;
use dino::{Error, Result};
use image::RgbImage;

use crate::cli::{PredictArgs, Tta};
use crate::commands::model;

/// One photo's scores on the way to its picture.
pub struct Prediction<'a> {
    /// Where its results go.
    pub job: &'a Job,
    /// Upright.
    pub photo: &'a RgbImage,
    /// How it lay in the backbone's input.
    pub geometry: &'a Geometry,
    /// Over the patch grid.
    pub scores: &'a Scores,
    /// Of the mirrored photo with `--tta flip`, not mirrored back.
    pub mirrored: Option<&'a Scores>,
    /// What gave them.
    pub head: &'a Head,
    /// Where the time went so far.
    pub watch: Stopwatch,
}

/// Runs the task's head over all photos and calls `draw` for each whose files of `kind` with these `extensions` are
/// not all there. Returns the exit code.
pub fn run(
    args: &PredictArgs,
    task: &str,
    kind: &str,
    extensions: &[&'static str],
    console: &Console,
    mut draw: impl FnMut(Prediction<'_>) -> Result<()>,
) -> Result<u8> {
    let collected = args.input.collect()?;
    let plan = Plan::new(collected.sources, &args.output.options()?, kind, extensions)?;
    let heads = Heads::at(Store::open()?.root());
    let head = heads.choose(task, args.head.as_deref())?.head;
    let mut report = Report::new(collected.failures);
    let (done, to_do): (Vec<&Job>, Vec<&Job>) = plan.jobs.iter().partition(|job| job.is_done());
    done.iter().for_each(|_| report.count(Outcome::Skipped));
    if !to_do.is_empty() {
        let model = model::load_named(
            &args.run,
            args.run.model.as_deref().unwrap_or(&head.meta.backbone),
            console,
        )?;
        head.check(
            &model.record.name,
            &model.record.fingerprint,
            &model.backbone,
        )?;
        console.note(format_args!("head {}", head.meta.name));
        let requests = head.meta.requests();
        let pipeline = Pipeline {
            backbone: &model.backbone,
            preprocessor: Preprocessor {
                size: size(args, &head)?,
                resample: Resample::Bicubic,
                patch_size: model.backbone.config().patch_size,
            },
            requests: &requests,
            limits: args.input.limits(),
            batch_size: args.run.batch_size.get(),
            mirror: args.tta == Tta::Flip,
        };
        let sources: Vec<_> = to_do.iter().map(|job| &job.source).collect();
        let progress = console.progress(to_do.len() as u64, "images");
        pipeline.run(&sources, |index, result| {
            let job = to_do[index];
            let name = job.source.name();
            let result = result.and_then(|extracted| {
                model::explain_geometry(console, &name, &extracted.geometry);
                let Extracted {
                    photo,
                    geometry,
                    features,
                    mirrored,
                    mut watch,
                } = extracted;
                let scores = watch.time("head", || head.scores(&features))?;
                let mirrored = mirrored
                    .map(|features| watch.time("head", || head.scores(&features)))
                    .transpose()?;
                let (photo, geometry, head) = (&photo, &geometry, &head);
                draw(Prediction {
                    job,
                    photo,
                    geometry,
                    scores: &scores,
                    mirrored: mirrored.as_ref(),
                    head,
                    watch,
                })
            });
            progress.inc(1);
            if report.record(name, result)?.is_some() {
                report.count(Outcome::Done);
            }
            Ok(())
        })?;
    }
    report.finish(console);
    Ok(report.exit_code())
}

/// The size that was asked for, else the head's own.
fn size(args: &PredictArgs, head: &Head) -> Result<SizeRule> {
    match args.size {
        Some(size) => Ok(size),
        None => head
            .meta
            .input
            .size
            .parse()
            .map_err(|why| Error::Model(format!("the head {}: {why}", head.meta.name))),
    }
}
