//! `dino calibrate`: a head's depths are fitted to a camera and place, and the fit is kept beside the head.

use std::ffi::OsString;
use std::path::PathBuf;

use dino::batch::Report;
use dino::console::Console;
use dino::data::folds_of;
use dino::eval::calibrate::{Readings, Verdict, calibrate};
use dino::heads::calibration::{BeforeAfter, digest_of};
use dino::heads::{DepthCalibration, Heads};
use dino::output::{Destination, Outputs, deliver};
use dino::postprocess::{Conversion, ToMetres};
use dino::printable::printable;
use dino::tasks::depth::conversion_of;
use dino::weights::Store;
use dino::{Error, Result};
use serde_json::{Value, json};

use super::eval::{Comparison, nothing_counts};
use crate::cli::{CalibrateCommand, CalibrateDepthArgs};
use crate::commands::model;

/// Runs one of the commands.
pub fn run(command: &CalibrateCommand, console: &Console) -> Result<u8> {
    match command {
        CalibrateCommand::Depth(args) => depth(args, console),
        CalibrateCommand::Remove { heads } => {
            heads.iter().try_for_each(|name| remove(name, console))?;
            Ok(0)
        }
    }
}

fn remove(name: &OsString, console: &Console) -> Result<()> {
    let heads = Heads::at(Store::open()?.root());
    // A head that is gone may have left its calibration behind.
    let path = match (heads.get(name), name.to_str()) {
        (Ok(found), _) => heads.calibration_path(&found)?,
        (Err(_), Some(name)) if !name.contains(std::path::is_separator) => {
            Heads::calibration_beside(&heads.path(name)?)
        }
        (Err(error), _) => return Err(error),
    };
    match Heads::remove_calibration(&path)? {
        true => console.out_path(&path),
        false => Err(Error::Usage(format!(
            "the head {} has no calibration",
            name.display()
        ))),
    }
}

