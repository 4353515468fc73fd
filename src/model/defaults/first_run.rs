//! Automatic download of Meta's weights at the first use, within limits of time; if it fails, the command runs without
//! them.
//!
//! In: the [`RequiredWeights`] of a command and the store. Out: the names of what was fetched; messages go to the
//! [`FetchEventSink`].

use std::time::{Duration, Instant};

use super::{BACKBONE, DefaultsState, RequiredWeights};
use crate::error::{Error, Result};
use crate::model::head_zoo::official::{self, OfficialHead};
use crate::model::head_zoo::{HeadLocation, HeadStore, fetch};
use crate::model::weights::config::UserConfig;
use crate::model::weights::{self, FetchEvent, FetchEventSink, Hub, Store, WeightsPolicy};
use crate::system::environment::EnvVariables;
use crate::system::http::NetworkAccess;
use crate::system::memory::format_bytes;

/// How long the publisher's host may take to answer at all, for all files together.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// Longest silence of a transfer that the user did not ask for.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Result of a first run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirstRunReport {
    /// Names of the heads and backbones that were fetched just now.
    pub fetched: Vec<String>,
}

/// Meta's weights that are to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingWeights {
    /// Heads that are not installed.
    pub heads: Vec<OfficialHead>,
    /// The backbone, where that is not installed either.
    pub backbone: Option<&'static str>,
}

impl MissingWeights {
    /// Whether there is nothing to fetch.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.backbone.is_none()
    }

    /// Name and path on the publisher's host of each file, in the order of download.
    pub fn files(&self) -> Vec<(String, String)> {
        let heads = self
            .heads
            .iter()
            .map(|head| (head.name(), head.remote_path()));
        let backbone = self.backbone.iter();
        let backbone = backbone.map(|name| ((*name).to_owned(), official::backbone_path(name)));
        heads.chain(backbone).collect()
    }

    /// Size of each file in bytes, `None` where the host does not state it. All are requested at once and must be
    /// answered within `patience`.
    ///
    /// # Errors
    /// If a file does not exist, or the host does not answer in time.
    pub fn sizes(&self, host: &Hub, patience: Duration) -> Result<Vec<Option<u64>>> {
        sizes_of(&self.files(), host, patience)
    }

    /// Fetches and installs all of these weights.
    ///
    /// # Errors
    /// If a file cannot be fetched, is not what its name says, or the store cannot be written.
    pub fn pull(&self, store: &Store, host: &Hub, events: &mut FetchEventSink<'_>) -> Result<()> {
        let heads = HeadStore::at(store.root());
        for head in &self.heads {
            fetch::pull(&heads, store, head, host, events)?;
        }
        if let Some(backbone) = self.backbone {
            fetch::pull_backbone(store, backbone, host, events)?;
        }
        Ok(())
    }
}

