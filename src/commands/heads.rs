//! `dino heads`: what heads there are, where more come from, and which is the default.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use dino::io::output::{OutputRegistry, put_path, write_output};
use dino::model::head::global_token::GlobalToken;
use dino::model::head::{HeadMeta, HeadNetwork, HeadTask, LinearHead, file};
use dino::model::head_zoo::fetch::{self, InstalledHead};
use dino::model::head_zoo::official::{self, OfficialHead};
use dino::model::head_zoo::{HeadLocation, HeadStore, LocatedHead, depth_anything, published};
use dino::model::input::CoarseScale;
use dino::model::weights::{Hub, Store};
use dino::system::files::pipe;
use dino::system::http::NetworkAccess;
use dino::tasks::classes::printable_class_name;
use dino::terminal::console::Console;
use dino::terminal::printable::printable;
use dino::{Error, Result};
use serde_json::{Map, Value, json};

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

fn list(heads: &HeadStore, as_json: bool, console: &Console) -> Result<u8> {
    let mut code = 0;
    let mut rows = vec![["NAME", "TASK", "BACKBONE", "PREDICTS", "WHERE"].map(str::to_owned)];
    let mut installed = Vec::new();
    for (name, found) in heads.list()? {
        let LocatedHead {
            head,
            location: place,
        } = match found {
            Ok(found) => found,
            Err(error) => {
                console.error(&error);
                code = 1;
                continue;
            }
        };
        if as_json {
            let mut object = Map::new();
            object.insert("name".into(), json!(name));
            put_path(&mut object, "where", Some(&head_path(&place)));
            object.insert("meta".into(), json!(head.meta));
            console.out(&Value::Object(object).to_string())?;
        }
        let place = head_path(&place).display().to_string();
        rows.push([
            name.clone(),
            head.meta.task_name().into(),
            printable(&head.meta.backbone).into_owned(),
            printable(&describe_task(&head.meta)).into_owned(),
            printable(&place).into_owned(),
        ]);
        installed.push(name);
    }
    if as_json {
        published::all()
            .filter(|head| !installed.contains(&head.name()))
            .try_for_each(|head| {
                let object = json!({"name": head.name(), "where": null, "meta": head.meta()});
                console.out(&object.to_string())
            })?;
        return Ok(code);
    }
    print_table(&rows, console)?;
    console.out("")?;
    console.out(
        "Published by Meta, with the paper's figures; `dino heads pull NAME --model MODEL` fetches one (* is installed):",
    )?;
    for (backbones, suffix) in [
        (official::PLAIN_BACKBONES, ""),
        (official::REGISTER_BACKBONES, "-reg"),
    ] {
        let mut rows = Vec::new();
        let title = |size: &str| format!("{size}{suffix}");
        rows.push([
            "NAME".into(),
            "TASK".into(),
            "FIGURE".into(),
            title("vits14"),
            title("vitb14"),
            title("vitl14"),
            title("vitg14"),
        ]);
        for (data, method) in official::GROUPS {
            let of = backbones.map(|backbone| OfficialHead {
                dataset: data,
                method,
                backbone,
            });
            // Backbones with registers have classifiers alone.
            if official::find(&of[0].name()).is_none() {
                continue;
            }
            let cells = of.map(|head| {
                let figure = head
                    .paper_metric()
                    .map_or("yes".to_owned(), |(_, value)| value.to_string());
                let mark = if installed.contains(&head.name()) {
                    "*"
                } else {
                    ""
                };
                format!("{figure}{mark}")
            });
            let [s, b, l, g] = cells;
            rows.push([
                of[0].group(),
                data.task().into(),
                of[0]
                    .paper_metric()
                    .map_or(String::new(), |(what, _)| what.into()),
                s,
                b,
                l,
                g,
            ]);
        }
        print_table(&rows, console)?;
    }
    console.out(
        "RMSE in metres (less is better), mIoU and top-1 in percent; nyu is for rooms, kitti for streets.",
    )?;
    console.out("")?;
    console.out(
        "Depth Anything V2, each with an encoder of its own; `dino heads pull NAME` fetches both (* is installed):",
    )?;
    let mut rows = vec![["NAME", "TASK", "TELLS", "LICENCE"].map(str::to_owned)];
    rows.extend(depth_anything::all().map(|head| {
        let mark = if installed.contains(&head.name()) {
            "*"
        } else {
            ""
        };
        let license = head.variant().map_or("", |variant| variant.license);
        [
            format!("{}{mark}", head.name()),
            "depth".into(),
            head.scene.description().into(),
            license.into(),
        ]
    }));
    print_table(&rows, console)?;
    Ok(code)
}

