//! `dino heads`: what heads there are, and which is the default.

use std::path::Path;

use dino::console::Console;
use dino::head::{Head, HeadMeta, Task, file};
use dino::heads::config::Config;
use dino::heads::{Found, Heads, Place};
use dino::output::write_atomic;
use dino::weights::Store;
use dino::{Error, Result};
use serde_json::json;

use crate::cli::HeadsCommand;

/// Runs one of the commands.
pub fn run(command: &HeadsCommand, console: &Console) -> Result<u8> {
    let store = Store::open()?;
    let heads = Heads::at(store.root());
    match command {
        HeadsCommand::List { json } => return list(&heads, *json, console),
        HeadsCommand::Info { name, json } => info(&heads.get(name)?, *json, console)?,
        HeadsCommand::Add { file, name, force } => {
            add(&heads, file, name.as_deref(), *force, console)?
        }
        HeadsCommand::Rm { names } => names.iter().try_for_each(|name| heads.remove(name))?,
        HeadsCommand::Export { name, file, force } => {
            export(&heads.get(name)?.head, file, *force, console)?
        }
        HeadsCommand::Default { task, name } => {
            set_default(&heads, store.root(), task, name.as_deref(), console)?
        }
    }
    Ok(0)
}

fn list(heads: &Heads, as_json: bool, console: &Console) -> Result<u8> {
    let mut code = 0;
    let mut rows = vec![["NAME", "TASK", "BACKBONE", "PREDICTS", "WHERE"].map(str::to_owned)];
    for (name, found) in heads.list()? {
        let Found { head, place } = match found {
            Ok(found) => found,
            Err(error) => {
                console.error(&error);
                code = 1;
                continue;
            }
        };
        let place = place_name(&place);
        if as_json {
            console.out(&json!({"name": name, "where": place, "meta": head.meta}).to_string())?;
        }
        rows.push([
            name,
            head.meta.task_name().into(),
            head.meta.backbone.clone(),
            predicts(&head.meta),
            place,
        ]);
    }
    if as_json {
        return Ok(code);
    }
    if rows.len() == 1 {
        console.note("no heads yet; `dino train` makes them");
    } else {
        table(&rows, console)?;
    }
    Ok(code)
}

/// Prints rows with their columns under each other.
fn table<const N: usize>(rows: &[[String; N]], console: &Console) -> Result<()> {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"));
        console.out(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn place_name(place: &Place) -> String {
    match place {
        Place::Builtin => "built in".into(),
        Place::Installed(_) => "installed".into(),
        Place::File(path) => path.display().to_string(),
    }
}

/// What a head predicts, in a few words.
fn predicts(meta: &HeadMeta) -> String {
    match &meta.task {
        Task::Depth { bins, unit, .. } => format!("{} to {} {unit}", bins.min, bins.max),
        Task::Segment { classes } => format!("{} classes", classes.len()),
    }
}

fn info(found: &Found, as_json: bool, console: &Console) -> Result<()> {
    let meta = &found.head.meta;
    if as_json {
        return console.out(&json!({"where": place_name(&found.place), "meta": meta}).to_string());
    }
    let layer = format!(
        "blocks {:?}{}{}{}",
        meta.blocks,
        if meta.norm { ", final norm" } else { "" },
        if meta.cls { ", with cls tokens" } else { "" },
        found
            .head
            .hidden
            .as_ref()
            .map_or(String::new(), |hidden| format!(
                ", hidden layer of {}",
                hidden.bias.len()
            )),
    );
    let mut rows = vec![
        ("name", meta.name.clone()),
        ("task", meta.task_name().into()),
        ("predicts", predicts(meta)),
        ("where", place_name(&found.place)),
        (
            "backbone",
            format!(
                "{} ({})",
                meta.backbone,
                &meta.fingerprint.get(..12).unwrap_or(&meta.fingerprint)
            ),
        ),
        ("reads", layer),
        (
            "input",
            format!("size {}, {} padding", meta.input.size, meta.input.padding),
        ),
    ];
    if let Task::Segment { classes } = &meta.task {
        let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
        rows.push(("classes", names.join(", ")));
    }
    if let Some(training) = &meta.training {
        rows.extend(training.data.iter().map(|data| ("data", data.clone())));
        rows.push(("command", training.command.clone()));
        rows.push(("seed", training.seed.to_string()));
    }
    rows.extend(meta.metrics.iter().map(|m| {
        (
            "measured",
            format!("{} {:.4} on {}", m.name, m.value, m.data),
        )
    }));
    rows.iter()
        .try_for_each(|(label, value)| console.out(&format!("{label:10}{value}")))
}

fn add(
    heads: &Heads,
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
    console.out_path(&heads.install(source, Some(&wanted))?)
}

fn export(head: &Head, target: &Path, force: bool, console: &Console) -> Result<()> {
    if target.exists() && !force {
        return Err(Error::Usage(format!(
            "{} is there already; --force replaces it",
            target.display()
        )));
    }
    let bytes = file::to_bytes(head).map_err(|why| Error::file(target, why))?;
    write_atomic(target, |writer| writer.write_all(&bytes))?;
    console.out_path(target)
}

fn set_default(
    heads: &Heads,
    root: &Path,
    task: &str,
    name: Option<&str>,
    console: &Console,
) -> Result<()> {
    let mut config = Config::read(root)?;
    match name {
        Some(name) => {
            heads.choose(task, Some(name))?;
            config.heads.insert(task.to_owned(), name.to_owned());
        }
        None => {
            config.heads.remove(task);
        }
    }
    config.write(root)?;
    match heads.choose(task, None) {
        Ok(found) => console.note(format_args!("dino {task} uses {}", found.head.meta.name)),
        Err(error) => console.note(error),
    }
    Ok(())
}
