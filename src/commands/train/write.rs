//! The common end of a training: run it, judge the best weights on all validation photos, write the head.

use std::path::Path;

use dino::batch::Report;
use dino::console::Console;
use dino::head::meta::{HeadMeta, InputRecipe, LabelSet, Metric, Task, Training as Origin};
use dino::head::{Head, Linear, Network, file};
use dino::output::{PictureFormat, write_atomic, write_picture};
use dino::preprocess::Unpad;
use dino::render::curve::{self, Curve};
use dino::train::history::{Epoch, History};
use dino::train::pool::{Dropout, Inputs};
use dino::train::run::{Figures, Objective, Recipe, Saved, Training};
use dino::train::samples::{Draw, Samples};
use dino::train::scores::CachedHead;
use dino::train::validate::{Effort, Validation};
use dino::weights::digest;
use dino::{Error, Result};

use crate::cli::TrainArgs;
use crate::commands::model::Model;

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
    /// Deviation of the weights at the start.
    pub scale: f32,
    /// Every score at the start.
    pub bias: f32,
    /// The figure that tells the best round.
    pub best_by: &'static str,
    /// What to validate on.
    pub validation: Validation,
    /// What the ids of several data sets mean, for the metadata.
    pub label_sets: Vec<LabelSet>,
    /// Data sets for the metadata.
    pub data: Vec<String>,
}

/// What is learnt from.
pub struct Learn {
    /// Without the photos for validation.
    pub samples: Samples,
    /// With them, for `--refit`.
    pub all: Option<Samples>,
}

/// Refuses to replace a head unasked.
pub fn check_output(args: &TrainArgs) -> Result<()> {
    if args.output.extension().is_none_or(|e| e != "safetensors") {
        return Err(Error::Usage(format!(
            "-o {}: the name of a head's file ends in .safetensors",
            args.output.display()
        )));
    }
    if args.output.exists() && !args.force {
        return Err(Error::Usage(format!(
            "{} is there already; --force trains anew and replaces it",
            args.output.display()
        )));
    }
    Ok(())
}

/// Trains and writes. Returns the exit code.
pub fn train(
    args: &TrainArgs,
    model: &Model,
    inputs: &Inputs,
    learn: Learn,
    setup: Setup,
    report: &Report,
    console: &Console,
) -> Result<u8> {
    let samples = &learn.samples;
    if samples.is_empty() {
        // The reasons come first.
        report.finish(console);
        return Err(Error::Usage(
            "no pixel of any label counts, so there is nothing to train on".into(),
        ));
    }
    let recipe = recipe(args, samples, &setup);
    let beside = |ending: &str| args.output.with_extension(ending);
    let saved = Saved {
        path: beside("checkpoint"),
        digest: digest_of(args, model, &recipe, &setup, samples),
    };
    if args.force {
        remove(&saved.path)?;
        remove(&beside("refit.checkpoint"))?;
    }
    console.note(format_args!(
        "{} patches of {} views to learn from",
        samples.len() * samples.patches(),
        samples.frames.len()
    ));
    let Setup {
        task,
        objective,
        validation,
        label_sets,
        data,
        blocks: setup_blocks,
        ..
    } = setup;
    let judge_by = recipe.judge_by.clone();
    let training = Training {
        samples,
        inputs: inputs.clone(),
        objective,
        recipe,
        saved: Some(saved.clone()),
    };
    let quick = Effort {
        frames: args.recipe.val_photos,
        stride: STRIDE,
    };
    let state = training.run(console, |network, state| match validation.is_empty() {
        true => Ok(Figures::new()),
        false => validation.figures(
            &CachedHead::new(inputs, network.fold(&state.standard)),
            quick,
        ),
    })?;
    // A second training ends with its last round, so it is the last round of the first that tells how good it is.
    let last = state.average.as_ref().unwrap_or(&state.network);
    let (best, round) = match &state.best {
        Some(best) if learn.all.is_none() => (best, state.history.best),
        _ => (last, state.history.epochs.len()),
    };
    let (mut hidden, mut output) = best.fold(&state.standard);
    let mut figures = Figures::new();
    let mut judged_on = "validation".to_owned();
    if !validation.is_empty() {
        let head = CachedHead::new(inputs, (hidden.clone(), output.clone()));
        figures = validation.figures(&head, Effort::FULL)?;
        say(round, &figures, console);
        judged_on = format!("{} photos kept out", validation.photos());
    }
    if let Some(all) = &learn.all
        && !validation.is_empty()
    {
        judged_on.push_str(" of a first training of the same recipe");
        console.note("once more, on all photos");
        let again = Training {
            samples: all,
            objective: training.objective.clone(),
            recipe: Recipe {
                patience: 0,
                ..training.recipe.clone()
            },
            saved: Some(Saved {
                path: beside("refit.checkpoint"),
                digest: digest::sha256(format!("{} {}", saved.digest, all.digest()).as_bytes()),
            }),
            ..training
        };
        let state = again.run(console, |_, _| Ok(Figures::new()))?;
        let last = state.average.as_ref().unwrap_or(&state.network);
        (hidden, output) = last.fold(&state.standard);
    }
    let head = Head {
        meta: HeadMeta {
            format: 1,
            name: name(args),
            task,
            backbone: model.record.name.clone(),
            fingerprint: model.record.fingerprint.clone(),
            blocks: setup_blocks,
            norm: args.norm,
            context: inputs.context.clone(),
            globals: inputs.globals.clone(),
            input: InputRecipe {
                size: args.size.to_string(),
                padding: "center".into(),
                crop: None,
            },
            protocol: None,
            origin: None,
            unpad: Unpad::Crop,
            label_sets,
            training: Some(Origin {
                data,
                command: command_line(std::env::args().skip(1), &name(args)),
                seed: args.recipe.seed,
            }),
            metrics: figures
                .into_iter()
                .map(|(name, value)| Metric {
                    data: judged_on.clone(),
                    name,
                    value,
                })
                .collect(),
        },
        network: Network::Linear(Linear { hidden, output }),
    };
    let bytes = file::to_bytes(&head).map_err(|why| Error::file(&args.output, why))?;
    state.history.write(&beside("log.json"))?;
    draw_history(&state.history, &judge_by, &beside("curve.png"))?;
    write_atomic(&args.output, |writer| writer.write_all(&bytes))?;
    remove(&saved.path)?;
    remove(&beside("refit.checkpoint"))?;
    console.out_path(&args.output)?;
    report.finish(console);
    Ok(report.exit_code())
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
        judge_by: options
            .best_by
            .clone()
            .unwrap_or_else(|| setup.best_by.to_owned()),
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
        "{} {} {recipe:?} {:?} {:?} {:?} {:?} {frames:?} {:?} {}",
        env!("CARGO_PKG_VERSION"),
        model.record.fingerprint,
        args.context,
        args.globals,
        setup.objective,
        setup.task,
        samples.sets,
        samples.digest(),
    );
    digest::sha256(text.as_bytes())
}

