//! One layer's features of many photos, for the commands that need no head.

use dino::Result;
use dino::backbone::{ClsAttention, LayerRequest};
use dino::batch::Report;
use dino::console::Console;
use dino::engine::{
    AttentionPass, BatchSize, Decoding, Engine, Network, OnePass, Ready, Seen, tell_overflow,
};
use dino::inputs::{PhotoDecoder, Source};
use dino::output::Job;
use dino::preprocess::{Geometry, SizeRule};
use dino::tasks::layer;
use dino::tasks::run::explain;

use super::model::Model;

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

impl Extract<'_> {
    /// Runs the backbone over all jobs, has `finish` make something of each on any thread, and hands that to `take` in
    /// their order; what fails is recorded, and the rest goes on.
    pub fn run<'j, T: Send>(
        &self,
        jobs: &[&'j Job],
        console: &Console,
        report: &mut Report,
        finish: impl Fn(&'j Job, Ready, Seen, &Console) -> Result<T> + Sync,
        take: impl FnMut(&mut Report, T),
    ) -> Result<()> {
        let progress = console.progress_of_photos(jobs.len());
        let tick = |done| progress.block(done, 100);
        let networks: Vec<OnePass<'_>> = self.passes(&tick).collect();
        self.run_by(&networks, jobs, (console, &progress), report, finish, take)
    }

    /// As [`Extract::run`], but finds what the cls token attends to in the block.
    pub fn attend<'j, T: Send>(
        &self,
        jobs: &[&'j Job],
        console: &Console,
        report: &mut Report,
        finish: impl Fn(&'j Job, Ready, ClsAttention, &Console) -> Result<T> + Sync,
        take: impl FnMut(&mut Report, T),
    ) -> Result<()> {
        let progress = console.progress_of_photos(jobs.len());
        let networks = self.passes(&|_| ()).map(|pass| AttentionPass {
            pass,
            block: self.layer.block,
        });
        let networks: Vec<AttentionPass<'_>> = networks.collect();
        self.run_by(&networks, jobs, (console, &progress), report, finish, take)
    }

    fn run_by<'j, N: Network, T: Send>(
        &self,
        networks: &[N],
        jobs: &[&'j Job],
        (console, progress): (&Console, &dino::console::PhotoProgress),
        report: &mut Report,
        finish: impl Fn(&'j Job, Ready, N::Found, &Console) -> Result<T> + Sync,
        mut take: impl FnMut(&mut Report, T),
    ) -> Result<()> {
        let sources: Vec<&Source> = jobs.iter().map(|job| &job.source).collect();
        let config = self.model.backbone().config();
        let decoding = Decoding::new(self.decoder.clone());
        let engine = Engine::new(&self.model.backbones, decoding, self.batch_size, console)?;
        let before = |index: usize, layouts: &[Geometry], memory: u64| {
            let name = jobs[index].source.name();
            for geometry in layouts {
                explain(config, console, &name, geometry, memory, None);
            }
            progress.begin(name);
        };
        let finish = |ready: Ready, found: N::Found| {
            let (job, words) = (jobs[ready.index], console.recorder());
            let finished = finish(job, ready, found, &words);
            Ok((finished, words))
        };
        let ran = engine.run(&sources, networks, before, finish, |index, result| {
            let result = result.and_then(|(finished, words)| {
                console.replay(&words)?;
                finished
            });
            progress.inc();
            if let Some(finished) = report.record(jobs[index].source.name(), result)? {
                take(report, finished);
            }
            Ok(())
        });
        tell_overflow(&self.model.backbones, console);
        ran
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
