//! Options of `dino cache list`, `prune` and `rm`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

use super::values::memory_size_or_zero;

/// See, shorten and remove the features that training keeps
///
/// `dino train` computes the features of its photos once and keeps them, up to --cache-limit. Names are MODEL/SET: the
/// backbone, and the data set as training calls it.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// List what is kept: of which model and data set, how much, and when it was last used
    ///
    /// Photos of several sets count in each.
    #[command(
        after_help = "Examples:\n  dino cache list\n  dino cache list --json | jq -r '[.name, .bytes] | @tsv'"
    )]
    List {
        #[command(flatten)]
        place: CacheFolderArgs,
        /// Print one JSON object a set
        #[arg(long)]
        json: bool,
    },
    /// Remove what was not used for long
    #[command(
        after_help = "Examples:\n  dino cache prune --older-than 30d\n  dino cache prune --to 20G"
    )]
    Prune {
        #[command(flatten)]
        place: CacheFolderArgs,
        /// What was not used for so long, such as 30d, 8w or 12h
        #[arg(long, value_name = "TIME", value_parser = time_span, required_unless_present = "to")]
        older_than: Option<Duration>,
        /// What was longest not in use, until so much is left, such as 20G or 500M
        #[arg(long, value_name = "SIZE", value_parser = memory_size_or_zero)]
        to: Option<u64>,
    },
    /// Remove the features of a set, or of all of a model's
    ///
    /// Photos that another set has too stay.
    #[command(
        after_help = "Examples:\n  dino cache rm vits14-focus/kitchen\n  dino cache rm vits14-focus"
    )]
    Rm {
        #[command(flatten)]
        place: CacheFolderArgs,
        /// Names out of `dino cache list`, or of models
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Where features are kept.
#[derive(Debug, Args)]
pub struct CacheFolderArgs {
    /// Where features are kept [default: cache/features in the folder of models]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cache: Option<PathBuf>,
}

fn time_span(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time such as 30d, 8w or 12h".to_owned();
    let text = text.trim();
    let unit = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(unit);
    let hours = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        _ => return Err(expected()),
    };
    let number = number.parse::<u32>().map_err(|_| expected())?;
    Ok(Duration::from_secs(u64::from(number) * hours * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_hours_days_or_weeks() {
        let hours = |text: &str| time_span(text).ok().map(|time| time.as_secs() / 3600);
        assert_eq!(hours("12h"), Some(12));
        assert_eq!(hours("30d"), Some(720));
        assert_eq!(hours("2w"), Some(336));
        for wrong in ["", "d", "30", "-1d", "1.5d", "3é", "1m"] {
            assert_eq!(hours(wrong), None, "{wrong}");
        }
    }
}
