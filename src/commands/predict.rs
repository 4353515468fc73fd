//! The way that every command with a head goes: inputs, plan, head, its backbone, scores, one by one.

use std::path::Path;

use dino::batch::{Outcome, Report};
use dino::console::Console;
use dino::head::{Head, Scores};
use dino::heads::Heads;
use dino::memory::Gate;
use dino::output::{Job, Plan};
use dino::pipeline::{Costs, Pipeline};
use dino::preprocess::Geometry;
use dino::stopwatch::Stopwatch;
use dino::weights::Store;
use dino::{Error, Result, interrupt};
use image::RgbImage;

use crate::cli::PredictArgs;
use crate::commands::costs::{of_scores, per_pixel};
use crate::commands::depth::check_pixel;
use crate::commands::model;
use crate::commands::score::{
    Found, Scored, Scorer, Way, preprocessor, protocol_of, views_of, windows_of,
};

/// One photo's scores on the way to its picture.
pub struct Prediction<'a> {
    /// Where its results go.
    pub job: &'a Job,
    /// Upright.
    pub photo: &'a RgbImage,
    /// How it lay in the backbone's input.
    pub geometry: &'a Geometry,
    /// What the head found.
    pub found: &'a Found,
    /// What gave them.
    pub head: &'a Head,
    /// Where the time went so far.
    pub watch: Stopwatch,
}

impl Prediction<'_> {
    /// The scores, and those of the mirrored photo where it was seen too.
    pub fn scores(&self) -> Result<(&Scores, Option<&Scores>)> {
        match self.found {
            Found::Scores { scores, mirrored } => Ok((scores, mirrored.as_ref())),
            Found::Labels(_) => Err(Error::Model(format!(
                "the head {} gave labels where scores are wanted",
                self.head.meta.name
            ))),
        }
    }
}

/// Which photos a head is run over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those whose files are not all there.
    Missing,
    /// All, if files of any are missing: what is drawn depends on all of them.
    AllOrNone,
    /// All, for what is asked is not in the files.
    All,
}

/// What a command makes of photos.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The task of the head.
    pub task: &'a str,
    /// The word in the names of the files.
    pub kind: &'a str,
    /// The files.
    pub extensions: &'a [&'static str],
    /// One of them that goes to a place of its own, which has room for one photo's.
    pub elsewhere: Option<(&'static str, &'a Path)>,
    /// The photos.
    pub which: Which,
}

/// What a command does with predictions.
pub trait Draw {
    /// Bytes a pixel of the photo that what is made of the scores takes beside it.
    fn bytes_per_pixel(&self) -> u64;

