//! Tasks over photos: what is there already is left alone, the rest goes through the engine, and what needs all photos
//! follows in a second pass. Failures are recorded and the rest goes on.
//!
//! `plan` decides what each task does, against what is there; `compute` are both passes; `progress` is how the photos
//! stand, and `explain` says how they are going to be seen.

mod compute;
mod explain;
mod pack;
mod plan;
mod progress;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::engine::BatchSize;
use crate::engine::run_report::RunReport;
use crate::error::{Error, Result};
use crate::io::inputs::CollectedInputs;
use crate::io::manifest::Ledger;
use crate::io::output::{
    JsonLines, LineSubject, OutputJob, OutputOptions, OutputRegistry, OutputTarget,
    print_input_errors,
};
use crate::model::backbone::Backbone;
use crate::model::weights::{ModelRecord, Store};
use crate::tasks::backbone_info::BackboneInfo;
use crate::tasks::stored_features::StoredFeatures;
use crate::tasks::{Task, TaskContext, check_pixel};
use crate::terminal::console::{Console, TAR_FLAG};

pub use explain::explain_input;
use plan::{PlannedTask, wanted_tasks};
use progress::RunProgress;

/// A run of tasks.
pub struct TaskRun<'r> {
    /// Where results go.
    pub options: &'r OutputOptions,
    /// What the tasks share.
    pub context: &'r TaskContext,
    /// The backbone, as far as it is known before it is loaded.
    pub model: BackboneInfo,
    /// The type of its numbers.
    pub dtype: String,
    /// Whether photos that are new in a folder get the fit of those that are there.
    pub keep_fit: bool,
    /// Photos of one size in the network at once.
    pub batch_size: BatchSize,
    /// Stored features in the backbone's place, if there are any.
    pub stored: Option<&'r StoredFeatures>,
    /// Whether what is made of the photos of a tar goes into a tar.
    pub packs_tars: bool,
    /// How all runs ended so far, where photos come little by little and each run has some of them.
    pub total_report: Option<&'r Mutex<RunReport>>,
    /// Where words go.
    pub console: &'r Console,
}