fn say(best: usize, figures: &Figures, console: &Console) {
    let text: Vec<String> = figures
        .iter()
        .map(|(name, value)| format!("{name} {value:.4}"))
        .collect();
    console.note(format_args!(
        "epoch {best} on all validation photos: {}",
        text.join("  ")
    ));
}

fn name(args: &TrainArgs) -> String {
    args.name.clone().unwrap_or_else(|| {
        args.output.file_stem().map_or_else(
            || "head".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        )
    })
}

/// Loss and the figure that tells the best epoch, as a picture.
fn draw_history(history: &History, figure: &str, path: &Path) -> Result<()> {
    let over = |get: &dyn Fn(&Epoch) -> Option<f64>| -> Vec<f64> {
        let values = history.epochs.iter().map(get);
        values.map(|value| value.unwrap_or(f64::NAN)).collect()
    };
    let title = format!("validation {figure}");
    let mut curves = vec![Curve {
        title: "training loss",
        values: over(&|epoch| Some(epoch.loss)),
    }];
    let judged = |epoch: &Epoch| epoch.figure(figure);
    if history.epochs.iter().any(|one| judged(one).is_some()) {
        curves.push(Curve {
            title: &title,
            values: over(&judged),
        });
    }
    let picture = curve::picture(&curves, history.best.checked_sub(1));
    write_atomic(path, |writer| {
        write_picture(writer, PictureFormat::Png, &picture, &[])
    })
}

/// Options that say nothing about the result; the second ones take a value.
const PRIVATE: [&str; 6] = ["-q", "--quiet", "-v", "--verbose", "--force", "--offline"];
const PRIVATE_VALUES: [&str; 4] = ["-o", "--output", "--cache", "--threads"];

/// The command that makes the head again: the words that were typed, quoted where a shell needs it, without what
/// changes only where things lie and what is shown.
fn command_line(words: impl Iterator<Item = String>, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:+@%".contains(c);
    let mut command = "dino".to_owned();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let option = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        if PRIVATE.contains(&option) {
            continue;
        }
        if PRIVATE_VALUES.contains(&option) {
            if option == word {
                words.next();
            }
            continue;
        }
        command.push(' ');
        match !word.is_empty() && word.chars().all(plain) {
            true => command.push_str(&word),
            false => command.push_str(&format!("'{}'", word.replace('\'', r"'\''"))),
        }
    }
    format!("{command} -o {name}.safetensors")
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_says_what_matters() {
        let words = [
            "train",
            "depth",
            "a/b",
            "it's here",
            "--size",
            "480",
            "-o",
            "/tmp/x.safetensors",
            "-q",
            "--cache=/x",
            "--threads",
            "2",
            "--seed",
            "3",
        ];
        assert_eq!(
            command_line(words.into_iter().map(str::to_owned), "x"),
            r"dino train depth a/b 'it'\''s here' --size 480 --seed 3 -o x.safetensors"
        );
    }
}
