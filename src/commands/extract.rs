//! One layer's features of many photos, for the commands that need no head.

use dino::backbone::{ClsAttention, LayerRequest};
use dino::batch::Report;
use dino::console::Console;
use dino::inputs::PhotoDecoder;
use dino::memory::Gate;
use dino::output::Job;
use dino::pipeline::{Computed, Costs, Extracted, Looks, Pipeline, Views, accept_all, no_tick};
use dino::preprocess::{Geometry, Padding, Prepared, Preprocessor, Resample, SizeRule, Unpad};
use dino::{Error, Result, interrupt};

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
    pub batch_size: usize,
    /// Bytes that a photo of a layout takes after the backbone.
    pub after: &'a (dyn Fn(&Geometry) -> u64 + Sync),
}

impl Extract<'_> {
    /// Runs the backbone over all jobs and calls `each` with what came out; what fails is recorded, and the rest goes
    /// on.
    pub fn run<'j>(
        &self,
        jobs: &[&'j Job],
        console: &Console,
        report: &mut Report,
        mut each: impl FnMut(&mut Report, &'j Job, Extracted) -> Result<()>,
    ) -> Result<()> {
        let sources: Vec<_> = jobs.iter().map(|job| &job.source).collect();
        let progress = console.progress_of_photos(jobs.len());
        let tick = |done, all| progress.block(done, all);
        let pipeline = self.pipeline(&tick);
        let plan = |index: usize, geometry: &Geometry, memory: u64| {
            let name = jobs[index].source.name();
            self.model.explain(console, &name, geometry, memory, None);
            progress.begin(name);
        };
        pipeline.run(&sources, plan, |index, result| {
            let job = jobs[index];
            let result = result.and_then(|extracted| each(report, job, extracted));
            progress.inc();
            report.record(job.source.name(), result)?;
            // The photo is done, whoever asks to stop.
            interrupt::check()
        })
    }

    /// As [`Extract::run`], but finds what the cls token attends to in the block.
    pub fn attend<'j>(
        &self,
        jobs: &[&'j Job],
        console: &Console,
        report: &mut Report,
        mut each: impl FnMut(&mut Report, &'j Job, Computed<ClsAttention>) -> Result<()>,
    ) -> Result<()> {
        let sources: Vec<_> = jobs.iter().map(|job| &job.source).collect();
        let progress = console.progress_of_photos(jobs.len());
        let pipeline = self.pipeline(&no_tick);
        let plan = |index: usize, geometry: &Geometry, memory: u64| {
            let name = jobs[index].source.name();
            self.model.explain(console, &name, geometry, memory, None);
            progress.begin(name);
        };
        let forward = |photos: &[&Prepared]| {
            let pixels = Prepared::stack(photos)?;
            self.model.backbone.cls_attention(&pixels, self.layer.block)
        };
        pipeline.run_by(&sources, forward, plan, |index, result| {
            let job = jobs[index];
            let result = result.and_then(|computed| each(report, job, computed));
            progress.inc();
            report.record(job.source.name(), result)?;
            // The photo is done, whoever asks to stop.
            interrupt::check()
        })
    }

    fn pipeline<'p>(&'p self, tick: &'p (dyn Fn(usize, usize) + Sync)) -> Pipeline<'p> {
        Pipeline {
            backbone: &self.model.backbone,
            preprocessor: Preprocessor {
                size: self.size,
                resample: Resample::Bicubic,
                patch_size: self.model.backbone.config().patch_size,
                padding: Padding::Center,
                unpad: Unpad::Crop,
                most_patches: None,
                center_crop: None,
            },
            requests: std::slice::from_ref(&self.layer),
            decoder: self.decoder.clone(),
            batch_size: self.batch_size,
            views: Views::Plain,
            looks: Looks::Once,
            cut: None,
            accept: &accept_all,
            costs: Costs {
                gate: Gate::new(self.decoder.options.max_memory),
                after: self.after,
                window: None,
            },
            tick,
        }
    }
}

/// The block that `--layer` names: from 0, or from -1 at the end.
pub fn block_of(layer: i64, model: &Model) -> Result<usize> {
    let depth = model.backbone.config().depth as i64;
    let index = if layer < 0 { depth + layer } else { layer };
    match usize::try_from(index) {
        Ok(block) if index < depth => Ok(block),
        _ => Err(Error::Usage(format!(
            "--layer {layer}: {} has blocks 0 to {} (or -{depth} to -1 from the end)",
            model.record.name,
            depth - 1
        ))),
    }
}

/// The one photo's patch tokens, `[rows * cols, D]`.
pub fn tokens(extracted: &Extracted) -> Result<Vec<f32>> {
    Ok(extracted.features.layers[0]
        .patch_tokens
        .flatten_all()?
        .to_vec1()?)
}
