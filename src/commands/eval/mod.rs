//! `dino eval`: a head's predictions against labels, photo by photo.

mod comparison;
mod depth;
mod report;
mod segment;

pub use comparison::{Comparison, Purpose, nothing_counts};

use std::path::Path;

use dino::engine::outcomes::Report;
use dino::engine::{Cut, Decoding, Engine, Ready, Seen, tell_overflow};
use dino::io::inputs::{Source, orientation};
use dino::learn::data::{DataSet, Fitting, LabelKind, Pair, PhotoShape};
use dino::model::head::{Head, Protocol};
use dino::model::head_zoo::official::Official;
use dino::model::head_zoo::{self, Heads};
use dino::model::input::Geometry;
use dino::model::weights::{self, Store};
use dino::system::http::Access;
use dino::system::memory::Permit;
use dino::tasks::costs::{of_scores, per_pixel};
use dino::tasks::network::{FoundByTask, TaskNetwork};
use dino::tasks::recipe;
use dino::tasks::scorer::Scorer;
use dino::tasks::{Finder, Found, Way};
use dino::terminal::console::Console;
use dino::{Error, Result};
use image::RgbImage;
use image::metadata::Orientation;
use serde_json::{Map, Value, json};

use crate::cli::{EvalCommand, JudgeArgs, PartChoice, ProtocolChoice};
use crate::commands::{labels, model};

/// Runs one of the commands.
pub fn run(command: &EvalCommand, console: &Console) -> Result<u8> {
    let common = match command {
        EvalCommand::Depth(args) => &args.common,
        EvalCommand::Segment(args) => &args.common,
    };
    model::refuse_null(&common.judge.run)?;
    match command {
        EvalCommand::Depth(args) => depth::run(args, console),
        EvalCommand::Segment(args) => segment::run(args, console),
    }
}

/// One photo with its label and what the head gave for it.
struct Judged<'a> {
    index: usize,
    pair: &'a Pair,
    /// How the backbone saw it, in words.
    input: &'a str,
    scored: Scored,
}

/// The head that was asked for.
fn head(args: &JudgeArgs, task: &str) -> Result<head_zoo::Found> {
    let heads = Heads::at(Store::open()?.root());
    let (named, model) = (args.head.name.as_deref(), args.run.model.as_deref());
    Ok(heads.choose_with_reason(task, named, model)?.0)
}

/// How a head's figure in the paper was measured.
pub struct Paper {
    head: Official,
    protocol: Protocol,
}

/// The paper's way to measure `head`, if that is asked for.
///
/// # Errors
/// If the head has no figure in a paper.
fn paper(args: &JudgeArgs, head: &Head) -> Result<Option<Paper>> {
    if args.head.protocol != Some(ProtocolChoice::Paper) {
        return Ok(None);
    }
    let official = Official::of(&head.meta).ok_or_else(|| {
        Error::Usage(format!(
            "--protocol paper: the head {} was not published with a figure; name the protocol and the crop yourself",
            head.meta.name
        ))
    })?;
    let task = head.meta.task_name();
    let protocol = recipe::ProtocolChoice::Paper.for_head(head.meta.protocol, task);
    Ok(protocol.map(|protocol| Paper {
        head: official,
        protocol,
    }))
}

impl Paper {
    /// Adds the paper's figure, and what was done to compare with it, to the figures and lines of a report.
    fn tell(&self, how: &str, figures: &mut Map<String, Value>, lines: &mut Vec<String>) {
        let protocol = self.protocol.name();
        figures.insert("protocol".into(), json!(protocol));
        figures.insert("measured_as".into(), json!(how));
        lines.push(format!("protocol         {protocol}; {how}"));
        if let Some((what, value)) = self.head.figure() {
            figures.insert("paper".into(), json!({what.to_lowercase(): value}));
            lines.push(format!("paper            {what} {value}"));
        }
    }
}

/// Bytes that judging takes of a pixel: the label, a map at its size, and their pictures.
const BYTES_PER_PIXEL: u64 = 40;

/// The pairs that were asked for.
pub struct Data {
    /// What the data set is called.
    pub name: String,
    /// Photos and labels.
    pub pairs: Vec<Pair>,
    /// Units of a depth map's metre, where the layout tells it.
    depth_scale: Option<f64>,
}

/// The pairs that were asked for.
fn data(args: &JudgeArgs, kind: LabelKind, console: &Console) -> Result<Data> {
    let set = DataSet::open(&args.data, kind)?;
    labels::tell(&set, console);
    let (name, depth_scale) = (set.name.clone(), set.depth_scale);
    let pairs = match args.part {
        PartChoice::Auto if !set.val.is_empty() => set.val,
        PartChoice::Auto | PartChoice::All => set.all(),
        PartChoice::Train => set.train,
        PartChoice::Val => set.val,
    };
    match pairs.is_empty() {
        true => Err(Error::file(
            &args.data,
            "has no such part; --part all takes everything",
        )),
        false => Ok(Data {
            name,
            pairs,
            depth_scale,
        }),
    }
}