/// Fetches Meta's weights that a command `needs` and the store lacks, unless `$DINO_WEIGHTS` is `focus`, the network is
/// forbidden, the store cannot be written, or a download from this host failed less than a day ago. A failure is one
/// line of warning, and the command runs with `vits14-focus` and the heads inside the program. With `$DINO_WEIGHTS`
/// `official` the download is always tried, and its failure is an error.
///
/// # Errors
/// [`Error::Interrupted`]; a wrong `$DINO_WEIGHTS` or `$DINO_HEADS_URL`; where `$DINO_WEIGHTS` is `official`, every
/// failure.
pub fn fetch_missing(
    store: &Store,
    needs: &[RequiredWeights],
    access: &NetworkAccess,
    events: &mut FetchEventSink<'_>,
) -> Result<FirstRunReport> {
    let policy = WeightsPolicy::from_variables(&EnvVariables::from_process())?;
    if policy == WeightsPolicy::Focus || needs.is_empty() {
        return Ok(FirstRunReport::default());
    }
    let heads = HeadStore::at(store.root());
    let missing = missing(store, &heads, needs)?;
    if missing.is_empty() {
        return Ok(FirstRunReport::default());
    }
    let must = policy == WeightsPolicy::Official;
    let mut state = DefaultsState::read(store.root());
    // A wrong address is an error: only the user can correct it.
    let host = fetch::host(access.clone())?;
    if !must {
        let has_failed = state.recent_failure(Some(&host.endpoint)).is_some();
        if *access != NetworkAccess::Allowed || has_failed {
            return Ok(FirstRunReport::default());
        }
        // A store that cannot be written can hold neither weights nor the record of a failure.
        if let Err(error) = state.write(store.root()) {
            events(FetchEvent::Note(&format!(
                "Meta's weights are not fetched, for they could not be kept: {error}"
            )))?;
            return Ok(FirstRunReport::default());
        }
    }
    let address = host.endpoint.clone();
    let fetched = fetch(store, &missing, (host, must), events);
    match fetched {
        Ok(fetched) => {
            state.clear_failure();
            // The state is only a convenience.
            let _ = state.write(store.root());
            Ok(FirstRunReport { fetched })
        }
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error) if must => Err(Error::Download(format!(
            "{}=official: {error}",
            WeightsPolicy::VARIABLE
        ))),
        Err(error) => {
            let why = error.to_string();
            state.record_failure(&address, &why);
            let _ = state.write(store.root());
            events(FetchEvent::ProgressEnd)?;
            events(FetchEvent::Warning(&format!(
                "Meta's weights could not be fetched ({}); going on with vits14-focus and the heads inside this program, \
                 which are less exact; `dino setup` tries again",
                in_short(&why)
            )))?;
            Ok(FirstRunReport::default())
        }
    }
}

/// The reason of an error message, without the remedy behind the first `; `.
fn in_short(why: &str) -> &str {
    why.split_once("; ").map_or(why, |(start, _)| start)
}

/// Meta's weights that the store lacks, where a command would otherwise use those inside the program.
fn missing(store: &Store, heads: &HeadStore, needs: &[RequiredWeights]) -> Result<MissingWeights> {
    // With DINO_WEIGHTS=official and none of Meta's installed, there is no default yet.
    let default = weights::default_model(store).unwrap_or_else(|_| weights::FOCUS_MODEL.to_owned());
    // A backbone that is set but not installed is not fetched automatically: it may be large.
    let is_there = |name: &str| matches!(store.get(name), Ok(Some(_)));
    let installed = official::PLAIN_BACKBONES
        .iter()
        .find(|name| **name == default && is_there(name));
    let backbone = installed.copied().unwrap_or(BACKBONE);
    let config = UserConfig::read(store.root())?;
    let mut missing = MissingWeights {
        heads: Vec::new(),
        backbone: None,
    };
    let mut is_needed = false;
    for need in needs {
        let Some(official) = need.official(backbone) else {
            // A user who has set a backbone has chosen; nothing is fetched in its place.
            is_needed |=
                config.model.is_none() && installed.is_none() && default == weights::FOCUS_MODEL;
            continue;
        };
        let task = need.task().unwrap_or_default();
        // An avoided head would not be used after the download.
        let is_found = matches!(heads.choose(task, None), Ok(found) if found.location != HeadLocation::Builtin);
        if is_found || config.avoid.contains(&official.name()) {
            continue;
        }
        is_needed = true;
        if !heads.path(&official.name())?.exists() && !missing.heads.contains(&official) {
            missing.heads.push(official);
        }
    }
    if is_needed && store.get(backbone)?.is_none() {
        missing.backbone = Some(backbone);
    }
    Ok(missing)
}

/// Fetches all of `missing` and returns the names of the files. Unless `must` is set, slow or unstable transfers are
/// given up.
fn fetch(
    store: &Store,
    missing: &MissingWeights,
    (host, must): (Hub, bool),
    events: &mut FetchEventSink<'_>,
) -> Result<Vec<String>> {
    let files = missing.files();
    // Proves that the host answers, and gives the sizes for the note.
    let patience = ANSWER_TIMEOUT.min(host.timeout);
    let mut sizes = Vec::new();
    for ((name, _), size) in files.iter().zip(missing.sizes(&host, patience)?) {
        let size = size.map_or(String::new(), |bytes| format!(" ({})", format_bytes(bytes)));
        sizes.push(format!("{name}{size}"));
    }
    events(FetchEvent::Note(&format!(
        "fetching Meta's {} from {}, licence Apache-2.0; DINO_WEIGHTS=focus or --offline keeps to what is inside this \
         program",
        sizes.join(" and "),
        host.endpoint
    )))?;
    let host = match must {
        true => host,
        false => Hub {
            timeout: READ_TIMEOUT.min(host.timeout),
            retries: 1,
            ..host
        },
    };
    let mut limit = TransferLimit::default();
    let mut limited = |event: FetchEvent<'_>| {
        if !must {
            limit.check(&event)?;
        }
        events(event)
    };
    missing.pull(store, &host, &mut limited)?;
    Ok(files.into_iter().map(|(name, _)| name).collect())
}