/// Fetches heads and then the backbones they need; one failure does not keep the others from their turn.
fn pull(
    heads: &HeadStore,
    store: &Store,
    (names, model, backbones): (&[String], &str, bool),
    access: &NetworkAccess,
    console: &Console,
) -> Result<u8> {
    let repository = |name: &String| fetch::repository_of(name).unwrap_or_else(|| name.clone());
    let (repositories, words): (Vec<_>, Vec<_>) = names
        .iter()
        .map(repository)
        .partition(|name| name.contains('/'));
    let meant = match words.is_empty() {
        true => Vec::new(),
        false => fetch::resolve_names(&words, model)?,
    };
    let host = fetch::host(access.clone())?;
    let mut code = 0;
    let mut note = |result: Result<()>| match result {
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error) => {
            console.error(&error);
            code = 1;
            Ok(())
        }
        Ok(()) => Ok(()),
    };
    for repo in &repositories {
        let result = Hub::from_env(access.clone()).and_then(|hub| {
            fetch::pull_repository(heads, store, repo, &hub, &mut event_handler(console))
        });
        note(result.and_then(|installed| report_installed(heads, &installed, console)))?;
    }
    for head in &meant {
        let result = fetch::pull(heads, store, head, &host, &mut event_handler(console));
        note(result.and_then(|installed| report_installed(heads, &installed, console)))?;
    }
    let mut needed: Vec<&str> = meant.iter().map(|head| head.backbone).collect();
    needed.sort_unstable();
    needed.dedup();
    for backbone in needed.into_iter().filter(|_| backbones) {
        let result = fetch::pull_backbone(store, backbone, &host, &mut event_handler(console));
        note(result.map(|fetched| {
            if fetched {
                console.note(format_args!("{backbone} installed (the backbone)"));
            }
        }))?;
    }
    Ok(code)
}

/// The installed file on stdout, the rest on stderr.
fn report_installed(heads: &HeadStore, installed: &InstalledHead, console: &Console) -> Result<()> {
    let InstalledHead {
        name,
        path,
        was_installed: already,
    } = installed;
    let meta = heads.get(name)?.head.meta;
    let task = meta.task_name();
    let how = match already {
        true => "was installed before",
        false => "installed",
    };
    let license = meta.origin.map_or(String::new(), |origin| {
        format!(", licence {}", origin.license)
    });
    console.note(format_args!(
        "{name} {how} (for `dino {}` on {}{license})",
        task, meta.backbone
    ));
    console.out_path(path)
}

