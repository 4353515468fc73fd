//! The arrays of a row: which a dataset stores, their shapes, and their encoding as little-endian bytes.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::error::{Error, Result};
use crate::io::features::{DatasetMeta, FeatureRow, Precision, RowInfo};
use crate::model::input::PatchGrid;

/// A kind of array in a row. In the shapes, L is the number of layers, D the width of a token, R the number of register
/// tokens, and `width` is [`DatasetMeta::patch_width`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeatureArray {
    /// Cls tokens, `[L, D]`.
    Cls,
    /// Patch tokens, `[L, rows, cols, width]`.
    Patches,
    /// Register tokens, `[L, R, D]`.
    Registers,
    /// Cls tokens of the coarse scale, `[L, D]`.
    CoarseCls,
    /// Patch tokens of the coarse scale, `[L, rows, cols, D]`.
    CoarsePatches,
    /// Coordinates `[points, 2]`: x and y in pixels of the photo, always f32.
    Points,
    /// Features sampled at those pixels, `[points, L, D]`.
    PointFeatures,
}

impl FeatureArray {
    /// All arrays, in the order in which they are stored.
    pub(super) const ALL: [FeatureArray; 7] = [
        FeatureArray::Cls,
        FeatureArray::Patches,
        FeatureArray::Registers,
        FeatureArray::CoarseCls,
        FeatureArray::CoarsePatches,
        FeatureArray::Points,
        FeatureArray::PointFeatures,
    ];

    /// The arrays of each row of a dataset, in the order in which they are stored.
    pub(super) fn stored(meta: &DatasetMeta) -> Vec<FeatureArray> {
        let coarse = meta.coarse.is_some();
        let points = meta.points.is_some();
        let is_stored = |array: &FeatureArray| match array {
            FeatureArray::Cls => meta.cls,
            FeatureArray::Patches => meta.patches,
            FeatureArray::Registers => meta.registers > 0,
            FeatureArray::CoarseCls => coarse && meta.cls,
            FeatureArray::CoarsePatches => coarse && meta.patches,
            FeatureArray::Points | FeatureArray::PointFeatures => points,
        };
        FeatureArray::ALL.into_iter().filter(is_stored).collect()
    }

