//! `--watch`: a folder is watched, and photos that arrive in it run through the tasks until Ctrl-C.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dino::engine::run_report::RunReport;
use dino::io::inputs::{CollectedInputs, WatchRequest, Watcher};
use dino::io::output::OutputTarget;
use dino::model::backbone::Backbone;
use dino::model::weights::ModelRecord;
use dino::tasks::Task;
use dino::tasks::run::TaskRun;
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::InputArgs;

type TaskList = Vec<Box<dyn Task>>;

/// A run over photos that arrive in a folder.
pub struct FolderWatch<'w> {
    /// The run that each batch of new photos goes through.
    pub run: TaskRun<'w>,
    /// Counts of done and failed photos over all batches.
    pub total: &'w Mutex<RunReport>,
    /// Builds the tasks for the next batch.
    pub build_tasks: &'w dyn Fn(&Console) -> Result<TaskList>,
}

impl FolderWatch<'_> {
    /// Watches a folder until Ctrl-C; returns the exit code.
    pub fn watch(
        &self,
        (folder, input): (&Path, &InputArgs),
        mut tasks: TaskList,
        load: impl FnOnce() -> Result<(Vec<Backbone>, ModelRecord)>,
    ) -> Result<u8> {
        let console = self.run.console;
        let OutputTarget::Folder(except) = &self.run.options.target else {
            return Err(usage_error(
                "one output has room for one photo; name a folder (-o DIR)",
            ));
        };
        for task in &tasks {
            if let Some((_, path)) = task.redirected_output() {
                let name = path.display();
                return Err(usage_error(&format!(
                    "{name} has room for one photo; leave the name out"
                )));
            }
            if let Some(document) = task.document() {
                let name = document.path.display();
                return Err(usage_error(&format!(
                    "{name} is about all photos, which have not come yet; make it of the folder later"
                )));
            }
        }
        let watched = WatchRequest {
            folder: folder.to_owned(),
            recursive: input.recursive,
            excluded: except.clone(),
            page: input.page,
        };
        let decoder = &self.run.context.decoder;
        let mut watcher = Watcher::new(watched, decoder, console)?;
        let ledger = self.run.ledger(&tasks)?;
        // An empty batch checks the tasks before any photo arrives.
        let nothing = || Err(Error::Interrupted);
        self.run
            .run_loaded(&mut tasks, CollectedInputs::default(), &ledger, nothing)?;
        let mut loaded = load()?;
        console.note(format_args!(
            "watching {}; Ctrl-C ends it",
            folder.display()
        ));
        let ended = loop {
            let photos = match watcher.wait_for_photos() {
                Ok(photos) => photos,
                Err(ended) => break ended,
            };
            // Notes of building the tasks were printed the first time, so a recorder takes them.
            let ran = (self.build_tasks)(&console.recorder()).and_then(|mut tasks| {
                let loaded = &mut loaded;
                self.run
                    .run_loaded(&mut tasks, photos, &ledger, move || Ok(loaded))
            });
            if let Err(ended) = ran {
                break ended;
            }
        };
        let total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        total.print_summary(console);
        match ended {
            Error::Interrupted => {
                console.note(format_args!("{} done", total.done));
                Ok(total.exit_code())
            }
            other => Err(other),
        }
    }
}

fn usage_error(why: &str) -> Error {
    Error::Usage(format!("--watch: {why}"))
}
