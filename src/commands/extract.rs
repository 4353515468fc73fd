//! One layer's features of many photos, for the commands that need no head.

use dino::engine::outcomes::{Outcome, Report};
use dino::engine::{
    AttentionPass, BatchSize, Decoding, Engine, Network, OnePass, Ready, Seen, tell_overflow,
};
use dino::io::inputs::{Collected, PhotoDecoder, Shard, Source};
use dino::io::manifest::{Ledger, Making};
use dino::io::output::{Job, Lines, Plan, Subject};
use dino::model::backbone::{ClsAttention, LayerRequest};
use dino::model::input::{Geometry, SizeRule};
use dino::tasks::layer;
use dino::tasks::run::explain;
use dino::terminal::console::{Console, PhotoProgress};
use dino::{Error, Result};

use super::model::Model;
use crate::cli::OutputArgs;

/// What is extracted, and how.
pub struct Extract<'a> {
    /// The backbone.
    pub model: &'a Model,
    /// Which of its layers.
    pub layer: LayerRequest,
    /// What it sees of a photo.
    pub size: SizeRule,
    /// How photos are decoded.
    pub decoder: PhotoDecoder,
    /// Photos of one size to run at once.
    pub batch_size: BatchSize,
    /// Bytes that a photo of a layout takes after the backbone.
    pub after: &'a (dyn Fn(&Geometry) -> u64 + Sync),
}

/// The photos of a command, and how they stand.
pub struct Photos<'c> {
    /// What is made of them.
    pub plan: Plan,
    making: Making,
    ledger: Ledger,
    lines: Lines,
    report: Report,
    /// What stands in the way of photos, by their numbers.
    refused: Vec<bool>,
    console: &'c Console,
}

/// What a command makes of photos.
pub struct Asked<'a> {
    /// What lines in JSON are about.
    pub subject: Subject,
    /// How the outputs are made.
    pub making: Making,
    /// Their extensions.
    pub extensions: &'a [&'static str],
    /// Where they go.
    pub output: &'a OutputArgs,
    /// Which part of the photos there is.
    pub shard: Option<Shard>,
    /// Bytes of a photo, at most.
    pub most: u64,
}

