//! Options of a [`DatasetWriter`](super::DatasetWriter).

use std::collections::HashSet;

use crate::io::features::RowName;

/// Default of [`WriterOptions::part_bytes`]: 128 MiB.
pub const DEFAULT_PART_BYTES: u64 = 128 << 20;

/// How a dataset is written.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// File names of parts before their numbers: `part`, or e.g. `shard-003-of-100` if several programs write to one
    /// folder, each with a prefix of its own.
    pub prefix: String,
    /// A part is full when its arrays have this many bytes.
    pub part_bytes: u64,
    /// Whether existing parts are removed: those of this prefix and those of another dataset, or all parts if the
    /// prefix is `part`.
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

/// The prefix of a program that writes a dataset alone.
pub(super) const DEFAULT_PREFIX: &str = "part";
