//! [`TaskRun`]: what is the same for all photos of a run.

use std::sync::Mutex;

use crate::engine::BatchSize;
use crate::engine::run_report::RunReport;
use crate::io::output::OutputOptions;
use crate::tasks::TaskContext;
use crate::tasks::backbone_info::BackboneInfo;
use crate::tasks::inference::stored_features::StoredFeatures;
use crate::terminal::console::Console;

/// A run of tasks.
pub struct TaskRun<'r> {
    /// Where results go.
    pub options: &'r OutputOptions,
    /// What the tasks share.
    pub context: &'r TaskContext,
    /// The backbone, as far as it is known before it is loaded.
    pub model: BackboneInfo,
    /// The type of its numbers.
    pub dtype: String,
    /// Whether photos that are new in a folder get the fit of those that are there.
    pub keep_fit: bool,
    /// Photos of one size in the network at once.
    pub batch_size: BatchSize,
    /// Stored features in the backbone's place, if there are any.
    pub stored: Option<&'r StoredFeatures>,
    /// Whether what is made of the photos of a tar goes into a tar.
    pub packs_tars: bool,
    /// How all runs ended so far, where photos come little by little and each run has some of them.
    pub total_report: Option<&'r Mutex<RunReport>>,
    /// Where words go.
    pub console: &'r Console,
}
