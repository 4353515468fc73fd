//! [`TaskRun`]: the settings of a run, the same for all its photos.

use std::sync::Mutex;

use crate::engine::BatchSize;
use crate::engine::run_report::RunReport;
use crate::io::output::OutputOptions;
use crate::tasks::TaskContext;
use crate::tasks::backbone_info::BackboneInfo;
use crate::tasks::inference::stored_features::StoredFeatures;
use crate::terminal::console::Console;

/// A run of tasks over photos.
pub struct TaskRun<'r> {
    /// Where outputs go.
    pub options: &'r OutputOptions,
    /// What the tasks share.
    pub context: &'r TaskContext,
    /// The backbone, as far as it is known before it is loaded.
    pub model: BackboneInfo,
    /// The backbone's number type, such as `f32`.
    pub dtype: String,
    /// Whether new photos in a folder get the fit of those that are there (`--keep-fit`).
    pub keep_fit: bool,
    /// Photos of one padded size in a batch.
    pub batch_size: BatchSize,
    /// Stored features that replace the backbone, if given.
    pub stored: Option<&'r StoredFeatures>,
    /// Whether the outputs of the photos of a tar are packed into a tar (`--tar`).
    pub packs_tars: bool,
    /// The report of all runs so far, where photos arrive over time (`--watch`) and each run has some of them.
    pub total_report: Option<&'r Mutex<RunReport>>,
    /// Where messages go.
    pub console: &'r Console,
}
