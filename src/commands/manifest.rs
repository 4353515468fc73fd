//! `dino manifest`: the records (`manifest.jsonl`) of output folders are listed, checked and compared with photos.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dino::Result;
use dino::io::inputs::{Source, shard};
use dino::io::manifest::{self, FailureGroup, MissingRule, OutputVerdict};
use dino::io::output::put_path;
use dino::terminal::console::Console;
use serde_json::{Map, Value, json};

use crate::cli::{ManifestCommand, MissingArgs};

/// Runs the command.
pub fn run(command: &ManifestCommand, console: &Console) -> Result<u8> {
    match command {
        ManifestCommand::Merge { folder, others } => merge(folder, others, console),
        ManifestCommand::Verify { folder, json } => verify(folder, *json, console),
        ManifestCommand::Missing(args) => missing(args, console),
        ManifestCommand::Errors { folder, json } => errors(folder, *json, console),
    }
}

fn merge(folder: &Path, others: &[PathBuf], console: &Console) -> Result<u8> {
    let merged = manifest::merge(folder, others)?;
    console.note(format_args!(
        "{} lines of {} files; {} files of shards removed",
        merged.lines, merged.files, merged.removed
    ));
    for path in &merged.busy {
        console.error(format_args!(
            "{}: grew while it was merged, and stays; merge again when its run is done",
            path.display()
        ));
    }
    Ok(u8::from(!merged.busy.is_empty()))
}

fn verify(folder: &Path, json: bool, console: &Console) -> Result<u8> {
    let [mut unchanged, mut changed, mut gone, mut unreadable] = [0usize; 4];
    manifest::verify(folder, |path, verdict| {
        let (status, why) = match verdict {
            OutputVerdict::Unchanged => {
                unchanged += 1;
                return Ok(());
            }
            OutputVerdict::Changed => {
                changed += 1;
                ("changed", None)
            }
            OutputVerdict::Missing => {
                gone += 1;
                ("missing", None)
            }
            OutputVerdict::Unreadable(why) => {
                unreadable += 1;
                ("unreadable", Some(why))
            }
        };
        if !json {
            return console.out_named(path, &format!(": {status}"));
        }
        let mut object = Map::new();
        put_path(&mut object, "output", Some(path));
        object.insert("status".into(), json!(status));
        if let Some(why) = why {
            object.insert("error".into(), json!(why));
        }
        console.out(&Value::Object(object).to_string())
    })?;
    if json {
        let summary = json!({
            "unchanged": unchanged, "changed": changed, "missing": gone, "unreadable": unreadable,
        });
        console.out(&json!({"summary": summary}).to_string())?;
    }
    console.note(format_args!(
        "{unchanged} unchanged, {changed} changed, {gone} missing, {unreadable} unreadable"
    ));
    Ok(u8::from(changed + gone + unreadable > 0))
}

fn errors(folder: &Path, json: bool, console: &Console) -> Result<u8> {
    let groups = manifest::summarise_failures(folder)?;
    for group in &groups {
        let FailureGroup {
            kind,
            count,
            task,
            input,
            page,
            message,
        } = group;
        if json {
            let mut example = Map::new();
            example.insert("task".into(), json!(task));
            put_path(&mut example, "input", Some(input));
            if let Some(page) = page {
                example.insert("page".into(), json!(page));
            }
            example.insert("message".into(), json!(message));
            let object = json!({
                "kind": kind.name(),
                "count": count,
                "tried_again": !kind.is_lasting(),
                "example": example,
            });
            console.out(&object.to_string())?;
        } else {
            let input = input.display();
            let name = kind.name();
            console.out(&format!("{count}\t{name}\t{task}: {input}: {message}"))?;
        }
    }
    let total: usize = groups.iter().map(|group| group.count).sum();
    console.note(format_args!("{total} failed"));
    Ok(0)
}

fn missing(args: &MissingArgs, console: &Console) -> Result<u8> {
    if !args.folder.is_dir() {
        console.warn(format_args!(
            "{}: no such folder, so that all photos are missing",
            args.folder.display()
        ));
    }
    let collected = args.input.collect_shard(&[], (false, false), console)?;
    let rule = MissingRule {
        tasks: args.task.clone(),
        excludes_broken: args.but_broken,
    };
    let sources = &collected.sources;
    let numbers = manifest::find_missing(&args.folder, sources, &rule)?;
    let missing: Vec<&Source> = numbers.iter().map(|&number| &sources[number]).collect();
    match args.slurm.or(args.shards) {
        Some(of) => {
            let shards: BTreeSet<u32> = missing
                .iter()
                .map(|source| shard::shard_of(source, of))
                .collect();
            if !shards.is_empty() {
                let option = if args.slurm.is_some() { "--array=" } else { "" };
                console.out(&format!("{option}{}", format_ranges(&shards)))?;
            }
        }
        None => {
            // The pages of a file are named by it, once.
            let mut last = None;
            for source in &missing {
                let path = source.path();
                if last.replace(path) != Some(path) {
                    match args.print0 {
                        true => console
                            .out_text(&[path.as_os_str().as_encoded_bytes(), b"\0"].concat())?,
                        false => console.out_named(path, "")?,
                    }
                }
            }
        }
    }
    for failure in &collected.failures {
        console.error(&failure.error);
    }
    console.note(format_args!(
        "{} of {} photos are missing in {}",
        missing.len(),
        sources.len(),
        args.folder.display()
    ));
    Ok(u8::from(!collected.failures.is_empty()))
}

/// `1,3,5-9`
fn format_ranges(numbers: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let texts = ranges.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_a_range() {
        let of = |numbers: &[u32]| format_ranges(&numbers.iter().copied().collect());
        assert_eq!(of(&[]), "");
        assert_eq!(of(&[4]), "4");
        assert_eq!(of(&[9, 1, 3, 5, 6, 7, 8]), "1,3,5-9");
        assert_eq!(of(&[1, 2]), "1-2");
    }
}
