//! One photo's row of a dataset, and its name.

use std::path::Path;

use crate::engine::stopwatch::Stopwatch;
use crate::error::Error;
use crate::io::features::{FeatureRow, RowName};
use crate::io::inputs::Source;
use crate::io::manifest::Ledger;
use crate::io::output::OutputJob;
use crate::system::files::FileStamp;

/// A row on its way into a part, and what is said of it once it is there.
#[derive(Debug)]
pub struct GatheredRow {
    /// What is stored.
    pub row: FeatureRow,
    /// The photo.
    pub job: OutputJob,
    /// Of its bytes.
    pub stamp: FileStamp,
    /// Where the time went.
    pub watch: Stopwatch,
}

/// Which row a photo has.
pub fn row_name(source: &Source) -> RowName {
    let path = Ledger::input_path(source);
    RowName {
        path: path.to_string_lossy().into_owned(),
        page: source.page_number(),
    }
}

/// A key that no other photo has.
pub(super) fn full_key(name: &RowName) -> String {
    let path = Path::new(&name.path);
    let key = path.strip_prefix("/").unwrap_or(path).to_string_lossy();
    match name.page {
        0 => key.into_owned(),
        page => format!("{key}.p{page:03}"),
    }
}

/// Why a part is not trusted.
pub fn changed_part_error(part: &Path) -> Error {
    Error::file(
        part,
        "was changed since it was written; remove it, and its photos are computed again, or make the dataset anew with --force",
    )
}
