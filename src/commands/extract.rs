//! Runs the backbone over photos for `dino attention` and `dino similar`: plans outputs against the manifest, computes
//! one layer, and calls the command back to write the files of each photo.

use dino::engine::run_report::{Outcome, RunReport};
use dino::engine::{
    AttentionPass, BackboneOutput, BatchSize, DecodeStage, Engine, FeaturePass, PassRunner,
    ReadyPhoto, note_overflow,
};
use dino::io::inputs::{CollectedInputs, PhotoDecoder, Shard, Source};
use dino::io::manifest::{Ledger, TaskDigests};
use dino::io::output::{JsonLines, LineSubject, OutputJob, OutputPlan};
use dino::model::backbone::{ClsAttention, LayerRequest};
use dino::model::input::{Geometry, SizeRule};
use dino::tasks::layer;
use dino::tasks::run::explain_input;
use dino::terminal::console::{Console, PhotoProgress};
use dino::{Error, Result};

use super::model::ModelReplicas;
use crate::cli::OutputArgs;

/// The backbone, the layer to compute, and how photos are prepared.
pub struct LayerExtractor<'a> {
    /// The backbone on all devices.
    pub model: &'a ModelReplicas,
    /// The block, and whether the final norm is applied.
    pub layer: LayerRequest,
    /// The size of photos in the backbone's input.
    pub size: SizeRule,
    /// How photos are decoded.
    pub decoder: PhotoDecoder,
    /// Photos of one padded size in a batch.
    pub batch_size: BatchSize,
    /// Host memory in bytes that a photo takes after the backbone, by its layout.
    pub postprocess_bytes: &'a (dyn Fn(&Geometry) -> u64 + Sync),
}

/// The photos of a command and the state of their outputs.
pub struct PhotoJobs<'c> {
    /// One job per photo.
    pub plan: OutputPlan,
    digests: TaskDigests,
    ledger: Ledger,
    lines: JsonLines,
    report: RunReport,
    /// By job: whether the photo is left out, because an output cannot be replaced or the photo failed before.
    refused: Vec<bool>,
    console: &'c Console,
}

/// The outputs that a command makes of photos.
pub struct ExtractionRequest<'a> {
    /// The task in JSON lines.
    pub subject: LineSubject,
    /// Digests of the settings that decide the outputs.
    pub digests: TaskDigests,
    /// Extensions of the outputs.
    pub extensions: &'a [&'static str],
    /// Where outputs go.
    pub output: &'a OutputArgs,
    /// The shard of the photos that this run processes; none for all.
    pub shard: Option<Shard>,
    /// Memory limit of a photo in bytes.
    pub max_bytes: u64,
}

impl<'c> PhotoJobs<'c> {
    /// Plans the outputs of the `collected` photos; those that are up to date are skipped.
    ///
    /// # Errors
    /// If the output folder or its manifest cannot be used; [`Error::Usage`] for `--tar`.
    pub fn plan(
        collected: CollectedInputs,
        request: ExtractionRequest<'_>,
        console: &'c Console,
    ) -> Result<Self> {
        let ExtractionRequest {
            subject,
            digests,
            extensions,
            output,
            shard,
            max_bytes: most,
        } = request;
        if output.tar {
            return Err(Error::Usage(
                "--tar works with depth, segment, pca and run; leave it out".into(),
            ));
        }
        let options = output.options(shard)?;
        let ledger = Ledger::open(&options)?;
        let mut plan = OutputPlan::new(collected.sources, &options, &digests.task, extensions)?;
        ledger.protect(&mut plan.outputs);
        let broken = ledger.skipped_failures(&plan, &digests, most)?;
        let refused = ledger.reconcile(&mut plan, &digests, (&broken, most), console)?;
        output.reserve_stdout(&mut plan, console)?;
        let mut lines = JsonLines::new(subject, output.json, &collected.failures);
        for lost in &collected.failures {
            ledger.note_missing_input(lost, &digests)?;
        }
        let mut report = RunReport::from_search(collected.failures, collected.summary, output.json);
        for (job, refused) in plan.jobs.iter().zip(&refused) {
            if let Some(error) = refused {
                ledger.record_failure(&job.source, &digests, None, error)?;
            }
        }
        let refused: Vec<Option<Error>> = refused
            .into_iter()
            .zip(broken)
            .map(|(refused, broken)| refused.or(broken))
            .collect();
        let is_refused = refused.iter().map(Option::is_some).collect();
        for (index, (job, refused)) in plan.jobs.iter().zip(refused).enumerate() {
            if let Some(error) = refused {
                lines.record_failed(index, error.to_string());
                report.record::<()>(job.source.name(), Err(error))?;
            } else if job.is_done() {
                lines.record_skipped(index);
                report.record_outcome(Outcome::Skipped);
            }
        }
        Ok(PhotoJobs {
            plan,
            digests,
            ledger,
            lines,
            report,
            refused: is_refused,
            console,
        })
    }

    /// Indices of the jobs with outputs to make.
    pub fn pending(&self) -> Vec<usize> {
        let jobs = self.plan.jobs.iter().enumerate();
        jobs.filter(|(index, job)| !job.is_done() && !self.refused[*index])
            .map(|(index, _)| index)
            .collect()
    }

    /// Completes the digests once the backbone's fingerprint is known.
    pub fn update_for_model(&mut self, digests: TaskDigests) {
        self.digests.complete_from(digests);
    }

