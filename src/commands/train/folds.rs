//! One training or, in a cross-validation, one for each fold. Each is validated on the photos that it kept out; with
//! `--folds` or `--refit` a last training learns from all photos.

use std::path::{Path, PathBuf};

use dino::engine::run_report::RunReport;
use dino::learn::data::LabelAlignment;
use dino::learn::train::feature_pool::{Dropout, InputLayout};
use dino::learn::train::history::TrainHistory;
use dino::learn::train::samples::{SampleDraw, TrainingSamples};
use dino::learn::train::scores::CachedHead;
use dino::learn::train::spread_calibration::calibrate_spread;
use dino::learn::train::trainer::{MetricValues, Objective, TrainCheckpoint, TrainConfig, Trainer};
use dino::learn::train::validation::{MetricAccumulator, Subsampling, Validation, ValidationTask};
use dino::model::head::linear::Dense;
use dino::model::head::meta::{HeadTask, LabelSet, SpreadCalibration};
use dino::model::weights::digest;
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::TrainArgs;
use crate::commands::model::ModelReplicas;
use crate::commands::train::initial_weights::InitialWeights;
use crate::commands::train::prepare::{TrainingSet, leave_out_failed, trains_on_all};

/// Validation after an epoch reads every third pixel of a mask; the last one reads all.
const STRIDE: usize = 3;

/// What a task adds to the common options of a training.
pub struct TrainingSetup {
    /// What the head predicts.
    pub task: HeadTask,
    /// Blocks whose tokens are read.
    pub blocks: Vec<usize>,
    /// The loss.
    pub objective: Objective,
    /// How patches are drawn.
    pub draw: SampleDraw,
    /// The weights of `--from`; none starts at random.
    pub start: Option<InitialWeights>,
    /// Standard deviation of random initial weights.
    pub scale: f32,
    /// Initial bias of every output.
    pub bias: f32,
    /// The metric by which the best epoch is chosen, unless `--best-by` names one.
    pub best_by: &'static str,
    /// Label sets of a joint training, for the head's metadata.
    pub label_sets: Vec<LabelSet>,
    /// Credits of the data sets, for the head's metadata.
    pub data: Vec<String>,
}

/// What a training learns from and is validated on.
pub struct TrainingData {
    /// Samples of all photos that any training learns from.
    samples: TrainingSamples,
    /// The data sets with their features.
    sets: Vec<TrainingSet>,
    /// How predictions for photos that were kept out are scored.
    validation_task: ValidationTask,
    /// How labels of another shape than their photo's are treated.
    alignment: LabelAlignment,
}

impl TrainingData {
    /// The samples and sets of a training, without the photos whose labels cannot be validated: those are recorded in
    /// `report`.
    ///
    /// # Errors
    /// If the run is interrupted.
    pub fn new(
        samples: TrainingSamples,
        mut sets: Vec<TrainingSet>,
        validation_task: ValidationTask,
        alignment: LabelAlignment,
        report: &mut RunReport,
    ) -> Result<Self> {
        leave_out_failed(&mut sets, &validation_task, &alignment, report)?;
        Ok(TrainingData {
            samples,
            sets,
            validation_task,
            alignment,
        })
    }

    /// The validation on the photos that the training of `fold` keeps out.
    fn validation(&self, fold: usize) -> Validation {
        let kept_out = |set: &TrainingSet| {
            let frames = set.train.iter().chain(&set.val);
            let kept = frames.filter(|one| one.fold == Some(fold));
            (set.name.clone(), kept.cloned().collect())
        };
        Validation {
            sets: self.sets.iter().map(kept_out).collect(),
            task: self.validation_task.clone(),
            alignment: self.alignment.clone(),
        }
    }
}

/// A trained head and its metrics.
pub struct TrainedHead {
    /// The hidden layer, if there is one, and the output layer.
    pub layers: (Option<Dense>, Dense),
    /// Metrics over all photos that were kept out.
    pub metrics: MetricValues,
    /// Which photos those are, in words.
    pub validated_on: String,
    /// Calibration of the spread of its depth bins, if photos were kept out.
    pub calibration: Option<SpreadCalibration>,
    /// The history of each fold.
    pub histories: Vec<TrainHistory>,
    /// The metric by which the best epoch was chosen.
    pub best_by: String,
    checkpoints: Vec<PathBuf>,
}

