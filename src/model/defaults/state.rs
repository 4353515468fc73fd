//! `first-run.json` in the store's folder: the last try that failed, and what was used last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::weights::config::write_in_store;

/// For so long a failed try is not repeated unasked.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FailedFetch {
    /// Seconds since 1970.
    at: u64,
    /// The host that was asked.
    #[serde(default)]
    host: String,
    why: String,
}

/// What the store remembers of earlier runs. It is worth nothing in itself: without it a try is made once more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultsState {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<FailedFetch>,
    /// By task, the head that a bare command used last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    last: BTreeMap<String, String>,
    /// Fingerprints of weights, each with the head on them, of which it was said that nobody knows whether they are the publisher's.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    warned: BTreeSet<String>,
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl DefaultsState {
    /// The file of the store at `root`.
    pub fn path(root: &Path) -> PathBuf {
        root.join("first-run.json")
    }

    /// What the store at `root` remembers; nothing where the file cannot be read or understood.
    pub fn read(root: &Path) -> Self {
        let text = fs::read(Self::path(root)).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Writes it.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn write(&self, root: &Path) -> Result<()> {
        let path = Self::path(root);
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::file(&path, error.to_string()))?;
        write_in_store(&path, &bytes)
    }

    /// Why the last try of `host` (of any, if none is given) failed, if that was less than a day ago.
    pub fn recent_failure(&self, host: Option<&str>) -> Option<&str> {
        let failed = self.failed.as_ref()?;
        if host.is_some_and(|host| host != failed.host) {
            return None;
        }
        // A time to come is of a clock that was wrong.
        let age = now().checked_sub(failed.at)?;
        (age < DAY.as_secs()).then_some(failed.why.as_str())
    }

    /// Notes that a try of `host` failed just now.
    pub fn record_failure(&mut self, host: &str, why: &str) {
        self.failed = Some(FailedFetch {
            at: now(),
            host: host.to_owned(),
            why: why.to_owned(),
        });
    }

    /// Forgets what failed.
    pub fn clear_failure(&mut self) {
        self.failed = None;
    }

    /// Notes that a bare command for `task` uses `head`; the head that it used before, if that was another.
    pub fn replace_last(&mut self, task: &str, head: &str) -> Option<String> {
        let before = self.last.insert(task.to_owned(), head.to_owned());
        before.filter(|before| before != head)
    }

    /// Whether `head` on weights with this fingerprint was not warned of yet; it is from now on.
    pub fn mark_warned(&mut self, head: &str, fingerprint: &str) -> bool {
        self.warned.insert(format!("{head} {fingerprint}"))
    }

    /// The head that a bare command for `task` used last.
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
        let mut memory = DefaultsState::read(root.path());
        assert_eq!(memory.recent_failure(None), None);
        memory.record_failure("host", "no network");
        memory.write(root.path()).unwrap();
        let mut memory = DefaultsState::read(root.path());
        assert_eq!(memory.recent_failure(Some("host")), Some("no network"));
        assert_eq!(memory.recent_failure(Some("mirror")), None);
        let failed = memory.failed.as_mut().unwrap();
        failed.at -= DAY.as_secs() + 1;
        assert_eq!(memory.recent_failure(None), None);
        memory.failed.as_mut().unwrap().at = now() + 1000;
        assert_eq!(memory.recent_failure(None), None);
        fs::write(DefaultsState::path(root.path()), "{").unwrap();
        assert_eq!(DefaultsState::read(root.path()), DefaultsState::default());
    }

    #[test]
    fn another_head_than_last_time_is_noticed() {
        let mut memory = DefaultsState::default();
        assert_eq!(memory.replace_last("depth", "indoor"), None);
        assert_eq!(memory.replace_last("depth", "indoor"), None);
        let before = memory.replace_last("depth", "nyu-linear4-vits14");
        assert_eq!(before.as_deref(), Some("indoor"));
    }
}
