//! The commands that make files of photos: from their options to tasks, and those through the engine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use dino::engine::run_report::RunReport;
use dino::io::inputs::{Shard, has_video_extension};
use dino::io::output::{LineSubject, OutputOptions, OutputTarget};
use dino::model::device::DeviceChoice;
use dino::model::head::Head;
use dino::model::head_zoo::{DepthCalibration, HeadChoiceReason, HeadStore, LocatedHead};
use dino::model::weights::{self, NamedModel, Store};
use dino::system::environment::EnvVariables;
use dino::system::http::NetworkAccess;
use dino::tasks::backbone_info::BackboneInfo;
use dino::tasks::clusters::ClustersTask;
use dino::tasks::depth::DepthTask;
use dino::tasks::features::FeaturesTask;
use dino::tasks::pca::PcaTask;
use dino::tasks::recipe::{DepthFileFormat, HeadRecipe, LabelFileFormat, Recipe};
use dino::tasks::run::TaskRun;
use dino::tasks::segment::SegmentTask;
use dino::tasks::stored_features::StoredFeatures;
use dino::tasks::{Task, TaskContext};
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::{
    DepthArgs, FeaturesArgs, InputArgs, OutputArgs, PcaArgs, PredictArgs, RefitArgs, RunArgs,
    RunTasksArgs, SegmentArgs, StoredArgs, TtaChoice, VideoArgs,
};
use crate::commands::clips::{ClipPipeline, select_clips};
use crate::commands::watch::FolderWatch;
use crate::commands::{defaults, model, stored};

/// Runs `dino depth`.
pub fn depth(args: &DepthArgs, console: &Console) -> Result<u8> {
    if !args.numbers.at.is_empty() && !args.predict.output.json {
        console.claim_stdout("--at")?;
    }
    let recipe = Recipe {
        depth: vec![args.recipe()],
        ..Recipe::default()
    };
    let predict = &args.predict;
    run_predict(&recipe, predict, (args.refit, &args.video), console)
}

/// Runs `dino segment`.
pub fn segment(args: &SegmentArgs, console: &Console) -> Result<u8> {
    let predict = &args.predict;
    let recipe = match args.clusters() {
        Some(clusters) => {
            let of_heads = [
                ("--tta flip", predict.head.tta == TtaChoice::Flip),
                ("--slide", predict.slide),
            ];
            if let Some((flag, _)) = of_heads.iter().find(|(_, given)| *given) {
                return Err(Error::Usage(format!(
                    "{flag} works with a head; leave it out with --clusters and --codebook"
                )));
            }
            Recipe {
                clusters: vec![clusters],
                ..Recipe::default()
            }
        }
        None => Recipe {
            segment: vec![args.recipe()],
            ..Recipe::default()
        },
    };
    run_predict(&recipe, predict, (args.refit, &args.video), console)
}

/// Runs `dino pca`.
pub fn pca(args: &PcaArgs, console: &Console) -> Result<u8> {
    let recipe = Recipe {
        pca: vec![args.recipe()],
        ..Recipe::default()
    };
    let inputs = (&args.input, &args.stored, &args.video);
    run_into(
        &recipe,
        inputs,
        (&args.output, args.refit),
        &args.run,
        console,
    )
}

/// Runs `dino features`.
pub fn features(args: &FeaturesArgs, console: &Console) -> Result<u8> {
    let recipe = Recipe {
        features: vec![args.recipe()],
        ..Recipe::default()
    };
    recipe
        .check()
        .map_err(|why| Error::Usage(format!("features: {why}")))?;
    let output = RunOutput {
        options: OutputOptions {
            target: OutputTarget::Folder(args.output.clone()),
            force: args.force,
            no_manifest: args.no_manifest,
            retry_failed: args.retry_failed,
            shard: args.input.shard()?,
            full_names: false,
        },
        json: args.json,
        keep_fit: false,
        pack_tars: false,
    };
    run(
        &recipe,
        (&args.input, None, &VideoArgs::default()),
        output,
        &args.compute.to_run_args(),
        console,
    )
}

