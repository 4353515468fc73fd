//! The commands that make files of photos: from their options to tasks, and those through the engine.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Mutex;

use dino::batch::Report;
use dino::console::Console;
use dino::device::DeviceChoice;
use dino::head::Head;
use dino::heads::Heads;
use dino::output::{Subject, Target};
use dino::recipe::{HeadRecipe, Recipe};
use dino::tasks::clusters::ClustersTask;
use dino::tasks::depth::DepthTask;
use dino::tasks::known::KnownModel;
use dino::tasks::pca::PcaTask;
use dino::tasks::run::Run;
use dino::tasks::segment::SegmentTask;
use dino::tasks::{Context, Task};
use dino::weights::{self, Access, NamedModel, Store};
use dino::{Error, Result};

use crate::cli::{
    DepthArgs, InputArgs, OutputArgs, PcaArgs, RefitArgs, RunArgs, RunTasksArgs, SegmentArgs, Tta,
};
use crate::commands::model;
use crate::commands::watch::Watch;

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
    run(
        &recipe,
        &predict.input,
        (&predict.output, args.refit),
        &predict.run,
        console,
    )
}

/// Runs `dino segment`.
pub fn segment(args: &SegmentArgs, console: &Console) -> Result<u8> {
    let predict = &args.predict;
    let recipe = match args.clusters() {
        Some(clusters) => {
            let of_heads = [
                ("--tta flip", predict.head.tta == Tta::Flip),
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
    run(
        &recipe,
        &predict.input,
        (&predict.output, args.refit),
        &predict.run,
        console,
    )
}

/// Runs `dino pca`.
pub fn pca(args: &PcaArgs, console: &Console) -> Result<u8> {
    let recipe = Recipe {
        pca: vec![args.recipe()],
        ..Recipe::default()
    };
    run(
        &recipe,
        &args.input,
        (&args.output, args.refit),
        &args.run,
        console,
    )
}

/// Runs `dino run`.
pub fn several(args: &RunTasksArgs, console: &Console) -> Result<u8> {
    let written = match &args.tasks.recipe {
        Some(path) => read_recipe(path)?,
        None => Recipe::default(),
    };
    let mut recipe = args.tasks.add_to(written).map_err(Error::Usage)?;
    if recipe.is_empty() {
        return Err(Error::Usage(
            "nothing is to be made of the photos; name tasks: --depth, --segment, --pca, --clusters K, or --recipe FILE"
                .into(),
        ));
    }
    if args.tasks.print_recipe {
        let store = Store::open()?;
        let chosen = choose(&recipe, &args.run, &store)?;
        name_all(&mut recipe, &chosen);
        console.out_text(recipe.to_toml()?.as_bytes())?;
        return Ok(0);
    }
    let is_one_file = matches!(
        args.output.options()?.target,
        Target::Stdout | Target::File(..)
    );
    if recipe.len() > 1 && is_one_file {
        return Err(Error::Usage(format!(
            "--output {} has room for one picture, and {} tasks make one each; name a folder",
            Path::new(args.output.output.as_deref().unwrap_or_default()).display(),
            recipe.len()
        )));
    }
    run(
        &recipe,
        &args.input,
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
fn name_all(recipe: &mut Recipe, chosen: &Chosen) {
    recipe.model.get_or_insert(chosen.model.name.clone());
    let of_depth = recipe.depth.iter_mut().map(|depth| &mut depth.head);
    let of_segment = recipe.segment.iter_mut().map(|segment| &mut segment.head);
    for (recipe, head) in of_depth.chain(of_segment).zip(chosen.heads()) {
        recipe
            .name
            .get_or_insert_with(|| head.meta.name.clone().into());
    }
}

/// What tells the files of several tasks of a `kind` apart; nothing where there is one.
///
/// # Errors
/// If two have the same name.
fn labels(kind: &str, names: Vec<String>) -> Result<Vec<Option<String>>> {
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

/// Runs all tasks of a recipe over the photos.
pub fn run(
    recipe: &Recipe,
    input: &InputArgs,
    (output, refit): (&OutputArgs, RefitArgs),
    args: &RunArgs,
    console: &Console,
) -> Result<u8> {
    let mut options = output.options()?;
    if output.tar && input.watch.is_some() {
        return Err(Error::Usage(
            "--tar: --watch takes no tars; leave one of them out".into(),
        ));
    }
    options.full_names = input.watch.is_some();
    let context = Context {
        decoder: input.decoder(console),
        json: output.json,
        to_stdout: options.target == Target::Stdout,
        force: output.force,
        label: None,
    };
    // Wrong wishes are found before any work is done, and before anything is skipped.
    let dtype = model::check_devices(args, console)?;
    let store = Store::open()?;
    let chosen = choose(recipe, args, &store)?;
    let mut tasks = tasks(recipe, &chosen, &context, console)?;
    let subjects: Vec<Subject> = tasks.iter().map(|task| task.subject()).collect();
    let total = Mutex::new(Report {
        json: output.json,
        ..Report::default()
    });
    let run = Run {
        options: &options,
        context: &context,
        model: KnownModel::from(&chosen.model),
        dtype,
        keep_fit: refit.keep_fit,
        batch_size: args.batch_size,
        packs: output.tar,
        total: input.watch.is_some().then_some(&total),
        console,
    };
    let load = || {
        let model = model::load_named(args, &chosen.model.name, console)?;
        let heads: Vec<&Head> = chosen.heads().collect();
        model::tell_heads(&heads, &model, console)?;
        Ok((model.backbones, model.record))
    };
    if let Some(folder) = &input.watch {
        let again = |words: &Console| self::tasks(recipe, &chosen, &context, words);
        let watch = Watch {
            run,
            total: &total,
            again: &again,
        };
        return watch.all((folder, input), tasks, load);
    }
    let collected = input.collect_for(&subjects, (args.offline, output.json), console)?;
    run.run(&mut tasks, collected, load)
}

/// The heads and the backbone of a run.
struct Chosen {
    depth: Vec<Head>,
    segment: Vec<Head>,
    model: NamedModel,
}

impl Chosen {
    fn heads(&self) -> impl Iterator<Item = &Head> {
        self.depth.iter().chain(&self.segment)
    }
}

/// Finds the heads, and the backbone that they read, or that is named.
fn choose(recipe: &Recipe, args: &RunArgs, store: &Store) -> Result<Chosen> {
    let heads = Heads::at(store.root());
    let choose = |task: &str, recipe: &HeadRecipe| -> Result<Head> {
        let name = recipe.name.as_deref().map(OsStr::new);
        Ok(heads.choose(task, name)?.head)
    };
    let depth = recipe
        .depth
        .iter()
        .map(|depth| choose("depth", &depth.head));
    let depth = depth.collect::<Result<Vec<_>>>()?;
    let segment = recipe
        .segment
        .iter()
        .map(|segment| choose("segment", &segment.head));
    let segment = segment.collect::<Result<Vec<_>>>()?;
    let of_head = depth.iter().chain(&segment).next();
    let named = args.model.as_deref().or(recipe.model.as_deref());
    let named = named.or(of_head.map(|head| head.meta.backbone.as_str()));
    let model = weights::find(store, named, &Access::of(args.offline)?)?;
    let chosen = Chosen {
        depth,
        segment,
        model,
    };
    if let Some(fingerprint) = &chosen.model.fingerprint {
        let (name, variant) = (&chosen.model.name, chosen.model.variant);
        let weights = (variant.name, fingerprint.as_str());
        chosen
            .heads()
            .try_for_each(|head| head.check(name, weights, &variant.config))?;
    }
    let mut chosen = chosen;
    if args.device == DeviceChoice::Null {
        let heads = chosen.depth.iter_mut().chain(&mut chosen.segment);
        heads.for_each(|head| head.meta.backbone = model::NULL.to_owned());
    }
    Ok(chosen)
}

/// The tasks of a recipe.
fn tasks(
    recipe: &Recipe,
    chosen: &Chosen,
    context: &Context,
    console: &Console,
) -> Result<Vec<Box<dyn Task>>> {
    let model = KnownModel::from(&chosen.model);
    let patch_size = model.config.patch_size;
    let labelled = |label: Option<String>| Context {
        label,
        ..context.clone()
    };
    let of_heads = |heads: &[Head]| heads.iter().map(|head| head.meta.name.clone()).collect();
    let mut tasks: Vec<Box<dyn Task>> = Vec::new();
    let names = labels("depth", of_heads(&chosen.depth))?;
    for ((recipe, head), name) in recipe.depth.iter().zip(&chosen.depth).zip(names) {
        let (recipe, head) = (recipe.clone(), head.clone());
        let task = DepthTask::new(recipe, head, patch_size, labelled(name), console)?;
        tasks.push(Box::new(task));
    }
    let names = labels("segment", of_heads(&chosen.segment))?;
    for ((recipe, head), name) in recipe.segment.iter().zip(&chosen.segment).zip(names) {
        let (recipe, head) = (recipe.clone(), head.clone());
        let task = SegmentTask::new(recipe, head, patch_size, labelled(name), console)?;
        tasks.push(Box::new(task));
    }
    let names = recipe.clusters.iter().map(|one| one.clusters.to_string());
    let names = labels("clusters", names.collect())?;
    for (recipe, name) in recipe.clusters.iter().zip(names) {
        let task = ClustersTask::new(recipe.clone(), &model, labelled(name), console)?;
        tasks.push(Box::new(task));
    }
    let names = (1..=recipe.pca.len()).map(|number| number.to_string());
    let names = labels("pca", names.collect())?;
    for (recipe, name) in recipe.pca.iter().zip(names) {
        let task = PcaTask::new(recipe.clone(), &model, labelled(name))?;
        tasks.push(Box::new(task));
    }
    Ok(tasks)
}
