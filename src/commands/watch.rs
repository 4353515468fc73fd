//! `--watch`: photos that come little by little, by tasks that are set up once.

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

/// A watch of a folder.
pub struct FolderWatch<'w> {
    /// What is run over the photos that have come.
    pub run: TaskRun<'w>,
    /// How they ended.
    pub total: &'w Mutex<RunReport>,
    /// Sets the tasks up anew.
    pub set_up: &'w dyn Fn(&Console) -> Result<TaskList>,
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
        // What cannot be done is said before anything comes.
        let nothing = || Err(Error::Interrupted);
        self.run
            .run_loaded(&mut tasks, CollectedInputs::default(), &ledger, nothing)?;
        let mut loaded = load()?;
        console.note(format_args!(
            "watching {}; Ctrl-C ends it",
            folder.display()
        ));
        let ended = loop {
            let found = match watcher.wait_for_photos() {
                Ok(found) => found,
                Err(ended) => break ended,
            };
            // Set up anew, and what there is to say of that was said.
            let ran = (self.set_up)(&console.recorder()).and_then(|mut tasks| {
                let loaded = &mut loaded;
                self.run
                    .run_loaded(&mut tasks, found, &ledger, move || Ok(loaded))
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
