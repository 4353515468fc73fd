//! `dino calibrate`: a scale (and a shift, for relative inverse depth) is fitted between a head's depths and labels,
//! judged by cross-validation, and kept beside the head.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use dino::engine::run_report::RunReport;
use dino::io::output::{Destination, OutputKind, OutputRegistry, write_output};
use dino::learn::data::folds_of;
use dino::learn::eval::depth_calibration::{
    CalibrationResult, HeldOutErrors, PhotoReadings, fit_calibration,
};
use dino::model::head_zoo::calibration::{CalibrationRmse, digest_of};
use dino::model::head_zoo::{DepthCalibration, HeadStore};
use dino::model::weights::Store;
use dino::tasks::depth::metric_conversion;
use dino::terminal::console::Console;
use dino::terminal::printable::printable;
use dino::vision::postprocess::{MetricConversion, ScaleShift};
use dino::{Error, Result};
use serde_json::{Value, json};

use super::eval::{DepthEvaluation, EvaluationPurpose, no_valid_readings};
use crate::cli::{CalibrateCommand, CalibrateDepthArgs};
use crate::commands::model;

/// Runs one of the commands.
pub fn run(command: &CalibrateCommand, console: &Console) -> Result<u8> {
    match command {
        CalibrateCommand::Depth(args) => calibrate_depth(args, console),
        CalibrateCommand::Remove { heads } => {
            // All names are checked before anything is removed.
            let paths = heads.iter().map(calibration_path);
            let paths: Vec<PathBuf> = paths.collect::<Result<_>>()?;
            for path in paths {
                HeadStore::remove_calibration(&path)?;
                console.out_path(&path)?;
            }
            Ok(0)
        }
    }
}

/// Path of the calibration of the head called `name`.
///
/// # Errors
/// If there is no such head, or it has no calibration.
fn calibration_path(name: &OsString) -> Result<PathBuf> {
    let heads = HeadStore::at(Store::open()?.root());
    // A calibration may outlive its head.
    let path = match (heads.get(name), name.to_str()) {
        (Ok(found), _) => heads.calibration_path(&found)?,
        (Err(_), Some(name)) if !name.contains(std::path::is_separator) => {
            HeadStore::calibration_path_for(&heads.path(name)?)
        }
        (Err(error), _) => return Err(error),
    };
    match path.symlink_metadata().is_ok() {
        true => Ok(path),
        false => Err(Error::Usage(format!(
            "the head {} has no calibration",
            name.display()
        ))),
    }
}

