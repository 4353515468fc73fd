//! From data sets to training sets: splits are made and checked, features computed or read from the cache, and labels
//! attached.

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
use crate::commands::train::set_options;
use crate::commands::{cache, labels};

/// The least number of photos to train on.
const MIN_PHOTOS: usize = 4;

/// One data set, split into training and validation.
pub struct SplitDataSet {
    /// Name of the set.
    pub name: String,
    /// Units per metre of its depth maps, if its layout says so.
    pub depth_scale: Option<f64>,
    /// All pairs, each with the fold whose training it is kept out of.
    pub pairs: Vec<(LabelledPair, Option<usize>)>,
}

/// One data set with its features.
pub struct TrainingSet {
    /// Name of the set.
    pub name: String,
    /// Photos that at least one training learns from, in all views.
    pub train: Vec<LabelledPhoto>,
    /// Photos that are only validated on, in the plain view.
    pub val: Vec<LabelledPhoto>,
}

impl SplitDataSet {
    /// Number of photos that the training of the first fold learns from.
    pub fn train_count(&self) -> usize {
        let pairs = self.pairs.iter();
        pairs.filter(|(_, fold)| *fold != Some(0)).count()
    }
}

/// Splits a data set as the options say.
///
/// # Errors
/// [`Error::Usage`] for `--folds` with `--val-split none`, or a malformed `--photos`.
pub fn split(args: &TrainArgs, set: DataSet, console: &Console) -> Result<SplitDataSet> {
    labels::report_data_set(&set, console);
    let set = match set_options::photo_limit(args, &set.name)? {
        Some(most) => set.at_most(most),
        None => set,
    };
    let options = &args.hyper;
    let split = SplitStrategy::from(options.val_split);
    let validation = match options.folds {
        1 => ValidationSplit::Share(options.val_fraction),
        folds => ValidationSplit::Folds(folds as usize),
    };
    if options.folds > 1 && split == SplitStrategy::None {
        return Err(Error::Usage(
            "--folds validates on every photo, --val-split none on none; leave one of them out"
                .into(),
        ));
    }
    Ok(SplitDataSet {
        name: set.name.clone(),
        depth_scale: set.depth_scale,
        pairs: set.hold_out(split, validation),
    })
}

/// Whether a last training learns from all photos, also those kept out before.
pub fn trains_on_all(args: &TrainArgs) -> bool {
    args.hyper.folds > 1 || args.hyper.refit
}

/// Notes the number of photos of each set.
///
/// # Errors
/// If fewer than 4 photos are left to train on.
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

/// Refuses a metric of `--best-by` that no epoch will have; `figures` are the names of the task's metrics.
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

/// Credits of the data for the head's metadata: `--credit`, else names and numbers of photos of the sets.
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

/// The blocks of `--blocks`, else four evenly spread ones; rising.
///
/// # Errors
/// If the backbone has no such block.
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

/// The layout of a head's input vector; `usual` global tokens are the task's default.
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

/// Reads features from the cache and computes those that are missing. Photos that fail are recorded and left out.
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
    let extractor = FeatureExtractor {
        backbone: model.backbone(),
        decoder: args.photo.data_set_decoder(console),
        batch_size: args.run.batch_size,
    };
    let plain = ViewSpec {
        size: args.size.size,
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
    let budget = CacheBudget::reserve(args, folder, &features, &known, console)?;
    let mut all = Vec::new();
    for (name, learnt, judged) in known {
        let mut of = |known: HashedPhotos, views: &[ViewSpec]| -> Result<Vec<LabelledPhoto>> {
            let photos = (known.photos.as_slice(), known.hashes.as_slice());
            let frames = features.load_or_compute(photos, views, &extractor, report, console)?;
            Ok(attach_labels(known.pairs, frames))
        };
        all.push(TrainingSet {
            train: of(learnt, &views)?,
            val: of(judged, &[plain])?,
            name,
        });
    }
    budget.enforce(console);
    Ok(all)
}

/// Joins labels to the views of their photos; photos without features are left out.
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
                // The photo was read when its features were computed.
                orientation: orientation.unwrap_or(Orientation::NoTransforms),
            },
            views: frames,
            fold,
        })
    };
    let all: Vec<_> = pairs.into_iter().zip(frames).collect();
    all.into_par_iter().filter_map(with_label).collect()
}

/// Leaves out photos whose label cannot be used: failures of training photos are in `report` already, those of
/// validation photos are recorded here.
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
