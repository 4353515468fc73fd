//! The training loop: draw samples, read their features, fill mini-batches, forward, loss, backward, optimiser step;
//! after each epoch validate, log and write the checkpoint.
//!
//! In: [`TrainingSamples`], an [`Objective`] and a [`TrainConfig`]. Out: a [`TrainState`] with the weights of the best
//! epoch. All randomness is derived from [`TrainConfig::seed`] ([`mod@crate::learn::train::seed`]), so a training that
//! continues from its checkpoint gives the same weights as one that was never stopped.

use std::path::PathBuf;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::learn::data::taxonomy::SetLabels;
use crate::learn::train::checkpoint::TrainState;
use crate::learn::train::feature_pool::{Dropout, FeaturePool, InputLayout, patches_of};
use crate::learn::train::head_in_training::{HeadInTraining, LayerWidths, Standardisation};
use crate::learn::train::history::{Epoch, TrainHistory};
use crate::learn::train::loss::{DepthLoss, SegmentLoss};
use crate::learn::train::optim::{AdamW, Schedule, blend};
use crate::learn::train::samples::{SampleDraw, TrainingSamples};
use crate::learn::train::seed::mix_seed;
use crate::model::head::linear::Dense;
use crate::system::interrupt;
use crate::terminal::console::Console;

/// The hyperparameters of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainConfig {
    /// Number of epochs: each draws samples, steps through them and validates.
    pub epochs: usize,
    /// Samples in a mini-batch: patches for classes, tiles of 4 x 4 patches for depth.
    pub batch: usize,
    /// How the samples of an epoch are drawn.
    pub draw: SampleDraw,
    /// Peak learning rate, reached at the end of the warm-up.
    pub rate: f64,
    /// Share of all steps that the linear warm-up takes, 0..1.
    pub warm_up: f64,
    /// Decoupled weight decay of AdamW; biases have none.
    pub decay: f64,
    /// Shares of inputs that are set to zero in training.
    pub dropout: Dropout,
    /// Width of the hidden layer; 0 for a head of one layer.
    pub hidden: usize,
    /// Standard deviation of the initial output weights; a lower bound with a hidden layer ([`HeadInTraining::new`]).
    pub init_deviation: f32,
    /// Initial bias of every output.
    pub init_bias: f32,
    /// Decay of the exponential moving average of the weights, 0..1; 0 keeps no average.
    pub average_decay: f32,
    /// Early stopping: epochs in a row without a better one before training stops; 0 never stops.
    pub patience: usize,
    /// Name of the validation metric that decides which epoch is best.
    pub best_metric: String,
    /// The one seed that initial weights, draws and dropout are derived from.
    pub seed: u64,
    /// Memory for features in bytes; an epoch draws no more patches than fit into it.
    pub memory: u64,
}

/// The loss that a training minimises, which also decides how many outputs the head has.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// Metric depth: one output for each bin.
    Depth(DepthLoss),
    /// Classes: the loss, the meaning of the ids of each data set (in the order of [`TrainingSamples::sets`]), and the
    /// number of classes.
    Segment(SegmentLoss, Vec<SetLabels>, usize),
}

/// Where a training keeps its state between epochs, and what identifies the training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainCheckpoint {
    /// The checkpoint's file.
    pub path: PathBuf,
    /// Digest of everything that the result depends on: options, data, model and the version of this program.
    pub digest: String,
}

/// A training, ready to run.
#[derive(Debug)]
pub struct Trainer<'a> {
    /// The samples that epochs draw from.
    pub samples: &'a TrainingSamples,
    /// Which tokens make up the input of a patch, and in which order.
    pub inputs: InputLayout,
    /// The loss.
    pub objective: Objective,
    /// The hyperparameters.
    pub config: TrainConfig,
    /// Where the state is written after each epoch and resumed from; none writes no checkpoint.
    pub checkpoint: Option<TrainCheckpoint>,
    /// The layers of a head to fine-tune, for features as they are (not standardised); none starts from random weights.
    pub initial_layers: Option<&'a (Option<Dense>, Dense)>,
}

/// Names and values of validation metrics, the most telling first.
pub type MetricValues = Vec<(String, f64)>;

