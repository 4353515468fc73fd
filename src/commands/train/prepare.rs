//! From data sets to cached features with their labels.

use std::collections::HashSet;

use dino::engine::run_report::RunReport;
use dino::io::inputs::{Source, orientation};
use dino::learn::data::{
    DataSet, LabelAlignment, LabelledPair, PhotoShape, SplitStrategy, ValidationSplit,
};
use dino::learn::train::cached_view::{CachedView, ViewSpec};
use dino::learn::train::feature_cache::{ExtractionConfig, FeatureCache, FeatureExtractor};
use dino::learn::train::feature_pool::InputLayout;
use dino::learn::train::samples::LabelledPhoto;
use dino::learn::train::validation::ValidationTask;
use dino::model::head::global_token::GlobalToken;
use dino::terminal::console::Console;
use dino::terminal::suggest;
use dino::{Error, Result};
use image::metadata::Orientation;
use rayon::prelude::*;

use crate::cli::TrainArgs;
use crate::commands::model::ModelReplicas;
use crate::commands::train::cache_budget::{CacheBudget, HashedPhotos};
use crate::commands::{cache, labels};

/// Fewer photos than this teach nothing.
const MIN_PHOTOS: usize = 4;

/// One data set, split.
pub struct SplitDataSet {
    /// What it is called.
    pub name: String,
    /// Units of a depth map's metre, where the data's layout tells it.
    pub depth_scale: Option<f64>,
    /// All of it, each with the fold whose training it is kept out of.
    pub pairs: Vec<(LabelledPair, Option<usize>)>,
}

/// One data set with its features.
pub struct TrainingSet {
    /// What it is called.
    pub name: String,
    /// What at least one training learns from, in all views.
    pub train: Vec<LabelledPhoto>,
    /// What is only judged, in the plain view.
    pub val: Vec<LabelledPhoto>,
}

impl SplitDataSet {
    /// Photos that the training of the first fold learns from.
    pub fn train_count(&self) -> usize {
        let pairs = self.pairs.iter();
        pairs.filter(|(_, fold)| *fold != Some(0)).count()
    }
}

/// Splits a data set as the options say.
///
/// # Errors
/// If folds are asked for, but no validation.
pub fn split(args: &TrainArgs, set: DataSet, console: &Console) -> Result<SplitDataSet> {
    labels::report_data_set(&set, console);
    let set = match photo_limit(args, &set.name)? {
        Some(most) => set.at_most(most),
        None => set,
    };
    let recipe = &args.hyper;
    let split = SplitStrategy::from(recipe.val_split);
    let how = match recipe.folds {
        1 => ValidationSplit::Share(recipe.val_fraction),
        folds => ValidationSplit::Folds(folds as usize),
    };
    if recipe.folds > 1 && split == SplitStrategy::None {
        return Err(Error::Usage(
            "--folds validates on every photo, --val-split none on none; leave one of them out"
                .into(),
        ));
    }
    Ok(SplitDataSet {
        name: set.name.clone(),
        depth_scale: set.depth_scale,
        pairs: set.hold_out(split, how),
    })
}

/// How many photos of the set `--photos` allows, if it says so: the last that it says of it.
fn photo_limit(args: &TrainArgs, set: &str) -> Result<Option<usize>> {
    let mut most = None;
    for text in &args.hyper.photos {
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => (Some(name), number),
            None => (None, text.as_str()),
        };
        let number = number.trim().parse::<usize>().ok().filter(|&n| n > 0);
        let number = number.ok_or_else(|| {
            Error::Usage(format!(
                "--photos {text}: expected a number of photos, such as 200, or NAME=NUMBER"
            ))
        })?;
        if name.is_none_or(|name| name == set) {
            most = Some(number);
        }
    }
    Ok(most)
}

/// Refuses a set in `--photos` that there is not.
pub fn check_photo_limits(args: &TrainArgs, names: &[&str]) -> Result<()> {
    let named = args
        .hyper
        .photos
        .iter()
        .filter_map(|text| text.split_once('='));
    match named
        .map(|(name, _)| name)
        .find(|name| !names.contains(name))
    {
        Some(name) => Err(Error::Usage(format!(
            "--photos {name}: there is no such set; expected one of {}",
            names.join(", ")
        ))),
        None => Ok(()),
    }
}