/// Runs `dino run`.
pub fn run_tasks(args: &RunTasksArgs, console: &Console) -> Result<u8> {
    let written = match &args.tasks.recipe {
        Some(path) => read_recipe(path)?,
        None => Recipe::default(),
    };
    let mut recipe = args.tasks.add_to(written).map_err(Error::Usage)?;
    if recipe.is_empty() {
        return Err(Error::Usage(
            "nothing is to be made of the photos; name tasks: --depth, --segment, --pca, --clusters K, --save-features DATASET, or --recipe FILE"
                .into(),
        ));
    }
    if args.tasks.print_recipe {
        let store = Store::open()?;
        let chosen = select_models(&recipe, &args.run, &store, (None, console))?;
        pin_choices(&mut recipe, &chosen);
        console.out_text(recipe.to_toml()?.as_bytes())?;
        return Ok(0);
    }
    let is_one_file = matches!(
        args.output.options(None)?.target,
        OutputTarget::Stdout | OutputTarget::File(..)
    );
    if recipe.len() > 1 && is_one_file {
        return Err(Error::Usage(format!(
            "--output {} has room for one picture, and {} tasks make one each; name a folder",
            Path::new(args.output.output.as_deref().unwrap_or_default()).display(),
            recipe.len()
        )));
    }
    let inputs = (&args.input, &args.stored, &args.video);
    run_into(
        &recipe,
        inputs,
        (&args.output, args.refit),
        &args.run,
        console,
    )
}

fn read_recipe(path: &Path) -> Result<Recipe> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    Recipe::parse(&text).map_err(|why| Error::file(path, why))
}

/// Writes down what was chosen where a recipe leaves the choice open.
fn pin_choices(recipe: &mut Recipe, chosen: &ModelSelection) {
    recipe.model.get_or_insert(chosen.model.name.clone());
    let of_depth = recipe.depth.iter_mut().map(|depth| &mut depth.head);
    let of_segment = recipe.segment.iter_mut().map(|segment| &mut segment.head);
    for (recipe, head) in of_depth.chain(of_segment).zip(chosen.heads()) {
        recipe
            .name
            .get_or_insert_with(|| head.meta.name.clone().into());
    }
    // Elsewhere, or later, another one may be in force.
    for (recipe, calibration) in recipe.depth.iter_mut().zip(&chosen.calibrations) {
        if let Some(calibration) = calibration {
            (recipe.scale, recipe.shift) = (Some(calibration.scale), calibration.shift);
        }
    }
}

/// What tells the files of several tasks of a `kind` apart; nothing where there is one.
///
/// # Errors
/// If two have the same name.
fn task_labels(kind: &str, names: Vec<String>) -> Result<Vec<Option<String>>> {
    if names.len() < 2 {
        return Ok(vec![None; names.len()]);
    }
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(Error::Usage(format!(
                "{kind} by {name} is asked for twice, and both would be written to the same files"
            )));
        }
    }
    Ok(names.into_iter().map(Some).collect())
}

/// Where results go.
struct RunOutput {
    options: OutputOptions,
    json: bool,
    keep_fit: bool,
    /// Whether what is made of the photos of a tar goes into a tar.
    pack_tars: bool,
}

/// As [`run_into`], with the options that heads have in common.
fn run_predict(
    recipe: &Recipe,
    predict: &PredictArgs,
    (refit, video): (RefitArgs, &VideoArgs),
    console: &Console,
) -> Result<u8> {
    let inputs = (&predict.input, &predict.stored, video);
    let output = (&predict.output, refit);
    run_into(recipe, inputs, output, &predict.run, console)
}

/// As [`to_run_args`], with results where `output` says.
fn run_into(
    recipe: &Recipe,
    (input, stored, video): (&InputArgs, &StoredArgs, &VideoArgs),
    (output, refit): (&OutputArgs, RefitArgs),
    args: &RunArgs,
    console: &Console,
) -> Result<u8> {
    let inputs = (input, stored.features.as_deref(), video);
    let output = RunOutput {
        options: output.options(input.shard()?)?,
        json: output.json,
        keep_fit: refit.keep_fit,
        pack_tars: output.tar,
    };
    run(recipe, inputs, output, args, console)
}

