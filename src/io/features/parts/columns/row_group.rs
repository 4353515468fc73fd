//! Gathers encoded rows into record batches.

use std::sync::Arc;

use arrow_array::types::{Float16Type, Float32Type};
use arrow_array::{
    ArrayRef, BinaryArray, FixedSizeListArray, Int32Array, ListArray, PrimitiveArray, RecordBatch,
    StringArray,
};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, SchemaRef};
use half::f16;

use super::schema::{block_field, element_field, is_vector, metadata_columns, vector_length};
use crate::error::Result;
use crate::io::features::arrays::{EncodedRow, FeatureArray};
use crate::io::features::{DatasetMeta, Precision, RowInfo};
use crate::model::input::PatchGrid;

/// Size in bytes of its arrays at which a row group is written.
const GROUP_BYTES: u64 = 16 << 20;

/// Maximum number of rows in a row group: while encoding lists, Parquet takes several times their size in memory.
const GROUP_ROWS: usize = 4096;

/// Buffers rows until they are written as one row group or record batch.
#[derive(Debug, Default)]
pub(in crate::io::features::parts) struct RowGroupBuffer {
    rows: Vec<EncodedRow>,
    bytes: u64,
}

impl RowGroupBuffer {
    /// Adds a row, and returns whether the group is full.
    pub(in crate::io::features::parts) fn push(&mut self, row: EncodedRow) -> bool {
        self.bytes += row.arrays.iter().map(|a| a.len() as u64).sum::<u64>();
        self.rows.push(row);
        self.bytes >= GROUP_BYTES || self.rows.len() >= GROUP_ROWS
    }

    /// Empties the buffer into a batch; `None` if it has no rows.
    pub(in crate::io::features::parts) fn take(
        &mut self,
        meta: &DatasetMeta,
        schema: &SchemaRef,
    ) -> Result<Option<RecordBatch>, ArrowError> {
        let group = std::mem::take(self);
        match group.rows.is_empty() {
            true => Ok(None),
            false => batch(&group.rows, meta, Arc::clone(schema)).map(Some),
        }
    }
}

/// `rows` as columns of `schema`.
///
/// # Errors
/// Those of Arrow, such as a value beyond 32 bits.
fn batch(
    rows: &[EncodedRow],
    meta: &DatasetMeta,
    schema: SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for name in metadata_columns(meta) {
        let text = |of: &dyn Fn(&RowInfo) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(
                rows.iter().map(|row| of(&row.info)),
            ))
        };
        let number = |of: &dyn Fn(&RowInfo) -> usize| -> Result<ArrayRef, ArrowError> {
            let all = rows.iter().map(|row| i32::try_from(of(&row.info)));
            let all = all.collect::<Result<Vec<_>, _>>();
            let all = all.map_err(|_| ArrowError::OffsetOverflowError(usize::MAX))?;
            Ok(Arc::new(Int32Array::from(all)))
        };
        let coarse = |info: &RowInfo| info.coarse_grid.unwrap_or(PatchGrid { rows: 0, cols: 0 });
        columns.push(match name {
            "key" => text(&|info| info.key.clone()),
            "path" => text(&|info| info.name.path.clone()),
            "sha256" => text(&|info| info.sha256.clone()),
            "blake3" => text(&|info| info.digest.to_string()),
            "page" => number(&|info| info.name.page as usize)?,
            "width" => number(&|info| info.photo_size.0 as usize)?,
            "height" => number(&|info| info.photo_size.1 as usize)?,
            "grid_h" => number(&|info| info.grid.rows)?,
            "grid_w" => number(&|info| info.grid.cols)?,
            "coarse_grid_h" => number(&|info| coarse(info).rows)?,
            "coarse_grid_w" => number(&|info| coarse(info).cols)?,
            _ => number(&|info| info.point_count)?,
        });
    }
    let model = rows.iter().map(|_| &meta.model);
    columns.push(Arc::new(StringArray::from_iter_values(model)));
    let blocks = meta.blocks();
    let all = rows.iter().flat_map(|_| blocks.iter().map(|&b| b as i32));
    let lengths = OffsetBuffer::from_lengths(rows.iter().map(|_| blocks.len()));
    let values: ArrayRef = Arc::new(Int32Array::from_iter_values(all));
    columns.push(Arc::new(ListArray::try_new(
        block_field(),
        lengths,
        values,
        None,
    )?));
    for (index, array) in FeatureArray::stored(meta).into_iter().enumerate() {
        let bytes = || rows.iter().map(|row| row.arrays[index].as_slice());
        columns.push(match is_vector(array) {
            true => vectors(bytes(), meta)?,
            false => {
                let lengths = OffsetBuffer::from_lengths(bytes().map(<[u8]>::len));
                let values = Buffer::from_vec(bytes().collect::<Vec<_>>().concat());
                Arc::new(BinaryArray::try_new(lengths, values, None)?)
            }
        });
    }
    RecordBatch::try_new(schema, columns)
}

/// A fixed-size list column of the little-endian bytes of each row.
fn vectors<'a>(
    rows: impl Iterator<Item = &'a [u8]>,
    meta: &DatasetMeta,
) -> Result<ArrayRef, ArrowError> {
    let values: ArrayRef = match meta.precision {
        Precision::F16 => {
            let numbers = rows.flat_map(|bytes| bytes.chunks_exact(2));
            let numbers: Vec<f16> = numbers.map(|b| f16::from_le_bytes([b[0], b[1]])).collect();
            Arc::new(PrimitiveArray::<Float16Type>::new(
                ScalarBuffer::from(numbers),
                None,
            ))
        }
        Precision::F32 => {
            let numbers = rows.flat_map(|bytes| bytes.chunks_exact(4));
            let numbers: Vec<f32> = numbers
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            Arc::new(PrimitiveArray::<Float32Type>::new(
                ScalarBuffer::from(numbers),
                None,
            ))
        }
    };
    Ok(Arc::new(FixedSizeListArray::try_new(
        element_field(meta),
        vector_length(meta),
        values,
        None,
    )?))
}