/// Whether the head that is written learns from all photos, those that were kept out before too.
pub fn trains_on_all(args: &TrainArgs) -> bool {
    args.hyper.folds > 1 || args.hyper.refit
}

/// Refuses data that is too little, and says what there is.
pub fn report_splits(parts: &[SplitDataSet], folds: u32, console: &Console) -> Result<()> {
    let train: usize = parts.iter().map(SplitDataSet::train_count).sum();
    if train < MIN_PHOTOS {
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        let why =
            format!("{train} photos to train on are too few; at least {MIN_PHOTOS} are needed");
        return Err(Error::file(names.join(", "), why));
    }
    for part in parts {
        let (name, all) = (&part.name, part.pairs.len());
        let held = part.pairs.iter().filter(|(_, fold)| fold.is_some()).count();
        match folds {
            1 => console.note(format_args!(
                "{name}: {} photos to train on, {held} for validation",
                all - held
            )),
            folds => console.note(format_args!(
                "{name}: {all} photos, each for validation in one of {folds} trainings"
            )),
        }
    }
    Ok(())
}

/// Refuses a figure of `--best-by` that no round will have, before any work is done; `figures` are those of the task.
pub fn check_best_by(args: &TrainArgs, figures: &[&str], parts: &[SplitDataSet]) -> Result<()> {
    let Some(wanted) = &args.hyper.best_by else {
        return Ok(());
    };
    let judged: Vec<&SplitDataSet> = parts
        .iter()
        .filter(|part| part.pairs.iter().any(|(_, fold)| fold.is_some()))
        .collect();
    if judged.is_empty() {
        return Err(Error::Usage(format!(
            "--best-by {wanted}: no photo is kept out to judge rounds by (--val-split, --val-fraction); leave one of them out"
        )));
    }
    let mut known: Vec<String> = figures.iter().map(ToString::to_string).collect();
    if judged.len() > 1 {
        let of_set = |part: &&SplitDataSet| {
            let name = part.name.clone();
            figures.iter().map(move |figure| format!("{figure}:{name}"))
        };
        known.extend(judged.iter().flat_map(of_set));
    }
    match known.contains(wanted) {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "--best-by {wanted}: there is no such figure{}; there are {}",
            suggest::did_you_mean(wanted, known.iter().map(String::as_str)),
            known.join(", ")
        ))),
    }
}

/// What the data is called in the head: as asked, else by its sets.
pub fn credits(args: &TrainArgs, parts: &[SplitDataSet]) -> Vec<String> {
    if !args.credit.is_empty() {
        return args.credit.clone();
    }
    let photos = |part: &SplitDataSet| match trains_on_all(args) {
        true => part.pairs.len(),
        false => part.train_count(),
    };
    let credit = |part: &SplitDataSet| format!("{} ({} photos)", part.name, photos(part));
    parts.iter().map(credit).collect()
}