    /// Counts a photo all of whose outputs were made.
    pub fn count_done(&mut self) {
        self.report.record_outcome(Outcome::Done);
    }

    /// Prints the remaining lines and the summary after a `run` of the backbone; returns the exit code.
    pub fn finish(mut self, run: Result<()>) -> Result<u8> {
        self.report.report_interrupted(self.console, run)?;
        let jobs = &self.plan.jobs;
        let describe = |index: usize| (&jobs[index].source, Some(&jobs[index]));
        self.lines
            .print_before(usize::MAX, describe, self.console)?;
        self.ledger.flush_failures(self.plan.jobs.len())?;
        self.report.print_summary(self.console);
        Ok(self.report.exit_code())
    }
}

impl LayerExtractor<'_> {
    /// Runs the backbone over the jobs with the indices `numbers`; calls `finish` for each on any thread, and returns
    /// its results in order, without those that failed.
    pub fn run<T: Send>(
        &self,
        photos: &mut PhotoJobs<'_>,
        numbers: &[usize],
        finish: impl Fn(&OutputJob, ReadyPhoto, BackboneOutput, &Console) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let progress = photos.console.progress_of_photos(numbers.len());
        let tick = |done| progress.set_network_progress(done, 100);
        let networks: Vec<FeaturePass<'_>> = self.passes(&tick).collect();
        self.run_networks(&networks, photos, (numbers, &progress), finish)
    }

    /// As [`LayerExtractor::run`], with the attention weights of the cls token in the block.
    pub fn run_attention<T: Send>(
        &self,
        photos: &mut PhotoJobs<'_>,
        numbers: &[usize],
        finish: impl Fn(&OutputJob, ReadyPhoto, ClsAttention, &Console) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let progress = photos.console.progress_of_photos(numbers.len());
        let networks = self.passes(&|_| ()).map(|pass| AttentionPass {
            pass,
            block: self.layer.block,
        });
        let networks: Vec<AttentionPass<'_>> = networks.collect();
        self.run_networks(&networks, photos, (numbers, &progress), finish)
    }

    fn run_networks<N: PassRunner, T: Send>(
        &self,
        networks: &[N],
        photos: &mut PhotoJobs<'_>,
        (numbers, progress): (&[usize], &PhotoProgress),
        finish: impl Fn(&OutputJob, ReadyPhoto, N::Output, &Console) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let PhotoJobs {
            plan,
            digests,
            ledger,
            lines,
            report,
            console,
            ..
        } = photos;
        let (jobs, console) = (&plan.jobs, *console);
        let job = |index: usize| &jobs[numbers[index]];
        let sources: Vec<&Source> = (0..numbers.len()).map(|index| &job(index).source).collect();
        let config = self.model.backbone().config();
        let decoding = DecodeStage {
            takes_stamps: true,
            ..DecodeStage::new(self.decoder.clone())
        };
        let failed = decoding.failed_stamps.clone();
        let engine = Engine::new(&self.model.backbones, decoding, self.batch_size, console)?;
        let before = |index: usize, layouts: &[Geometry], memory: u64| {
            let name = sources[index].name();
            for geometry in layouts {
                explain_input(config, console, &name, geometry, memory, None);
            }
            progress.begin(name);
        };
        let finish = |mut ready: ReadyPhoto, found: N::Output| {
            let (job, recorder) = (job(ready.index), console.recorder());
            let stamp = ready.stamp.take();
            let work = || finish(job, ready, found, &recorder);
            let finished = ledger.record_outputs((job, digests), stamp.as_ref(), &recorder, work);
            if let Err(error) = &finished {
                let noted = ledger.record_failure(&job.source, digests, stamp.as_ref(), error);
                note_unrecorded(noted, console);
            }
            Ok((finished, recorder))
        };
        let mut all = Vec::with_capacity(numbers.len());
        let ran = engine.run(&sources, networks, before, finish, |index, result| {
            let number = numbers[index];
            if let Err(error) = &result {
                let stamp = failed.take(index);
                let noted = ledger.record_failure(sources[index], digests, stamp.as_ref(), error);
                note_unrecorded(noted, console);
            }
            let result = result.and_then(|(finished, recorder)| {
                if recorder.has_lines() {
                    let describe = |index: usize| (&jobs[index].source, Some(&jobs[index]));
                    lines.print_before(number, describe, console)?;
                }
                console.replay(&recorder)?;
                finished
            });
            progress.inc();
            if let Err(error) = &result {
                lines.record_failed(number, error.to_string());
            }
            all.extend(report.record(sources[index].name(), result)?);
            Ok(())
        });
        note_overflow(&self.model.backbones, console);
        ran.map(|()| all)
    }

    /// One pass per device.
    fn passes<'p>(
        &'p self,
        tick: &'p (dyn Fn(usize) + Sync),
    ) -> impl Iterator<Item = FeaturePass<'p>> {
        self.model
            .backbones
            .iter()
            .map(move |backbone| FeaturePass {
                backbone,
                pass: layer::layer_pass(self.layer, self.size, backbone.config().patch_size),
                bytes_after: self.postprocess_bytes,
                on_progress: tick,
            })
    }
}

/// Notes, once, that failures cannot be recorded in the manifest; they are reported anyway.
fn note_unrecorded(noted: Result<()>, console: &Console) {
    if let Err(error) = noted {
        console.note_once("record", error);
    }
}