/// Runs all tasks of a recipe over the photos, or over what is stored of them.
fn run(
    recipe: &Recipe,
    (input, stored, video): (&InputArgs, Option<&Path>, &VideoArgs),
    output: RunOutput,
    args: &RunArgs,
    console: &Console,
) -> Result<u8> {
    let clips = select_clips(input, video)?;
    match clips.is_empty() {
        true => check_photo_options(recipe, &output.options.target)?,
        false => check_clip_options(recipe, (stored, photo_only_flag(&output)), &clips)?,
    }
    let RunOutput {
        mut options,
        json,
        keep_fit,
        pack_tars: packs,
    } = output;
    if packs && input.watch.is_some() {
        return Err(Error::Usage(
            "--tar: --watch takes no tars; leave one of them out".into(),
        ));
    }
    if packs && options.shard.is_some_and(Shard::is_part) {
        let why = "--tar: --shard spreads the photos of a tar over several jobs, none of which could pack them; give each \
                   job tars of its own";
        return Err(Error::Usage(why.into()));
    }
    if packs && options.no_manifest {
        let why = "--tar: --no-manifest keeps nothing by which a tar could be told from another; leave one of them out";
        return Err(Error::Usage(why.into()));
    }
    options.full_names = input.watch.is_some();
    if input.watch.is_some() && stored.is_some() {
        let why = "--watch waits for photos that have not come, of which --features has none; leave one of them out";
        return Err(Error::Usage(why.into()));
    }
    if input.watch.is_some() && options.force && !recipe.features.is_empty() {
        let why =
            "--watch adds to a dataset as photos come, which --force makes anew; leave --force out";
        return Err(Error::Usage(why.into()));
    }
    let context = TaskContext {
        decoder: input.decoder(console),
        json,
        to_stdout: options.target == OutputTarget::Stdout,
        force: options.force,
        label: None,
    };
    // Wrong wishes are found before any work is done, and before anything is skipped.
    let stored = stored
        .map(|folder| stored::open(folder, args))
        .transpose()?;
    let dtype = match &stored {
        Some(stored) => stored.meta().computed.clone(),
        None => model::check_devices(args, console)?,
    };
    let store = Store::open()?;
    if stored.is_none() && args.device != DeviceChoice::Null && may_have_inputs(input) {
        defaults::fetch_defaults(recipe, args, &store, console)?;
    }
    let chosen = select_models(recipe, args, &store, (stored.as_ref(), console))?;
    let known = model::describe_model(&chosen.model, args);
    let set_up = |words: &Console| {
        let mut all = build_tasks(recipe, &chosen, &context, words)?;
        let of_model = (&chosen, &known, dtype.as_str());
        all.extend(build_feature_tasks(
            recipe,
            of_model,
            (&context, &options),
            words,
        )?);
        Ok(all)
    };
    let mut tasks = set_up(console)?;
    let subjects: Vec<LineSubject> = tasks.iter().map(|task| task.subject()).collect();
    let total = Mutex::new(RunReport {
        json,
        ..RunReport::default()
    });
    let run = TaskRun {
        options: &options,
        context: &context,
        model: known.clone(),
        dtype: dtype.clone(),
        keep_fit,
        batch_size: args.batch_size,
        stored: stored.as_ref(),
        packs_tars: packs,
        total_report: input.watch.is_some().then_some(&total),
        console,
    };
    let load = || {
        let model = match &stored {
            Some(stored) => stored::load(stored, console)?,
            None => model::load_named(args, &chosen.model.name, console)?,
        };
        for (task, head) in &chosen.implicit_heads {
            defaults::report_switch(task, head, &store, console);
        }
        let heads: Vec<&Head> = chosen.heads().collect();
        model::check_heads(&heads, &model, console)?;
        Ok((model.backbones, model.record))
    };
    if !clips.is_empty() {
        let run = ClipPipeline {
            video,
            options: &options,
            json,
            decoder: context.decoder.clone(),
            batch_size: args.batch_size,
            fingerprint: known.fingerprint.clone(),
            dtype: dtype.clone(),
            console,
        };
        return run.run(&clips, || set_up(&console.recorder()), load);
    }
    if let Some(folder) = &input.watch {
        let watch = FolderWatch {
            run,
            total: &total,
            set_up: &set_up,
        };
        return watch.watch((folder, input), tasks, load);
    }
    let collected = match &stored {
        Some(stored) if input.inputs.is_empty() && input.files_from.is_empty() => {
            let collected = stored::collect(stored, input, args.offline)?;
            input.keep_shard(collected, |_| false, console)?
        }
        _ => input.collect_shard(&subjects, (args.offline, json), console)?,
    };
    run.run(&mut tasks, collected, load)
}