/// The blocks that were asked for, or four evenly spread ones.
pub fn select_blocks(args: &TrainArgs, model: &ModelReplicas) -> Result<Vec<usize>> {
    let depth = model.backbone().config().depth;
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
pub fn head_inputs(
    args: &TrainArgs,
    model: &ModelReplicas,
    blocks: &[usize],
    usual: &[GlobalToken],
) -> InputLayout {
    InputLayout {
        blocks: blocks.len(),
        dim: model.backbone().config().dim,
        context: args.context.0.clone(),
        coarse: args.coarse.is_some(),
        globals: match &args.globals {
            Some(choice) => choice.0.clone(),
            None => usual.to_vec(),
        },
    }
}

/// Computes what features are missing. Photos that fail are recorded and left out.
pub fn compute_features(
    args: &TrainArgs,
    model: &ModelReplicas,
    blocks: &[usize],
    parts: Vec<SplitDataSet>,
    report: &mut RunReport,
    console: &Console,
) -> Result<Vec<TrainingSet>> {
    let folder = cache::cache_folder(args.features.cache.as_deref())?;
    let features = FeatureCache::new(
        folder.path(),
        ExtractionConfig {
            fingerprint: model.record.fingerprint.clone(),
            blocks: blocks.to_vec(),
            norm: args.norm,
            patch_size: model.backbone().config().patch_size,
            coarse: args.coarse,
            dtype: model.backbone().dtype(),
            decoded: args.photo.data_set_decoder(console).options.tag(),
        },
    );
    let how = FeatureExtractor {
        backbone: model.backbone(),
        decoder: args.photo.data_set_decoder(console),
        batch_size: args.run.batch_size,
    };
    let plain = ViewSpec {
        size: args.size,
        mirrored: false,
    };
    let mut views = vec![plain];
    views.extend(args.features.also_size.iter().map(|&size| ViewSpec {
        size,
        mirrored: false,
    }));
    if args.features.flip {
        let mirrored: Vec<ViewSpec> = views
            .iter()
            .map(|view| ViewSpec {
                mirrored: true,
                ..*view
            })
            .collect();
        views.extend(mirrored);
    }
    let trains_on_all = trains_on_all(args);
    let mut known = Vec::new();
    for part in parts {
        let held = |(_, fold): &(LabelledPair, Option<usize>)| fold.is_some() && !trains_on_all;
        let (judged, learnt): (Vec<_>, Vec<_>) = part.pairs.into_iter().partition(held);
        let learnt = HashedPhotos::new(learnt, report)?;
        let judged = HashedPhotos::new(judged, report)?;
        known.push((part.name, learnt, judged));
    }
    let room = CacheBudget::reserve(args, folder, &features, &known, console)?;
    let mut all = Vec::new();
    for (name, learnt, judged) in known {
        let mut of = |known: HashedPhotos, views: &[ViewSpec]| -> Result<Vec<LabelledPhoto>> {
            let photos = (known.photos.as_slice(), known.hashes.as_slice());
            let frames = features.load_or_compute(photos, views, &how, report, console)?;
            Ok(attach_labels(known.pairs, frames))
        };
        all.push(TrainingSet {
            train: of(learnt, &views)?,
            val: of(judged, &[plain])?,
            name,
        });
    }
    room.enforce(console);
    Ok(all)
}

/// What is done about labels of another shape than their photo's.
pub fn fitting(args: &TrainArgs, console: &Console) -> LabelAlignment {
    LabelAlignment {
        stretch: args.stretch_labels,
        warnings: console.warnings().clone(),
    }
}

/// Pairs whose photos have features.
fn attach_labels(
    pairs: Vec<(LabelledPair, Option<usize>)>,
    frames: Vec<Vec<CachedView>>,
) -> Vec<LabelledPhoto> {
    let with_label = |((pair, fold), frames): ((LabelledPair, Option<usize>), Vec<CachedView>)| {
        let upright = frames.first()?.geometry.photo;
        let orientation = orientation(&Source::from_path(&pair.photo));
        Some(LabelledPhoto {
            label: pair.label,
            shape: PhotoShape {
                upright,
                // It could be read when its features were computed.
                orientation: orientation.unwrap_or(Orientation::NoTransforms),
            },
            views: frames,
            fold,
        })
    };
    let all: Vec<_> = pairs.into_iter().zip(frames).collect();
    all.into_par_iter().filter_map(with_label).collect()
}

/// Leaves out what cannot be judged because its label cannot be used: of what is learnt from, the failures are recorded
/// already, of the rest they are recorded here.
pub fn leave_out_failed(
    sets: &mut [TrainingSet],
    how: &ValidationTask,
    fitting: &LabelAlignment,
    report: &mut RunReport,
) -> Result<()> {
    for (index, set) in sets.iter_mut().enumerate() {
        let checks: Vec<Result<()>> = set
            .val
            .par_iter()
            .map(|labelled| how.check(index, labelled, fitting))
            .collect();
        for (labelled, check) in set.val.iter().zip(checks) {
            report.record(labelled.label.display().to_string(), check)?;
        }
        let failed: HashSet<&str> = report
            .failed
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        for part in [&mut set.train, &mut set.val] {
            part.retain(|labelled| !failed.contains(labelled.label.display().to_string().as_str()));
        }
    }
    Ok(())
}

/// The part of every set in an epoch: as `--parts` says, else `usual`; they sum to 1.
pub fn sampling_shares(args: &TrainArgs, names: &[&str], usual: &[f64]) -> Result<Vec<f64>> {
    let mut parts = usual.to_vec();
    for (at, text) in args.hyper.parts.iter().enumerate() {
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
