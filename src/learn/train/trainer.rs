//! The training loop: draw, read, fill, forward, loss, backward, step; after each epoch validate, log and save.
//!
//! Everything random comes from the seed and the epoch, step or patch it is for, so a training that goes on from its
//! checkpoint does what it would have done at once.

use std::path::PathBuf;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::learn::data::taxonomy::SetLabels;
use crate::learn::train::checkpoint::TrainState;
use crate::learn::train::feature_pool::{Dropout, FeaturePool, InputLayout, patches_of};
use crate::learn::train::head_in_training::{HeadInTraining, LayerWidths};
use crate::learn::train::history::{Epoch, TrainHistory};
use crate::learn::train::loss::{DepthLoss, SegmentLoss};
use crate::learn::train::optim::{AdamW, Schedule, blend};
use crate::learn::train::samples::{SampleDraw, TrainingSamples};
use crate::learn::train::seed::mix_seed;
use crate::model::head::linear::Dense;
use crate::system::interrupt;
use crate::terminal::console::Console;

/// The recipe of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainConfig {
    /// Rounds of drawing and validating.
    pub epochs: usize,
    /// Samples a step.
    pub batch: usize,
    /// How an epoch's patches are drawn.
    pub draw: SampleDraw,
    /// The highest learning rate.
    pub rate: f64,
    /// Share of all steps until it is reached.
    pub warm_up: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// Inputs set to zero.
    pub dropout: Dropout,
    /// Width of the hidden layer; 0 for none.
    pub hidden: usize,
    /// Deviation of the weights at the start.
    pub init_deviation: f32,
    /// Every score at the start.
    pub init_bias: f32,
    /// How much of the moving average of the weights a step keeps; 0 for no average.
    pub average_decay: f32,
    /// Epochs without a better one until training stops; 0 never stops.
    pub patience: usize,
    /// Which figure tells the best epoch.
    pub best_metric: String,
    /// Of everything random.
    pub seed: u64,
    /// Memory for features, in bytes.
    pub memory: u64,
}

/// What is minimised.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// Depth.
    Depth(DepthLoss),
    /// Classes; by data set, what its ids mean.
    Segment(SegmentLoss, Vec<SetLabels>, usize),
}

/// Where a training keeps its state, and what it must agree on to go on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainCheckpoint {
    /// The checkpoint's file.
    pub path: PathBuf,
    /// Of everything that the result depends on.
    pub digest: String,
}

/// A training, ready to run.
#[derive(Debug)]
pub struct Trainer<'a> {
    /// What to train on.
    pub samples: &'a TrainingSamples,
    /// How inputs are put together.
    pub inputs: InputLayout,
    /// What is minimised.
    pub objective: Objective,
    /// How.
    pub config: TrainConfig,
    /// Where to save; none saves nothing.
    pub checkpoint: Option<TrainCheckpoint>,
    /// The layers of a head that it starts from; none starts from nothing.
    pub initial_layers: Option<&'a (Option<Dense>, Dense)>,
}

/// Names and values of validation figures.
pub type MetricValues = Vec<(String, f64)>;

impl Objective {
    fn outputs(&self) -> usize {
        match self {
            Objective::Depth(loss) => loss.centres.len(),
            Objective::Segment(_, _, classes) => *classes,
        }
    }

