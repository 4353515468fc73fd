//! The commands that make files of photos: from their options to tasks, and those through the engine.

use std::ffi::OsStr;

use dino::console::Console;
use dino::head::Head;
use dino::heads::Heads;
use dino::inputs::Collected;
use dino::output::Target;
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

use crate::cli::{DepthArgs, InputArgs, OutputArgs, PcaArgs, RunArgs, SegmentArgs, Tta};
use crate::commands::model;

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
        &predict.output,
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
        &predict.output,
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
    run(&recipe, &args.input, &args.output, &args.run, console)
}

/// Runs all tasks of a recipe over the photos.
pub fn run(
    recipe: &Recipe,
    input: &InputArgs,
    output: &OutputArgs,
    args: &RunArgs,
    console: &Console,
) -> Result<u8> {
    let options = output.options()?;
    let context = Context {
        decoder: input.decoder(console),
        json: output.json,
        to_stdout: options.target == Target::Stdout,
        force: output.force,
        label: None,
    };
    // Wrong wishes are found before any work is done, and before anything is skipped.
    for device in model::open_devices(args, console)? {
        args.dtype.on(&device)?;
    }
    let store = Store::open()?;
    let chosen = choose(recipe, args, &store)?;
    let mut tasks = tasks(recipe, &chosen, &context, console)?;
    let collected: Collected = input.collect()?;
    let run = Run {
        options: &options,
        context: &context,
        batch_size: args.batch_size,
        console,
    };
    run.run(&mut tasks, collected, || {
        let model = model::load_named(args, &chosen.model.name, console)?;
        let heads: Vec<&Head> = chosen.heads().collect();
        model::tell_heads(&heads, &model, console)?;
        Ok((model.backbones, model.record))
    })
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
    let mut tasks: Vec<Box<dyn Task>> = Vec::new();
    for (recipe, head) in recipe.depth.iter().zip(&chosen.depth) {
        let task = DepthTask::new(
            recipe.clone(),
            head.clone(),
            patch_size,
            context.clone(),
            console,
        )?;
        tasks.push(Box::new(task));
    }
    for (recipe, head) in recipe.segment.iter().zip(&chosen.segment) {
        let task = SegmentTask::new(
            recipe.clone(),
            head.clone(),
            patch_size,
            context.clone(),
            console,
        )?;
        tasks.push(Box::new(task));
    }
    for recipe in &recipe.clusters {
        let task = ClustersTask::new(recipe.clone(), &model, context.clone(), console)?;
        tasks.push(Box::new(task));
    }
    for recipe in &recipe.pca {
        tasks.push(Box::new(PcaTask::new(
            recipe.clone(),
            &model,
            context.clone(),
        )?));
    }
    Ok(tasks)
}