fn depth(args: &CalibrateDepthArgs, console: &Console) -> Result<u8> {
    let asked = &args.judge;
    model::refuse_null(&asked.run)?;
    let comparison = Comparison::new(asked, &args.labels)?;
    let found = &comparison.found;
    let meta = &found.head.meta;
    // Says whether the head's numbers can become metres at all.
    conversion_of(meta, 1.0, None)?;
    if comparison.paper.is_some() {
        return Err(Error::Usage(
            "--protocol paper is for judging; calibrate the head as it will be used".into(),
        ));
    }
    let heads = Heads::at(Store::open()?.root());
    let path = heads.calibration_path(found)?;
    let data = comparison.data(asked, &args.labels, None, console)?;
    let json = check_outputs(
        args,
        data.set.reads(asked).map(Into::into).collect(),
        console,
    )?;
    let count = data.set.pairs.len();
    let too_few = |photos: usize| {
        Error::file(
            &asked.data,
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
    let mut report = Report::default();
    let mut photos: Vec<Readings> = Vec::new();
    let mut input = String::new();
    comparison.each(asked, &data, &mut report, console, |compared| {
        compared.input.clone_into(&mut input);
        let (map, truth) = (&compared.map.depth, &compared.truth);
        let size = (truth.width, truth.height);
        let readings = Readings::of(
            &comparison.judge,
            (map, &truth.metres),
            size,
            folds[compared.index],
        );
        photos.push(readings.ok_or_else(|| nothing_counts(compared.pair))?);
        Ok(())
    })?;
    let verdict = calibrate(&photos, meta.is_inverse_depth(), &comparison.judge)
        .ok_or_else(|| too_few(photos.len()));
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(error) => {
            report.finish(console);
            return Err(error);
        }
    };
    let (scale, shift) = match verdict.conversion {
        Conversion::Factor(factor) => (rounded(factor), None),
        Conversion::Inverse(ToMetres { scale, shift }) => (rounded(scale), Some(rounded(shift))),
    };
    let calibration = DepthCalibration {
        head: meta.name.clone(),
        digest: digest_of(&found.head)?,
        scale,
        shift,
        input,
        data: data.set.name.clone(),
        photos: photos.len(),
        folds: args.folds as usize,
        log_rmse: BeforeAfter {
            before: rounded(verdict.before.log_rmse),
            after: rounded(verdict.after.log_rmse),
        },
    };
    let was_there = path.exists();
    let kept = match verdict.helps() && !args.dry_run {
        true => Some(heads.keep_calibration(found, &calibration)?),
        false => None,
    };
    match &json {
        Some(Destination::Stdout) => {}
        _ => tell(&calibration, &verdict, console)?,
    }
    if let Some(json_to) = &json {
        let mut text = serde_json::to_vec_pretty(&figures(&calibration, &verdict, kept.as_ref()))
            .map_err(|error| Error::Usage(format!("--json: {error}")))?;
        text.push(b'\n');
        match json_to {
            Destination::Stdout => console.out_text(&text)?,
            file => deliver(console, file, true, |writer| writer.write_all(&text))?,
        }
    }
    match (&kept, verdict.helps()) {
        (Some(path), _) => console.note(format_args!(
            "{} in {}; every command that reads depths with {} uses it, `dino calibrate remove {}` forgets it",
            if was_there { "replaced what was kept" } else { "kept" },
            printable(&path.display().to_string()),
            meta.name,
            meta.name
        )),
        (None, true) => console.note("nothing is kept (--dry-run)"),
        (None, false) => console.warn(format_args!(
            "it does not help on photos that the fit did not see, so nothing is kept{}",
            match was_there {
                true => "; the calibration that is there stays",
                false => "",
            }
        )),
    }
    report.finish(console);
    Ok(report.exit_code())
}

/// Where the figures go as JSON.
fn check_outputs(
    args: &CalibrateDepthArgs,
    reads: Vec<PathBuf>,
    console: &Console,
) -> Result<Option<Destination>> {
    let Some(path) = &args.json else {
        return Ok(None);
    };
    let mut outputs = Outputs::new(reads.iter().map(PathBuf::as_path));
    let destination = outputs.add_flag("--json", path, args.force)?;
    if destination == Destination::Stdout {
        console.claim_stdout(&format!("--json {}", path.display()))?;
    }
    Ok(Some(destination))
}

/// What came out, in lines.
fn tell(calibration: &DepthCalibration, verdict: &Verdict, console: &Console) -> Result<()> {
    let before = match calibration.shift {
        None => "as it is",
        Some(_) => "one distance",
    };
    let (old, new) = (&verdict.before, &verdict.after);
    let rows = [
        ("log RMSE", old.log_rmse, new.log_rmse),
        ("AbsRel", old.errors.abs_rel, new.errors.abs_rel),
        ("RMSE, m", old.errors.rmse, new.errors.rmse),
        ("delta1", old.errors.delta1, new.errors.delta1),
    ];
    console.out(&printable(&format!(
        "{}, fitted to {} photos of {}",
        calibration.how(),
        calibration.photos,
        calibration.data
    )))?;
    console.out(&format!(
        "{:12}{before:>14}{:>14}    held out in {} parts",
        "", "calibrated", calibration.folds
    ))?;
    for (name, old, new) in rows {
        console.out(&format!("{name:12}{old:14.4}{new:14.4}"))?;
    }
    Ok(())
}

/// What came out, for programs.
fn figures(calibration: &DepthCalibration, verdict: &Verdict, kept: Option<&PathBuf>) -> Value {
    let held_out = |one: &dino::eval::calibrate::HeldOut| {
        let named = one.errors.named();
        let names = [
            "rmse", "abs_rel", "log10", "silog", "delta1", "delta2", "delta3",
        ];
        let usual = named.iter().filter(|(name, _)| names.contains(name));
        let usual = usual.map(|(name, value)| ((*name).to_owned(), json!(value)));
        let log = ("log_rmse".to_owned(), json!(one.log_rmse));
        Value::Object([log].into_iter().chain(usual).collect())
    };
    let of_folds = verdict.of_folds.iter().map(|one| match one {
        Conversion::Factor(factor) => json!({"scale": factor}),
        Conversion::Inverse(to) => json!({"scale": to.scale, "shift": to.shift}),
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
        "helps": verdict.helps(),
        "kept": kept.map(|path| path.display().to_string()),
    })
}

/// Six digits that count: what the file says is what is used.
fn rounded(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}