/// See [`MissingWeights::sizes`].
fn sizes_of(
    files: &[(String, String)],
    host: &Hub,
    patience: Duration,
) -> Result<Vec<Option<u64>>> {
    let deadline = Instant::now() + patience;
    let ask = |path: &str| {
        let instead = match path.contains("_pretrain") {
            true => host.with_import_command("dino models import FILE"),
            false => host.clone(),
        };
        instead.check_file(path)?;
        instead.query_file_size(path, (deadline, patience))
    };
    std::thread::scope(|scope| {
        let ask = &ask;
        let asked: Vec<_> = files
            .iter()
            .map(|(_, path)| scope.spawn(move || ask(path)))
            .collect();
        let answers = asked.into_iter().map(|it| match it.join() {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        answers.collect()
    })
}

/// Limits of a transfer that the user did not ask for: it must not be slow, nor break off again and again.
#[derive(Debug, Default)]
struct TransferLimit {
    label: String,
    start: Option<(Instant, u64)>,
    breaks: u32,
}

impl TransferLimit {
    /// Lowest rate in bytes per second.
    const RATE: u64 = 100_000;
    /// How long it may be slower at first.
    const GRACE: Duration = Duration::from_secs(15);
    /// How many times it may be resumed.
    const BREAKS: u32 = 4;

    fn check(&mut self, event: &FetchEvent<'_>) -> Result<()> {
        match event {
            FetchEvent::Progress { label, done, .. } => {
                if *label != self.label {
                    self.label = (*label).to_owned();
                    self.start = None;
                }
                let (start, first) = *self.start.get_or_insert((Instant::now(), *done));
                let age = start.elapsed();
                let rate = done.saturating_sub(first) as f64 / age.as_secs_f64().max(1e-3);
                match age > Self::GRACE && rate < Self::RATE as f64 {
                    true => Err(Error::Download(format!(
                        "{label} comes at {:.0} kB/s, which would take too long; what came is kept",
                        rate / 1e3
                    ))),
                    false => Ok(()),
                }
            }
            FetchEvent::Resumed(_) => {
                self.breaks += 1;
                match self.breaks > Self::BREAKS {
                    true => Err(Error::Download(format!(
                        "the connection broke off {} times; what came is kept",
                        self.breaks
                    ))),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_store_misses_the_small_backbone_and_a_head_a_task() {
        let root = tempfile::tempdir().unwrap();
        let (store, heads) = (Store::at(root.path()), HeadStore::at(root.path()));
        let of = |needs: &[RequiredWeights]| {
            let missing = missing(&store, &heads, needs).unwrap();
            let names: Vec<String> = missing.heads.iter().map(OfficialHead::name).collect();
            (names.join(" "), missing.backbone)
        };
        assert_eq!(of(&[]), (String::new(), None));
        assert_eq!(
            of(&[RequiredWeights::Backbone]),
            (String::new(), Some("vits14"))
        );
        let depth = "nyu-linear4-vits14".to_owned();
        assert_eq!(
            of(&[RequiredWeights::Depth, RequiredWeights::Depth]),
            (depth, Some("vits14"))
        );
        let both = "nyu-linear4-vits14 ade20k-linear-vits14".to_owned();
        assert_eq!(
            of(&[RequiredWeights::Depth, RequiredWeights::Segment]),
            (both, Some("vits14"))
        );
    }

    #[test]
    fn reasons_are_cut_before_their_remedies() {
        assert_eq!(
            in_short("x cannot be reached (y); check the network"),
            "x cannot be reached (y)"
        );
        assert_eq!(in_short("x"), "x");
    }
}