impl TrainedHead {
    /// Deletes the checkpoints once the head is written.
    pub fn delete_checkpoints(&self) -> Result<()> {
        self.checkpoints
            .iter()
            .try_for_each(|path| remove_if_exists(path))
    }
}

/// Checkpoints from which a stopped training resumes: of each fold, then of the training on all photos.
pub fn checkpoint_paths(args: &TrainArgs) -> Vec<PathBuf> {
    let folds = args.hyper.folds as usize;
    let beside = |ending: &str| args.output.with_extension(ending);
    let of_fold = |fold: usize| match folds {
        1 => beside("checkpoint"),
        _ => beside(&format!("fold-{}.checkpoint", fold + 1)),
    };
    let refit = beside("refit.checkpoint");
    (0..folds).map(of_fold).chain([refit]).collect()
}

/// Trains all folds and, if asked for, once more on all photos.
///
/// # Errors
/// If no label has a pixel that counts, a checkpoint cannot be written, or the run is interrupted.
pub fn train_folds(
    args: &TrainArgs,
    model: &ModelReplicas,
    inputs: &InputLayout,
    training_data: &TrainingData,
    setup: &TrainingSetup,
    report: &RunReport,
    console: &Console,
) -> Result<TrainedHead> {
    let (all, folds) = (&training_data.samples, args.hyper.folds as usize);
    let checkpoints = checkpoint_paths(args);
    let of_fold = |fold: usize| checkpoints[fold].clone();
    let refit = checkpoints[folds].clone();
    if args.force {
        checkpoints
            .iter()
            .try_for_each(|path| remove_if_exists(path))?;
    }
    let quick = Subsampling {
        photos: args.hyper.val_photos,
        stride: STRIDE,
    };
    let trains_on_all = trains_on_all(args);
    let mut tally = MetricAccumulator::default();
    let mut histories = Vec::new();
    let mut layers = None;
    let mut judged = Vec::new();
    for fold in 0..folds {
        let samples = all.without_fold(fold);
        if samples.is_empty() {
            // The failures that caused this error are printed first.
            report.print_summary(console);
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
            samples.views.len()
        ));
        let validation = training_data.validation(fold);
        let training = build_training(args, model, inputs, setup, &samples, of_fold(fold));
        let state = training.run(console, |network, state| match validation.is_empty() {
            true => Ok(MetricValues::new()),
            false => validation.metrics(
                &CachedHead::new(inputs, network.fold(&state.standardisation)),
                quick,
            ),
        })?;
        // The training on all photos ends with its last epoch, so the last epoch of these is what estimates its
        // metrics.
        let (best, round) = match &state.best {
            Some(best) if !trains_on_all => (best, state.history.best),
            _ => (state.latest(), state.history.epochs.len()),
        };
        let folded = best.fold(&state.standardisation);
        if !validation.is_empty() {
            let head = CachedHead::new(inputs, folded.clone());
            let accumulated = validation.accumulate(&head, Subsampling::FULL)?;
            let what = format!("epoch {round} on all validation photos");
            report_metrics(&what, &accumulated.metrics(), console);
            tally.merge(accumulated);
            judged.push((head, validation));
        }
        histories.push(state.history);
        layers = Some(folded);
    }
    let figures = tally.metrics();
    if folds > 1 {
        report_metrics("all folds together", &figures, console);
    }
    let calibration = calibrate_spread(&judged)?;
    if let Some(calibration) = &calibration {
        console.note(format_args!(
            "{:.1} % of pixels lie within the bins' standard deviation times {} ({:.1} % within the whole of it)",
            100.0 * calibration.coverage,
            calibration.scale,
            100.0 * calibration.uncalibrated
        ));
    }
    drop(judged);
    if trains_on_all && tally.photos() > 0 {
        console.note("once more, on all photos");
        let mut again = build_training(args, model, inputs, setup, all, refit);
        again.config.patience = 0;
        let state = again.run(console, |_, _| Ok(MetricValues::new()))?;
        layers = Some(state.latest().fold(&state.standardisation));
    }
    Ok(TrainedHead {
        layers: layers.ok_or_else(|| Error::Usage("--folds 0 trains nothing".into()))?,
        metrics: figures,
        calibration,
        validated_on: describe_validation(tally.photos(), folds, trains_on_all),
        histories,
        best_by: best_by(args, setup),
        checkpoints,
    })
}