fn calibrate_depth(args: &CalibrateDepthArgs, console: &Console) -> Result<u8> {
    let input_args = &args.input;
    model::refuse_null(&input_args.run)?;
    let comparison = DepthEvaluation::new(input_args, &args.labels)?;
    let found = &comparison.selected;
    let meta = &found.head.meta;
    // An error if the head's output cannot be converted to metres.
    metric_conversion(meta, 1.0, None)?;
    if comparison.paper.is_some() {
        return Err(Error::Usage(
            "--protocol paper is for judging; calibrate the head as it will be used".into(),
        ));
    }
    let heads = HeadStore::at(Store::open()?.root());
    let path = heads.calibration_path(found)?;
    let in_force = comparison.calibration(console)?;
    let data = comparison.load_photos(
        input_args,
        &args.labels,
        EvaluationPurpose::Calibrate,
        console,
    )?;
    let reads = data.set.input_paths(input_args).map(Into::into).collect();
    let json = check_outputs(args, &path, reads, console)?;
    let count = data.set.pairs.len();
    let too_few = |photos: usize| {
        Error::file(
            &input_args.data,
            format!(
                "has {photos} photo{} that can be used, and a calibration is judged on photos that its fit did not see: 2 at \
                 least, and better 20",
                if photos == 1 { "" } else { "s" }
            ),
        )
    };
    if count < 2 {
        return Err(too_few(count));
    }
    let folds = folds_of(count, args.folds as usize);
    let mut report = RunReport::default();
    let mut photos: Vec<PhotoReadings> = Vec::new();
    let mut input = String::new();
    comparison.for_each_photo(input_args, &data, &mut report, console, |compared| {
        compared.input.clone_into(&mut input);
        let (map, truth) = (&compared.map.depth, &compared.truth);
        let size = (truth.width, truth.height);
        let readings = PhotoReadings::of(
            &comparison.evaluator,
            (map, &truth.metres),
            size,
            folds[compared.index],
        );
        photos.push(readings.ok_or_else(|| no_valid_readings(compared.pair))?);
        Ok(())
    })?;
    let before = in_force
        .as_ref()
        .map(|it| metric_conversion(meta, it.scale, it.shift))
        .transpose()?;
    let how = (meta.is_inverse_depth(), before);
    let verdict = fit_calibration(&photos, how, &comparison.evaluator);
    let verdict = verdict.ok_or_else(|| too_few(photos.len()));
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(error) => {
            report.print_summary(console);
            return Err(error);
        }
    };
    let (scale, shift) = match verdict.conversion {
        MetricConversion::Factor(factor) => (round_digits(factor), None),
        MetricConversion::Inverse(ScaleShift { scale, shift }) => {
            (round_digits(scale), Some(round_digits(shift)))
        }
    };
    let calibration = DepthCalibration {
        head: meta.name.clone(),
        digest: digest_of(&found.head)?,
        scale,
        shift,
        input,
        data: data.set.name.clone(),
        photos: photos.len(),
        folds: verdict.fold_conversions.len(),
        log_rmse: CalibrationRmse {
            before: round_digits(verdict.before.log_rmse),
            after: round_digits(verdict.after.log_rmse),
        },
    };
    let is_kept = verdict.is_improvement() && !args.dry_run;
    if json != Some(Destination::Stdout) {
        print_verdict(&calibration, &verdict, console)?;
    }
    if let Some(json) = &json {
        let kept = is_kept.then_some(&path);
        let mut text = serde_json::to_vec_pretty(&metrics_json(&calibration, &verdict, kept))
            .map_err(|error| Error::Usage(format!("--json: {error}")))?;
        text.push(b'\n');
        match json {
            Destination::Stdout => console.out_text(&text)?,
            file => write_output(console, file, true, |writer| writer.write_all(&text))?,
        }
    }
    warn_of_weak_fit(&verdict, photos.len(), console);
    let name = found.display_name();
    let name = printable(&name);
    match (is_kept, verdict.is_improvement()) {
        (true, _) => {
            heads.write_calibration(found, &calibration)?;
            console.note(format_args!(
                "{} in {}; every command that reads depths with {name} uses it, `dino calibrate remove {name}` forgets it",
                match in_force {
                    Some(_) => "replaced what was kept",
                    None => "kept",
                },
                printable(&path.display().to_string()),
            ));
        }
        (false, true) => console.note("nothing is kept (--dry-run)"),
        (false, false) => console.warn(format_args!(
            "it does not help on photos that the fit did not see, so nothing is kept{}",
            match (&in_force, verdict.is_current_harmful()) {
                (None, _) => String::new(),
                (Some(_), false) => "; the calibration that is in force stays".into(),
                (Some(_), true) => format!(
                    "; the calibration that is in force is worse here than none, and stays until `dino calibrate remove {name}` \
                     forgets it"
                ),
            }
        )),
    }
    report.print_summary(console);
    Ok(report.exit_code())
}

/// A fit to fewer photos than this is warned of.
const FEW_PHOTOS: usize = 20;

/// A scale above this factor, or below its reciprocal, is warned of: no lens explains it.
const ODD_FACTOR: f64 = 3.0;

/// Warns of reasons not to trust a calibration.
fn warn_of_weak_fit(verdict: &CalibrationResult, photos: usize, console: &Console) {
    if verdict.is_improvement() && photos < FEW_PHOTOS {
        console.warn(format_args!(
            "it is fitted to and judged on {photos} photos; {FEW_PHOTOS} or more of different views leave less to chance"
        ));
    }
    match verdict.conversion {
        MetricConversion::Factor(factor) if !(1.0 / ODD_FACTOR..=ODD_FACTOR).contains(&factor) => {
            console.warn(format_args!(
                "a factor of {factor:.3} is more than other lenses make: the labels may be in another unit than they are read in \
                 (--depth-scale), or no distances at all"
            ));
        }
        _ => {}
    }
}