    /// Its name in columns, tensors and file names.
    pub(super) fn name(self) -> &'static str {
        match self {
            FeatureArray::Cls => "cls",
            FeatureArray::Patches => "patches",
            FeatureArray::Registers => "registers",
            FeatureArray::CoarseCls => "coarse_cls",
            FeatureArray::CoarsePatches => "coarse_patches",
            FeatureArray::Points => "points",
            FeatureArray::PointFeatures => "at",
        }
    }

    /// The number type in which it is stored.
    pub(super) fn precision(self, meta: &DatasetMeta) -> Precision {
        match self {
            FeatureArray::Points => Precision::F32,
            _ => meta.precision,
        }
    }

    /// Its shape for the row `info`.
    pub(super) fn shape(self, meta: &DatasetMeta, info: &RowInfo) -> Vec<usize> {
        let (layers, dim) = (meta.layers.len(), meta.dim);
        let of_grid = |grid: PatchGrid, width| vec![layers, grid.rows, grid.cols, width];
        match self {
            FeatureArray::Cls | FeatureArray::CoarseCls => vec![layers, dim],
            FeatureArray::Patches => of_grid(info.grid, meta.patch_width()),
            FeatureArray::Registers => vec![layers, meta.registers, dim],
            FeatureArray::CoarsePatches => of_grid(
                info.coarse_grid.unwrap_or(PatchGrid { rows: 0, cols: 0 }),
                dim,
            ),
            FeatureArray::Points => vec![info.point_count, 2],
            FeatureArray::PointFeatures => vec![info.point_count, layers, dim],
        }
    }

    /// Its bytes for the row `info`.
    pub(super) fn size_in_bytes(self, meta: &DatasetMeta, info: &RowInfo) -> usize {
        let numbers = self.shape(meta, info).iter().product::<usize>();
        numbers * self.precision(meta).size_in_bytes()
    }

    /// Copies its values out of `row`, in row-major order; empty if `row` has none.
    fn numbers(self, row: &FeatureRow) -> Vec<f32> {
        let coarse = row.coarse.as_ref();
        match self {
            FeatureArray::Cls => row.cls.clone(),
            FeatureArray::Patches => row.patches.clone(),
            FeatureArray::Registers => row.registers.clone(),
            FeatureArray::CoarseCls => coarse.map_or_else(Vec::new, |(_, cls, _)| cls.clone()),
            FeatureArray::CoarsePatches => {
                coarse.map_or_else(Vec::new, |(_, _, patches)| patches.clone())
            }
            FeatureArray::Points => row.points.iter().flat_map(|&(x, y)| [x, y]).collect(),
            FeatureArray::PointFeatures => row.point_features.clone(),
        }
    }

    /// Stores its values in `row`.
    fn fill(self, row: &mut FeatureRow, numbers: Vec<f32>) {
        match self {
            FeatureArray::Cls => row.cls = numbers,
            FeatureArray::Patches => row.patches = numbers,
            FeatureArray::Registers => row.registers = numbers,
            FeatureArray::CoarseCls => {
                if let Some((_, cls, _)) = &mut row.coarse {
                    *cls = numbers;
                }
            }
            FeatureArray::CoarsePatches => {
                if let Some((_, _, patches)) = &mut row.coarse {
                    *patches = numbers;
                }
            }
            FeatureArray::Points => {
                row.points = numbers.chunks_exact(2).map(|xy| (xy[0], xy[1])).collect();
            }
            FeatureArray::PointFeatures => row.point_features = numbers,
        }
    }
}

/// A row as it is stored: its arrays as bytes.
#[derive(Debug, Clone)]
pub(super) struct EncodedRow {
    /// Names, digests and sizes of the row.
    pub(super) info: RowInfo,
    /// Little-endian bytes of its arrays, in the order of [`FeatureArray::stored`].
    pub(super) arrays: Vec<Vec<u8>>,
}

impl EncodedRow {
    /// Encodes `row` in the precision of `meta`.
    ///
    /// # Errors
    /// Names the photo if an array does not have the shape that `meta` implies, or has values that are not finite or
    /// exceed the range of the precision.
    pub(super) fn of(row: &FeatureRow, meta: &DatasetMeta) -> Result<Self> {
        let info = RowInfo::of(row);
        if meta.coarse.is_some() != info.coarse_grid.is_some() {
            return Err(Error::file(
                &info.name.path,
                "its features are those of another dataset: one has a coarser look, one has none",
            ));
        }
        let encode = |array: FeatureArray| {
            let (numbers, shape) = (array.numbers(row), array.shape(meta, &info));
            if numbers.len() != shape.iter().product::<usize>() {
                return Err(Error::file(
                    &info.name.path,
                    format!(
                        "its features do not belong into this dataset: `{}` has {} numbers, where {shape:?} were expected",
                        array.name(),
                        numbers.len()
                    ),
                ));
            }
            encode(&numbers, array.precision(meta)).map_err(|why| Error::file(&info.name.path, why))
        };
        let arrays = FeatureArray::stored(meta).into_iter().map(encode);
        Ok(EncodedRow {
            arrays: arrays.collect::<Result<_>>()?,
            info,
        })
    }

