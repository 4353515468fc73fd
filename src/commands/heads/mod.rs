//! `dino heads`: installed and published heads are listed, described, fetched, installed, removed, exported and made
//! the default of their task.

mod describe;
mod info;
mod list;
mod pull;

use std::path::Path;

use dino::io::output::{OutputRegistry, write_output};
use dino::model::head::file;
use dino::model::head_zoo::fetch;
use dino::model::head_zoo::{HeadLocation, HeadStore, LocatedHead};
use dino::model::weights::Store;
use dino::system::files::pipe;
use dino::system::http::NetworkAccess;
use dino::terminal::console::Console;
use dino::{Error, Result};

use self::info::info;
use self::list::list;
use self::pull::{pull, report_installed};
use crate::cli::HeadsCommand;
use crate::commands::config;
use crate::commands::model::event_handler;

/// Runs one of the commands.
pub fn run(command: &HeadsCommand, console: &Console) -> Result<u8> {
    let store = Store::open()?;
    let heads = HeadStore::at(store.root());
    match command {
        HeadsCommand::List { json } => return list(&heads, *json, console),
        HeadsCommand::Info { name, json } => info(&heads, name, *json, console)?,
        HeadsCommand::Add { file, name, force } => {
            add(&heads, file, name.as_deref(), *force, console)?
        }
        HeadsCommand::Pull {
            names,
            model,
            no_backbone,
            offline,
        } => {
            let access = NetworkAccess::from_offline_flag(*offline)?;
            return pull(
                &heads,
                &store,
                (names, model, !no_backbone),
                &access,
                console,
            );
        }
        HeadsCommand::Import { file, name } => {
            let events = &mut event_handler(console);
            let import = |file: &Path| fetch::import(&heads, &store, file, name.as_deref(), events);
            let installed = pipe::with_file(file, import)?;
            report_installed(&heads, &installed, console)?;
        }
        HeadsCommand::Rm { names } => names.iter().try_for_each(|name| {
            heads.remove(name)?;
            HeadStore::remove_calibration(&HeadStore::calibration_path_for(&heads.path(name)?))
                .map(|_| ())
        })?,
        HeadsCommand::Export { name, file, force } => {
            export(&heads.get(name)?, file, *force, console)?
        }
        HeadsCommand::Default { task, name } => {
            set_default(&heads, &store, task, name.as_deref(), console)?
        }
    }
    Ok(0)
}

/// Installs a head from a file of the user's; its path goes to stdout.
fn add(
    heads: &HeadStore,
    source: &Path,
    name: Option<&str>,
    force: bool,
    console: &Console,
) -> Result<()> {
    let wanted = match name {
        Some(name) => name.to_owned(),
        None => source
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    };
    let target = heads.path(&wanted)?;
    if target.exists() && !force {
        return Err(Error::Usage(format!(
            "a head called {wanted} is installed already; --force replaces it"
        )));
    }
    let installed = heads.install(source, Some(&wanted))?;
    let beside = std::fs::canonicalize(source).unwrap_or_else(|_| source.to_owned());
    let beside = HeadStore::calibration_path_for(&beside);
    if beside.is_file() {
        console.note(format_args!(
            "{} stays where it is, and {wanted} runs without it; `dino calibrate depth` fits it anew",
            beside.display()
        ));
    }
    console.out_path(&installed)
}

/// Writes a head to a file or pipe.
fn export(found: &LocatedHead, target: &Path, force: bool, console: &Console) -> Result<()> {
    let own = match &found.location {
        HeadLocation::Builtin => None,
        HeadLocation::Installed(path) | HeadLocation::File(path) => Some(path.as_path()),
    };
    let destination = OutputRegistry::new(own).add_flag("heads export", target, force)?;
    let bytes = file::to_bytes(&found.head).map_err(|why| Error::file(target, why))?;
    write_output(console, &destination, true, |writer| {
        writer.write_all(&bytes)
    })
}

/// Sets or unsets the head of bare commands for a task, and says which that is now.
fn set_default(
    heads: &HeadStore,
    store: &Store,
    task: &str,
    name: Option<&str>,
    console: &Console,
) -> Result<()> {
    config::set(store, task, name)?;
    match heads.choose(task, None) {
        Ok(found) => console.note(format_args!("dino {task} uses {}", found.head.meta.name)),
        Err(error) => console.note(error),
    }
    Ok(())
}
