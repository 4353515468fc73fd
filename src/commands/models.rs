//! `dino models`: backbones are listed, described, fetched, imported and removed in the model store.

use std::io;
use std::path::Path;

use dino::model::backbone::variants::{self, VARIANTS, Variant, VariantSource};
use dino::model::weights::wheel::Wheel;
use dino::model::weights::{self, Hub, InstalledModel, ModelRecord, Store};
use dino::system::files::pipe;
use dino::system::http::NetworkAccess;
use dino::terminal::console::Console;
use dino::{Error, Result};
use serde_json::{Value, json};

use crate::cli::ModelsCommand;
use crate::commands::model;

/// Runs one of the commands.
pub fn run(command: &ModelsCommand, console: &Console) -> Result<u8> {
    let store = Store::open()?;
    match command {
        ModelsCommand::List { json } => list(&store, *json, console),
        ModelsCommand::Pull { names, offline } => pull(&store, names, *offline, console),
        ModelsCommand::Import { file, name } => import(&store, file, name.as_deref(), console),
        ModelsCommand::Info { name, verify, json } => info(&store, name, *verify, *json, console),
        ModelsCommand::Rm { names } => for_each_name(names, console, |name| store.remove(name)),
    }
}

/// Runs `action` for every name; one failure does not stop the rest. Returns the exit code.
fn for_each_name(
    names: &[String],
    console: &Console,
    mut action: impl FnMut(&str) -> Result<()>,
) -> Result<u8> {
    let mut code = 0;
    for name in names {
        match action(name) {
            Ok(()) => {}
            // A wrong name alone is wrong usage (code 2); among several it is one failure (code 1).
            Err(Error::Usage(why)) if names.len() == 1 => return Err(Error::Usage(why)),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                console.error(&error);
                code = 1;
            }
        }
    }
    Ok(code)
}

fn pull(store: &Store, names: &[String], offline: bool, console: &Console) -> Result<u8> {
    let hub = Hub::from_env(NetworkAccess::from_offline_flag(offline)?)?;
    for_each_name(names, console, |name| {
        let installed = weights::pull(
            store,
            weights::find_variant(name)?,
            &hub,
            &mut model::event_handler(console),
        )?;
        report_installed(store, &installed, console)
    })
}

fn import(store: &Store, file: &Path, name: Option<&str>, console: &Console) -> Result<u8> {
    let events = &mut model::event_handler(console);
    let installed = if file == Path::new("-") {
        weights::import_stream(store, (&mut io::stdin().lock(), "stdin"), name, events)?
    } else if let Some(mut from) = pipe::open(file)? {
        let origin = file.display().to_string();
        weights::import_stream(store, (&mut from, &origin), name, events)?
    } else {
        weights::import(store, file, name, events)?
    };
    report_installed(store, &installed, console)?;
    Ok(0)
}

/// Prints the path of the installed file on stdout, and name, size, source and licence on stderr.
fn report_installed(
    store: &Store,
    InstalledModel {
        record,
        already_installed: already,
    }: &InstalledModel,
    console: &Console,
) -> Result<()> {
    let ModelRecord {
        name,
        source,
        bytes,
        license,
        ..
    } = record;
    let how = if *already {
        "was installed before"
    } else {
        "installed"
    };
    console.note(format!(
        "{name} {how} ({}, from {source}, licence {license})",
        format_megabytes(*bytes)
    ));
    console.out_path(&store.tensors_path(name))
}

/// One row of the list: a known variant, an installed model, or both.
struct ModelRow {
    name: String,
    variant: Option<&'static Variant>,
    record: Option<Result<ModelRecord>>,
}

/// The known variants in their order, then installed models under other names.
fn model_rows(store: &Store) -> Result<Vec<ModelRow>> {
    let mut installed = store.list()?;
    let row = |variant: &'static Variant| {
        let record = installed
            .iter()
            .position(|(name, _)| name == variant.name)
            .map(|at| installed.swap_remove(at).1);
        ModelRow {
            name: variant.name.to_owned(),
            variant: Some(variant),
            record,
        }
    };
    let mut lines: Vec<_> = VARIANTS.iter().map(row).collect();
    installed.sort_by(|(a, _), (b, _)| a.cmp(b));
    lines.extend(installed.into_iter().map(|(name, record)| {
        let variant = record
            .as_ref()
            .ok()
            .and_then(|record| variants::find(&record.variant));
        ModelRow {
            name,
            variant,
            record: Some(record),
        }
    }));
    Ok(lines)
}

