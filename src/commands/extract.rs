//! One layer's features of many photos, for the commands that need no head.

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

/// What is extracted, and how.
pub struct LayerExtractor<'a> {
    /// The backbone.
    pub model: &'a ModelReplicas,
    /// Which of its layers.
    pub layer: LayerRequest,
    /// What it sees of a photo.
    pub size: SizeRule,
    /// How photos are decoded.
    pub decoder: PhotoDecoder,
    /// Photos of one size to run at once.
    pub batch_size: BatchSize,
    /// Bytes that a photo of a layout takes after the backbone.
    pub postprocess_bytes: &'a (dyn Fn(&Geometry) -> u64 + Sync),
}

/// The photos of a command, and how they stand.
pub struct PhotoJobs<'c> {
    /// What is made of them.
    pub plan: OutputPlan,
    making: TaskDigests,
    ledger: Ledger,
    lines: JsonLines,
    report: RunReport,
    /// What stands in the way of photos, by their numbers.
    refused: Vec<bool>,
    console: &'c Console,
}

/// What a command makes of photos.
pub struct ExtractionRequest<'a> {
    /// What lines in JSON are about.
    pub subject: LineSubject,
    /// How the outputs are made.
    pub making: TaskDigests,
    /// Their extensions.
    pub extensions: &'a [&'static str],
    /// Where they go.
    pub output: &'a OutputArgs,
    /// Which part of the photos there is.
    pub shard: Option<Shard>,
    /// Bytes of a photo, at most.
    pub max_bytes: u64,
}

impl<'c> PhotoJobs<'c> {
    /// Plans the outputs of what was `collected`, and decides of what is there.
    pub fn plan(
        collected: CollectedInputs,
        asked: ExtractionRequest<'_>,
        console: &'c Console,
    ) -> Result<Self> {
        let ExtractionRequest {
            subject,
            making,
            extensions,
            output,
            shard,
            max_bytes: most,
        } = asked;
        if output.tar {
            return Err(Error::Usage(
                "--tar works with depth, segment, pca and run; leave it out".into(),
            ));
        }
        let options = output.options(shard)?;
        let ledger = Ledger::open(&options)?;
        let mut plan = OutputPlan::new(collected.sources, &options, &making.task, extensions)?;
        ledger.protect(&mut plan.outputs);
        let broken = ledger.skipped_failures(&plan, &making, most)?;
        let refused = ledger.reconcile(&mut plan, &making, (&broken, most), console)?;
        output.reserve_stdout(&mut plan, console)?;
        let mut lines = JsonLines::new(subject, output.json, &collected.failures);
        for lost in &collected.failures {
            ledger.note_missing_input(lost, &making)?;
        }
        let mut report = RunReport::from_search(collected.failures, collected.summary, output.json);
        for (job, refused) in plan.jobs.iter().zip(&refused) {
            if let Some(error) = refused {
                ledger.note_failure(&job.source, &making, None, error)?;
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
            making,
            ledger,
            lines,
            report,
            refused: is_refused,
            console,
        })
    }

    /// The photos of which something is to be made, by their numbers.
    pub fn pending(&self) -> Vec<usize> {
        let jobs = self.plan.jobs.iter().enumerate();
        jobs.filter(|(index, job)| !job.is_done() && !self.refused[*index])
            .map(|(index, _)| index)
            .collect()
    }

    /// Learns what was not known before the backbone was loaded.
    pub fn update_for_model(&mut self, making: TaskDigests) {
        self.making.complete_from(making);
    }

    /// Counts one of which everything was made.
    pub fn count_done(&mut self) {
        self.report.record_outcome(Outcome::Done);
    }

    /// Tells what is left to tell, after a `run` through the network; returns the exit code.
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
    /// Runs the backbone over the photos with these numbers, has `finish` make something of each on any thread, and returns
    /// what that is of those that did not fail, in their order.
    pub fn run<T: Send>(
        &self,
        photos: &mut PhotoJobs<'_>,
        numbers: &[usize],
        finish: impl Fn(&OutputJob, ReadyPhoto, BackboneOutput, &Console) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let progress = photos.console.progress_of_photos(numbers.len());
        let tick = |done| progress.set_blocks_done(done, 100);
        let networks: Vec<FeaturePass<'_>> = self.passes(&tick).collect();
        self.run_networks(&networks, photos, (numbers, &progress), finish)
    }

    /// As [`LayerExtractor::run`], but finds what the cls token attends to in the block.
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
            making,
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
            let (job, words) = (job(ready.index), console.recorder());
            let stamp = ready.stamp.take();
            let work = || finish(job, ready, found, &words);
            let finished = ledger.note_outputs((job, making), stamp.as_ref(), &words, work);
            if let Err(error) = &finished {
                let noted = ledger.note_failure(&job.source, making, stamp.as_ref(), error);
                note_unrecorded(noted, console);
            }
            Ok((finished, words))
        };
        let mut all = Vec::with_capacity(numbers.len());
        let ran = engine.run(&sources, networks, before, finish, |index, result| {
            let number = numbers[index];
            if let Err(error) = &result {
                let stamp = failed.take(index);
                let noted = ledger.note_failure(sources[index], making, stamp.as_ref(), error);
                note_unrecorded(noted, console);
            }
            let result = result.and_then(|(finished, words)| {
                if words.has_lines() {
                    let describe = |index: usize| (&jobs[index].source, Some(&jobs[index]));
                    lines.print_before(number, describe, console)?;
                }
                console.replay(&words)?;
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

    /// On each device.
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

/// Says once that failures cannot be noted; they are told anyway.
fn note_unrecorded(noted: Result<()>, console: &Console) {
    if let Err(error) = noted {
        console.note_once("record", error);
    }
}