impl Objective {
    /// Outputs of the head: depth bins or classes.
    fn outputs(&self) -> usize {
        match self {
            Objective::Depth(loss) => loss.centres.len(),
            Objective::Segment(_, _, classes) => *classes,
        }
    }

    /// The mean loss of a mini-batch; `scores` `[patches, outputs]` are replaced by their gradient.
    fn apply(&self, samples: &TrainingSamples, batch: &[u32], scores: &mut [f32]) -> f64 {
        match self {
            Objective::Depth(loss) => {
                let tiles = batch.iter().map(|&tile| samples.metres_of(tile as usize));
                loss.apply(scores, &tiles.collect::<Vec<_>>().concat())
            }
            Objective::Segment(loss, sets, classes) => loss.apply(scores, *classes, |row| {
                let sample = batch[row] as usize;
                let set = samples.set_of(sample);
                (samples.shares_of(sample), &sets[set].allowed)
            }),
        }
    }
}

/// Whether a larger value of this metric is better: true for delta thresholds, IoU and accuracies, false for errors.
pub fn larger_is_better(metric: &str) -> bool {
    metric.starts_with("delta") || metric.contains("iou") || metric.contains("accuracy")
}

impl Trainer<'_> {
    /// Trains to the last epoch or until patience runs out, and returns the state with the weights of the best epoch
    /// and the standardisation of the inputs. `validate` gives the metrics of the weights after each epoch; where it
    /// gives none, the last epoch is the best.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after Ctrl-C (the last finished epoch is in the checkpoint); [`Error::Model`] where there
    /// is no sample, or features or the loss are not finite; what cannot be read or written, with its file; and the
    /// errors of `validate`.
    pub fn run(
        &self,
        console: &Console,
        mut validate: impl FnMut(&HeadInTraining, &TrainState) -> Result<MetricValues>,
    ) -> Result<TrainState> {
        let config = &self.config;
        if self.samples.is_empty() {
            return Err(Error::Model(
                "there is no labelled patch to train on".into(),
            ));
        }
        let capacity = FeaturePool::capacity(config.memory, self.inputs.read_width());
        let all = patches_of(self.samples, 0..self.samples.len());
        let keeps_all = all.len() <= capacity;
        let per_sample = self.samples.patches();
        let draw = SampleDraw {
            count: if keeps_all {
                config.draw.count
            } else {
                config.draw.count.min((capacity / per_sample).max(1))
            },
            ..config.draw.clone()
        };
        if draw.count < config.draw.count {
            console.note(format_args!(
                "a round has {} patches, as many as fit into --memory",
                draw.count * per_sample
            ));
        }
        let order_of = |epoch: usize| {
            self.samples
                .draw(&draw, mix_seed(config.seed, 1000 + epoch as u64))
        };
        let mut pool: Option<FeaturePool> = None;
        let mut state = self.initial_state(console)?;
        let per_epoch = order_of(0).len().div_ceil(config.batch);
        let schedule = Schedule {
            rate: config.rate,
            warm_up: config.warm_up,
            steps: per_epoch * config.epochs,
        };
        let mut x = Vec::new();
        while state.history.epochs.len() < config.epochs && !self.is_out_of_patience(&state.history)
        {
            let watch = Instant::now();
            let epoch = state.history.epochs.len();
            let order = order_of(epoch);
            if !keeps_all || pool.is_none() {
                let wanted = match keeps_all {
                    true => all.clone(),
                    false => patches_of(self.samples, order.iter().map(|&s| s as usize)),
                };
                pool = Some(FeaturePool::read(
                    self.samples,
                    wanted,
                    &self.inputs,
                    pool.take(),
                )?);
            }
            let Some(pool) = &pool else { break };
            if epoch == 0 {
                state.standardisation =
                    self.inputs
                        .measure_standardisation(self.samples, pool, &order);
                let numbers = state
                    .standardisation
                    .mean
                    .iter()
                    .chain(&state.standardisation.deviation);
                if numbers.into_iter().any(|value| !value.is_finite()) {
                    return Err(Error::Model(
                        "there are features that are not finite; delete the folder of features that was named above, and train \
                         again"
                            .into(),
                    ));
                }
                // Weights for standardised inputs depend on the standardisation, which is known only now.
                if let Some(layers) = self.initial_layers {
                    state.network = HeadInTraining::unfold(layers, &state.standardisation);
                    if let Some(average) = &mut state.average {
                        average.clone_from(&state.network);
                    }
                }
            }
            let progress = console.progress((order.len() * per_sample) as u64, "patches");
            progress.message(format!("epoch {}", epoch + 1));
            let (mut loss, mut rate) = (0f64, 0f64);
            for batch in order.chunks(config.batch) {
                interrupt::check()?;
                rate = schedule.at(state.adam.steps);
                let seed = mix_seed(config.seed, (1 << 40) + state.adam.steps as u64);
                let (standard, dropout) = (&state.standardisation, config.dropout);
                self.inputs
                    .fill(self.samples, pool, batch, standard, dropout, seed, &mut x);
                let n = batch.len() * per_sample;
                let (mut scores, hidden) = state.network.forward(&x, n);
                loss += self.objective.apply(self.samples, batch, &mut scores) * batch.len() as f64;
                let gradients = state.network.backward(&x, hidden.as_deref(), &scores, n);
                state.adam.step(&mut state.network, &gradients, rate);
                if let Some(average) = &mut state.average {
                    // A shorter memory in the first steps, so that the random start is forgotten.
                    let steps = state.adam.steps as f32;
                    let keep = config.average_decay.min(steps / (steps + 10.0));
                    blend(average, &state.network, keep);
                }
                progress.inc(n as u64);
            }
            drop(progress);
            loss /= order.len() as f64;
            if !loss.is_finite() {
                return Err(Error::Model(format!(
                    "the loss is no number after epoch {}; a lower --rate than {} may help",
                    epoch + 1,
                    config.rate
                )));
            }
            let metrics = validate(state.latest(), &state)?;
            let entry = Epoch {
                epoch: epoch + 1,
                loss,
                rate,
                metrics,
                seconds: watch.elapsed().as_secs_f64(),
            };
            console.note(entry.line(config.epochs));
            if self.is_best(&state.history, &entry) {
                state.best = Some(state.latest().clone());
                state.history.best = entry.epoch;
            }
            state.history.epochs.push(entry);
            if let Some(checkpoint) = &self.checkpoint {
                state.write(&checkpoint.path, &checkpoint.digest)?;
            }
        }
        Ok(state)
    }

    /// The state before the first epoch, or that of the checkpoint where there is one.
    fn initial_state(&self, console: &Console) -> Result<TrainState> {
        let config = &self.config;
        let shape = LayerWidths {
            inputs: self.inputs.width(),
            hidden: config.hidden,
            outputs: self.objective.outputs(),
        };
        let mut rng = fastrand::Rng::with_seed(mix_seed(config.seed, 1));
        let network = HeadInTraining::new(shape, config.init_deviation, config.init_bias, &mut rng);
        let fresh = TrainState {
            adam: AdamW::new(&network, config.decay),
            average: (config.average_decay > 0.0).then(|| network.clone()),
            best: None,
            standardisation: Standardisation {
                mean: vec![0.0; shape.inputs],
                deviation: vec![1.0; shape.inputs],
            },
            history: TrainHistory::default(),
            network,
        };
        let Some(checkpoint) = &self.checkpoint else {
            return Ok(fresh);
        };
        match TrainState::read(&checkpoint.path, &checkpoint.digest, &fresh)? {
            Some(state) => {
                console.note(format_args!(
                    "going on after epoch {}, from {}",
                    state.history.epochs.len(),
                    checkpoint.path.display()
                ));
                Ok(state)
            }
            None => Ok(fresh),
        }
    }

    /// Whether `entry` is better than the best so far.
    fn is_best(&self, history: &TrainHistory, entry: &Epoch) -> bool {
        let name = &self.config.best_metric;
        let best = history
            .best
            .checked_sub(1)
            .and_then(|at| history.epochs.get(at));
        match (entry.metric(name), best.and_then(|best| best.metric(name))) {
            (Some(new), Some(old)) if larger_is_better(name) => new > old,
            (Some(new), Some(old)) => new < old,
            _ => true,
        }
    }

    /// Whether early stopping ends the training now.
    fn is_out_of_patience(&self, history: &TrainHistory) -> bool {
        self.config.patience > 0 && history.epochs.len() >= history.best + self.config.patience
    }
}