/// The destination of `--json`; checks that it and the calibration at `path` can be written and are none of the inputs.
fn check_outputs(
    args: &CalibrateDepthArgs,
    path: &Path,
    reads: Vec<PathBuf>,
    console: &Console,
) -> Result<Option<Destination>> {
    let mut outputs = OutputRegistry::new(reads.iter().map(PathBuf::as_path));
    if !args.dry_run {
        outputs.add(path, OutputKind::File, true)?;
    }
    let Some(path) = &args.json else {
        return Ok(None);
    };
    let destination = outputs.add_flag("--json", path, args.force)?;
    if destination == Destination::Stdout {
        console.claim_stdout(&format!("--json {}", path.display()))?;
    }
    Ok(Some(destination))
}

/// Prints the result of the fit as lines.
fn print_verdict(
    calibration: &DepthCalibration,
    verdict: &CalibrationResult,
    console: &Console,
) -> Result<()> {
    let before = match calibration.shift {
        None => "as it is",
        Some(_) => "one distance",
    };
    let mut columns = vec![(before, &verdict.before), ("calibrated", &verdict.after)];
    columns.extend(verdict.current.as_ref().map(|it| ("in force", it)));
    console.out(&printable(&format!(
        "{}, fitted to {} photos of {}",
        calibration.formula(),
        calibration.photos,
        calibration.data
    )))?;
    let names: String = columns
        .iter()
        .map(|(name, _)| format!("{name:>14}"))
        .collect();
    console.out(&format!(
        "{:12}{names}    held out in {} parts",
        "", calibration.folds
    ))?;
    for name in ["log RMSE", "AbsRel", "RMSE, m", "delta1"] {
        let values = columns.iter().map(|(_, it)| match name {
            "log RMSE" => it.log_rmse,
            "AbsRel" => it.errors.abs_rel,
            "delta1" => it.errors.delta1,
            _ => it.errors.rmse,
        });
        let values = values.map(|value| format!("{value:14.4}"));
        console.out(&format!("{name:12}{}", values.collect::<String>()))?;
    }
    Ok(())
}

/// The result of the fit as JSON.
fn metrics_json(
    calibration: &DepthCalibration,
    verdict: &CalibrationResult,
    kept: Option<&PathBuf>,
) -> Value {
    let held_out = |one: &HeldOutErrors| {
        let named = one.errors.named_values();
        let names = [
            "rmse", "abs_rel", "log10", "silog", "delta1", "delta2", "delta3",
        ];
        let usual = named.iter().filter(|(name, _)| names.contains(name));
        let usual = usual.map(|(name, value)| ((*name).to_owned(), json!(value)));
        let log = ("log_rmse".to_owned(), json!(one.log_rmse));
        Value::Object([log].into_iter().chain(usual).collect())
    };
    let of_folds = verdict.fold_conversions.iter().map(|one| match one {
        MetricConversion::Factor(factor) => json!({"scale": factor}),
        MetricConversion::Inverse(to) => json!({"scale": to.scale, "shift": to.shift}),
    });
    json!({
        "task": "depth",
        "calibration": calibration,
        "of_folds": of_folds.collect::<Vec<_>>(),
        "before": held_out(&verdict.before),
        "before_is": match calibration.shift {
            None => "the head as it is",
            Some(_) => "one distance for everything",
        },
        "after": held_out(&verdict.after),
        "one_distance": held_out(&verdict.constant),
        "in_force": verdict.current.as_ref().map(held_out),
        "helps": verdict.is_improvement(),
        "kept": kept.map(|path| path.display().to_string()),
    })
}

/// Rounds to six significant digits, so that the value in the file is the one in use.
fn round_digits(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}
