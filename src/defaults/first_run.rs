//! The first run of a bare command: Meta's weights come from their publisher, or it goes on without them.

use std::time::{Duration, Instant};

use crate::environment::Variables;
use crate::error::{Error, Result};
use crate::heads::official::{self, Official};
use crate::heads::{Heads, Place, fetch};
use crate::memory::readable;
use crate::weights::config::Config;
use crate::weights::{self, Access, Event, Events, Hub, Origins, Store};

use super::{BACKBONE, Memory, Need};

/// How long the publisher's host may take to answer at all, for all files together.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long a transfer that nobody asked for may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// What came of a first run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirstRun {
    /// Names of the heads and backbones that were fetched just now.
    pub fetched: Vec<String>,
}

/// What is missing of Meta's weights.
struct Missing {
    heads: Vec<Official>,
    backbone: Option<&'static str>,
}

/// Fetches what a bare command `needs` of Meta's weights and the store has not, unless `$DINO_WEIGHTS` is `focus`, the
/// network is forbidden, or a try failed less than a day ago. What fails is told in one line, and the command goes on
/// with `vits14-focus` and the heads inside the program.
///
/// # Errors
/// [`Error::Interrupted`]; a wrong `$DINO_WEIGHTS`; and, where that is `official`, what keeps the weights away.
pub fn fetch_missing(
    store: &Store,
    needs: &[Need],
    access: &Access,
    events: &mut Events<'_>,
) -> Result<FirstRun> {
    let origins = Origins::of(&Variables::of_process())?;
    if origins == Origins::Focus || needs.is_empty() {
        return Ok(FirstRun::default());
    }
    let heads = Heads::at(store.root());
    let missing = missing(store, &heads, needs)?;
    if missing.heads.is_empty() && missing.backbone.is_none() {
        return Ok(FirstRun::default());
    }
    let must = origins == Origins::Official;
    let mut memory = Memory::read(store.root());
    if !must {
        if *access != Access::Allowed || memory.failed_lately().is_some() {
            return Ok(FirstRun::default());
        }
        // A store that cannot be written has no room for weights, nor for the memory of a failure.
        if let Err(error) = memory.write(store.root()) {
            events(Event::Note(&format!(
                "Meta's weights are not fetched, for they could not be kept: {error}"
            )))?;
            return Ok(FirstRun::default());
        }
    }
    let fetched = fetch(store, &heads, &missing, access, must, events);
    match fetched {
        Ok(fetched) => {
            memory.succeed();
            // All is well without it.
            let _ = memory.write(store.root());
            Ok(FirstRun { fetched })
        }
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error) if must => Err(Error::Download(format!(
            "{}=official: {error}",
            Origins::VARIABLE
        ))),
        Err(error) => {
            let why = error.to_string();
            memory.fail(&why);
            let _ = memory.write(store.root());
            events(Event::ProgressEnd)?;
            events(Event::Warning(&format!(
                "Meta's weights could not be fetched ({}); going on with vits14-focus and the heads inside this program, \
                 which are less exact; `dino setup` tries again",
                in_short(&why)
            )))?;
            Ok(FirstRun::default())
        }
    }
}

/// What went wrong, without what could be done about it.
fn in_short(why: &str) -> &str {
    why.split_once("; ").map_or(why, |(start, _)| start)
}

/// What of Meta's weights the store has not, where nothing better than what is inside the program would be used.
fn missing(store: &Store, heads: &Heads, needs: &[Need]) -> Result<Missing> {
    let default = weights::default_model(store)?;
    let installed = official::PLAIN.iter().find(|name| **name == default);
    let backbone = installed.copied().unwrap_or(BACKBONE);
    let mut missing = Missing {
        heads: Vec::new(),
        backbone: None,
    };
    let mut is_needed = false;
    for need in needs {
        let Some(official) = need.official(backbone) else {
            // Who set a backbone has it, whichever it is.
            let is_set = Config::read(store.root())?.model.is_some();
            is_needed |= !is_set && installed.is_none() && default == weights::FOCUS;
            continue;
        };
        let task = need.task().unwrap_or_default();
        if heads.choose(task, None)?.place != Place::Builtin {
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

/// Fetches what is missing; the names of all.
fn fetch(
    store: &Store,
    heads: &Heads,
    missing: &Missing,
    access: &Access,
    must: bool,
    events: &mut Events<'_>,
) -> Result<Vec<String>> {
    let host = fetch::host(access.clone())?;
    let backbone = missing
        .backbone
        .map(|name| (name, official::backbone_path(name)));
    let mut files: Vec<(String, String)> = missing
        .heads
        .iter()
        .map(|head| (head.name(), head.path()))
        .collect();
    files.extend(backbone.map(|(name, path)| (name.to_owned(), path)));
    // Whether anyone is there, and how much there is to fetch.
    let deadline = Instant::now() + PATIENCE.min(host.timeout);
    let mut sizes = Vec::new();
    for (name, path) in &files {
        host.check_file(path)?;
        let size = host.ask_for_file(path, deadline)?;
        let size = size.map_or(String::new(), |bytes| format!(" ({})", readable(bytes)));
        sizes.push(format!("{name}{size}"));
    }
    events(Event::Note(&format!(
        "fetching Meta's {} from {}, licence Apache-2.0; DINO_WEIGHTS=focus or --offline keeps to what is inside this \
         program",
        sizes.join(" and "),
        host.endpoint
    )))?;
    let host = match must {
        true => host,
        false => Hub {
            timeout: SILENCE.min(host.timeout),
            retries: 1,
            ..host
        },
    };
    for head in &missing.heads {
        fetch::pull(heads, store, head, &host, events)?;
    }
    if let Some(backbone) = missing.backbone {
        fetch::pull_backbone(store, backbone, &host, events)?;
    }
    Ok(files.into_iter().map(|(name, _)| name).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_store_misses_the_small_backbone_and_a_head_a_task() {
        let root = tempfile::tempdir().unwrap();
        let (store, heads) = (Store::at(root.path()), Heads::at(root.path()));
        let of = |needs: &[Need]| {
            let missing = missing(&store, &heads, needs).unwrap();
            let names: Vec<String> = missing.heads.iter().map(Official::name).collect();
            (names.join(" "), missing.backbone)
        };
        assert_eq!(of(&[]), (String::new(), None));
        assert_eq!(of(&[Need::Backbone]), (String::new(), Some("vits14")));
        let depth = "nyu-linear4-vits14".to_owned();
        assert_eq!(of(&[Need::Depth, Need::Depth]), (depth, Some("vits14")));
        let both = "nyu-linear4-vits14 ade20k-linear-vits14".to_owned();
        assert_eq!(of(&[Need::Depth, Need::Segment]), (both, Some("vits14")));
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
