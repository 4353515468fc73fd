//! `dino eval`: a head's predictions against labels, photo by photo.

mod depth;
mod report;
mod segment;

use std::path::Path;

use dino::batch::Report;
use dino::console::Console;
use dino::data::{DataSet, Fitting, LabelKind, Pair, PhotoShape};
use dino::head::{Head, Protocol};
use dino::heads::official::Official;
use dino::heads::{Found, Heads};
use dino::inputs::{Source, orientation};
use dino::memory::Gate;
use dino::pipeline::{Costs, Cut, Pipeline, accept_all};
use dino::preprocess::Geometry;
use dino::weights::Store;
use dino::{Error, Result, interrupt};
use image::metadata::Orientation;
use serde_json::{Map, Value, json};

use crate::cli::{EvalArgs, EvalCommand, PartChoice, ProtocolChoice};
use crate::commands::costs::{of_scores, per_pixel};
use crate::commands::score::{self, Scored, Scorer, Way};
use crate::commands::{labels, model};

/// Runs one of the commands.
pub fn run(command: &EvalCommand, console: &Console) -> Result<u8> {
    match command {
        EvalCommand::Depth(args) => depth::run(args, console),
        EvalCommand::Segment(args) => segment::run(args, console),
    }
}

/// One photo with its label and what the head gave for it.
struct Judged<'a> {
    pair: &'a Pair,
    scored: Scored,
}

/// The head that was asked for.
fn head(args: &EvalArgs, task: &str) -> Result<Found> {
    Heads::at(Store::open()?.root()).choose(task, args.head.name.as_deref())
}

/// How a head's figure in the paper was measured.
struct Paper {
    head: Official,
    protocol: Protocol,
}

/// The paper's way to measure `head`, if that is asked for.
///
/// # Errors
/// If the head has no figure in a paper.
fn paper(args: &EvalArgs, head: &Head) -> Result<Option<Paper>> {
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
    let protocol = ProtocolChoice::Paper.for_head(head.meta.protocol, task);
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
struct Data {
    /// What the data set is called.
    name: String,
    pairs: Vec<Pair>,
    /// Units of a depth map's metre, where the layout tells it.
    depth_scale: Option<f64>,
}

/// The pairs that were asked for; `also_read` are files beside them. Outputs that cannot be written, or that are any of
/// these, are found here.
fn data(
    args: &EvalArgs,
    kind: LabelKind,
    also_read: Option<&Path>,
    console: &Console,
) -> Result<Data> {
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
        false => {
            let head = args.head.name.as_deref().map(Path::new);
            let read = pairs.iter().flat_map(|pair| [&*pair.photo, &*pair.label]);
            let read = read
                .chain([args.data.as_path()])
                .chain(also_read)
                .chain(head);
            report::check_outputs(args, kind, read, console)?;
            Ok(Data {
                name,
                pairs,
                depth_scale,
            })
        }
    }
}

/// What is done about labels of another shape than their photo's.
fn fitting(args: &EvalArgs, console: &Console) -> Fitting {
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
    args: &EvalArgs,
    head: &Head,
    pairs: &[Pair],
    cut: Option<Cut>,
    report: &mut Report,
    console: &Console,
    mut judge: impl FnMut(Judged<'_>) -> Result<()>,
) -> Result<()> {
    let protocol = score::protocol_of(&args.head, false, head, console)?;
    let model = model::load_for(&args.run, head, console)?;
    let head = &head.clone().to_device(model.backbone.device())?;
    let progress = console.progress_of_photos(pairs.len());
    let tick = |done, all| progress.block(done, all);
    let way = Way::new(protocol, None);
    let decoder = args.photo.decoder_of_set(console);
    let judged = per_pixel(BYTES_PER_PIXEL);
    let after = |geometry: &Geometry| of_scores(head, geometry) + judged(geometry);
    let pipeline = Pipeline {
        backbone: &model.backbone,
        preprocessor: score::preprocessor(&args.head, protocol, head, &model)?,
        requests: &head.meta.requests(),
        costs: Costs {
            gate: Gate::new(decoder.options.max_memory),
            after: &after,
            window: way.patches_at_once(model.backbone.config().patch_size),
        },
        decoder,
        tick: &tick,
        batch_size: args.run.batch_size.get(),
        views: score::views_of(&args.head, protocol),
        looks: head.meta.input.coarse.into(),
        cut,
        accept: &accept_all,
    };
    let sources: Vec<Source> = pairs
        .iter()
        .map(|pair| Source::named(&pair.photo))
        .collect();
    let sources: Vec<_> = sources.iter().collect();
    let take = |index: usize, scored: Result<Scored>| {
        let pair = &pairs[index];
        let result = scored.and_then(|scored| judge(Judged { pair, scored }));
        progress.inc();
        if report
            .record(pair.photo.display().to_string(), result)?
            .is_some()
        {
            report.done += 1;
        }
        interrupt::check()
    };
    let scorer = Scorer {
        head,
        pipeline: &pipeline,
        way,
        console,
    };
    let name = |index: usize| pairs[index].photo.display().to_string();
    scorer.run(
        &sources,
        name,
        |index, _, _| progress.begin(name(index)),
        take,
    )
}
