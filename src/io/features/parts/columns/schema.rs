//! TODO

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use crate::error::{Error, Result};
use crate::io::features::arrays::{EncodedRow, FeatureArray};
use crate::io::features::parts::checks::META_KEY;
use crate::io::features::{DatasetMeta, Precision};

/// The name of the numbers in a list, as Parquet prescribes it.
const LIST_ELEMENT: &str = "element";

/// Columns that tell of a row without its numbers.
const METADATA_COLUMNS: [&str; 9] = [
    "key", "path", "page", "sha256", "blake3", "width", "height", "grid_h", "grid_w",
];

/// The rows and columns of the coarser look's grid.
pub(super) const COARSE_GRID_COLUMNS: [&str; 2] = ["coarse_grid_h", "coarse_grid_w"];

/// How many pixels features are stored at.
pub(super) const POINT_COUNT_COLUMN: &str = "n_points";

/// Whether an array is one vector for each photo.
pub(in crate::io::features::parts) fn is_vector(array: FeatureArray) -> bool {
    matches!(array, FeatureArray::Cls | FeatureArray::CoarseCls)
}

/// The names of the columns without numbers.
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

/// The columns of a dataset.
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
            true => DataType::FixedSizeList(element_field(meta), length(meta)),
            false => DataType::Binary,
        };
        fields.push(Field::new(array.name(), kind, false));
    }
    Schema::new(fields)
}

/// The same, with what is said of the dataset.
pub(in crate::io::features::parts) fn schema_with_meta(meta: &DatasetMeta) -> Schema {
    let said = (META_KEY.to_owned(), meta.to_json().to_string());
    dataset_schema(meta).with_metadata(HashMap::from([said]))
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

/// Numbers of a vector.
pub(super) fn length(meta: &DatasetMeta) -> i32 {
    i32::try_from(meta.layers.len() * meta.dim).unwrap_or(i32::MAX)
}

/// Whether rows fit into columns, whose values have less than 2 GiB.
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
