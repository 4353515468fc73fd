//! `--photos` and `--parts`: numbers for each data set of a training, by position or as `NAME=NUMBER`.

use dino::{Error, Result};

use crate::cli::TrainArgs;

/// The number of photos that `--photos` allows for a set; the last of several entries counts.
///
/// # Errors
/// If an entry has no number above 0.
pub fn photo_limit(args: &TrainArgs, set: &str) -> Result<Option<usize>> {
    let mut most = None;
    for text in &args.hyper.photos {
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => (Some(name), number),
            None => (None, text.as_str()),
        };
        let number = number.trim().parse::<usize>().ok().filter(|&n| n > 0);
        let number = number.ok_or_else(|| {
            Error::Usage(format!(
                "--photos {text}: expected a number of photos, such as 200, or NAME=NUMBER"
            ))
        })?;
        if name.is_none_or(|name| name == set) {
            most = Some(number);
        }
    }
    Ok(most)
}

/// Refuses a set in `--photos` that is none of `names`.
pub fn check_photo_limits(args: &TrainArgs, names: &[&str]) -> Result<()> {
    let named = args
        .hyper
        .photos
        .iter()
        .filter_map(|text| text.split_once('='));
    match named
        .map(|(name, _)| name)
        .find(|name| !names.contains(name))
    {
        Some(name) => Err(Error::Usage(format!(
            "--photos {name}: there is no such set; expected one of {}",
            names.join(", ")
        ))),
        None => Ok(()),
    }
}

/// The share of each set in an epoch, from `--parts`, else from `usual`; they sum to 1.
///
/// # Errors
/// If an entry is malformed or names no set, or all shares are 0.
pub fn sampling_shares(args: &TrainArgs, names: &[&str], usual: &[f64]) -> Result<Vec<f64>> {
    let mut parts = usual.to_vec();
    for (at, text) in args.hyper.parts.iter().enumerate() {
        let (index, value) = match text.split_once('=') {
            Some((name, value)) => (names.iter().position(|own| *own == name), value),
            None => (Some(at).filter(|&at| at < names.len()), text.as_str()),
        };
        let value = value.trim().parse::<f64>().ok();
        match (index, value.filter(|v| v.is_finite() && *v >= 0.0)) {
            (Some(index), Some(value)) => parts[index] = value,
            _ => {
                return Err(Error::Usage(format!(
                    "--parts {text}: expected a number for each of {}, or NAME=NUMBER",
                    names.join(", ")
                )));
            }
        }
    }
    let sum: f64 = parts.iter().sum();
    if sum <= 0.0 {
        return Err(Error::Usage("--parts leaves nothing to train on".into()));
    }
    Ok(parts.into_iter().map(|part| part / sum).collect())
}
