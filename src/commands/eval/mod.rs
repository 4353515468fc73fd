//! `dino eval`: a head's predictions against labels, photo by photo.

mod comparison;
mod depth;
mod report;
mod segment;

pub use comparison::{DepthEvaluation, EvaluationPurpose, no_valid_readings};

use std::path::Path;

use dino::engine::run_report::RunReport;
use dino::engine::{BackboneOutput, DecodeStage, Engine, PhotoCrop, ReadyPhoto, note_overflow};
use dino::io::inputs::{Source, orientation};
use dino::learn::data::{DataSet, LabelAlignment, LabelKind, LabelledPair, PhotoShape};
use dino::model::head::{Head, Protocol};
use dino::model::head_zoo::official::OfficialHead;
use dino::model::head_zoo::{self, HeadStore};
use dino::model::input::Geometry;
use dino::model::weights::{self, Store};
use dino::system::http::NetworkAccess;
use dino::system::memory::MemoryPermit;
use dino::tasks::memory_cost::{pixel_cost, score_bytes};
use dino::tasks::multi_task::{MultiTaskRunner, OutputsByTask};
use dino::tasks::scorer::HeadScorer;
use dino::tasks::{InferenceMode, TaskOutput, TaskPredictor, recipe};
use dino::terminal::console::Console;
use dino::{Error, Result};
use image::RgbImage;
use image::metadata::Orientation;
use serde_json::{Map, Value, json};

use crate::cli::{EvalCommand, EvalInputArgs, PartChoice, ProtocolChoice};
use crate::commands::{labels, model};

/// Runs one of the commands.
pub fn run(command: &EvalCommand, console: &Console) -> Result<u8> {
    let common = match command {
        EvalCommand::Depth(args) => &args.common,
        EvalCommand::Segment(args) => &args.common,
    };
    model::refuse_null(&common.input.run)?;
    match command {
        EvalCommand::Depth(args) => depth::run(args, console),
        EvalCommand::Segment(args) => segment::run(args, console),
    }
}

/// One photo with its label and what the head gave for it.
struct EvalSample<'a> {
    index: usize,
    pair: &'a LabelledPair,
    /// How the backbone saw it, in words.
    input: &'a str,
    scored: ScoredPhoto,
}

/// The head that was asked for.
fn select_head(args: &EvalInputArgs, task: &str) -> Result<head_zoo::LocatedHead> {
    let heads = HeadStore::at(Store::open()?.root());
    let (named, model) = (args.head.name.as_deref(), args.run.model.as_deref());
    Ok(heads.choose_with_reason(task, named, model)?.0)
}

/// How a head's figure in the paper was measured.
pub struct PaperProtocol {
    head: OfficialHead,
    protocol: Protocol,
}

/// The paper's way to measure `head`, if that is asked for.
///
/// # Errors
/// If the head has no figure in a paper.
fn find_paper_protocol(args: &EvalInputArgs, head: &Head) -> Result<Option<PaperProtocol>> {
    if args.head.protocol != Some(ProtocolChoice::Paper) {
        return Ok(None);
    }
    let official = OfficialHead::of(&head.meta).ok_or_else(|| {
        Error::Usage(format!(
            "--protocol paper: the head {} was not published with a figure; name the protocol and the crop yourself",
            head.meta.name
        ))
    })?;
    let task = head.meta.task_name();
    let protocol = recipe::ProtocolRule::Paper.resolve(head.meta.protocol, task);
    Ok(protocol.map(|protocol| PaperProtocol {
        head: official,
        protocol,
    }))
}

impl PaperProtocol {
    /// Adds the paper's figure, and what was done to compare with it, to the figures and lines of a report.
    fn add_to_report(&self, how: &str, figures: &mut Map<String, Value>, lines: &mut Vec<String>) {
        let protocol = self.protocol.name();
        figures.insert("protocol".into(), json!(protocol));
        figures.insert("measured_as".into(), json!(how));
        lines.push(format!("protocol         {protocol}; {how}"));
        if let Some((what, value)) = self.head.paper_metric() {
            figures.insert("paper".into(), json!({what.to_lowercase(): value}));
            lines.push(format!("paper            {what} {value}"));
        }
    }
}

/// Bytes that judging takes of a pixel: the label, a map at its size, and their pictures.
const BYTES_PER_PIXEL: u64 = 40;

/// The pairs that were asked for.
pub struct EvalData {
    /// What the data set is called.
    pub name: String,
    /// Photos and labels.
    pub pairs: Vec<LabelledPair>,
    /// Units of a depth map's metre, where the layout tells it.
    depth_scale: Option<f64>,
}

/// The pairs that were asked for.
fn open_data(args: &EvalInputArgs, kind: LabelKind, console: &Console) -> Result<EvalData> {
    let set = DataSet::open(&args.data, kind)?;
    labels::report_data_set(&set, console);
    let (name, depth_scale) = (set.name.clone(), set.depth_scale);
    let pairs = match args.part {
        PartChoice::Auto if !set.val.is_empty() => set.val,
        PartChoice::Auto | PartChoice::All => set.into_pairs(),
        PartChoice::Train => set.train,
        PartChoice::Val => set.val,
    };
    match pairs.is_empty() {
        true => Err(Error::file(
            &args.data,
            "has no such part; --part all takes everything",
        )),
        false => Ok(EvalData {
            name,
            pairs,
            depth_scale,
        }),
    }
}

impl EvalData {
    /// All that is read, and that no output may be: `args` says what beside the pairs.
    pub fn input_paths<'a>(&'a self, args: &'a EvalInputArgs) -> impl Iterator<Item = &'a Path> {
        let pairs = self.pairs.iter();
        let files = pairs.flat_map(|pair| [&*pair.photo, &*pair.label]);
        let head = args.head.name.as_deref().map(Path::new);
        files.chain([args.data.as_path()]).chain(head)
    }
}

/// What is done about labels of another shape than their photo's.
fn fitting(args: &EvalInputArgs, console: &Console) -> LabelAlignment {
    LabelAlignment {
        stretch: args.stretch_labels,
        warnings: console.warnings().clone(),
    }
}

/// How the photo lies that a label is for; of the part that a `cut` left, nothing is known but its size.
fn photo_shape(judged: &EvalSample<'_>, cut: Option<PhotoCrop>) -> Result<PhotoShape> {
    Ok(PhotoShape {
        upright: judged.scored.photo.dimensions(),
        orientation: match cut {
            Some(_) => Orientation::NoTransforms,
            None => orientation(&Source::from_path(&judged.pair.photo))?,
        },
    })
}

/// Runs `head` over the photos of `pairs`. Photos that fail are recorded and left out.
fn for_each_photo(
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
    let tick = |done| progress.set_blocks_done(done, 100);
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
        let found = networks[0].predict(0, given, &mut ready.watch)?;
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

/// The side of the patches of the backbone that `head` is run on.
fn weights_patch_size(args: &EvalInputArgs, head: &Head) -> Result<usize> {
    let name = args.run.model.as_deref().unwrap_or(&head.meta.backbone);
    let access = NetworkAccess::from_offline_flag(args.run.offline)?;
    let model = weights::find(&Store::open()?, Some(name), &access)?;
    Ok(model.variant.config.patch_size)
}

/// A photo and what a head found in it.
struct ScoredPhoto {
    /// Upright.
    photo: RgbImage,
    /// How it lay in the backbone's input.
    geometry: Geometry,
    /// What the head found.
    output: TaskOutput,
    /// For the memory of all that.
    _permit: MemoryPermit,
}

/// A head whose scores are judged.
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
