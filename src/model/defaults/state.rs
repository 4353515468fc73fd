//! `first-run.json` in the store's folder: the last download that failed, the heads used last, and the warnings given.
//!
//! A failed download is not tried again for a day. Losing the file loses nothing: a download is tried once more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::weights::config::write_in_store;

/// How long a failed download is not repeated automatically.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A download that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a failed download")]
struct FailedFetch {
    /// Seconds since 1970.
    at: u64,
    /// The host that was asked.
    #[serde(default)]
    host: String,
    why: String,
}

/// State of earlier runs, kept in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "the state of default weights")]
pub struct DefaultsState {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<FailedFetch>,
    /// The head that was used last by default, by task.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    last: BTreeMap<String, String>,
    /// `HEAD FINGERPRINT` of weights of unknown origin that were warned of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    warned: BTreeSet<String>,
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl DefaultsState {
    /// The path of the file in the store at `root`.
    pub fn path(root: &Path) -> PathBuf {
        root.join("first-run.json")
    }

    /// The state in the store at `root`; empty where the file cannot be read or understood.
    pub fn read(root: &Path) -> Self {
        let text = fs::read(Self::path(root)).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Writes the state into the store at `root`.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn write(&self, root: &Path) -> Result<()> {
        let path = Self::path(root);
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::file(&path, error.to_string()))?;
        write_in_store(&path, &bytes)
    }

    /// The message of the last failed download from `host` (from any, if `None`), if it was less than a day ago.
    pub fn recent_failure(&self, host: Option<&str>) -> Option<&str> {
        let failed = self.failed.as_ref()?;
        if host.is_some_and(|host| host != failed.host) {
            return None;
        }
        // A time in the future comes from a clock that was wrong.
        let age = now().checked_sub(failed.at)?;
        (age < DAY.as_secs()).then_some(failed.why.as_str())
    }

    /// Records that a download from `host` failed just now.
    pub fn record_failure(&mut self, host: &str, why: &str) {
        self.failed = Some(FailedFetch {
            at: now(),
            host: host.to_owned(),
            why: why.to_owned(),
        });
    }

    /// Forgets the failed download.
    pub fn clear_failure(&mut self) {
        self.failed = None;
    }

    /// Records `head` as the default head of `task`, and returns the previous one if it differs.
    pub fn replace_last(&mut self, task: &str, head: &str) -> Option<String> {
        let before = self.last.insert(task.to_owned(), head.to_owned());
        before.filter(|before| before != head)
    }

    /// Records that a warning about `head` on weights with this fingerprint was given; `true` the first time.
    pub fn mark_warned(&mut self, head: &str, fingerprint: &str) -> bool {
        self.warned.insert(format!("{head} {fingerprint}"))
    }

    /// The head that was used last by default for `task`.
    pub fn last(&self, task: &str) -> Option<&str> {
        self.last.get(task).map(String::as_str)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_for_a_day() {
        let root = tempfile::tempdir().unwrap();
        let mut state = DefaultsState::read(root.path());
        assert_eq!(state.recent_failure(None), None);
        state.record_failure("host", "no network");
        state.write(root.path()).unwrap();
        let mut state = DefaultsState::read(root.path());
        assert_eq!(state.recent_failure(Some("host")), Some("no network"));
        assert_eq!(state.recent_failure(Some("mirror")), None);
        let failed = state.failed.as_mut().unwrap();
        failed.at -= DAY.as_secs() + 1;
        assert_eq!(state.recent_failure(None), None);
        state.failed.as_mut().unwrap().at = now() + 1000;
        assert_eq!(state.recent_failure(None), None);
        fs::write(DefaultsState::path(root.path()), "{").unwrap();
        assert_eq!(DefaultsState::read(root.path()), DefaultsState::default());
    }

    #[test]
    fn another_head_than_last_time_is_noticed() {
        let mut state = DefaultsState::default();
        assert_eq!(state.replace_last("depth", "indoor"), None);
        assert_eq!(state.replace_last("depth", "indoor"), None);
        let before = state.replace_last("depth", "nyu-linear4-vits14");
        assert_eq!(before.as_deref(), Some("indoor"));
    }
}
