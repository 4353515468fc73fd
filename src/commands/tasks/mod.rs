//! `dino depth`, `segment`, `pca`, `features` and `run`: a recipe of their options, and its tasks through the engine.
//!
//! The module `select` finds heads and backbone, `build` makes the tasks, and `run` takes photos, a watched folder or
//! clips through them; `checks` refuses options that contradict each other before any of that.

mod build;
mod checks;
mod run;
mod select;

use std::path::Path;

use dino::io::output::{OutputOptions, OutputTarget};
use dino::model::weights::Store;
use dino::tasks::recipe::Recipe;
use dino::terminal::console::Console;
use dino::{Error, Result};

use self::run::{RunOutput, run};
use self::select::{fill_in_defaults, select_models};
use crate::cli::{
    DepthArgs, FeaturesArgs, InputArgs, OutputArgs, PcaArgs, PredictArgs, RefitArgs, RunArgs,
    RunTasksArgs, SegmentArgs, StoredArgs, TtaChoice, VideoArgs,
};

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
    let outputs = (&args.output, args.refit);
    run_into(&recipe, inputs, outputs, &args.run, console)
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
        fill_in_defaults(&mut recipe, &chosen);
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
    let outputs = (&args.output, args.refit);
    run_into(&recipe, inputs, outputs, &args.run, console)
}

/// Reads a recipe of `--recipe` (TOML).
///
/// # Errors
/// Names the file, if it cannot be read or parsed.
fn read_recipe(path: &Path) -> Result<Recipe> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    Recipe::parse(&text).map_err(|why| Error::file(path, why))
}

/// Runs a recipe with the options that `dino depth` and `dino segment` have in common.
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

/// Runs a recipe with the results where `output` says.
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
