//! Running a head over the photos of labelled pairs: each comes back with its scores or labels, in order.

use dino::engine::run_report::RunReport;
use dino::engine::{BackboneOutput, DecodeStage, Engine, PhotoCrop, ReadyPhoto, note_overflow};
use dino::io::inputs::{Source, orientation};
use dino::learn::data::{LabelledPair, PhotoShape};
use dino::model::head::Head;
use dino::model::head_zoo::{HeadStore, LocatedHead};
use dino::model::input::Geometry;
use dino::model::weights::{self, Store};
use dino::system::http::NetworkAccess;
use dino::system::memory::MemoryPermit;
use dino::tasks::memory_cost::{pixel_cost, score_bytes};
use dino::tasks::multi_task::{MultiTaskRunner, OutputsByTask};
use dino::tasks::scorer::HeadScorer;
use dino::tasks::{InferenceMode, TaskOutput, TaskPredictor};
use dino::terminal::console::Console;
use dino::{Error, Result};
use image::RgbImage;
use image::metadata::Orientation;

use crate::cli::EvalInputArgs;
use crate::commands::model;

/// One labelled photo with the head's output.
pub struct EvalSample<'a> {
    /// Index of the pair.
    pub index: usize,
    /// Paths of photo and label.
    pub pair: &'a LabelledPair,
    /// Size and inference mode of the backbone's input, in words.
    pub input: &'a str,
    /// The photo and the output.
    pub scored: ScoredPhoto,
}

/// A photo and the head's output for it.
pub struct ScoredPhoto {
    /// The photo, upright.
    pub photo: RgbImage,
    /// The layout of the photo in the backbone's input.
    pub geometry: Geometry,
    /// Scores, or labels of protocols with windows.
    pub output: TaskOutput,
    /// Holds the memory that the photo was granted.
    _permit: MemoryPermit,
}

/// Bytes per pixel of an evaluation: the label, a map at its size, and their pictures.
const BYTES_PER_PIXEL: u64 = 40;

/// The head of `--head`, else the default one for the task and `--model`.
pub fn select_head(args: &EvalInputArgs, task: &str) -> Result<LocatedHead> {
    let heads = HeadStore::at(Store::open()?.root());
    let (named, model) = (args.head.name.as_deref(), args.run.model.as_deref());
    Ok(heads.choose_with_reason(task, named, model)?.0)
}

/// Size and EXIF orientation of the photo that a label is for; a cropped photo counts as upright.
pub fn photo_shape(sample: &EvalSample<'_>, cut: Option<PhotoCrop>) -> Result<PhotoShape> {
    Ok(PhotoShape {
        upright: sample.scored.photo.dimensions(),
        orientation: match cut {
            Some(_) => Orientation::NoTransforms,
            None => orientation(&Source::from_path(&sample.pair.photo))?,
        },
    })
}

/// Runs `head` over the photos of `pairs`, cropped by `cut`, and calls `judge` with each. Photos that fail are recorded
/// and left out.
///
/// # Errors
/// If the backbone cannot be loaded, or the run is interrupted.
pub fn for_each_photo(
    args: &EvalInputArgs,
    head: &Head,
    pairs: &[LabelledPair],
    cut: Option<PhotoCrop>,
    report: &mut RunReport,
    console: &Console,
    mut judge: impl FnMut(EvalSample<'_>) -> Result<()>,
) -> Result<()> {
    let patch_size = weights_patch_size(args, head)?;
    let mut scorer = HeadScorer::new(&args.head.recipe(), head.clone(), patch_size, console)?;
    let model = model::load_for_head(&args.run, head, console)?;
    scorer.attach_backbones(&model.backbones)?;
    let input = scorer.mode().describe();
    let finder = HeadPredictor(scorer);
    let progress = console.progress_of_photos(pairs.len());
    let tick = |done| progress.set_network_progress(done, 100);
    let decoding = DecodeStage {
        crop: cut,
        ..DecodeStage::new(args.photo.data_set_decoder(console))
    };
    let sources: Vec<Source> = pairs
        .iter()
        .map(|pair| Source::from_path(&pair.photo))
        .collect();
    let sources: Vec<_> = sources.iter().collect();
    let name = |index: usize| pairs[index].photo.display().to_string();
    let batch_size = args.run.batch_size;
    let networks = model.backbones.iter().map(|backbone| {
        MultiTaskRunner::new(
            backbone,
            vec![&finder],
            (vec![1; pairs.len()], &name),
            batch_size,
            console,
            &tick,
        )
    });
    let networks: Vec<MultiTaskRunner<'_>> = networks.collect();
    let engine = Engine::new(&model.backbones, decoding, batch_size, console)?;
    let finish = |mut ready: ReadyPhoto, given: OutputsByTask| {
        let geometry = networks[0].layout(0, &ready);
        let given = given.into_iter().flatten().next();
        let given = given.ok_or_else(|| Error::Model("nothing was looked for".into()))??;
        let found = networks[0].predict(0, given, &mut ready.timings)?;
        Ok(ScoredPhoto {
            photo: ready.photo,
            geometry,
            output: found,
            _permit: ready.permit,
        })
    };
    let take = |index: usize, scored: Result<ScoredPhoto>| {
        let pair = &pairs[index];
        let result = scored.and_then(|scored| {
            judge(EvalSample {
                index,
                pair,
                input: &input,
                scored,
            })
        });
        progress.inc();
        if report.record(name(index), result)?.is_some() {
            report.done += 1;
        }
        Ok(())
    };
    let before = |index: usize, _: &[Geometry], _: u64| progress.begin(name(index));
    let ran = engine.run(&sources, &networks, before, finish, take);
    note_overflow(&model.backbones, console);
    ran
}

/// The patch size in pixels of the backbone that `head` runs on.
fn weights_patch_size(args: &EvalInputArgs, head: &Head) -> Result<usize> {
    let name = args.run.model.as_deref().unwrap_or(&head.meta.backbone);
    let access = NetworkAccess::from_offline_flag(args.run.offline)?;
    let model = weights::find(&Store::open()?, Some(name), &access)?;
    Ok(model.variant.config.patch_size)
}

/// A head as the only task of a run.
struct HeadPredictor(HeadScorer);

impl TaskPredictor for HeadPredictor {
    fn mode(&self) -> &InferenceMode {
        self.0.mode()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        score_bytes(self.0.head(), geometry) + pixel_cost(BYTES_PER_PIXEL)(geometry)
    }

    fn predict(&self, seen: &BackboneOutput) -> Result<TaskOutput> {
        self.0.score(seen)
    }
}
