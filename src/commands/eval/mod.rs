//! `dino eval`: a head's predictions against labels, photo by photo.

mod depth;
mod report;
mod segment;

use dino::batch::Report;
use dino::console::Console;
use dino::data::{DataSet, LabelKind, Pair};
use dino::head::Head;
use dino::heads::{Found, Heads};
use dino::inputs::{DecodeLimits, Source};
use dino::pipeline::Pipeline;
use dino::weights::Store;
use dino::{Error, Result};

use crate::cli::{EvalArgs, EvalCommand, PartChoice};
use crate::commands::model;
use crate::commands::score::{self, Scored};

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

/// The pairs that were asked for.
fn pairs(args: &EvalArgs, kind: LabelKind, console: &Console) -> Result<Vec<Pair>> {
    let set = DataSet::open(&args.data, kind)?;
    if set.unlabelled > 0 {
        console.warn(format_args!(
            "{}: {} photos have no label and are left out",
            args.data.display(),
            set.unlabelled
        ));
    }
    let pairs = match args.part {
        PartChoice::Auto if !set.val.is_empty() => set.val,
        PartChoice::Auto | PartChoice::All => set.all(),
        PartChoice::Train => set.train,
        PartChoice::Val => set.val,
    };
    match pairs.is_empty() {
        true => Err(Error::Usage(format!(
            "{} has no such part; --part all takes everything",
            args.data.display()
        ))),
        false => Ok(pairs),
    }
}

/// Runs `head` over the photos of `pairs`. Photos that fail are recorded and left out.
fn each(
    args: &EvalArgs,
    head: &Head,
    pairs: &[Pair],
    report: &mut Report,
    console: &Console,
    mut judge: impl FnMut(Judged<'_>) -> Result<()>,
) -> Result<()> {
    let model = model::load_for(&args.run, head, console)?;
    let pipeline = Pipeline {
        backbone: &model.backbone,
        preprocessor: score::preprocessor(&args.head, head, &model)?,
        requests: &head.meta.requests(),
        limits: DecodeLimits::default(),
        batch_size: args.run.batch_size.get(),
        views: args.head.tta.into(),
    };
    let sources: Vec<Source> = pairs
        .iter()
        .map(|pair| Source::named(&pair.photo))
        .collect();
    let progress = console.progress(pairs.len() as u64, "images");
    let sources: Vec<_> = sources.iter().collect();
    pipeline.run(
        &sources,
        |_, _| (),
        |index, result| {
            let pair = &pairs[index];
            let result = result.and_then(|extracted| {
                let scored = score::at_once(head, extracted)?;
                judge(Judged { pair, scored })
            });
            progress.inc(1);
            if report
                .record(pair.photo.display().to_string(), result)?
                .is_some()
            {
                report.done += 1;
            }
            Ok(())
        },
    )
}