    /// Decodes the row; the lengths of its arrays must have been checked.
    pub(super) fn decode(self, meta: &DatasetMeta) -> FeatureRow {
        let info = self.info;
        let mut row = FeatureRow {
            name: info.name,
            key: info.key,
            sha256: info.sha256,
            digest: info.digest,
            photo_size: info.photo_size,
            grid: info.grid,
            cls: Vec::new(),
            patches: Vec::new(),
            registers: Vec::new(),
            coarse: info.coarse_grid.map(|grid| (grid, Vec::new(), Vec::new())),
            points: Vec::new(),
            point_features: Vec::new(),
        };
        for (array, bytes) in FeatureArray::stored(meta).into_iter().zip(&self.arrays) {
            array.fill(&mut row, decode(bytes, array.precision(meta)));
        }
        row
    }
}

impl FeatureRow {
    /// Rounds the features to `precision`, so that they equal what is stored.
    ///
    /// # Errors
    /// Names the photo if it has features that are not finite or beyond the range of `precision`.
    pub fn round(&mut self, precision: Precision) -> Result<()> {
        let FeatureRow {
            cls,
            patches,
            registers,
            coarse,
            point_features,
            ..
        } = self;
        let (coarse_cls, coarse_patches) = match coarse {
            Some((_, cls, patches)) => (Some(cls), Some(patches)),
            None => (None, None),
        };
        let arrays = [
            Some(cls),
            Some(patches),
            Some(registers),
            coarse_cls,
            coarse_patches,
            Some(point_features),
        ];
        for numbers in arrays.into_iter().flatten() {
            let bytes =
                encode(numbers, precision).map_err(|why| Error::file(&self.name.path, why))?;
            *numbers = decode(&bytes, precision);
        }
        Ok(())
    }
}

/// Little-endian bytes of `numbers`.
///
/// # Errors
/// The reason, as the end of a sentence, if a number is not finite or beyond the range of `precision`.
fn encode(numbers: &[f32], precision: Precision) -> Result<Vec<u8>, String> {
    if !numbers.iter().all(|number| number.is_finite()) {
        return Err("has features that are no finite numbers; there is something wrong with the backbone's weights, or with the photo".into());
    }
    match precision {
        Precision::F32 => Ok(numbers.iter().flat_map(|n| n.to_le_bytes()).collect()),
        Precision::F16 => {
            let mut halves = vec![f16::ZERO; numbers.len()];
            halves.convert_from_f32_slice(numbers);
            match halves.iter().all(|half| half.is_finite()) {
                true => Ok(halves.iter().flat_map(|n| n.to_le_bytes()).collect()),
                false => Err(format!(
                    "has features beyond {}, the largest that f16 holds; store them as f32 (`--dtype f32`)",
                    f16::MAX
                )),
            }
        }
    }
}

/// The numbers of little-endian `bytes`.
fn decode(bytes: &[u8], precision: Precision) -> Vec<f32> {
    match precision {
        Precision::F32 => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Precision::F16 => {
            let halves = bytes.chunks_exact(2);
            let halves: Vec<f16> = halves.map(|b| f16::from_le_bytes([b[0], b[1]])).collect();
            let mut numbers = vec![0.0; halves.len()];
            halves.convert_to_f32_slice(&mut numbers);
            numbers
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_exact_and_what_is_larger_is_refused() {
        let halves = (0..=u16::MAX).map(f16::from_bits);
        let numbers: Vec<f32> = halves
            .filter(|half| half.is_finite())
            .map(f16::to_f32)
            .collect();
        let bytes = encode(&numbers, Precision::F16).unwrap();
        let bits = |numbers: &[f32]| numbers.iter().map(|n| n.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&decode(&bytes, Precision::F16)), bits(&numbers));
        assert!(encode(&[65519.9], Precision::F16).is_ok());
        let refused = encode(&[-65520.0], Precision::F16).unwrap_err();
        assert!(
            refused.contains("65504") && refused.contains("--dtype f32"),
            "{refused}"
        );
        assert!(encode(&[-65520.0], Precision::F32).is_ok());
        assert!(encode(&[f32::INFINITY], Precision::F32).is_err());
        assert!(encode(&[f32::NAN], Precision::F16).is_err());
    }
}
