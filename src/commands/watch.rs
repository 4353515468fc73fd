//! `--watch`: photos that come little by little, by tasks that are set up once.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dino::engine::outcomes::Report;
use dino::io::inputs::{Collected, Watched, Watcher};
use dino::io::output::Target;
use dino::model::backbone::Backbone;
use dino::model::weights::Record;
use dino::tasks::Task;
use dino::tasks::run::Run;
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::InputArgs;

type Tasks = Vec<Box<dyn Task>>;

/// A watch of a folder.
pub struct Watch<'w> {
    /// What is run over the photos that have come.
    pub run: Run<'w>,
    /// How they ended.
    pub total: &'w Mutex<Report>,
    /// Sets the tasks up anew.
    pub again: &'w dyn Fn(&Console) -> Result<Tasks>,
}

impl Watch<'_> {
    /// Watches a folder until Ctrl-C; returns the exit code.
    pub fn all(
        &self,
        (folder, input): (&Path, &InputArgs),
        mut tasks: Tasks,
        load: impl FnOnce() -> Result<(Vec<Backbone>, Record)>,
    ) -> Result<u8> {
        let console = self.run.console;
        let Target::Folder(except) = &self.run.options.target else {
            return Err(refused(
                "one output has room for one photo; name a folder (-o DIR)",
            ));
        };
        for task in &tasks {
            if let Some((_, path)) = task.elsewhere() {
                let name = path.display();
                return Err(refused(&format!(
                    "{name} has room for one photo; leave the name out"
                )));
            }
            if let Some(document) = task.document() {
                let name = document.path.display();
                return Err(refused(&format!(
                    "{name} is about all photos, which have not come yet; make it of the folder later"
                )));
            }
        }
        let watched = Watched {
            folder: folder.to_owned(),
            recursive: input.recursive,
            except: except.clone(),
            page: input.page,
        };
        let decoder = &self.run.context.decoder;
        let mut watcher = Watcher::new(watched, decoder, console)?;
        let ledger = self.run.ledger(&tasks)?;
        // What cannot be done is said before anything comes.
        let nothing = || Err(Error::Interrupted);
        self.run
            .run_with(&mut tasks, Collected::default(), &ledger, nothing)?;
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
            let ran = (self.again)(&console.recorder()).and_then(|mut tasks| {
                let loaded = &mut loaded;
                self.run
                    .run_with(&mut tasks, found, &ledger, move || Ok(loaded))
            });
            if let Err(ended) = ran {
                break ended;
            }
        };
        let total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        total.finish(console);
        match ended {
            Error::Interrupted => {
                console.note(format_args!("{} done", total.done));
                Ok(total.exit_code())
            }
            other => Err(other),
        }
    }
}

fn refused(why: &str) -> Error {
    Error::Usage(format!("--watch: {why}"))
}
