//! Both passes of a run: photos through the backbone and the tasks, and then the deferred photos of two-pass tasks.

use super::explain::explain_input;
use super::plan::PlannedTask;
use super::progress::RunProgress;
use super::task_run::TaskRun;
use crate::engine::run_report::Outcome;
use crate::engine::{DecodeStage, Engine, InputScales, ReadyPhoto, batch_slots, note_overflow};
use crate::error::{Error, Result};
use crate::io::inputs::Source;
use crate::io::manifest::{Ledger, TaskDigests};
use crate::io::output::OutputPlan;
use crate::model::backbone::Backbone;
use crate::model::input::Geometry;
use crate::system::files::{Digest, FileStamp};
use crate::tasks::inference::multi_task::OutputsByTask;
use crate::tasks::{
    DeferredPhoto, FinishedPhoto, MultiTaskRunner, PredictedPhoto, Task, TaskPredictor,
};
use crate::terminal::console::{Console, PhotoProgress};

/// A task's number, what it made of a photo, and the messages about it.
type TaskReport = (usize, Result<FinishedPhoto>, Console);

impl TaskRun<'_> {
    /// Takes the photos that are `wanted` (a bit for each task) through both passes.
    ///
    /// # Errors
    /// What concerns the whole run; the failures of photos go to `progress`.
    pub(super) fn compute(
        &self,
        tasks: &[Box<dyn Task>],
        planned: &mut [PlannedTask],
        ledger: &Ledger,
        wanted: &[u64],
        backbones: &[Backbone],
        progress: &mut RunProgress,
    ) -> Result<()> {
        let photos: Vec<usize> = (0..wanted.len())
            .filter(|&photo| wanted[photo] != 0)
            .collect();
        let of_first = planned.first().map(|planned| planned.plan.jobs.as_slice());
        let jobs = of_first.unwrap_or_default();
        let name = |photo: usize| jobs[photo].source.name();
        let shows_windows = tasks.iter().any(|task| task.mode().whole_pass().is_none());
        let bar = self.console.progress_of_photos(match photos.len() {
            // Windows show a bar of their own.
            1 if shows_windows => 0,
            count => count,
        });
        let tick = |done| bar.set_network_progress(done, 100);
        let rows: Vec<Option<usize>> = self.stored.map_or_else(Vec::new, |stored| {
            let row_of = |&photo: &usize| stored.row_of(&jobs[photo].source);
            photos.iter().map(row_of).collect()
        });
        let is_needed = tasks.iter().any(|task| task.needs_photo());
        let of_photo = |index: usize| name(photos[index]);
        let runners = batch_slots(backbones).into_iter().map(|backbone| {
            MultiTaskRunner::new(
                backbone,
                tasks
                    .iter()
                    .map(|task| -> &dyn TaskPredictor { task.as_ref() })
                    .collect(),
                (
                    photos.iter().map(|&photo| wanted[photo]).collect(),
                    &of_photo,
                ),
                self.batch_size,
                self.console,
                &tick,
            )
            .with_stored(self.stored.map(|stored| (stored, rows.as_slice())))
        });
        let runners: Vec<MultiTaskRunner<'_>> = runners.collect();
        let Some(runner) = runners.first() else {
            return Err(Error::Model("there is no backbone to run".into()));
        };
        let decoding = DecodeStage {
            takes_stamps: true,
            takes_sha256: tasks.iter().any(|task| task.needs_sha256()),
            stored: rows
                .iter()
                .map(|row| Some(self.stored?.stored_photo((*row)?, is_needed)))
                .collect(),
            ..DecodeStage::new(self.context.decoder.clone())
        };
        let failed = decoding.failed_stamps.clone();
        let engine = Engine::new(backbones, decoding, self.batch_size, self.console)?;
        let before = |index: usize, layouts: &[Geometry], memory: u64| {
            self.explain_passes(runner, (index, &name(photos[index])), layouts, memory, &bar);
        };
        let finish = |ready: ReadyPhoto,
                      given: OutputsByTask|
         -> Result<(Option<FileStamp>, Vec<TaskReport>)> {
            let photo = photos[ready.index];
            let given = given.into_iter().enumerate();
            let given = given.filter_map(|(task, given)| Some((task, given?)));
            let reports = given.map(|(index, given)| {
                let words = self.console.recorder();
                let PlannedTask {
                    plan, task_digests, ..
                } = &planned[index];
                let (task, job) = (tasks[index].as_ref(), &plan.jobs[photo]);
                let mut timings = ready.timings.clone();
                let output = given.and_then(|given| runner.predict(index, given, &mut timings));
                let work = |output| {
                    let item = PredictedPhoto {
                        job,
                        photo: &ready.photo,
                        geometry: runner.layout(index, &ready),
                        output,
                        stamp: ready.stamp.clone(),
                        sha256: ready.sha256.clone(),
                        timings,
                        is_only: photos.len() == 1,
                    };
                    task.finish_photo(item, &words)
                };
                let finished =
                    output.and_then(|output| match task.is_two_pass() || task.has_own_record() {
                        true => work(output),
                        false => {
                            let stamp = ready.stamp.as_ref();
                            ledger
                                .record_outputs((job, task_digests), stamp, &words, || work(output))
                        }
                    });
                (index, finished, words)
            });
            let reports = reports.collect();
            Ok((ready.stamp, reports))
        };
        let mut deferred: Vec<Vec<(usize, Option<FileStamp>)>> = vec![Vec::new(); tasks.len()];
        let report = |index: usize, finished: Result<(Option<FileStamp>, Vec<TaskReport>)>| {
            let photo = photos[index];
            bar.inc();
            match finished {
                Err(error) => {
                    let of_it = (0..tasks.len()).filter(|task| wanted[photo] & (1 << task) != 0);
                    let (text, stamp) = (error.to_string(), failed.take(index));
                    for task in of_it {
                        let task_digests = &planned[task].task_digests;
                        let source = (&jobs[photo].source, stamp.as_ref());
                        progress.note_failure(source, (task_digests, ledger), &error);
                        progress.lines[task].record_failed(photo, text.clone());
                    }
                    progress.record_failure(photo, name(photo), error)
                }
                Ok((stamp, reports)) => {
                    progress.digests[photo] = stamp.as_ref().map(|stamp| stamp.digest);
                    reports.into_iter().try_for_each(|task_report| {
                        let index = task_report.0;
                        let task = tasks[index].as_ref();
                        let PlannedTask {
                            plan, task_digests, ..
                        } = &planned[index];
                        let made = (plan, task_digests, ledger);
                        if self.collect_report(
                            task,
                            made,
                            (photo, stamp.as_ref()),
                            task_report,
                            progress,
                        )? {
                            deferred[index].push((photo, stamp.clone()));
                        }
                        Ok(())
                    })
                }
            }
        };
        let to_run: Vec<&Source> = photos.iter().map(|&photo| &jobs[photo].source).collect();
        let ran = engine.run(&to_run, &runners, before, finish, report);
        note_overflow(backbones, self.console);
        ran?;
        drop(bar);
        for (index, (planned, deferred)) in planned.iter_mut().zip(&deferred).enumerate() {
            if planned.task_digests.fit.is_some() && !planned.may_mix_fits {
                let made = (&planned.plan, &planned.task_digests);
                self.check_still_one_fit(made, ledger, progress)?;
            }
            let task = (index, tasks[index].as_ref());
            self.second_pass(&engine, task, (planned, ledger), deferred, progress)?;
        }
        Ok(())
    }

    /// Takes a task's report on a photo, prints its messages, and records the outcome. True if the photo is deferred.
    ///
    /// # Errors
    /// If the task cannot continue, or stdout fails.
    fn collect_report(
        &self,
        task: &dyn Task,
        (plan, task_digests, ledger): (&OutputPlan, &TaskDigests, &Ledger),
        (photo, stamp): (usize, Option<&FileStamp>),
        (index, finished, words): TaskReport,
        progress: &mut RunProgress,
    ) -> Result<bool> {
        let source = &plan.jobs[photo].source;
        let has_line = words.has_lines();
        if has_line {
            progress.print_lines_before(index, photo, plan, self.console)?;
        }
        let said = self.console.replay(&words);
        let finished = finished.and_then(|finished| said.map(|()| finished));
        let taken = match finished.map(|finished| task.collect_finished(finished)) {
            Ok(Err(error)) if task.is_broken() => return Err(error),
            taken => taken.and_then(|taken| taken),
        };
        match taken {
            Ok(Some(outcome)) => {
                let is_told = has_line || progress.refused_tasks[photo] & (1 << index) != 0;
                if outcome == Outcome::Skipped && !is_told {
                    progress.lines[index].record_skipped(photo);
                }
                progress.record_outcome(photo, outcome);
            }
            Ok(None) => return Ok(true),
            Err(error) => {
                progress.note_failure((source, stamp), (task_digests, ledger), &error);
                progress.record_task_failure(index, photo, source.name(), error)?;
            }
        }
        Ok(false)
    }

    /// The second pass of one task: the fit, and the deferred photos with it.
    ///
    /// # Errors
    /// If nothing can be fitted, or what concerns the whole run.
    fn second_pass(
        &self,
        engine: &Engine,
        (index, task): (usize, &dyn Task),
        (planned, ledger): (&mut PlannedTask, &Ledger),
        deferred: &[(usize, Option<FileStamp>)],
        progress: &mut RunProgress,
    ) -> Result<()> {
        if deferred.is_empty() {
            return Ok(());
        }
        let count = task.fit(self.console)?;
        let fitted = deferred.iter().map(|(photo, stamp)| {
            let digest = stamp.as_ref().map(|stamp| stamp.digest);
            let nothing = || Digest::of_bytes(&[]);
            let page = planned.plan.jobs[*photo].source.page_number();
            (digest.unwrap_or_else(nothing), page)
        });
        let fit = Ledger::fit_digest(fitted);
        let PlannedTask {
            plan,
            task_digests,
            former,
            may_mix_fits: mixes,
            ..
        } = planned;
        let mixes = *mixes;
        task_digests.fit = Some(fit);
        if let Err(error) = ledger.save_fit(task_digests, &task.fit_bytes()?) {
            self.console.warn(format_args!(
                "{error}; what was fitted is not there for --keep-fit"
            ));
        }
        let is_same = |photo: usize| former.fits.get(photo) == Some(&Some(fit));
        for &(photo, extension) in former
            .replaceable
            .iter()
            .filter(|(photo, _)| !is_same(*photo))
        {
            plan.replace_existing(photo, extension)?;
        }
        let had_fit = |photo: usize| matches!(former.fits.get(photo), Some(Some(_)));
        let refit = deferred
            .iter()
            .filter(|(photo, _)| !is_same(*photo) && had_fit(*photo));
        Ledger::report_refit(refit.count(), self.console);
        let (plan, task_digests) = (&*plan, &*task_digests);
        let refused = deferred
            .iter()
            .map(|(photo, _)| progress.refused_tasks[*photo] & (1 << index) != 0);
        let refused: Vec<bool> = refused.collect();
        let bar = self.console.progress_of_work(count, "drawing");
        let work = |(at, kept): (usize, DeferredPhoto)| {
            let words = self.console.recorder();
            let (photo, stamp) = &deferred[at];
            let job = &plan.jobs[*photo];
            let finished = match refused[at] {
                // Its files cannot be replaced; it only took part in the fit.
                true => Ok(FinishedPhoto::Written(Outcome::Skipped)),
                false => ledger.record_outputs((job, task_digests), stamp.as_ref(), &words, || {
                    task.finish_deferred(kept, &words)
                }),
            };
            Ok((finished, words))
        };
        let kept = (0..count).map(|at| {
            let job = &plan.jobs[deferred[at].0];
            Ok((at, task.read_deferred(at, job)?))
        });
        let drawn = engine.process_in_order(kept, work, |at, rendered| {
            let photo = deferred[at].0;
            let source = &plan.jobs[photo].source;
            let stamp = deferred[at].1.as_ref();
            bar.message(source.name());
            bar.inc(1);
            match rendered {
                Err(error) => {
                    progress.note_failure((source, stamp), (task_digests, ledger), &error);
                    progress.record_task_failure(index, photo, source.name(), error)
                }
                Ok((finished, words)) => {
                    let task_report = (index, finished, words);
                    let made = (plan, task_digests, ledger);
                    self.collect_report(task, made, (photo, stamp), task_report, progress)
                        .map(|_| ())
                }
            }
        });
        drawn?;
        if !mixes
            && self.check_still_one_fit((plan, task_digests), ledger, progress)?
            && plan.jobs.len() > 1
        {
            ledger.drop_former_fits(task_digests);
        }
        Ok(())
    }

    /// Whether all pictures in the folder still have the run's fit; another run may have written there meanwhile.
    fn check_still_one_fit(
        &self,
        (plan, task_digests): (&OutputPlan, &TaskDigests),
        ledger: &Ledger,
        progress: &mut RunProgress,
    ) -> Result<bool> {
        let other = ledger.describe_other_fit(plan, task_digests, self.console)?;
        let is_one = other.is_none();
        progress.report.faults.extend(other.map(|what| {
            Error::Model(format!(
                "another run worked in this folder at the same time: {what}; run again with all photos"
            ))
        }));
        Ok(is_one)
    }

    /// Tells the user at which size a photo goes through the backbone.
    fn explain_passes(
        &self,
        runner: &MultiTaskRunner<'_>,
        (index, name): (usize, &str),
        layouts: &[Geometry],
        memory: u64,
        bar: &PhotoProgress,
    ) {
        let passes = runner.passes_of_photo(index);
        for (pass, layout) in passes.zip(layouts) {
            let coarse = match pass.scales {
                InputScales::FullAndCoarse(coarse) => Some(coarse),
                InputScales::Full | InputScales::Coarse(_) => None,
            };
            explain_input(
                runner.backbone.config(),
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
