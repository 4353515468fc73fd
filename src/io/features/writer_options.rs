//! TODO

use std::collections::HashSet;

use crate::io::features::RowName;

/// Bytes of numbers in a part, unless it is said otherwise.
pub const DEFAULT_PART_BYTES: u64 = 128 << 20;

/// How a dataset is written.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// What the files of parts are called before their numbers: `part`, or e.g. `shard-003-of-100` where several programs
    /// write to one folder, each with a prefix of its own.
    pub prefix: String,
    /// A part is full when its numbers have this many bytes.
    pub part_bytes: u64,
    /// Drop what is there: all parts of this prefix, and all that are of another dataset; if the prefix is `part`, simply
    /// all.
    pub replace: bool,
    /// Rows that are stale, and dropped from whichever part they are in.
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

/// The prefix of who writes a dataset alone.
pub(super) const DEFAULT_PREFIX: &str = "part";
