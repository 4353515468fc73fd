//! Stamps of photos that could not be decoded, for the manifest, so that a later run skips them while they are
//! unchanged.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::io::inputs::Source;
use crate::io::manifest::FailureKind;
use crate::system::files::FileStamp;

/// By photo index, the stamp of each photo whose own bytes were at fault ([`FailureKind::is_lasting`]). Clones share
/// it.
#[derive(Debug, Clone, Default)]
pub struct FailedStamps(Arc<Mutex<BTreeMap<usize, FileStamp>>>);

impl FailedStamps {
    /// Stores the stamp of the photo that failed with `error`, if the failure is lasting and the file unchanged since
    /// `metadata`, which was read before the photo.
    pub(super) fn record(
        &self,
        (index, source): (usize, &Source),
        metadata: Option<&Metadata>,
        error: &Error,
    ) {
        let is_lasting = FailureKind::of(error, source.path()).is_lasting();
        let Some(metadata) = metadata.filter(|metadata| metadata.is_file() && is_lasting) else {
            return;
        };
        // A file that was changed meanwhile is not the one that failed.
        let stamp = FileStamp::of_file(source.path()).ok();
        if let Some(stamp) = stamp.filter(|stamp| stamp.matches_metadata(metadata)) {
            let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            stamps.insert(index, stamp);
        }
    }

    /// Removes and returns the stamp of the photo `index`, if there is one.
    pub fn take(&self, index: usize) -> Option<FileStamp> {
        let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.remove(&index)
    }
}