fn list(store: &Store, json: bool, console: &Console) -> Result<u8> {
    let lines = model_rows(store)?;
    if json {
        return lines
            .iter()
            .try_for_each(|line| console.out(&row_json(line).to_string()))
            .map(|()| 0);
    }
    let mut table = vec![["NAME", "PARAMS", "SIZE", "LICENCE", "STATUS"].map(str::to_owned)];
    table.extend(lines.iter().map(|line| {
        let params = line.variant.map_or("?".to_owned(), |variant| {
            format!("{:.1} M", variant.megaparams)
        });
        let (size, license, status) = match (&line.record, line.variant) {
            (Some(Ok(record)), _) => (
                format_megabytes(record.bytes),
                record.license.clone(),
                "installed".to_owned(),
            ),
            (Some(Err(_)), _) => (
                "?".into(),
                "?".into(),
                format!("damaged: dino models info {}", line.name),
            ),
            (None, Some(variant)) => (
                format_megabytes(download_size(variant)),
                variant.license.into(),
                format!("dino models pull {}", line.name),
            ),
            (None, None) => ("?".into(), "?".into(), "?".into()),
        };
        [line.name.clone(), params, size, license, status]
    }));
    let widths = [0, 1, 2, 3].map(|column| {
        table
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    for [name, params, size, license, status] in &table {
        let [a, b, c, d] = widths;
        console.out(&format!(
            "{name:a$}  {params:>b$}  {size:>c$}  {license:d$}  {status}"
        ))?;
    }
    Ok(0)
}

/// Bytes that a pull transfers; for hub models estimated as 4 bytes per parameter.
fn download_size(variant: &'static Variant) -> u64 {
    Wheel::of(variant).map_or((f64::from(variant.megaparams) * 4e6) as u64, |wheel| {
        wheel.bytes()
    })
}

fn format_megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

/// The object of a model for `--json`.
fn row_json(line: &ModelRow) -> Value {
    let mut object = json!({ "name": line.name, "installed": matches!(line.record, Some(Ok(_))) });
    if let Some(variant) = line.variant {
        let config = &variant.config;
        object["variant"] = json!(variant.name);
        object["params"] = json!(
            config
                .tensor_shapes()
                .iter()
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum::<usize>()
        );
        object["patch_size"] = json!(config.patch_size);
        object["dim"] = json!(config.dim);
        object["depth"] = json!(config.depth);
        object["heads"] = json!(config.heads);
        object["registers"] = json!(config.registers);
        object["license"] = json!(variant.license);
        object["published"] = json!(describe_publisher(variant));
    }
    match &line.record {
        // The record's fields replace the variant's: they are those of the installed weights.
        Some(Ok(record)) => {
            if let (Value::Object(object), Ok(Value::Object(fields))) =
                (&mut object, serde_json::to_value(record))
            {
                object.extend(fields);
            }
        }
        Some(Err(error)) => object["damaged"] = json!(error.to_string()),
        None => {}
    }
    object
}

/// Where a row's weights are published.
fn describe_publisher(variant: &Variant) -> String {
    match variant.source {
        VariantSource::Hub(repo) => format!("hub: {repo}"),
        VariantSource::Wheel {
            package, version, ..
        } => format!("Python package: {package}=={version}"),
    }
}

fn info(store: &Store, name: &str, verify: bool, json: bool, console: &Console) -> Result<u8> {
    let record = if verify {
        Some(store.verify(name)?)
    } else {
        store.get(name)?
    };
    let variant = match &record {
        Some(record) => record.variant()?,
        None => variants::find(name).ok_or_else(|| store.not_installed(name))?,
    };
    if json {
        let mut object = row_json(&ModelRow {
            name: name.to_owned(),
            variant: Some(variant),
            record: record.map(Ok),
        });
        if verify {
            object["verified"] = json!(true);
        }
        return console.out(&object.to_string()).map(|()| 0);
    }
    let config = &variant.config;
    let backbone = format!(
        "{}: {:.1} M parameters, width {}, {} blocks, {} heads, patch {}, {} registers",
        variant.name,
        variant.megaparams,
        config.dim,
        config.depth,
        config.heads,
        config.patch_size,
        config.registers
    );
    let mut facts = vec![
        ("name", name.to_owned()),
        ("backbone", backbone),
        ("published", describe_publisher(variant)),
    ];
    match record {
        Some(record) => facts.extend([
            ("source", record.source.clone()),
            ("licence", record.license.clone()),
            ("file", store.tensors_path(name).display().to_string()),
            ("size", format!("{} bytes", record.bytes)),
            ("sha256", record.sha256.clone()),
            ("fingerprint", record.fingerprint.clone()),
            ("installed", format_utc(record.imported_at)),
            (
                "verified",
                if verify {
                    "file and tensors are as installed".into()
                } else {
                    "no (--verify reads all of it)".to_owned()
                },
            ),
        ]),
        None => facts.extend([
            ("licence", variant.license.to_owned()),
            (
                "installed",
                format!(
                    "no; `dino models pull {name}` fetches {}",
                    format_megabytes(download_size(variant))
                ),
            ),
        ]),
    }
    facts
        .iter()
        .try_for_each(|(label, value)| console.out(&format!("{label:12}{value}")))
        .map(|()| 0)
}

/// Seconds since 1970 as `2026-01-31 12:00 UTC` (Howard Hinnant's `civil_from_days`).
fn format_utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    // Years of this calendar begin in March.
    let (month, year) = if month < 10 {
        (month + 3, year)
    } else {
        (month - 9, year + 1)
    };
    let year = year + 400 * era;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC",
        rest / 3600,
        rest / 60 % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        assert_eq!(format_utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(format_utc(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(format_utc(1_767_225_599), "2025-12-31 23:59 UTC");
    }
}
