//! Tasks over photos: what is there already is left alone, the rest goes through the engine, and what needs all photos
//! follows in a second pass. Failures are recorded and the rest goes on.

use std::path::{Path, PathBuf};

use crate::backbone::{Backbone, BackboneConfig};
use crate::batch::{Outcome, Report};
use crate::console::{Console, PhotoProgress};
use crate::engine::{BatchSize, Decoding, Engine, Looks, Ready, seats, tell_overflow};
use crate::error::{Error, Result};
use crate::inputs::{Collected, Source};
use crate::memory::readable;
use crate::output::{Job, OutputOptions, Outputs, Plan};
use crate::preprocess::{Coarse, Geometry};
use crate::tasks::network::FoundByTask;
use crate::tasks::{Context, Finder, Finished, Item, Task, TaskNetwork, Which, check_pixel};
use crate::weights::{Record, Store};

/// A run of tasks.
pub struct Run<'r> {
    /// Where results go.
    pub options: &'r OutputOptions,
    /// What the tasks share.
    pub context: &'r Context,
    /// Photos of one size in the network at once.
    pub batch_size: BatchSize,
    /// Where words go.
    pub console: &'r Console,
}

/// What became of a photo for one task, and the words about it.
type Told = (usize, Result<Finished>, Console);

/// How the photos of a run stand.
struct Progress {
    /// By photo.
    outcomes: Vec<Option<Outcome>>,
    failed: Vec<bool>,
    report: Report,
}

