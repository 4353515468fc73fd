//! One training or, in a cross-validation, one for each fold; what was kept out is judged, and where it is wanted a last
//! training sees all photos.

use std::path::{Path, PathBuf};

use dino::engine::outcomes::Report;
use dino::learn::data::Fitting;
use dino::learn::train::calibrate::calibrate;
use dino::learn::train::history::History;
use dino::learn::train::pool::{Dropout, Inputs};
use dino::learn::train::run::{Figures, Objective, Recipe, Saved, Training};
use dino::learn::train::samples::{Draw, Samples};
use dino::learn::train::scores::CachedHead;
use dino::learn::train::validate::{Effort, How, Tally, Validation};
use dino::model::head::linear::Dense;
use dino::model::head::meta::{LabelSet, SpreadCalibration, Task};
use dino::model::weights::digest;
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::TrainArgs;
use crate::commands::model::Model;
use crate::commands::train::prepare::{Prepared, trains_on_all};
use crate::commands::train::start::Start;

/// Every third pixel of a mask is looked at after each round, every one at the end.
const STRIDE: usize = 3;

/// What a task adds to the options that all have.
pub struct Setup {
    /// What the head predicts.
    pub task: Task,
    /// Blocks whose tokens are read.
    pub blocks: Vec<usize>,
    /// What is minimised.
    pub objective: Objective,
    /// How patches are drawn.
    pub draw: Draw,
    /// The head that is started from, if one is.
    pub start: Option<Start>,
    /// Deviation of the weights at the start.
    pub scale: f32,
    /// Every score at the start.
    pub bias: f32,
    /// The figure that tells the best round.
    pub best_by: &'static str,
    /// What the ids of several data sets mean, for the metadata.
    pub label_sets: Vec<LabelSet>,
    /// Data sets for the metadata.
    pub data: Vec<String>,
}

/// What is learnt from.
pub struct Learn {
    /// Of all photos that a training learns from.
    pub samples: Samples,
    /// The data sets.
    pub sets: Vec<Prepared>,
    /// How photos that were kept out are judged.
    pub how: How,
    /// What is done about labels of another shape than their photo's.
    pub fitting: Fitting,
}

impl Learn {
    /// The photos that the training of `fold` keeps out.
    fn validation(&self, fold: usize) -> Validation {
        let kept_out = |set: &Prepared| {
            let frames = set.learnt.iter().chain(&set.judged);
            let kept = frames.filter(|one| one.fold == Some(fold));
            (set.name.clone(), kept.cloned().collect())
        };
        Validation {
            sets: self.sets.iter().map(kept_out).collect(),
            how: self.how.clone(),
            fitting: self.fitting.clone(),
        }
    }
}

/// What came of it.
pub struct Fitted {
    /// The layers of the head: a hidden one, where there is one, and the last.
    pub layers: (Option<Dense>, Dense),
    /// Over all photos that were kept out.
    pub figures: Figures,
    /// Which photos those were.
    pub judged_on: String,
    /// How far off its depths are, where it gives depths and photos were kept out.
    pub calibration: Option<SpreadCalibration>,
    /// Of each fold.
    pub histories: Vec<History>,
    /// The figure that tells the best round.
    pub judge_by: String,
    checkpoints: Vec<PathBuf>,
}

impl Fitted {
    /// Deletes what a stopped training would go on from, once the head is written.
    pub fn delete_checkpoints(&self) -> Result<()> {
        self.checkpoints.iter().try_for_each(|path| remove(path))
    }
}

/// What a stopped training goes on from: of each fold, and of the training on all photos.
pub fn checkpoints(args: &TrainArgs) -> Vec<PathBuf> {
    let folds = args.recipe.folds as usize;
    let beside = |ending: &str| args.output.with_extension(ending);
    let of_fold = |fold: usize| match folds {
        1 => beside("checkpoint"),
        _ => beside(&format!("fold-{}.checkpoint", fold + 1)),
    };
    let refit = beside("refit.checkpoint");
    (0..folds).map(of_fold).chain([refit]).collect()
}

