//! The columns of a dataset: names, types, and the description in the metadata.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use crate::error::{Error, Result};
use crate::io::features::arrays::{EncodedRow, FeatureArray};
use crate::io::features::parts::checks::META_KEY;
use crate::io::features::{DatasetMeta, Precision};

/// The name of the element field of a list, as Parquet prescribes it.
const LIST_ELEMENT: &str = "element";

/// The metadata columns of every dataset.
const METADATA_COLUMNS: [&str; 9] = [
    "key", "path", "page", "sha256", "blake3", "width", "height", "grid_h", "grid_w",
];

/// The metadata columns for the rows and columns of the coarse scale's grid.
pub(super) const COARSE_GRID_COLUMNS: [&str; 2] = ["coarse_grid_h", "coarse_grid_w"];

/// The metadata column for the number of pixels at which features are stored.
pub(super) const POINT_COUNT_COLUMN: &str = "n_points";

/// Whether an array is one vector for each photo, and stored as a fixed-size list.
pub(in crate::io::features::parts) fn is_vector(array: FeatureArray) -> bool {
    matches!(array, FeatureArray::Cls | FeatureArray::CoarseCls)
}

/// The names of the metadata columns of a dataset.
pub(in crate::io::features::parts) fn metadata_columns(meta: &DatasetMeta) -> Vec<&'static str> {
    let mut names = METADATA_COLUMNS.to_vec();
    if meta.coarse.is_some() {
        names.extend(COARSE_GRID_COLUMNS);
    }
    if meta.points.is_some() {
        names.push(POINT_COUNT_COLUMN);
    }
    names
}

/// The schema of a dataset: metadata columns, `model`, `blocks`, and a column for each array.
pub(in crate::io::features::parts) fn dataset_schema(meta: &DatasetMeta) -> Schema {
    let text = ["key", "path", "sha256", "blake3"];
    let mut fields: Vec<Field> = metadata_columns(meta)
        .into_iter()
        .map(|name| match text.contains(&name) {
            true => Field::new(name, DataType::Utf8, false),
            false => Field::new(name, DataType::Int32, false),
        })
        .collect();
    fields.push(Field::new("model", DataType::Utf8, false));
    fields.push(Field::new("blocks", DataType::List(block_field()), false));
    for array in FeatureArray::stored(meta) {
        let kind = match is_vector(array) {
            true => DataType::FixedSizeList(element_field(meta), vector_length(meta)),
            false => DataType::Binary,
        };
        fields.push(Field::new(array.name(), kind, false));
    }
    Schema::new(fields)
}

/// As [`dataset_schema`], with the description of the dataset in its metadata.
pub(in crate::io::features::parts) fn schema_with_meta(meta: &DatasetMeta) -> Schema {
    let description = (META_KEY.to_owned(), meta.to_json().to_string());
    dataset_schema(meta).with_metadata(HashMap::from([description]))
}

pub(super) fn block_field() -> Arc<Field> {
    Arc::new(Field::new(LIST_ELEMENT, DataType::Int32, false))
}

pub(super) fn element_field(meta: &DatasetMeta) -> Arc<Field> {
    let kind = match meta.precision {
        Precision::F16 => DataType::Float16,
        Precision::F32 => DataType::Float32,
    };
    Arc::new(Field::new(LIST_ELEMENT, kind, false))
}

/// Length of a vector column: layers times width.
pub(super) fn vector_length(meta: &DatasetMeta) -> i32 {
    i32::try_from(meta.layers.len() * meta.dim).unwrap_or(i32::MAX)
}

/// Checks that every array of a row fits into one value, which is limited to 2 GiB.
///
/// # Errors
/// Names the photo.
pub(in crate::io::features::parts) fn check_value_sizes(row: &EncodedRow) -> Result<()> {
    let most = i32::MAX as usize - (1 << 16);
    match row.arrays.iter().all(|bytes| bytes.len() <= most) {
        true => Ok(()),
        false => Err(Error::file(
            &row.info.name.path,
            "has more features than fit into a value of 2 GiB; store them as .safetensors or .npy, or pool them (`--pool`)",
        )),
    }
}