impl Data {
    /// All that is read, and that no output may be: `args` says what beside the pairs.
    pub fn reads<'a>(&'a self, args: &'a JudgeArgs) -> impl Iterator<Item = &'a Path> {
        let pairs = self.pairs.iter();
        let files = pairs.flat_map(|pair| [&*pair.photo, &*pair.label]);
        let head = args.head.name.as_deref().map(Path::new);
        files.chain([args.data.as_path()]).chain(head)
    }
}

/// What is done about labels of another shape than their photo's.
fn fitting(args: &JudgeArgs, console: &Console) -> Fitting {
    Fitting {
        stretch: args.stretch_labels,
        warnings: console.warnings().clone(),
    }
}

/// How the photo lies that a label is for; of the part that a `cut` left, nothing is known but its size.
fn shape_of(judged: &Judged<'_>, cut: Option<Cut>) -> Result<PhotoShape> {
    Ok(PhotoShape {
        upright: judged.scored.photo.dimensions(),
        orientation: match cut {
            Some(_) => Orientation::NoTransforms,
            None => orientation(&Source::named(&judged.pair.photo))?,
        },
    })
}

/// Runs `head` over the photos of `pairs`. Photos that fail are recorded and left out.
fn each(
    args: &JudgeArgs,
    head: &Head,
    pairs: &[Pair],
    cut: Option<Cut>,
    report: &mut Report,
    console: &Console,
    mut judge: impl FnMut(Judged<'_>) -> Result<()>,
) -> Result<()> {
    let patch_size = weights_patch_size(args, head)?;
    let mut scorer = Scorer::new(&args.head.recipe(), head.clone(), patch_size, console)?;
    let model = model::load_for(&args.run, head, console)?;
    scorer.meet(&model.backbones)?;
    let input = scorer.way().words();
    let finder = HeadFinder(scorer);
    let progress = console.progress_of_photos(pairs.len());
    let tick = |done| progress.block(done, 100);
    let decoding = Decoding {
        cut,
        ..Decoding::new(args.photo.decoder_of_set(console))
    };
    let sources: Vec<Source> = pairs
        .iter()
        .map(|pair| Source::named(&pair.photo))
        .collect();
    let sources: Vec<_> = sources.iter().collect();
    let name = |index: usize| pairs[index].photo.display().to_string();
    let batch_size = args.run.batch_size;
    let networks = model.backbones.iter().map(|backbone| {
        TaskNetwork::new(
            backbone,
            vec![&finder],
            (vec![1; pairs.len()], &name),
            batch_size,
            console,
            &tick,
        )
    });
    let networks: Vec<TaskNetwork<'_>> = networks.collect();
    let engine = Engine::new(&model.backbones, decoding, batch_size, console)?;
    let finish = |mut ready: Ready, given: FoundByTask| {
        let geometry = networks[0].layout(0, &ready);
        let given = given.into_iter().flatten().next();
        let given = given.ok_or_else(|| Error::Model("nothing was looked for".into()))??;
        let found = networks[0].find(0, given, &mut ready.watch)?;
        Ok(Scored {
            photo: ready.photo,
            geometry,
            found,
            _permit: ready.permit,
        })
    };
    let take = |index: usize, scored: Result<Scored>| {
        let pair = &pairs[index];
        let result = scored.and_then(|scored| {
            judge(Judged {
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
    tell_overflow(&model.backbones, console);
    ran
}

/// The side of the patches of the backbone that `head` is run on.
fn weights_patch_size(args: &JudgeArgs, head: &Head) -> Result<usize> {
    let name = args.run.model.as_deref().unwrap_or(&head.meta.backbone);
    let access = Access::of(args.run.offline)?;
    let model = weights::find(&Store::open()?, Some(name), &access)?;
    Ok(model.variant.config.patch_size)
}

/// A photo and what a head found in it.
struct Scored {
    /// Upright.
    photo: RgbImage,
    /// How it lay in the backbone's input.
    geometry: Geometry,
    /// What the head found.
    found: Found,
    /// For the memory of all that.
    _permit: Permit,
}

/// A head whose scores are judged.
struct HeadFinder(Scorer);

impl Finder for HeadFinder {
    fn way(&self) -> &Way {
        self.0.way()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        of_scores(self.0.head(), geometry) + per_pixel(BYTES_PER_PIXEL)(geometry)
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        self.0.find(seen)
    }
}