/// Trains.
pub fn fit(
    args: &TrainArgs,
    model: &Model,
    inputs: &Inputs,
    learn: &Learn,
    setup: &Setup,
    report: &Report,
    console: &Console,
) -> Result<Fitted> {
    let (all, folds) = (&learn.samples, args.recipe.folds as usize);
    let checkpoints = checkpoints(args);
    let of_fold = |fold: usize| checkpoints[fold].clone();
    let refit = checkpoints[folds].clone();
    if args.force {
        checkpoints.iter().try_for_each(|path| remove(path))?;
    }
    let quick = Effort {
        frames: args.recipe.val_photos,
        stride: STRIDE,
    };
    let trains_on_all = trains_on_all(args);
    let mut tally = Tally::default();
    let mut histories = Vec::new();
    let mut layers = None;
    let mut judged = Vec::new();
    for fold in 0..folds {
        let samples = all.without(fold);
        if samples.is_empty() {
            // The reasons come first.
            report.finish(console);
            return Err(Error::Model(
                "no pixel of any label counts, so there is nothing to train on".into(),
            ));
        }
        let which = match folds {
            1 => String::new(),
            _ => format!("fold {} of {folds}: ", fold + 1),
        };
        console.note(format_args!(
            "{which}{} patches of {} views to learn from",
            samples.len() * samples.patches(),
            samples.frames.len()
        ));
        let validation = learn.validation(fold);
        let training = training(args, model, inputs, setup, &samples, of_fold(fold));
        let state = training.run(console, |network, state| match validation.is_empty() {
            true => Ok(Figures::new()),
            false => validation.figures(
                &CachedHead::new(inputs, network.fold(&state.standard)),
                quick,
            ),
        })?;
        // The training on all photos ends with its last round, so it is the last round of these that tells how good it is.
        let (best, round) = match &state.best {
            Some(best) if !trains_on_all => (best, state.history.best),
            _ => (state.latest(), state.history.epochs.len()),
        };
        let folded = best.fold(&state.standard);
        if !validation.is_empty() {
            let head = CachedHead::new(inputs, folded.clone());
            let seen = validation.tally(&head, Effort::FULL)?;
            let what = format!("epoch {round} on all validation photos");
            say(&what, &seen.figures(), console);
            tally.merge(seen);
            judged.push((head, validation));
        }
        histories.push(state.history);
        layers = Some(folded);
    }
    let figures = tally.figures();
    if folds > 1 {
        say("all folds together", &figures, console);
    }
    let calibration = calibrate(&judged)?;
    if let Some(calibration) = &calibration {
        console.note(format_args!(
            "{:.1} % of pixels lie within the bins' standard deviation times {} ({:.1} % within the whole of it)",
            100.0 * calibration.coverage,
            calibration.scale,
            100.0 * calibration.uncalibrated
        ));
    }
    drop(judged);
    if trains_on_all && tally.frames() > 0 {
        console.note("once more, on all photos");
        let mut again = training(args, model, inputs, setup, all, refit);
        again.recipe.patience = 0;
        let state = again.run(console, |_, _| Ok(Figures::new()))?;
        layers = Some(state.latest().fold(&state.standard));
    }
    Ok(Fitted {
        layers: layers.ok_or_else(|| Error::Usage("--folds 0 trains nothing".into()))?,
        figures,
        calibration,
        judged_on: judged_on(tally.frames(), folds, trains_on_all),
        histories,
        judge_by: judge_by(args, setup),
        checkpoints,
    })
}

/// Which photos the figures are of.
fn judged_on(photos: usize, folds: usize, trains_on_all: bool) -> String {
    match (folds, trains_on_all) {
        (1, false) => format!("{photos} photos kept out"),
        (1, true) => format!("{photos} photos kept out of a first training of the same recipe"),
        _ => {
            format!("{photos} photos, each kept out of one of {folds} trainings of the same recipe")
        }
    }
}

/// The figure that tells the best round.
fn judge_by(args: &TrainArgs, setup: &Setup) -> String {
    let asked = args.recipe.best_by.clone();
    asked.unwrap_or_else(|| setup.best_by.to_owned())
}

/// A training on `samples`, saved at `checkpoint`.
fn training<'a>(
    args: &TrainArgs,
    model: &Model,
    inputs: &Inputs,
    setup: &'a Setup,
    samples: &'a Samples,
    checkpoint: PathBuf,
) -> Training<'a> {
    let recipe = recipe(args, samples, setup);
    Training {
        samples,
        inputs: inputs.clone(),
        objective: setup.objective.clone(),
        saved: Some(Saved {
            path: checkpoint,
            digest: digest_of(args, model, &recipe, setup, samples),
        }),
        recipe,
        from: setup.start.as_ref().map(|start| &start.layers),
    }
}

fn recipe(args: &TrainArgs, samples: &Samples, setup: &Setup) -> Recipe {
    let options = &args.recipe;
    // Samples of depth are tiles of several patches.
    let samples_in = |patches: u32| (patches as usize / samples.patches()).max(1);
    let count = options.patches.map_or(samples.len(), samples_in);
    Recipe {
        epochs: options.epochs as usize,
        batch: samples_in(options.batch),
        draw: Draw {
            count,
            ..setup.draw.clone()
        },
        rate: options.rate,
        warm_up: options.warm_up,
        decay: options.decay,
        dropout: Dropout {
            patch: options.dropout as f32,
            global: options.global_dropout as f32,
        },
        hidden: args.hidden,
        scale: setup.scale,
        bias: setup.bias,
        average: options.average as f32,
        patience: options.patience,
        judge_by: judge_by(args, setup),
        seed: options.seed,
        memory: (options.memory * f64::from(1 << 30)) as u64,
    }
}

/// Of everything that the result depends on; where features lie does not count, what they are of does.
fn digest_of(
    args: &TrainArgs,
    model: &Model,
    recipe: &Recipe,
    setup: &Setup,
    samples: &Samples,
) -> String {
    let frames: Vec<String> = samples.frames.iter().map(|frame| frame.id()).collect();
    let text = format!(
        "{} {} {recipe:?} {:?} {:?} {:?} {:?} {:?} {:?} {frames:?} {:?} {}",
        env!("CARGO_PKG_VERSION"),
        model.record.fingerprint,
        args.context,
        args.coarse,
        args.globals,
        setup.start.as_ref().map(|start| &start.digest),
        setup.objective,
        setup.task,
        samples.sets,
        samples.digest(),
    );
    digest::sha256(text.as_bytes())
}

fn say(what: &str, figures: &Figures, console: &Console) {
    let text: Vec<String> = figures
        .iter()
        .map(|(name, value)| format!("{name} {value:.4}"))
        .collect();
    console.note(format_args!("{what}: {}", text.join("  ")));
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, &error)),
        _ => Ok(()),
    }
}