impl Run<'_> {
    /// Runs `tasks` over the photos that were `collected`. The backbones, one on each device, are loaded by `load`, if anything is to be done. Returns
    /// the exit code.
    ///
    /// # Errors
    /// What concerns the whole run: a wrong wish, an output that cannot be written, a model that cannot be loaded,
    /// [`Error::Interrupted`].
    pub fn run(
        &self,
        tasks: &mut [Box<dyn Task>],
        collected: Collected,
        load: impl FnOnce() -> Result<(Vec<Backbone>, Record)>,
    ) -> Result<u8> {
        let Collected {
            sources,
            failures,
            summary,
            ..
        } = collected;
        let mut plans = Vec::new();
        for task in tasks.iter_mut() {
            plans.push(self.plan(task.as_mut(), sources.clone())?);
        }
        self.check_pixels(tasks, &sources)?;
        if self.context.json {
            self.console.claim_stdout("--json")?;
        }
        plans
            .iter()
            .try_for_each(|plan| plan.settle(self.console))?;
        let wanted = wanted(tasks, &plans);
        let mut progress = Progress {
            outcomes: vec![None; sources.len()],
            failed: vec![false; sources.len()],
            report: Report::of_search(failures, summary, self.context.json),
        };
        for (outcome, wanted) in progress.outcomes.iter_mut().zip(&wanted) {
            if *wanted == 0 {
                *outcome = Some(Outcome::Skipped);
            }
        }
        let is_anything = wanted.iter().any(|wanted| *wanted != 0);
        if is_anything {
            let (backbones, record) = load()?;
            for task in tasks.iter_mut() {
                task.meet(&backbones, &record, self.console)?;
            }
            let run = self.compute(tasks, &plans, &wanted, &backbones, &mut progress);
            if matches!(run, Err(Error::Interrupted)) {
                progress.finish(self.console);
            }
            run?;
        }
        let code = progress.finish(self.console);
        if is_anything {
            tasks
                .iter()
                .try_for_each(|task| task.conclude(self.console))?;
        }
        Ok(code)
    }

    /// Where the results of a task go.
    fn plan(&self, task: &mut dyn Task, sources: Vec<Source>) -> Result<Plan> {
        let elsewhere = task.elsewhere();
        let planned: Vec<&'static str> = task
            .extensions()
            .into_iter()
            .filter(|extension| elsewhere.map(|(extension, _)| extension) != Some(*extension))
            .collect();
        let mut plan = Plan::new(sources, self.options, &task.kind(), &planned)?;
        if let Some((extension, path)) = elsewhere {
            plan.redirect(extension, path, self.options.force)?;
        }
        protect_installed(&mut plan.outputs, &Store::open()?);
        plan.outputs.protect(task.reads());
        task.begin(&mut plan, self.console)?;
        Ok(plan)
    }

    /// Of one photo it is told before a model is loaded, or fetched, that it lacks a pixel.
    fn check_pixels(&self, tasks: &[Box<dyn Task>], sources: &[Source]) -> Result<()> {
        let [source] = sources else {
            return Ok(());
        };
        let mut pixels = tasks.iter().flat_map(|task| task.pixels()).peekable();
        if pixels.peek().is_none() {
            return Ok(());
        }
        let size = self.context.decoder.size(source)?;
        let checked = pixels.try_for_each(|&pixel| check_pixel(pixel, size));
        checked.map_err(|why| Error::file(source.path(), why))
    }

    /// Both passes.
    fn compute(
        &self,
        tasks: &[Box<dyn Task>],
        plans: &[Plan],
        wanted: &[u64],
        backbones: &[Backbone],
        progress: &mut Progress,
    ) -> Result<()> {
        let photos: Vec<usize> = (0..wanted.len())
            .filter(|&photo| wanted[photo] != 0)
            .collect();
        let jobs = |photo: usize, task: usize| &plans[task].jobs[photo];
        let name = |photo: usize| jobs(photo, 0).source.name();
        let shows_windows = tasks.iter().any(|task| task.way().pass().is_none());
        let bar = self.console.progress_of_photos(match photos.len() {
            // Those show their own bar.
            1 if shows_windows => 0,
            count => count,
        });
        let tick = |done| bar.block(done, 100);
        let networks = seats(backbones).into_iter().map(|backbone| {
            TaskNetwork::new(
                backbone,
                tasks
                    .iter()
                    .map(|task| -> &dyn Finder { task.as_ref() })
                    .collect(),
                (
                    photos.iter().map(|&photo| wanted[photo]).collect(),
                    photos.iter().map(|&photo| name(photo)).collect(),
                ),
                self.batch_size,
                self.console,
                &tick,
            )
        });
        let networks: Vec<TaskNetwork<'_>> = networks.collect();
        let Some(network) = networks.first() else {
            return Err(Error::Model("there is no backbone to run".into()));
        };
        let sources: Vec<&Source> = photos.iter().map(|&photo| &jobs(photo, 0).source).collect();
        let decoding = Decoding::new(self.context.decoder.clone());
        let engine = Engine::new(backbones, decoding, self.batch_size, self.console)?;
        let before = |index: usize, layouts: &[Geometry], memory: u64| {
            self.announce(
                network,
                (index, &name(photos[index])),
                layouts,
                memory,
                &bar,
            );
        };
        let finish = |ready: Ready, found: FoundByTask| -> Result<Vec<Told>> {
            let photo = photos[ready.index];
            let found = found.into_iter().enumerate();
            let found = found.filter_map(|(task, found)| Some((task, found?)));
            Ok(found
                .map(|(task, found)| {
                    let words = self.console.recorder();
                    let finished = found.and_then(|found| {
                        let item = Item {
                            job: jobs(photo, task),
                            photo: &ready.photo,
                            geometry: network.layout(task, &ready),
                            found,
                            watch: ready.watch.clone(),
                            is_only: photos.len() == 1,
                        };
                        tasks[task].finish(item, &words)
                    });
                    (task, finished, words)
                })
                .collect())
        };
        let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
        let report = |index: usize, told: Result<Vec<Told>>| {
            let photo = photos[index];
            bar.inc();
            match told {
                Err(error) => progress.fail(photo, name(photo), error),
                Ok(told) => told.into_iter().try_for_each(|told| {
                    let task = told.0;
                    if self.take(tasks[task].as_ref(), (photo, name(photo)), told, progress)? {
                        waiting[task].push(photo);
                    }
                    Ok(())
                }),
            }
        };
        let ran = engine.run(&sources, &networks, before, finish, report);
        tell_overflow(backbones, self.console);
        ran?;
        drop(bar);
        for (task, waiting) in tasks.iter().zip(&waiting) {
            self.second_pass(&engine, task.as_ref(), waiting, name, progress)?;
        }
        Ok(())
    }

    /// Takes what became of a photo for a task, and says what there is to say. True if it waits for all the others.
    fn take(
        &self,
        task: &dyn Task,
        (photo, name): (usize, String),
        (_, finished, words): Told,
        progress: &mut Progress,
    ) -> Result<bool> {
        let said = self.console.replay(&words);
        let taken = finished.and_then(|finished| said.and_then(|()| task.take(finished)));
        match taken {
            Ok(Some(outcome)) => progress.note(photo, outcome),
            Ok(None) => return Ok(true),
            Err(error) => progress.fail(photo, name, error)?,
        }
        Ok(false)
    }

    /// What a task does once all photos were seen.
    fn second_pass(
        &self,
        engine: &Engine,
        task: &dyn Task,
        waiting: &[usize],
        name: impl Fn(usize) -> String,
        progress: &mut Progress,
    ) -> Result<()> {
        if waiting.is_empty() {
            return Ok(());
        }
        let count = task.fit(self.console)?;
        let bar = self.console.progress_of_work(count, "drawing");
        let work = |kept| {
            let words = self.console.recorder();
            Ok((0, task.finish_kept(kept, &words), words))
        };
        engine.finish(
            (0..count).map(|index| task.kept(index)),
            work,
            |index, told| {
                let photo = waiting[index];
                bar.message(name(photo));
                bar.inc(1);
                match told {
                    Err(error) => progress.fail(photo, name(photo), error),
                    Ok(told) => self
                        .take(task, (photo, name(photo)), told, progress)
                        .map(|_| ()),
                }
            },
        )
    }

    /// Says how a photo is going to be seen.
    fn announce(
        &self,
        network: &TaskNetwork<'_>,
        (index, name): (usize, &str),
        layouts: &[Geometry],
        memory: u64,
        bar: &PhotoProgress,
    ) {
        let passes = network.passes_of_photo(index);
        for (pass, layout) in passes.zip(layouts) {
            let coarse = match pass.looks {
                Looks::AlsoCoarse(coarse) => Some(coarse),
                Looks::Once | Looks::Coarse(_) => None,
            };
            explain(
                network.backbone.config(),
                self.console,
                name,
                layout,
                memory,
                coarse,
            );
            bar.begin(name.to_owned());
        }
    }
}