    /// The loss of a batch; `scores` become its gradient.
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

/// Whether a larger value of a figure is a better one.
pub fn larger_is_better(figure: &str) -> bool {
    figure.starts_with("delta") || figure.contains("iou") || figure.contains("accuracy")
}

impl Trainer<'_> {
    /// Trains, and returns the best weights with how inputs are standardised, in one state. `validate` judges the
    /// weights after each epoch; without figures the last epoch is the best.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after Ctrl-C (the last finished epoch is in the checkpoint); and what `validate` says.
    pub fn run(
        &self,
        console: &Console,
        mut validate: impl FnMut(&HeadInTraining, &TrainState) -> Result<MetricValues>,
    ) -> Result<TrainState> {
        let recipe = &self.config;
        if self.samples.is_empty() {
            return Err(Error::Model(
                "there is no labelled patch to train on".into(),
            ));
        }
        let capacity = FeaturePool::capacity(recipe.memory, self.inputs.read_width());
        let all = patches_of(self.samples, 0..self.samples.len());
        let keeps_all = all.len() <= capacity;
        let per_sample = self.samples.patches();
        let draw = SampleDraw {
            count: if keeps_all {
                recipe.draw.count
            } else {
                recipe.draw.count.min((capacity / per_sample).max(1))
            },
            ..recipe.draw.clone()
        };
        if draw.count < recipe.draw.count {
            console.note(format_args!(
                "a round has {} patches, as many as fit into --memory",
                draw.count * per_sample
            ));
        }
        let order_of = |epoch: usize| {
            self.samples
                .draw(&draw, mix_seed(recipe.seed, 1000 + epoch as u64))
        };
        let mut pool: Option<FeaturePool> = None;
        let mut state = self.initial_state(console)?;
        let per_epoch = order_of(0).len().div_ceil(recipe.batch);
        let schedule = Schedule {
            rate: recipe.rate,
            warm_up: recipe.warm_up,
            steps: per_epoch * recipe.epochs,
        };
        let mut x = Vec::new();
        while state.history.epochs.len() < recipe.epochs && !self.is_out_of_patience(&state.history)
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
                // What a head's weights are of standardised inputs is known only now.
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
            for batch in order.chunks(recipe.batch) {
                interrupt::check()?;
                rate = schedule.at(state.adam.steps);
                let seed = mix_seed(recipe.seed, (1 << 40) + state.adam.steps as u64);
                let (standard, dropout) = (&state.standardisation, recipe.dropout);
                self.inputs
                    .fill(self.samples, pool, batch, standard, dropout, seed, &mut x);
                let n = batch.len() * per_sample;
                let (mut scores, hidden) = state.network.forward(&x, n);
                loss += self.objective.apply(self.samples, batch, &mut scores) * batch.len() as f64;
                let gradients = state.network.backward(&x, hidden.as_deref(), &scores, n);
                state.adam.step(&mut state.network, &gradients, rate);
                if let Some(average) = &mut state.average {
                    // Early on the average forgets its start faster.
                    let steps = state.adam.steps as f32;
                    let keep = recipe.average_decay.min(steps / (steps + 10.0));
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
                    recipe.rate
                )));
            }
            let figures = validate(state.latest(), &state)?;
            let entry = Epoch {
                epoch: epoch + 1,
                loss,
                rate,
                metrics: figures,
                seconds: watch.elapsed().as_secs_f64(),
            };
            console.note(entry.line(recipe.epochs));
            if self.is_best(&state.history, &entry) {
                state.best = Some(state.latest().clone());
                state.history.best = entry.epoch;
            }
            state.history.epochs.push(entry);
            if let Some(saved) = &self.checkpoint {
                state.write(&saved.path, &saved.digest)?;
            }
        }
        Ok(state)
    }

    /// The state before the first epoch, or that of the checkpoint.
    fn initial_state(&self, console: &Console) -> Result<TrainState> {
        let recipe = &self.config;
        let shape = LayerWidths {
            inputs: self.inputs.width(),
            hidden: recipe.hidden,
            outputs: self.objective.outputs(),
        };
        let mut rng = fastrand::Rng::with_seed(mix_seed(recipe.seed, 1));
        let network = HeadInTraining::new(shape, recipe.init_deviation, recipe.init_bias, &mut rng);
        let fresh = TrainState {
            adam: AdamW::new(&network, recipe.decay),
            average: (recipe.average_decay > 0.0).then(|| network.clone()),
            best: None,
            standardisation: crate::learn::train::head_in_training::Standardisation {
                mean: vec![0.0; shape.inputs],
                deviation: vec![1.0; shape.inputs],
            },
            history: TrainHistory::default(),
            network,
        };
        let Some(saved) = &self.checkpoint else {
            return Ok(fresh);
        };
        match TrainState::read(&saved.path, &saved.digest, &fresh)? {
            Some(state) => {
                console.note(format_args!(
                    "going on after epoch {}, from {}",
                    state.history.epochs.len(),
                    saved.path.display()
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

    fn is_out_of_patience(&self, history: &TrainHistory) -> bool {
        self.config.patience > 0 && history.epochs.len() >= history.best + self.config.patience
    }
}
