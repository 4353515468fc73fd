//! One photo's row of a dataset, and its name.

use std::path::Path;

use crate::engine::stage_timings::StageTimings;
use crate::error::Error;
use crate::io::features::{FeatureRow, RowName};
use crate::io::inputs::Source;
use crate::io::manifest::Ledger;
use crate::io::output::OutputJob;
use crate::system::files::FileStamp;

/// The row of a photo that is to be written, and what its message and record entry need.
#[derive(Debug)]
pub struct GatheredRow {
    /// The row as it is stored.
    pub row: FeatureRow,
    /// The photo's source.
    pub job: OutputJob,
    /// Stamp of the photo's bytes.
    pub stamp: FileStamp,
    /// Seconds that each stage took.
    pub timings: StageTimings,
}

/// The name of a photo's row: its path and page.
pub fn row_name(source: &Source) -> RowName {
    let path = Ledger::input_path(source);
    RowName {
        path: path.to_string_lossy().into_owned(),
        page: source.page_number(),
    }
}

/// A key from the whole path of a photo, which no other photo has.
pub(super) fn full_key(name: &RowName) -> String {
    let path = Path::new(&name.path);
    let key = path.strip_prefix("/").unwrap_or(path).to_string_lossy();
    match name.page {
        0 => key.into_owned(),
        page => format!("{key}.p{page:03}"),
    }
}

/// The error for a part, at this path, that was changed since it was written.
pub fn changed_part_error(part: &Path) -> Error {
    Error::file(
        part,
        "was changed since it was written; remove it, and its photos are computed again, or make the dataset anew with --force",
    )
}
