//! Row metadata as JSON, in tar and safetensors parts, and unique names for the rows of a part.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::io::features::parts::checks::check_dataset_id;
use crate::io::features::{DatasetMeta, RowInfo, RowName};
use crate::model::input::PatchGrid;
use crate::system::files::Digest;

/// A [`RowInfo`] as JSON, with the model and the dataset id; the field names are the JSON keys.
#[derive(Debug, Serialize, Deserialize)]
#[serde(expecting = "the metadata of a row")]
pub(super) struct RowMetadata {
    pub(super) key: String,
    path: String,
    page: u32,
    sha256: String,
    blake3: Digest,
    width: u32,
    height: u32,
    grid_h: usize,
    grid_w: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coarse_grid_h: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coarse_grid_w: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n_points: Option<usize>,
    model: String,
    blocks: Vec<usize>,
    /// The dataset id, see [`DatasetMeta::dataset_id`].
    dataset: String,
}

impl RowMetadata {
    pub(super) fn of(info: &RowInfo, meta: &DatasetMeta) -> Self {
        RowMetadata {
            key: info.key.clone(),
            path: info.name.path.clone(),
            page: info.name.page,
            sha256: info.sha256.clone(),
            blake3: info.digest,
            width: info.photo_size.0,
            height: info.photo_size.1,
            grid_h: info.grid.rows,
            grid_w: info.grid.cols,
            coarse_grid_h: info.coarse_grid.map(|grid| grid.rows),
            coarse_grid_w: info.coarse_grid.map(|grid| grid.cols),
            n_points: meta.points.as_ref().map(|_| info.point_count),
            model: meta.model.clone(),
            blocks: meta.blocks(),
            dataset: meta.dataset_id(),
        }
    }

    /// The [`RowInfo`] of row `row` of the part at `path`.
    ///
    /// # Errors
    /// Names the part if the row is another dataset's.
    pub(super) fn into_row_info(
        self,
        path: &Path,
        meta: &DatasetMeta,
        row: usize,
    ) -> Result<RowInfo> {
        check_dataset_id(path, &self.dataset, meta)?;
        let coarse = self.coarse_grid_h.zip(self.coarse_grid_w);
        Ok(RowInfo {
            name: RowName {
                path: self.path,
                page: self.page,
            },
            key: self.key,
            sha256: self.sha256,
            digest: self.blake3,
            photo_size: (self.width, self.height),
            grid: PatchGrid {
                rows: self.grid_h,
                cols: self.grid_w,
            },
            coarse_grid: coarse.map(|(rows, cols)| PatchGrid { rows, cols }),
            point_count: self.n_points.unwrap_or(0),
            part: 0,
            row,
        })
    }
}

/// Makes names unique within a part, by the number of times that each was requested.
#[derive(Debug, Default)]
pub(super) struct UniqueNames(HashMap<String, usize>);

impl UniqueNames {
    /// Returns `name`, or `name~2` and so on if it was returned before.
    pub(super) fn make_unique(&mut self, name: &str) -> String {
        let mut count = *self.0.get(name).unwrap_or(&0);
        loop {
            count += 1;
            let given = match count {
                1 => name.to_owned(),
                _ => format!("{name}~{count}"),
            };
            if count == 1 || !self.0.contains_key(&given) {
                self.0.insert(name.to_owned(), count);
                self.0.entry(given.clone()).or_insert(1);
                return given;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_once() {
        let mut names = UniqueNames::default();
        let given = ["a", "a~2", "a", "a", "a~2", "b"].map(|name| names.make_unique(name));
        assert_eq!(given, ["a", "a~2", "a~3", "a~4", "a~2~2", "b"]);
    }
}
