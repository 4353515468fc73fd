//! Options of a [`DatasetWriter`](super::DatasetWriter).

use std::collections::HashSet;

use crate::io::features::RowName;

/// Default of [`WriterOptions::part_bytes`]: 128 MiB.
pub const DEFAULT_PART_BYTES: u64 = 128 << 20;

/// How a dataset is written.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Prefix of the parts' file names, before the number: `part`, or for instance `shard-003-of-100` if several
    /// processes write to one folder, each with its own prefix.
    pub prefix: String,
    /// Size in bytes of a part's arrays at which the part is full.
    pub part_bytes: u64,
    /// Whether existing parts are removed: those of this prefix and those that are damaged or of another dataset; all
    /// parts if the prefix is `part`.
    pub replace: bool,
    /// Rows to remove from existing parts because their photos have changed.
    pub stale_rows: HashSet<RowName>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        WriterOptions {
            prefix: DEFAULT_PREFIX.into(),
            part_bytes: DEFAULT_PART_BYTES,
            replace: false,
            stale_rows: HashSet::new(),
        }
    }
}

/// The prefix of a process that is the only writer of a dataset.
pub(super) const DEFAULT_PREFIX: &str = "part";
