//! The common end of a training: the head's file with its metadata, the log (`.log.json`) and the curve (`.curve.png`).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use dino::engine::run_report::RunReport;
use dino::io::output::{OutputKind, OutputRegistry, PictureFormat, write_picture};
use dino::learn::train::feature_pool::InputLayout;
use dino::learn::train::history::{self, Epoch, TrainHistory};
use dino::model::head::meta::{HeadInput, HeadMeta, Metric, TrainingRecord as Origin};
use dino::model::head::{Head, HeadNetwork, LinearHead, file};
use dino::model::input::Unpad;
use dino::system::files::{ResolvedPath, write_atomic};
use dino::terminal::console::Console;
use dino::vision::render::training_curve::{self, TrainingCurve};
use dino::{Error, Result};

use crate::cli::TrainArgs;
use crate::commands::model::ModelReplicas;
use crate::commands::train::folds::{TrainingData, TrainingSetup, checkpoint_paths, train_folds};
use crate::commands::train::prepare::SplitDataSet;

/// Refuses an output that is no `.safetensors` file, or that is there without `--force`.
pub fn check_output(args: &TrainArgs) -> Result<()> {
    if args.output.extension().is_none_or(|e| e != "safetensors") {
        let name = args.output.display();
        return Err(Error::Usage(
            match ResolvedPath::resolve_flag(&args.output)? {
                ResolvedPath::Stream(_) => format!(
                    "-o {name}: a training writes more than the head (its log, its curve), so it is given a file, whose name ends in \
                 .safetensors; `dino heads export` then sends the head anywhere"
                ),
                _ => format!("-o {name}: the name of a head's file ends in .safetensors"),
            },
        ));
    }
    if matches!(ResolvedPath::resolve(&args.output)?, ResolvedPath::File(_)) && !args.force {
        return Err(Error::Usage(format!(
            "{} is there already; --force trains anew and replaces it",
            args.output.display()
        )));
    }
    check_files(args, [])
}

/// Refuses outputs that are among the inputs: photos, labels, lists and the `named` files.
pub fn check_inputs<'p>(
    args: &TrainArgs,
    parts: &[SplitDataSet],
    named: impl IntoIterator<Item = Option<&'p Path>>,
) -> Result<()> {
    let pairs = parts.iter().flat_map(|part| &part.pairs);
    let files = pairs.flat_map(|(pair, _)| [&*pair.photo, &*pair.label]);
    let classes: Vec<PathBuf> = args
        .data
        .iter()
        .map(|path| path.join("classes.json"))
        .collect();
    let named: Vec<&Path> = named.into_iter().flatten().collect();
    let read = files
        .chain(args.data.iter().map(|path| &**path))
        .chain(classes.iter().map(PathBuf::as_path))
        .chain(named);
    check_files(args, read)
}

/// Checks that the head and the files beside it can be written, and that none of them is in `read`.
fn check_files<'p>(args: &TrainArgs, read: impl IntoIterator<Item = &'p Path>) -> Result<()> {
    let mut outputs = OutputRegistry::new(read);
    outputs.add(&args.output, OutputKind::File, true)?;
    let checkpoints = checkpoint_paths(args);
    let beside = [LOG, CURVE].map(|ending| args.output.with_extension(ending));
    beside
        .iter()
        .try_for_each(|path| outputs.add_flag("-o", path, args.force).map(|_| ()))?;
    checkpoints
        .iter()
        .try_for_each(|path| outputs.add(path, OutputKind::File, true).map(|_| ()))
}

/// Extensions of the files beside a head.
const LOG: &str = "log.json";
const CURVE: &str = "curve.png";

/// Trains, and writes the head with its log and curve. Returns the exit code.
pub fn train_and_write(
    args: &TrainArgs,
    model: &ModelReplicas,
    inputs: &InputLayout,
    training_data: TrainingData,
    setup: TrainingSetup,
    report: &RunReport,
    console: &Console,
) -> Result<u8> {
    let fitted = train_folds(args, model, inputs, &training_data, &setup, report, console)?;
    let (hidden, output) = fitted.layers.clone();
    let TrainingSetup {
        task,
        blocks,
        label_sets,
        data,
        ..
    } = setup;
    let beside = |ending: &str| args.output.with_extension(ending);
    let head = Head {
        meta: HeadMeta {
            format: 1,
            name: head_name(args),
            task,
            backbone: model.record.name.clone(),
            fingerprint: model.record.fingerprint.clone(),
            blocks,
            norm: args.norm,
            context: inputs.context.clone(),
            globals: inputs.globals.clone(),
            input: HeadInput {
                size: args.size.size.to_string(),
                padding: "center".into(),
                coarse: args.coarse,
                crop: None,
            },
            protocol: None,
            origin: None,
            unpad: Unpad::Crop,
            label_sets,
            calibration: fitted.calibration.clone(),
            training: Some(Origin {
                data,
                command: command_line(std::env::args_os().skip(1), &head_name(args)),
                seed: args.hyper.seed,
            }),
            metrics: fitted
                .metrics
                .iter()
                .cloned()
                .map(|(name, value)| Metric {
                    data: fitted.validated_on.clone(),
                    name,
                    value,
                })
                .collect(),
        },
        network: HeadNetwork::Linear(LinearHead::new(hidden, output)),
    };
    let bytes = file::to_bytes(&head).map_err(|why| Error::file(&args.output, why))?;
    history::write(&fitted.histories, &beside(LOG))?;
    draw_history(&fitted.histories, &fitted.best_by, &beside(CURVE))?;
    write_atomic(&args.output, |writer| writer.write_all(&bytes))?;
    fitted.delete_checkpoints()?;
    for path in [&args.output, &beside(LOG), &beside(CURVE)] {
        console.out_path(path)?;
    }
    report.print_summary(console);
    Ok(report.exit_code())
}

