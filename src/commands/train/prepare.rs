//! From data sets to cached features with their labels.

use std::path::PathBuf;

use dino::batch::Report;
use dino::console::Console;
use dino::data::{DataSet, Pair};
use dino::head::globals::GlobalToken;
use dino::inputs::DecodeLimits;
use dino::train::features::{Extraction, FeatureCache, Recipe};
use dino::train::frame::{Frame, View};
use dino::train::pool::Inputs;
use dino::train::samples::Labelled;
use dino::weights::Store;
use dino::{Error, Result};

use crate::cli::TrainArgs;
use crate::commands::model::Model;

/// Fewer photos than this teach nothing.
const FEWEST: usize = 4;

/// One data set, split.
pub struct Part {
    /// What it is called.
    pub name: String,
    /// To train on.
    pub train: Vec<Pair>,
    /// To validate on.
    pub val: Vec<Pair>,
}

/// One data set with its features.
pub struct Prepared {
    /// What it is called.
    pub name: String,
    /// To train on, in all views.
    pub train: Vec<Labelled>,
    /// To validate on, in the plain view.
    pub val: Vec<Labelled>,
}

/// Splits a data set as the options say.
pub fn split(args: &TrainArgs, set: DataSet, console: &Console) -> Part {
    if set.unlabelled > 0 {
        console.warn(format_args!(
            "{}: {} photos have no label and are left out",
            set.name, set.unlabelled
        ));
    }
    let name = set.name.clone();
    let (train, val) = set.split(args.recipe.val_split.into(), args.recipe.val_fraction);
    Part { name, train, val }
}

/// Refuses data that is too little, and says what there is.
pub fn announce(parts: &[Part], console: &Console) -> Result<()> {
    let train: usize = parts.iter().map(|part| part.train.len()).sum();
    if train < FEWEST {
        return Err(Error::Usage(format!(
            "{train} photos to train on are too few; at least {FEWEST} are needed"
        )));
    }
    for part in parts {
        console.note(format_args!(
            "{}: {} photos to train on, {} for validation",
            part.name,
            part.train.len(),
            part.val.len()
        ));
    }
    Ok(())
}

/// What the data is called in the head: as asked, else by its sets.
pub fn credits(args: &TrainArgs, parts: &[Part]) -> Vec<String> {
    if !args.credit.is_empty() {
        return args.credit.clone();
    }
    let credit = |part: &Part| format!("{} ({} photos)", part.name, part.train.len());
    parts.iter().map(credit).collect()
}

/// The blocks that were asked for, or four evenly spread ones.
pub fn blocks(args: &TrainArgs, model: &Model) -> Result<Vec<usize>> {
    let depth = model.backbone.config().depth;
    let mut blocks = args.blocks.clone();
    if blocks.is_empty() {
        blocks = (1..=4).map(|quarter| quarter * depth / 4 - 1).collect();
    }
    blocks.sort_unstable();
    blocks.dedup();
    match blocks.iter().find(|&&block| block >= depth) {
        Some(block) => Err(Error::Usage(format!(
            "--blocks {block}: {} has the blocks 0 to {}",
            model.record.name,
            depth - 1
        ))),
        None => Ok(blocks),
    }
}

/// How inputs are put together; `usual` global tokens are the task's own habit.
pub fn inputs(args: &TrainArgs, model: &Model, blocks: &[usize], usual: &[GlobalToken]) -> Inputs {
    Inputs {
        blocks: blocks.len(),
        dim: model.backbone.config().dim,
        context: args.context.0.clone(),
        globals: match &args.globals {
            Some(choice) => choice.0.clone(),
            None => usual.to_vec(),
        },
    }
}

/// Computes what features are missing. Photos that fail are recorded and left out.
pub fn features(
    args: &TrainArgs,
    model: &Model,
    blocks: &[usize],
    parts: Vec<Part>,
    report: &mut Report,
    console: &Console,
) -> Result<Vec<Prepared>> {
    let folder = match &args.views.cache {
        Some(folder) => folder.clone(),
        None => Store::open()?.root().join("cache").join("features"),
    };
    let cache = FeatureCache::new(
        folder,
        Recipe {
            fingerprint: model.record.fingerprint.clone(),
            blocks: blocks.to_vec(),
            norm: args.norm,
            patch_size: model.backbone.config().patch_size,
        },
    );
    let how = Extraction {
        backbone: &model.backbone,
        limits: DecodeLimits::default(),
        batch_size: args.run.batch_size.get(),
    };
    let plain = View {
        size: args.size,
        mirrored: false,
    };
    let mut views = vec![plain];
    views.extend(args.views.also_size.iter().map(|&size| View {
        size,
        mirrored: false,
    }));
    if args.views.flip {
        let mirrored: Vec<View> = views
            .iter()
            .map(|view| View {
                mirrored: true,
                ..*view
            })
            .collect();
        views.extend(mirrored);
    }
    let mut all = Vec::new();
    for part in parts {
        let mut of = |pairs: Vec<Pair>, views: &[View]| -> Result<Vec<Labelled>> {
            let photos: Vec<PathBuf> = pairs.iter().map(|pair| pair.photo.clone()).collect();
            let frames = cache.frames(&photos, views, &how, report, console)?;
            Ok(labelled(pairs, frames))
        };
        all.push(Prepared {
            train: of(part.train, &views)?,
            val: of(part.val, &[plain])?,
            name: part.name,
        });
    }
    Ok(all)
}

/// Pairs whose photos have features.
fn labelled(pairs: Vec<Pair>, frames: Vec<Vec<Frame>>) -> Vec<Labelled> {
    pairs
        .into_iter()
        .zip(frames)
        .filter(|(_, frames)| !frames.is_empty())
        .map(|(pair, frames)| Labelled {
            label: pair.label,
            frames,
        })
        .collect()
}

/// The part of every set in an epoch: as `--parts` says, else `usual`; they sum to 1.
pub fn parts(args: &TrainArgs, names: &[&str], usual: &[f64]) -> Result<Vec<f64>> {
    let mut parts = usual.to_vec();
    for (at, text) in args.recipe.parts.iter().enumerate() {
        let (index, value) = match text.split_once('=') {
            Some((name, value)) => (names.iter().position(|own| *own == name), value),
            None => (Some(at).filter(|&at| at < names.len()), text.as_str()),
        };
        let value = value.trim().parse::<f64>().ok();
        match (index, value.filter(|v| v.is_finite() && *v >= 0.0)) {
            (Some(index), Some(value)) => parts[index] = value,
            _ => {
                return Err(Error::Usage(format!(
                    "--parts {text}: expected a number for each of {}, or NAME=NUMBER",
                    names.join(", ")
                )));
            }
        }
    }
    let sum: f64 = parts.iter().sum();
    if sum <= 0.0 {
        return Err(Error::Usage("--parts leaves nothing to train on".into()));
    }
    Ok(parts.into_iter().map(|part| part / sum).collect())
}
