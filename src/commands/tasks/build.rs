//! The tasks of a recipe, built for the heads and the backbone that were selected.

use dino::io::output::OutputOptions;
use dino::model::head::Head;
use dino::tasks::backbone_info::BackboneInfo;
use dino::tasks::clusters::ClustersTask;
use dino::tasks::depth::DepthTask;
use dino::tasks::features::FeaturesTask;
use dino::tasks::pca::PcaTask;
use dino::tasks::recipe::Recipe;
use dino::tasks::segment::SegmentTask;
use dino::tasks::{Task, TaskContext};
use dino::terminal::console::Console;
use dino::{Error, Result};

use super::select::ModelSelection;

/// The tasks of a recipe but those that store features.
pub fn build_tasks(
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

/// The tasks of a recipe that store features of `model`; `computed` names the number type it runs in.
pub fn build_feature_tasks(
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

/// Labels that keep the files of several tasks of a `kind` apart; none for a single task.
///
/// # Errors
/// If two tasks have the same name.
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