impl Progress {
    fn note(&mut self, photo: usize, outcome: Outcome) {
        let known = &mut self.outcomes[photo];
        // What was made for one task is made, whatever was there for another.
        if *known != Some(Outcome::Done) {
            *known = Some(outcome);
        }
    }

    fn fail(&mut self, photo: usize, name: String, error: Error) -> Result<()> {
        self.failed[photo] = true;
        self.report.record::<()>(name, Err(error)).map(|_| ())
    }

    /// Tells how the run ended; returns the exit code.
    fn finish(&mut self, console: &Console) -> u8 {
        let ended = self.outcomes.iter().zip(&self.failed);
        for outcome in ended.filter_map(|(outcome, failed)| outcome.filter(|_| !failed)) {
            self.report.count(outcome);
        }
        self.report.finish(console);
        self.report.exit_code()
    }
}

/// Which tasks each photo is for, a bit a task.
fn wanted(tasks: &[Box<dyn Task>], plans: &[Plan]) -> Vec<u64> {
    let photos = plans.first().map_or(0, |plan| plan.jobs.len());
    let mut wanted = vec![0u64; photos];
    for (index, (task, plan)) in tasks.iter().zip(plans).enumerate() {
        let any_missing = plan.jobs.iter().any(|job| !job.is_done());
        let is_wanted = |job: &Job| match task.which() {
            Which::Missing => !job.is_done(),
            Which::AllOrNone => any_missing,
            Which::All => true,
        };
        for (wanted, job) in wanted.iter_mut().zip(&plan.jobs) {
            *wanted |= u64::from(is_wanted(job)) << index;
        }
    }
    wanted
}

/// Keeps the weights and heads of a store from being replaced by any output.
pub fn protect_installed(outputs: &mut Outputs, store: &Store) {
    for folder in [store.models(), store.root().join("heads")] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        outputs.protect(files.iter().map(PathBuf::as_path));
    }
}

/// As [`protect_installed`], for files that options name too.
///
/// # Errors
/// If the store's folder is not known.
pub fn protect<'p>(
    outputs: &mut Outputs,
    named: impl IntoIterator<Item = Option<&'p Path>>,
) -> Result<()> {
    protect_installed(outputs, &Store::open()?);
    outputs.protect(named.into_iter().flatten());
    Ok(())
}

/// Says where a photo was made smaller than the size that was asked for, how many patches it has, how much there is to
/// compute for them, with a `coarse` look too, and how many bytes of `memory` the photo takes until it is done.
pub fn explain(
    config: &BackboneConfig,
    console: &Console,
    name: &str,
    geometry: &Geometry,
    memory: u64,
    coarse: Option<Coarse>,
) {
    let (width, height) = geometry.resized;
    if geometry.reduced {
        console.note(format_args!(
            "{name}: so large a photo or so long a strip is seen at {width}x{height} (--size native and --size WIDTHxHEIGHT are obeyed)"
        ));
    }
    let grid = geometry.grid();
    let mut flops = config.flops(grid.len());
    let mut second = String::new();
    if let Some(grid) = coarse.map(|coarse| coarse.grid(grid)) {
        flops += config.flops(grid.len());
        second = format!(" and {} x {} coarser ones", grid.cols, grid.rows);
    }
    console.detail(format_args!(
        "{name}: {} x {} = {} patches{second}, {:.0} GFLOP, up to {} of memory",
        grid.cols,
        grid.rows,
        grid.len(),
        flops / 1e9,
        readable(memory),
    ));
}