impl<'c> Photos<'c> {
    /// Plans the outputs of what was `collected`, and decides of what is there.
    pub fn plan(collected: Collected, asked: Asked<'_>, console: &'c Console) -> Result<Self> {
        let Asked {
            subject,
            making,
            extensions,
            output,
            shard,
            most,
        } = asked;
        if output.tar {
            return Err(Error::Usage(
                "--tar works with depth, segment, pca and run; leave it out".into(),
            ));
        }
        let options = output.options(shard)?;
        let ledger = Ledger::open(&options)?;
        let mut plan = Plan::new(collected.sources, &options, &making.kind, extensions)?;
        ledger.protect(&mut plan.outputs);
        let broken = ledger.known_failures(&plan, &making, most)?;
        let refused = ledger.settle(&mut plan, &making, (&broken, most), console)?;
        output.settle(&mut plan, console)?;
        let mut lines = Lines::new(subject, output.json, &collected.failures);
        for lost in &collected.failures {
            ledger.note_lost(lost, &making)?;
        }
        let mut report = Report::of_search(collected.failures, collected.summary, output.json);
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
                lines.fail(index, error.to_string());
                report.record::<()>(job.source.name(), Err(error))?;
            } else if job.is_done() {
                lines.skip(index);
                report.count(Outcome::Skipped);
            }
        }
        Ok(Photos {
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
    pub fn to_do(&self) -> Vec<usize> {
        let jobs = self.plan.jobs.iter().enumerate();
        jobs.filter(|(index, job)| !job.is_done() && !self.refused[*index])
            .map(|(index, _)| index)
            .collect()
    }

    /// Learns what was not known before the backbone was loaded.
    pub fn meet(&mut self, making: Making) {
        self.making.meet(making);
    }

    /// Counts one of which everything was made.
    pub fn count_done(&mut self) {
        self.report.count(Outcome::Done);
    }

    /// Tells what is left to tell, after a `run` through the network; returns the exit code.
    pub fn finish(mut self, run: Result<()>) -> Result<u8> {
        self.report.told(self.console, run)?;
        let jobs = &self.plan.jobs;
        let describe = |index: usize| (&jobs[index].source, Some(&jobs[index]));
        self.lines.tell_before(usize::MAX, describe, self.console)?;
        self.ledger.settle_failures(self.plan.jobs.len())?;
        self.report.finish(self.console);
        Ok(self.report.exit_code())
    }
}

impl Extract<'_> {
    /// Runs the backbone over the photos with these numbers, has `finish` make something of each on any thread, and returns
    /// what that is of those that did not fail, in their order.
    pub fn run<T: Send>(
        &self,
        photos: &mut Photos<'_>,
        numbers: &[usize],
        finish: impl Fn(&Job, Ready, Seen, &Console) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let progress = photos.console.progress_of_photos(numbers.len());
        let tick = |done| progress.block(done, 100);
        let networks: Vec<OnePass<'_>> = self.passes(&tick).collect();
        self.run_by(&networks, photos, (numbers, &progress), finish)
    }

    /// As [`Extract::run`], but finds what the cls token attends to in the block.
    pub fn attend<T: Send>(
        &self,
        photos: &mut Photos<'_>,
        numbers: &[usize],
        finish: impl Fn(&Job, Ready, ClsAttention, &Console) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let progress = photos.console.progress_of_photos(numbers.len());
        let networks = self.passes(&|_| ()).map(|pass| AttentionPass {
            pass,
            block: self.layer.block,
        });
        let networks: Vec<AttentionPass<'_>> = networks.collect();
        self.run_by(&networks, photos, (numbers, &progress), finish)
    }

    fn run_by<N: Network, T: Send>(
        &self,
        networks: &[N],
        photos: &mut Photos<'_>,
        (numbers, progress): (&[usize], &PhotoProgress),
        finish: impl Fn(&Job, Ready, N::Found, &Console) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let Photos {
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
        let decoding = Decoding {
            stamps: true,
            ..Decoding::new(self.decoder.clone())
        };
        let failed = decoding.failed.clone();
        let engine = Engine::new(&self.model.backbones, decoding, self.batch_size, console)?;
        let before = |index: usize, layouts: &[Geometry], memory: u64| {
            let name = sources[index].name();
            for geometry in layouts {
                explain(config, console, &name, geometry, memory, None);
            }
            progress.begin(name);
        };
        let finish = |mut ready: Ready, found: N::Found| {
            let (job, words) = (job(ready.index), console.recorder());
            let stamp = ready.stamp.take();
            let work = || finish(job, ready, found, &words);
            let finished = ledger.note((job, making), stamp.as_ref(), &words, work);
            if let Err(error) = &finished {
                let noted = ledger.note_failure(&job.source, making, stamp.as_ref(), error);
                tell_unnoted(noted, console);
            }
            Ok((finished, words))
        };
        let mut all = Vec::with_capacity(numbers.len());
        let ran = engine.run(&sources, networks, before, finish, |index, result| {
            let number = numbers[index];
            if let Err(error) = &result {
                let stamp = failed.take(index);
                let noted = ledger.note_failure(sources[index], making, stamp.as_ref(), error);
                tell_unnoted(noted, console);
            }
            let result = result.and_then(|(finished, words)| {
                if words.has_lines() {
                    let describe = |index: usize| (&jobs[index].source, Some(&jobs[index]));
                    lines.tell_before(number, describe, console)?;
                }
                console.replay(&words)?;
                finished
            });
            progress.inc();
            if let Err(error) = &result {
                lines.fail(number, error.to_string());
            }
            all.extend(report.record(sources[index].name(), result)?);
            Ok(())
        });
        tell_overflow(&self.model.backbones, console);
        ran.map(|()| all)
    }

    /// On each device.
    fn passes<'p>(&'p self, tick: &'p (dyn Fn(usize) + Sync)) -> impl Iterator<Item = OnePass<'p>> {
        self.model.backbones.iter().map(move |backbone| OnePass {
            backbone,
            pass: layer::pass(self.layer, self.size, backbone.config().patch_size),
            after: self.after,
            tick,
        })
    }
}

/// Says once that failures cannot be noted; they are told anyway.
fn tell_unnoted(noted: Result<()>, console: &Console) {
    if let Err(error) = noted {
        console.note_once("record", error);
    }
}