/// Refuses what only clips have.
fn check_photo_options(recipe: &Recipe, target: &OutputTarget) -> Result<()> {
    if let OutputTarget::Folder(path) = target
        && has_video_extension(path)
        && !path.is_dir()
    {
        return Err(Error::Usage(format!(
            "-o {} is a film, and no input is a clip; name a folder, or a picture",
            path.display()
        )));
    }
    let mut depths = recipe.depth.iter().flat_map(|depth| &depth.save);
    let labels = recipe.segment.iter().map(|segment| &segment.labels);
    let labels = labels.chain(recipe.clusters.iter().map(|clusters| &clusters.labels));
    let mut labels = labels.flat_map(|labels| &labels.save);
    let is_film = depths.any(|format| *format == DepthFileFormat::Ffv1)
        || labels.any(|format| *format == LabelFileFormat::Ffv1);
    match is_film {
        true => Err(Error::Usage(
            "--save ffv1 is lossless video, and no input is a clip; the other formats are for photos"
                .into(),
        )),
        false => Ok(()),
    }
}

/// Of the options of outputs, the first that clips have no use for.
fn photo_only_flag(output: &RunOutput) -> Option<&'static str> {
    match (output.keep_fit, output.pack_tars) {
        (true, _) => Some("--keep-fit"),
        (_, true) => Some("--tar"),
        _ => None,
    }
}

