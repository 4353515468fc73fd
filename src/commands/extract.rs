//! One layer's features of many photos, for the commands that need no head.

use dino::Result;
use dino::backbone::LayerRequest;
use dino::batch::Report;
use dino::console::Console;
use dino::inputs::PhotoDecoder;
use dino::output::Job;
use dino::pipeline::{Extracted, Looks, Pipeline, Views};
use dino::preprocess::{Geometry, Padding, Preprocessor, Resample, SizeRule, Unpad};

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
        let pipeline = Pipeline {
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
            requests: &[self.layer],
            decoder: self.decoder.clone(),
            batch_size: self.batch_size,
            views: Views::Plain,
            looks: Looks::Once,
            cut: None,
        };
        let sources: Vec<_> = jobs.iter().map(|job| &job.source).collect();
        let progress = console.progress(jobs.len() as u64, "images");
        let plan = |index: usize, geometry: &Geometry| {
            self.model
                .explain(console, &jobs[index].source.name(), geometry, 1, None);
        };
        pipeline.run(&sources, plan, |index, result| {
            let job = jobs[index];
            let result = result.and_then(|extracted| each(report, job, extracted));
            progress.inc(1);
            report.record(job.source.name(), result).map(|_| ())
        })
    }
}
