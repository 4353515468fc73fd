//! TODO

use std::any::Any;

use super::ready_photo::ReadyPhoto;
use crate::error::Result;

/// What workers and lanes tell the caller's thread: `T` is what becomes of a photo, `C` what is computed of it.
pub(super) enum PipelineEvent<T, C> {
    /// A photo is ready, or failed.
    Ready(usize, Result<ReadyPhoto>),
    /// This photo waits for the memory of those before it.
    WaitingForMemory(usize),
    /// There were so many photos, and no more come.
    FeedEnded(usize),
    /// The lane of this number is done with a batch.
    Computed(usize, Vec<(ReadyPhoto, Result<C>)>),
    /// A photo is finished, or failed.
    Finished(usize, Result<T>),
    /// A worker or a lane has a fault; the program ends with it.
    Panicked(Box<dyn Any + Send>),
}