    /// Files that are read beside photos and heads, and must not be replaced.
    fn reads(&self) -> Vec<Option<&'_ Path>> {
        Vec::new()
    }

    /// Pixels that a photo must have, or it is refused before the backbone sees it.
    fn pixels(&self) -> Vec<(u32, u32)> {
        Vec::new()
    }

    /// Refuses a head that cannot give what was asked for, before any work is done.
    fn accept(&self, _head: &Head) -> Result<()> {
        Ok(())
    }

    /// Learns what the run will be, before any work is done, adds its own files to the plan, and refuses what could not be
    /// done.
    fn begin(&mut self, _plan: &mut Plan) -> Result<()> {
        Ok(())
    }

    /// Says how the photo ended, or nothing if [`Draw::finish`] will count it.
    fn draw(&mut self, prediction: Prediction<'_>) -> Result<Option<Outcome>>;

    /// Does what needs all photos.
    fn finish(&mut self, _report: &mut Report) -> Result<()> {
        Ok(())
    }

    /// Writes what is about the whole run, after failures were named.
    fn conclude(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Runs the task's head over the photos and hands them to `drawer`. Returns the exit code.
pub fn run(
    args: &PredictArgs,
    request: &Request<'_>,
    console: &Console,
    drawer: &mut impl Draw,
) -> Result<u8> {
    let collected = args.input.collect()?;
    let options = args.output.options()?;
    let is_planned = |extension: &&str| {
        let elsewhere = request.elsewhere.map(|(extension, _)| extension);
        elsewhere != Some(extension)
    };
    let planned = request.extensions.iter().copied().filter(is_planned);
    let planned: Vec<&'static str> = planned.collect();
    let mut plan = Plan::new(collected.sources, &options, request.kind, &planned)?;
    if let Some((extension, path)) = request.elsewhere {
        plan.redirect(extension, path, options.force)?;
    }
    let head = args.head.name.as_deref().map(Path::new);
    model::protect(&mut plan.outputs, drawer.reads().into_iter().chain([head]))?;
    drawer.begin(&mut plan)?;
    if let [job] = plan.jobs.as_slice() {
        // Of one photo it is told before a model is loaded, or fetched.
        let pixels = drawer.pixels();
        if !pixels.is_empty() {
            let size = args.input.decoder(console).size(&job.source)?;
            let mut checks = pixels.iter().map(|&pixel| check_pixel(pixel, size));
            let accepted = checks.try_for_each(|check| check);
            accepted.map_err(|why| Error::file(job.source.path(), why))?;
        }
    }
    args.output.settle(&plan, console)?;
    let heads = Heads::at(Store::open()?.root());
    let head = heads.choose(request.task, args.head.name.as_deref())?.head;
    drawer.accept(&head)?;
    let mut report = Report::of_search(collected.failures, collected.summary, args.output.json);
    let any_missing = plan.jobs.iter().any(|job| !job.is_done());
    let (to_do, done): (Vec<&Job>, Vec<&Job>) =
        plan.jobs.iter().partition(|job| match request.which {
            Which::Missing => !job.is_done(),
            Which::AllOrNone => any_missing,
            Which::All => true,
        });
    done.iter().for_each(|_| report.count(Outcome::Skipped));
    if !to_do.is_empty() {
        let run = predict(args, &head, &to_do, console, &mut report, drawer)
            .and_then(|()| drawer.finish(&mut report));
        report.told(console, run)?;
    }
    report.finish(console);
    if !to_do.is_empty() {
        drawer.conclude()?;
    }
    Ok(report.exit_code())
}

/// Runs `head` over `jobs`; what fails is recorded, and the rest goes on.
fn predict(
    args: &PredictArgs,
    head: &Head,
    jobs: &[&Job],
    console: &Console,
    report: &mut Report,
    drawer: &mut impl Draw,
) -> Result<()> {
    let slide = windows_of(args, head)?;
    let protocol = protocol_of(&args.head, args.slide, head, console)?;
    let model = model::load_for(&args.run, head, console)?;
    let head = &head.clone().to_device(model.backbone.device())?;
    let requests = head.meta.requests();
    let sources: Vec<_> = jobs.iter().map(|job| &job.source).collect();
    let way = Way::new(protocol, slide);
    let progress = console.progress_of_photos(match way {
        // Those show their own bar.
        Way::Windows(_) | Way::Protocol(_) if jobs.len() == 1 => 0,
        _ => jobs.len(),
    });
    let at_once = matches!(way, Way::AtOnce);
    let tick = |done, all| {
        if at_once {
            progress.block(done, all);
        }
    };
    let decoder = args.input.decoder(console);
    let drawn = per_pixel(drawer.bytes_per_pixel());
    let pixels = drawer.pixels();
    let accept = |size| {
        let mut checks = pixels.iter().map(|&pixel| check_pixel(pixel, size));
        checks.try_for_each(|check| check)
    };
    let after = |geometry: &Geometry| of_scores(head, geometry) + drawn(geometry);
    let pipeline = Pipeline {
        backbone: &model.backbone,
        preprocessor: preprocessor(&args.head, protocol, head, &model)?,
        requests: &requests,
        costs: Costs {
            gate: Gate::new(decoder.options.max_memory),
            after: &after,
            window: way.patches_at_once(model.backbone.config().patch_size),
        },
        decoder,
        batch_size: args.run.batch_size.get(),
        views: views_of(&args.head, protocol),
        looks: head.meta.input.coarse.into(),
        cut: None,
        accept: &accept,
        tick: &tick,
    };
    let take = |index: usize, scored: Result<Scored>| {
        let job: &Job = jobs[index];
        let result = scored.and_then(|scored| {
            drawer.draw(Prediction {
                job,
                photo: &scored.photo,
                geometry: &scored.geometry,
                found: &scored.found,
                head,
                watch: scored.watch,
            })
        });
        progress.inc();
        if let Some(Some(outcome)) = report.record(job.source.name(), result)? {
            report.count(outcome);
        }
        // The photo is done, whoever asks to stop.
        interrupt::check()
    };
    let name = |index: usize| jobs[index].source.name();
    let plan = |index: usize, geometry: &Geometry, memory: u64| {
        progress.begin(name(index));
        let coarse = head.meta.input.coarse;
        model.explain(console, &name(index), geometry, memory, coarse);
    };
    let scorer = Scorer {
        head,
        pipeline: &pipeline,
        way,
        console,
    };
    scorer.run(&sources, name, plan, take)
}
