//! Messages that the feeder, the workers and the device threads send to the caller's thread.

use std::any::Any;

use super::ready_photo::ReadyPhoto;
use crate::error::Result;

/// A message to the caller's thread. `C` is the output of the device for a photo, `T` the result of `finish`.
pub(super) enum PipelineEvent<T, C> {
    /// The photo of this index was decoded and prepared, or failed.
    Ready(usize, Result<ReadyPhoto>),
    /// The feeder waits for memory before it can admit the photo of this index.
    WaitingForMemory(usize),
    /// A clip has ended after this many frames.
    FeedEnded(usize),
    /// The batch slot of this number has computed a batch.
    Computed(usize, Vec<(ReadyPhoto, Result<C>)>),
    /// The photo of this index went through `finish`, or failed in it.
    Finished(usize, Result<T>),
    /// A worker or a device thread has panicked; the panic is resumed on the caller's thread.
    Panicked(Box<dyn Any + Send>),
}
