//! One run of a recipe: options are checked, models selected and tasks built; then photos, a watched folder or clips
//! pass through the backbone and the tasks.

use std::path::Path;
use std::sync::Mutex;

use dino::Result;
use dino::engine::run_report::RunReport;
use dino::io::output::{LineSubject, OutputOptions, OutputTarget};
use dino::model::device::DeviceChoice;
use dino::model::head::Head;
use dino::model::weights::Store;
use dino::tasks::TaskContext;
use dino::tasks::recipe::Recipe;
use dino::tasks::run::TaskRun;
use dino::terminal::console::Console;

use super::build::{build_feature_tasks, build_tasks};
use super::checks::{
    check_clip_options, check_photo_options, check_tars, check_watch, may_have_inputs,
};
use super::select::select_models;
use crate::cli::{InputArgs, RunArgs, VideoArgs};
use crate::commands::clips::{ClipPipeline, select_clips};
use crate::commands::watch::FolderWatch;
use crate::commands::{defaults, model, stored};

/// Where results go, and in which form.
pub struct RunOutput {
    /// The target, and whether existing outputs are replaced.
    pub options: OutputOptions,
    /// Whether one JSON object a photo is printed instead of the written paths.
    pub json: bool,
    /// `--keep-fit`: new photos get the fit of earlier ones.
    pub keep_fit: bool,
    /// `--tar`: the outputs of the photos of a tar are packed into a tar.
    pub pack_tars: bool,
}

impl RunOutput {
    /// The first of these options that is given and does not apply to clips.
    fn photo_only_flag(&self) -> Option<&'static str> {
        match (self.keep_fit, self.pack_tars) {
            (true, _) => Some("--keep-fit"),
            (_, true) => Some("--tar"),
            _ => None,
        }
    }
}

/// Runs all tasks of a recipe over the inputs; with `stored`, a dataset of `dino features`, no backbone runs. Returns
/// the exit code.
///
/// # Errors
/// What ends the run; the failures of single photos are reported and only change the exit code.
pub fn run(
    recipe: &Recipe,
    (input, stored, video): (&InputArgs, Option<&Path>, &VideoArgs),
    output: RunOutput,
    args: &RunArgs,
    console: &Console,
) -> Result<u8> {
    let clips = select_clips(input, video)?;
    match clips.is_empty() {
        true => check_photo_options(recipe, &output.options.target)?,
        false => check_clip_options(recipe, (stored, output.photo_only_flag()), &clips)?,
    }
    let RunOutput {
        mut options,
        json,
        keep_fit,
        pack_tars,
    } = output;
    if pack_tars {
        check_tars(input, &options)?;
    }
    if input.watch.is_some() {
        check_watch(recipe, stored, &options)?;
    }
    options.full_names = input.watch.is_some();
    let context = TaskContext {
        decoder: input.decoder(console),
        json,
        to_stdout: options.target == OutputTarget::Stdout,
        force: options.force,
        label: None,
    };
    // Wrong options are refused before any work is done, and before anything is skipped.
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
    let backbone = model::describe_model(&chosen.model, args);
    let set_up = |words: &Console| {
        let mut all = build_tasks(recipe, &chosen, &context, words)?;
        let of_model = (&chosen, &backbone, dtype.as_str());
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
        model: backbone.clone(),
        dtype: dtype.clone(),
        keep_fit,
        batch_size: args.batch_size,
        stored: stored.as_ref(),
        packs_tars: pack_tars,
        total_report: input.watch.is_some().then_some(&total),
        console,
    };
    let load = || {
        let model = match &stored {
            Some(stored) => stored::load(stored, console)?,
            None => model::load_named(args, &chosen.model.name, console)?,
        };
        for (task, head) in &chosen.implicit_heads {
            defaults::report_default_change(task, head, &store, console);
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
            fingerprint: backbone.fingerprint.clone(),
            dtype: dtype.clone(),
            console,
        };
        return run.run(&clips, || set_up(&console.recorder()), load);
    }
    if let Some(folder) = &input.watch {
        let watch = FolderWatch {
            run,
            total: &total,
            build_tasks: &set_up,
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