/// Prints rows with their columns under each other.
fn print_table<const N: usize>(rows: &[[String; N]], console: &Console) -> Result<()> {
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

/// The file of a head, or a word for where it is.
fn head_path(place: &HeadLocation) -> PathBuf {
    match place {
        HeadLocation::Builtin => "built in".into(),
        HeadLocation::Installed(_) => "installed".into(),
        HeadLocation::File(path) => path.clone(),
    }
}

/// What a head predicts, in a few words.
fn describe_task(meta: &HeadMeta) -> String {
    match &meta.task {
        HeadTask::Depth { readout, unit } => {
            let (min, max) = readout.range();
            match readout.is_inverse() {
                true => format!("{unit} (larger is nearer, no metres)"),
                false => format!("{min} to {max} {unit}"),
            }
        }
        HeadTask::Segment { classes } => format!("{} classes", classes.len()),
        HeadTask::Classify { classes } => format!("{} classes of photos", classes.len()),
    }
}

/// The squares that a head reads, for a list.
fn describe_context(sides: &[usize]) -> String {
    let sides: Vec<String> = sides
        .iter()
        .map(|side| format!("{side} x {side}"))
        .collect();
    match sides.is_empty() {
        true => String::new(),
        false => format!(", with means of {} patches", sides.join(" and ")),
    }
}

fn describe_coarse_scale(coarse: CoarseScale) -> String {
    format!(", and a second look at {} % of that", u32::from(coarse))
}

/// What a head reads beside patch tokens, for a list.
fn describe_globals(tokens: &[GlobalToken]) -> String {
    let names: Vec<&str> = tokens.iter().map(|token| token.name()).collect();
    match names.as_slice() {
        [] => String::new(),
        ["cls"] => ", with cls tokens".to_owned(),
        names => format!(", with global tokens ({})", names.join(", ")),
    }
}

fn info(heads: &HeadStore, name: &OsStr, as_json: bool, console: &Console) -> Result<()> {
    let found = &heads.get(name)?;
    let calibration = heads.calibration(found, &mut |why| console.warn(why))?;
    let meta = &found.head.meta;
    if as_json {
        let mut object = Map::new();
        put_path(&mut object, "where", Some(&head_path(&found.location)));
        object.insert("meta".into(), json!(meta));
        object.insert("calibration".into(), json!(calibration));
        return console.out(&Value::Object(object).to_string());
    }
    let layer = format!(
        "blocks {:?}{}{}{}{}",
        meta.blocks,
        if meta.norm { ", final norm" } else { "" },
        describe_context(&meta.context),
        describe_globals(&meta.globals),
        match &found.head.network {
            HeadNetwork::Linear(LinearHead {
                hidden: Some(hidden),
                ..
            }) => format!(", hidden layer of {}", hidden.bias.len()),
            HeadNetwork::Linear(_) => String::new(),
            HeadNetwork::Dpt(_) => ", convolutions (DPT)".into(),
        },
    );
    let mut rows = vec![
        ("name", meta.name.clone()),
        ("task", meta.task_name().into()),
        ("predicts", describe_task(meta)),
        ("where", head_path(&found.location).display().to_string()),
        (
            "backbone",
            format!(
                "{} ({})",
                meta.backbone,
                match meta.fingerprint.as_str() {
                    "" => "any weights of that shape and name",
                    weights => weights.get(..12).unwrap_or(weights),
                }
            ),
        ),
        ("reads", layer),
        (
            "input",
            format!(
                "size {}, {} padding{}",
                meta.input.size,
                meta.input.padding,
                meta.input
                    .coarse
                    .map_or(String::new(), describe_coarse_scale)
            ),
        ),
    ];
    if let Some(protocol) = meta.protocol {
        rows.push(("protocol", protocol.name().into()));
    }
    if let HeadTask::Segment { classes } = &meta.task {
        let names = classes.iter().enumerate();
        let names: Vec<_> = names
            .map(|(id, class)| printable_class_name(id, &class.name))
            .collect();
        rows.push(("classes", names.join(", ")));
    }
    if let Some(origin) = &meta.origin {
        rows.extend([
            ("from", origin.source.clone()),
            ("licence", origin.license.clone()),
            ("data", origin.data.clone()),
        ]);
    }
    if let Some(calibration) = &meta.calibration {
        rows.push((
            "spread",
            format!(
                "times {}: {:.1} % of pixels within one standard deviation, {:.1} % within two ({})",
                calibration.scale,
                100.0 * calibration.coverage,
                100.0 * calibration.coverage_2,
                calibration.data
            ),
        ));
    }
    if let Some(calibration) = &calibration {
        rows.push(("fitted", calibration.summary()));
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
        .try_for_each(|(label, value)| console.out(&format!("{label:10}{}", printable(value))))
}

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