/// Refuses what only photos have.
fn check_clip_options(
    recipe: &Recipe,
    (stored, of_output): (Option<&Path>, Option<&'static str>),
    clips: &[PathBuf],
) -> Result<()> {
    let labels = recipe.segment.iter().map(|segment| &segment.labels);
    let labels = labels.chain(recipe.clusters.iter().map(|clusters| &clusters.labels));
    let labels: Vec<_> = labels.collect();
    let saves = |formats: &[LabelFileFormat]| {
        let mut saved = labels.iter().flat_map(|labels| &labels.save);
        saved.any(|format| formats.contains(format))
    };
    let depths = || recipe.depth.iter();
    let photos_alone = [
        ("--features", stored.is_some()),
        ("--at", depths().any(|depth| !depth.at.is_empty())),
        (
            "--pointcloud",
            depths().any(|depth| depth.pointcloud.is_some()),
        ),
        ("--uncertainty", depths().any(|depth| depth.uncertainty)),
        ("--save masks", saves(&[LabelFileFormat::Masks])),
        ("--save coco", saves(&[LabelFileFormat::Coco])),
        ("--save cutout", saves(&[LabelFileFormat::Cutout])),
        ("--coco", labels.iter().any(|labels| labels.coco.is_some())),
        ("--instances", labels.iter().any(|labels| labels.regions)),
        (
            "--confidence",
            labels.iter().any(|labels| labels.confidence),
        ),
        ("--raw", recipe.pca.iter().any(|pca| pca.raw)),
        ("--fit each", recipe.pca.iter().any(|pca| pca.fit_each)),
    ];
    let mut given = photos_alone.iter().filter(|(_, given)| *given);
    match given.next().map(|(name, _)| *name).or(of_output) {
        Some(name) => Err(Error::Usage(format!(
            "{name} is for photos, and {} is a clip; `ffmpeg -i CLIP frames/%06d.png` makes photos of it",
            clips[0].display()
        ))),
        None => Ok(()),
    }
}

/// The heads and the backbone of a run.
struct ModelSelection {
    depth: Vec<Head>,
    /// Of each head for depth, where it has one and that is wanted.
    calibrations: Vec<Option<DepthCalibration>>,
    segment: Vec<Head>,
    /// Those that features are stored for, by dataset.
    features: Vec<Option<Head>>,
    model: NamedModel,
    /// Heads that nobody named, by task.
    implicit_heads: Vec<(&'static str, String)>,
}

impl ModelSelection {
    fn heads(&self) -> impl Iterator<Item = &Head> {
        let of_features = self.features.iter().flatten();
        self.depth.iter().chain(&self.segment).chain(of_features)
    }
}

/// Whether any input may be there: nothing is fetched for a name that is mistyped.
fn may_have_inputs(input: &InputArgs) -> bool {
    let is_sure = |name: &std::ffi::OsString| {
        let text = name.to_string_lossy();
        let is_plain = text != "-" && !text.contains("://") && !text.contains(['*', '?', '[', '{']);
        is_plain && !Path::new(name).exists()
    };
    input.inputs.is_empty() || !input.inputs.iter().all(is_sure)
}

/// The backbone that a run has for other reasons than the heads that nobody named.
fn fixed_backbone(
    recipe: &Recipe,
    args: &RunArgs,
    (heads, stored): (&HeadStore, Option<&StoredFeatures>),
    features: &[Option<Head>],
) -> Result<Option<String>> {
    let named = args.model.as_deref().or(recipe.model.as_deref());
    if let Some(name) = named {
        return Ok(Some(name.to_owned()));
    }
    if let Some(stored) = stored {
        return Ok(Some(stored::resolve_model(stored, None)?.name));
    }
    let of_depth = recipe.depth.iter().map(|it| &it.head);
    let of_segment = recipe.segment.iter().map(|it| &it.head);
    let mut names = of_depth
        .chain(of_segment)
        .filter_map(|it| it.name.as_deref());
    if let Some(name) = names.next() {
        return Ok(Some(heads.get(name)?.head.meta.backbone));
    }
    if let Some(head) = features.iter().flatten().next() {
        return Ok(Some(head.meta.backbone.clone()));
    }
    Ok(EnvVariables::from_process()
        .text("DINO_MODEL")?
        .map(str::to_owned))
}

/// Finds the heads, and the backbone that they read, or that is named.
fn select_models(
    recipe: &Recipe,
    args: &RunArgs,
    store: &Store,
    (stored, console): (Option<&StoredFeatures>, &Console),
) -> Result<ModelSelection> {
    let heads = HeadStore::at(store.root());
    let features = recipe.features.iter().map(|features| {
        let head = features.head.as_deref().map(|name| heads.get(name));
        Ok(head.transpose()?.map(|found| found.head))
    });
    let features = features.collect::<Result<Vec<_>>>()?;
    let backbone = fixed_backbone(recipe, args, (&heads, stored), &features)?;
    let choose = |task: &str, recipe: &HeadRecipe| -> Result<(LocatedHead, bool)> {
        let name = recipe.name.as_deref().map(OsStr::new);
        let (found, reason) = heads.choose_with_reason(task, name, backbone.as_deref())?;
        let is_free = matches!(
            reason,
            HeadChoiceReason::Installed | HeadChoiceReason::Builtin
        );
        Ok((found, is_free))
    };
    let depth = recipe
        .depth
        .iter()
        .map(|depth| choose("depth", &depth.head));
    let mut depth = depth.collect::<Result<Vec<_>>>()?;
    let segment = recipe
        .segment
        .iter()
        .map(|segment| choose("segment", &segment.head));
    let mut segment = segment.collect::<Result<Vec<_>>>()?;
    let mut unnamed = Vec::new();
    let of_depth = depth.iter_mut().map(|head| ("depth", head));
    let of_segment = segment.iter_mut().map(|head| ("segment", head));
    let all: Vec<_> = of_depth.chain(of_segment).collect();
    if all.iter().all(|(_, (_, is_free))| *is_free) {
        let mut all: Vec<_> = all
            .into_iter()
            .map(|(task, (found, _))| (task, found))
            .collect();
        defaults::unify_backbones(&mut all, console)?;
        unnamed = all
            .iter()
            .map(|(task, found)| (*task, found.head.meta.name.clone()))
            .collect();
    }
    let calibrations = recipe.depth.iter().zip(&depth).map(|(recipe, (found, _))| {
        match recipe.no_calibration || recipe.scale.is_some() {
            true => Ok(None),
            false => heads.calibration(found, &mut |why| console.warn(why)),
        }
    });
    let calibrations = calibrations.collect::<Result<Vec<_>>>()?;
    let depth: Vec<Head> = depth.into_iter().map(|(found, _)| found.head).collect();
    let segment: Vec<Head> = segment.into_iter().map(|(found, _)| found.head).collect();
    let of_features = features.iter().flatten();
    let of_head = depth.iter().chain(&segment).chain(of_features).next();
    let of_no_head = of_head.is_none();
    let named = args.model.as_deref().or(recipe.model.as_deref());
    let named = named.or(of_head.map(|head| head.meta.backbone.as_str()));
    let model = match stored {
        Some(stored) => {
            stored::resolve_model(stored, args.model.as_deref().or(recipe.model.as_deref()))?
        }
        None => weights::find(
            store,
            named,
            &NetworkAccess::from_offline_flag(args.offline)?,
        )?,
    };
    if of_no_head && named.is_none() && stored.is_none() {
        let of_variable = EnvVariables::from_process().text("DINO_MODEL")?.is_some();
        // What needs no head is told by its backbone.
        unnamed.extend((!of_variable).then(|| ("backbone", model.name.clone())));
    }
    let chosen = ModelSelection {
        depth,
        calibrations,
        segment,
        features,
        model,
        implicit_heads: unnamed,
    };
    if let Some(fingerprint) = &chosen.model.fingerprint {
        let (name, variant) = (&chosen.model.name, chosen.model.variant);
        let weights = (variant.name, fingerprint.as_str());
        chosen
            .heads()
            .try_for_each(|head| head.check_backbone(name, weights, &variant.config))?;
    }
    let mut chosen = chosen;
    if args.device == DeviceChoice::Null {
        let of_features = chosen.features.iter_mut().flatten();
        let heads = chosen.depth.iter_mut().chain(&mut chosen.segment);
        let heads = heads.chain(of_features);
        heads.for_each(|head| head.meta.backbone = model::NULL_MODEL.to_owned());
    }
    Ok(chosen)
}

/// The tasks of a recipe.
fn build_tasks(
    recipe: &Recipe,
    chosen: &ModelSelection,
    context: &TaskContext,
    console: &Console,
) -> Result<Vec<Box<dyn Task>>> {
    let model = BackboneInfo::from(&chosen.model);
    let patch_size = model.config.patch_size;
    let labelled = |label: Option<String>| TaskContext {
        label,
        ..context.clone()
    };
    let of_heads = |heads: &[Head]| heads.iter().map(|head| head.meta.name.clone()).collect();
    let mut tasks: Vec<Box<dyn Task>> = Vec::new();
    let names = task_labels("depth", of_heads(&chosen.depth))?;
    let heads = chosen.depth.iter().zip(&chosen.calibrations);
    for ((recipe, (head, calibration)), name) in recipe.depth.iter().zip(heads).zip(names) {
        let (recipe, head) = (recipe.clone(), (head.clone(), calibration.clone()));
        let task = DepthTask::new(recipe, head, patch_size, labelled(name), console)?;
        tasks.push(Box::new(task));
    }
    let names = task_labels("segment", of_heads(&chosen.segment))?;
    for ((recipe, head), name) in recipe.segment.iter().zip(&chosen.segment).zip(names) {
        let (recipe, head) = (recipe.clone(), head.clone());
        let task = SegmentTask::new(recipe, head, patch_size, labelled(name), console)?;
        tasks.push(Box::new(task));
    }
    let names = recipe.clusters.iter().map(|one| one.clusters.to_string());
    let names = task_labels("clusters", names.collect())?;
    for (recipe, name) in recipe.clusters.iter().zip(names) {
        let task = ClustersTask::new(recipe.clone(), &model, labelled(name), console)?;
        tasks.push(Box::new(task));
    }
    let names = (1..=recipe.pca.len()).map(|number| number.to_string());
    let names = task_labels("pca", names.collect())?;
    for (recipe, name) in recipe.pca.iter().zip(names) {
        let task = PcaTask::new(recipe.clone(), &model, labelled(name))?;
        tasks.push(Box::new(task));
    }
    Ok(tasks)
}

/// The tasks of a recipe that store features of the `model`, which computes in `computed`.
fn build_feature_tasks(
    recipe: &Recipe,
    (chosen, model, computed): (&ModelSelection, &BackboneInfo, &str),
    (context, options): (&TaskContext, &OutputOptions),
    console: &Console,
) -> Result<Vec<Box<dyn Task>>> {
    let names = (1..=recipe.features.len()).map(|number| number.to_string());
    let names = task_labels("features", names.collect())?;
    let mut tasks: Vec<Box<dyn Task>> = Vec::new();
    for ((recipe, head), label) in recipe.features.iter().zip(&chosen.features).zip(names) {
        let context = TaskContext {
            label,
            ..context.clone()
        };
        let of_model = (model, computed);
        let place = (context, options);
        let task = FeaturesTask::new(recipe.clone(), head.clone(), of_model, place, console)?;
        tasks.push(Box::new(task));
    }
    Ok(tasks)
}