impl TaskRun<'_> {
    /// Runs `tasks` over the photos that were `collected`. The backbones, one on each device, are loaded by `load`, if anything is to be done. Returns
    /// the exit code.
    ///
    /// # Errors
    /// What concerns the whole run: a wrong wish, an output that cannot be written, a model that cannot be loaded,
    /// [`Error::Interrupted`].
    pub fn run(
        &self,
        tasks: &mut [Box<dyn Task>],
        collected: CollectedInputs,
        load: impl FnOnce() -> Result<(Vec<Backbone>, ModelRecord)>,
    ) -> Result<u8> {
        let ledger = self.ledger(tasks)?;
        let mut loaded = None;
        let slot = &mut loaded;
        self.run_loaded(tasks, collected, &ledger, move || Ok(slot.insert(load()?)))
    }

    /// What is known of the folder of outputs: as a task knows it that keeps its record there, else as it is read now.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn ledger(&self, tasks: &[Box<dyn Task>]) -> Result<Ledger> {
        let OutputTarget::Folder(folder) = &self.options.target else {
            return Ledger::open(self.options);
        };
        let known = tasks
            .iter()
            .find_map(|task| task.ledger()?.for_folder(folder));
        known.map_or_else(|| Ledger::open(self.options), Ok)
    }

    /// As [`TaskRun::run`], with what is known of the outputs already, and backbones that serve more than this run.
    ///
    /// # Errors
    /// As [`TaskRun::run`]; [`Error::Usage`] if photos that come little by little would wait for each other.
    pub fn run_loaded<'m>(
        &self,
        tasks: &mut [Box<dyn Task>],
        collected: CollectedInputs,
        ledger: &Ledger,
        load: impl FnOnce() -> Result<&'m mut (Vec<Backbone>, ModelRecord)>,
    ) -> Result<u8> {
        let CollectedInputs {
            sources,
            failures,
            summary,
            ..
        } = collected;
        self.check_keep_fit(tasks)?;
        if let Some(stored) = self.stored {
            let photos = self.context.decoder.options.tag();
            tasks
                .iter()
                .try_for_each(|task| stored.check_task(&task.kind(), task.as_ref(), &photos))?;
        }
        let (sources, packs, packed) = match self.packs_tars {
            true => self.plan_packs(tasks, sources, ledger)?,
            false => (sources, Vec::new(), 0),
        };
        if self.keep_fit && ledger.is_without_record() {
            return Err(Error::Usage(
                "--keep-fit takes the fit from the folder's record, which --no-manifest does not read; leave one of them out"
                    .into(),
            ));
        }
        let mut planned = Vec::new();
        let count = sources.len();
        let mut sources = Some(sources);
        let last = tasks.len().saturating_sub(1);
        for (index, task) in tasks.iter_mut().enumerate() {
            let own = match index == last {
                true => sources.take(),
                false => sources.clone(),
            };
            planned.push(self.plan_task(task.as_mut(), own.unwrap_or_default(), ledger)?);
        }
        self.check_shard(tasks)?;
        if self.total_report.is_some() {
            tasks
                .iter()
                .try_for_each(|task| check_one_pass(task.as_ref()))?;
        } else if let Err(error) = self.check_pixels(tasks, planned.first()) {
            if self.context.json {
                let subjects: Vec<LineSubject> = tasks.iter().map(|task| task.subject()).collect();
                print_input_errors(&subjects, &error, self.console)?;
            }
            return Err(error);
        }
        if self.context.json {
            self.console.claim_stdout("--json")?;
        } else if self.packs_tars {
            self.console.claim_stdout(TAR_FLAG)?;
        }
        planned
            .iter_mut()
            .try_for_each(|planned| planned.plan.finalise(self.console))?;
        let wanted = wanted_tasks(tasks, &planned);
        let lines = tasks
            .iter()
            .map(|task| JsonLines::new(task.subject(), self.context.json, &failures));
        let mut progress = RunProgress {
            outcomes: vec![None; count],
            failed: vec![false; count],
            refused_tasks: vec![0; count],
            digests: vec![None; count],
            lines: lines.collect(),
            report: RunReport::default(),
            is_record_lost: false,
        };
        for (lost, planned) in failures
            .iter()
            .flat_map(|lost| planned.iter().map(move |planned| (lost, planned)))
        {
            ledger.note_missing_input(lost, &planned.task_digests)?;
        }
        progress.report = RunReport::from_search(failures, summary, self.context.json);
        progress.report.skipped = packed;
        progress.begin(&mut planned, &wanted, ledger)?;
        let is_anything = wanted.iter().any(|wanted| *wanted != 0);
        if is_anything {
            let (backbones, record) = load()?;
            for (task, planned) in tasks.iter_mut().zip(&mut planned) {
                task.attach_backbones(backbones, record, self.console)?;
                // What was not known of a backbone that had to be fetched is known now.
                let making = self.task_digests(task.as_ref(), &record.fingerprint)?;
                planned.task_digests.complete_from(making);
            }
            let run = self.compute(
                tasks,
                &mut planned,
                ledger,
                &wanted,
                backbones,
                &mut progress,
            );
            let mut winding_up = tasks.iter();
            let ended = winding_up.try_for_each(|task| task.flush(self.console));
            if matches!(run, Err(Error::Interrupted)) {
                progress.finish(self.total_report, self.console);
            }
            run.and(ended)?;
        }
        for (task, planned) in planned.iter().enumerate() {
            progress.print_lines_before(task, usize::MAX, &planned.plan, self.console)?;
        }
        self.write_tars(&packs, &planned, ledger, &mut progress)?;
        ledger.flush_failures(count)?;
        let code = progress.finish(self.total_report, self.console);
        if is_anything {
            for (
                task,
                PlannedTask {
                    plan,
                    task_digests: making,
                    ..
                },
            ) in tasks.iter().zip(&planned)
            {
                let conclude = || task.write_document(self.console);
                match task.document().filter(|document| !document.is_kept) {
                    Some(document) => {
                        let most = self.context.decoder.options.max_memory;
                        let seen = |photo: usize| progress.digests[photo];
                        let of_it = (plan, making);
                        ledger.note_document(&document.path, of_it, (seen, most), conclude)?;
                    }
                    None => conclude()?,
                }
            }
        }
        Ok(code)
    }

    /// Refuses to keep a fit where there is none.
    fn check_keep_fit(&self, tasks: &[Box<dyn Task>]) -> Result<()> {
        match self.keep_fit && !tasks.iter().any(|task| task.is_two_pass()) {
            true => Err(Error::Usage(
                "--keep-fit: nothing here is fitted to all photos; pca, --clusters K and --range global are, unless they \
                 are given a fit"
                    .into(),
            )),
            false => Ok(()),
        }
    }

    /// Refuses what needs all photos at once where there is only a part of them.
    fn check_shard(&self, tasks: &[Box<dyn Task>]) -> Result<()> {
        let Some(shard) = self.options.shard.filter(|shard| shard.is_part()) else {
            return Ok(());
        };
        if let Some(task) = tasks.iter().find(|task| task.is_two_pass()) {
            let kind = task.kind();
            let how = match task.subject().task {
                "pca" => {
                    "fit first, to some photos or all of them (dino pca … --save-basis FILE), and give every shard --basis FILE"
                }
                "clusters" => {
                    "fit first, to some photos or all of them (dino segment … --clusters K --save-codebook FILE), and give every \
                     shard --codebook FILE"
                }
                _ => "give all shards one range, such as --range 0.5,10",
            };
            return Err(Error::Usage(format!(
                "--shard {shard}: {kind} would be fitted to the photos of each shard for themselves, so that no two could be \
                 compared; {how}"
            )));
        }
        match tasks.iter().find_map(|task| task.document()) {
            Some(document) => Err(Error::Usage(format!(
                "--shard {shard}: {} is about all photos, and each shard would write one about its own; leave it out, and run \
                 once more without --shard for it when all shards are done",
                document.path.display()
            ))),
            None => Ok(()),
        }
    }

    /// Of one photo it is told before a model is loaded, or fetched, that it lacks a pixel.
    fn check_pixels(&self, tasks: &[Box<dyn Task>], planned: Option<&PlannedTask>) -> Result<()> {
        let Some([OutputJob { source, .. }]) = planned.map(|planned| planned.plan.jobs.as_slice())
        else {
            return Ok(());
        };
        let mut pixels = tasks
            .iter()
            .flat_map(|task| task.required_pixels())
            .peekable();
        if pixels.peek().is_none() {
            return Ok(());
        }
        let size = self.context.decoder.size(source)?;
        let checked = pixels.try_for_each(|&pixel| check_pixel(pixel, size));
        checked.map_err(|why| Error::file(source.path(), why))
    }
}

/// Refuses what is about all photos where nobody knows which will come.
fn check_one_pass(task: &dyn Task) -> Result<()> {
    match task.is_two_pass() {
        true => Err(Error::Usage(format!(
            "--watch: {} is fitted to all photos, which have not come yet; give it a fit (--basis, --codebook, --range MIN,MAX), or \
             keep one that the output folder has (--keep-fit)",
            task.kind()
        ))),
        false => Ok(()),
    }
}

/// Keeps the weights and heads of a store from being replaced by any output.
pub fn protect_installed(outputs: &mut OutputRegistry, store: &Store) {
    for folder in [store.models_folder(), store.root().join("heads")] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        outputs.protect(files.iter().map(PathBuf::as_path));
    }
}

/// As [`protect_installed`], for files that options name too.
///
/// # Errors
/// If the store's folder is not known.
pub fn protect_with_named<'p>(
    outputs: &mut OutputRegistry,
    named: impl IntoIterator<Item = Option<&'p Path>>,
) -> Result<()> {
    protect_installed(outputs, &Store::open()?);
    outputs.protect(named.into_iter().flatten());
    Ok(())
}