/// The head's name: `--name`, else that of its file.
fn head_name(args: &TrainArgs) -> String {
    args.name.clone().unwrap_or_else(|| {
        args.output.file_stem().map_or_else(
            || "head".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        )
    })
}

/// Draws the training loss and the metric that chooses the best epoch; of several trainings their means.
fn draw_history(histories: &[TrainHistory], figure: &str, path: &Path) -> Result<()> {
    let epochs = histories.iter().map(|one| one.epochs.len()).max();
    let over = |get: &dyn Fn(&Epoch) -> Option<f64>| -> Vec<f64> {
        let mean = |at: usize| {
            let epochs = histories.iter().filter_map(|one| one.epochs.get(at));
            let values: Vec<f64> = epochs.filter_map(get).collect();
            values.iter().sum::<f64>() / values.len() as f64 // no number where there is none
        };
        (0..epochs.unwrap_or_default()).map(mean).collect()
    };
    let title = format!("validation {figure}");
    let mut curves = vec![TrainingCurve {
        title: "training loss",
        values: over(&|epoch| Some(epoch.loss)),
    }];
    let judged = over(&|epoch| epoch.metric(figure));
    if judged.iter().any(|value| !value.is_nan()) {
        curves.push(TrainingCurve {
            title: &title,
            values: judged,
        });
    }
    let best = match histories {
        [one] => one.best.checked_sub(1),
        _ => None,
    };
    let picture = training_curve::draw_curves(&curves, best);
    write_atomic(path, |writer| {
        write_picture(writer, PictureFormat::Png, &picture, &[])
    })
}

/// Options without effect on the result; those of the second list take a value.
const IGNORED_FLAGS: [&str; 6] = ["-q", "--quiet", "-v", "--verbose", "--force", "--offline"];
const IGNORED_OPTIONS: [&str; 4] = ["-o", "--output", "--cache", "--threads"];

/// The command that reproduces the head: the words of the command line, quoted for a shell, without options of paths
/// and messages.
fn command_line(words: impl Iterator<Item = OsString>, name: &str) -> String {
    let mut command = "dino".to_owned();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let option = text.split_once('=').map_or(&*text, |(name, _)| name);
        if IGNORED_FLAGS.contains(&option) {
            continue;
        }
        if IGNORED_OPTIONS.contains(&option) {
            if option == text {
                words.next();
            }
            continue;
        }
        command.push(' ');
        command.push_str(&shell_quote(&word));
    }
    format!(
        "{command} -o {}",
        shell_quote(format!("{name}.safetensors").as_ref())
    )
}

/// A word as a shell takes it: plain, in quotes, or escaped where it is no printable text.
fn shell_quote(word: &OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:+@%".contains(c);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) if !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => format!("$'{}'", word.as_encoded_bytes().escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_says_what_matters() {
        let words = [
            "train",
            "depth",
            "a/b",
            "it's here",
            "--size",
            "480",
            "-o",
            "/tmp/x.safetensors",
            "-q",
            "--cache=/x",
            "--threads",
            "2",
            "--seed",
            "3",
        ];
        assert_eq!(
            command_line(words.into_iter().map(OsString::from), "x"),
            r"dino train depth a/b 'it'\''s here' --size 480 --seed 3 -o x.safetensors"
        );
    }

    #[cfg(unix)]
    #[test]
    fn words_that_are_no_text_are_escaped_for_the_shell() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(
            shell_quote(OsStr::from_bytes(b"caf\xe9's")),
            r"$'caf\xe9\'s'"
        );
        assert_eq!(shell_quote(OsStr::new("a\nb\x1b")), r"$'a\nb\x1b'");
        assert_eq!(shell_quote(OsStr::new("n\u{e4}h")), "'n\u{e4}h'");
    }
}
