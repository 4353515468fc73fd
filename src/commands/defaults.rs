//! Default weights of commands that name none: they are fetched and verified on the first run, and a change since the
//! last run is noted.

use dino::model::defaults::{DefaultsState, RequiredWeights, fetch_missing};
use dino::model::device::DeviceChoice;
use dino::model::head_zoo::{HeadChoiceReason, HeadLocation, HeadStore, LocatedHead};
use dino::model::weights::{Store, WeightsPolicy};
use dino::system::environment::EnvVariables;
use dino::system::http::NetworkAccess;
use dino::tasks::recipe::Recipe;
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::RunArgs;
use crate::commands::model::event_handler;
use crate::commands::selfcheck;

/// Fetches and verifies the default weights that the tasks of `recipe` need; nothing if any weights are named.
pub fn fetch_defaults(
    recipe: &Recipe,
    args: &RunArgs,
    store: &Store,
    console: &Console,
) -> Result<()> {
    let is_named = args.model.is_some()
        || recipe.model.is_some()
        || recipe.depth.iter().any(|it| it.head.name.is_some())
        || recipe.segment.iter().any(|it| it.head.name.is_some())
        || recipe.features.iter().any(|it| it.head.is_some() || it.basis.is_some())
        // A saved fit belongs to one backbone.
        || recipe.pca.iter().any(|it| it.basis.is_some())
        || recipe.clusters.iter().any(|it| it.codebook.is_some())
        || EnvVariables::from_process().text("DINO_MODEL")?.is_some();
    if is_named {
        return Ok(());
    }
    let mut needs = Vec::new();
    needs.extend(recipe.depth.iter().map(|_| RequiredWeights::Depth));
    needs.extend(recipe.segment.iter().map(|_| RequiredWeights::Segment));
    if needs.is_empty() && !recipe.is_empty() {
        needs.push(RequiredWeights::Backbone);
    }
    fetch_needs(&needs, args, store, console)
}

/// Fetches and verifies the default backbone for a command without a recipe.
pub fn fetch_default_backbone(args: &RunArgs, console: &Console) -> Result<()> {
    let is_named =
        args.model.is_some() || EnvVariables::from_process().text("DINO_MODEL")?.is_some();
    match is_named || args.device == DeviceChoice::Null {
        true => Ok(()),
        false => fetch_needs(&[RequiredWeights::Backbone], args, &Store::open()?, console),
    }
}

fn fetch_needs(
    needs: &[RequiredWeights],
    args: &RunArgs,
    store: &Store,
    console: &Console,
) -> Result<()> {
    let heads = HeadStore::at(store.root());
    for task in needs.iter().filter_map(|need| need.task()) {
        // A head that the user set decides the backbone of all tasks.
        let Ok((_, reason)) = heads.choose_with_reason(task, None, None) else {
            continue;
        };
        if matches!(&reason, HeadChoiceReason::Named | HeadChoiceReason::Config)
            || matches!(&reason, HeadChoiceReason::Variable(name) if name != WeightsPolicy::VARIABLE)
        {
            return Ok(());
        }
    }
    let access = NetworkAccess::from_offline_flag(args.offline)?;
    let first = fetch_missing(store, needs, &access, &mut event_handler(console))?;
    selfcheck::verify_fetched(&first.fetched, args, console)
}

/// Notes that a bare command uses another head than last time (for the task `backbone`: another backbone), and
/// remembers it.
pub fn report_default_change(task: &str, head: &str, store: &Store, console: &Console) {
    let mut memory = DefaultsState::read(store.root());
    if memory.last(task) == Some(head) {
        return;
    }
    if let Some(before) = memory.replace_last(task, head) {
        match task {
            "backbone" => console.note(format_args!("backbone now {head} (was {before})")),
            _ => console.note(format_args!("{task} now by {head} (was {before})")),
        }
    }
    // A store that cannot be written has no earlier choice to differ from either.
    let _ = memory.write(store.root());
}

/// Replaces default heads by the built-in ones if they read different backbones, so that one pass serves all tasks.
pub fn unify_backbones(
    chosen: &mut [(&'static str, &mut LocatedHead)],
    console: &Console,
) -> Result<()> {
    let mut backbones = chosen.iter().map(|(_, it)| it.head.meta.backbone.as_str());
    let first = backbones.next();
    if first.is_none() || backbones.all(|backbone| Some(backbone) == first) {
        return Ok(());
    }
    let names = |chosen: &[(&'static str, &mut LocatedHead)]| {
        let names = chosen.iter().map(|(_, it)| it.head.meta.name.clone());
        names.collect::<Vec<_>>().join(" and ")
    };
    let before = names(chosen);
    for (task, found) in chosen.iter_mut() {
        let head = HeadStore::builtin(task)
            .ok_or_else(|| Error::Model(format!("there is no head for `dino {task}` here")))?;
        let place = HeadLocation::Builtin;
        **found = LocatedHead {
            head,
            location: place,
        };
    }
    console.note(format_args!(
        "{before} read different backbones, and one pass serves all tasks: {} are used; --head names others",
        names(chosen)
    ));
    Ok(())
}
