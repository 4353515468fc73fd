//! TODO

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::io::inputs::Source;
use crate::io::manifest::FailureKind;
use crate::system::files::FileStamp;

/// The stamps of photos whose own bytes were at fault, by their numbers.
#[derive(Debug, Clone, Default)]
pub struct FailedStamps(Arc<Mutex<BTreeMap<usize, FileStamp>>>);

impl FailedStamps {
    /// Takes the stamp of a photo with which `error` came up, and of which `met` was asked before it was read.
    pub(super) fn record(
        &self,
        (index, source): (usize, &Source),
        met: Option<&Metadata>,
        error: &Error,
    ) {
        let is_lasting = FailureKind::of(error, source.path()).is_lasting();
        let Some(met) = met.filter(|met| met.is_file() && is_lasting) else {
            return;
        };
        // What was changed meanwhile is not what failed.
        let stamp = FileStamp::of_file(source.path()).ok();
        if let Some(stamp) = stamp.filter(|stamp| stamp.matches_metadata(met)) {
            let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            stamps.insert(index, stamp);
        }
    }

    /// The stamp of the photo `index`, if it is known; it is asked once.
    pub fn take(&self, index: usize) -> Option<FileStamp> {
        let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.remove(&index)
    }
}