/// Which photos the metrics are of, for the head's metadata.
fn describe_validation(photos: usize, folds: usize, trains_on_all: bool) -> String {
    match (folds, trains_on_all) {
        (1, false) => format!("{photos} photos kept out"),
        (1, true) => format!("{photos} photos kept out of a first training of the same recipe"),
        _ => {
            format!("{photos} photos, each kept out of one of {folds} trainings of the same recipe")
        }
    }
}

/// The metric that chooses the best epoch.
fn best_by(args: &TrainArgs, setup: &TrainingSetup) -> String {
    let requested = args.hyper.best_by.clone();
    requested.unwrap_or_else(|| setup.best_by.to_owned())
}

/// A trainer on `samples` that saves its state at `checkpoint`.
fn build_training<'a>(
    args: &TrainArgs,
    model: &ModelReplicas,
    inputs: &InputLayout,
    setup: &'a TrainingSetup,
    samples: &'a TrainingSamples,
    checkpoint: PathBuf,
) -> Trainer<'a> {
    let recipe = train_config(args, samples, setup);
    Trainer {
        samples,
        inputs: inputs.clone(),
        objective: setup.objective.clone(),
        checkpoint: Some(TrainCheckpoint {
            path: checkpoint,
            digest: training_digest(args, model, &recipe, setup, samples),
        }),
        config: recipe,
        initial_layers: setup.start.as_ref().map(|start| &start.layers),
    }
}

fn train_config(args: &TrainArgs, samples: &TrainingSamples, setup: &TrainingSetup) -> TrainConfig {
    let options = &args.hyper;
    // Samples of depth are tiles of several patches.
    let samples_in = |patches: u32| (patches as usize / samples.patches()).max(1);
    let count = options.patches.map_or(samples.len(), samples_in);
    TrainConfig {
        epochs: options.epochs as usize,
        batch: samples_in(options.batch),
        draw: SampleDraw {
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
        init_deviation: setup.scale,
        init_bias: setup.bias,
        average_decay: options.average as f32,
        patience: options.patience,
        best_metric: best_by(args, setup),
        seed: options.seed,
        memory: (options.memory * f64::from(1 << 30)) as u64,
    }
}

/// Digest of everything that the result depends on, so that a checkpoint of other settings is not resumed. Paths do not
/// count, contents do.
fn training_digest(
    args: &TrainArgs,
    model: &ModelReplicas,
    recipe: &TrainConfig,
    setup: &TrainingSetup,
    samples: &TrainingSamples,
) -> String {
    let frames: Vec<String> = samples.views.iter().map(|frame| frame.id()).collect();
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
    digest::sha256(with_digested_names(text).as_bytes())
}

/// `text`, a `Debug` text, with types and fields under the names that the digests of checkpoints have had from the first:
/// a checkpoint stays valid when something is renamed. Whoever renames what [`training_digest`] prints adds it here.
fn with_digested_names(text: String) -> String {
    const NAMES: [(&str, &str); 9] = [
        ("TrainConfig {", "Recipe {"),
        ("SampleDraw {", "Draw {"),
        ("CoarseScale(", "Coarse("),
        ("init_deviation: ", "scale: "),
        ("init_bias: ", "bias: "),
        ("average_decay: ", "average: "),
        ("best_metric: ", "judge_by: "),
        ("set_shares: ", "parts: "),
        ("is_closed: ", "closed: "),
    ];
    let rename = |text: String, (today, digested): (&str, &str)| text.replace(today, digested);
    NAMES.into_iter().fold(text, rename)
}

fn report_metrics(what: &str, figures: &MetricValues, console: &Console) {
    let text: Vec<String> = figures
        .iter()
        .map(|(name, value)| format!("{name} {value:.4}"))
        .collect();
    console.note(format_args!("{what}: {}", text.join("  ")));
}

fn remove_if_exists(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, &error)),
        _ => Ok(()),
    }
}
