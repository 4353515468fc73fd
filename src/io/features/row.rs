//! One row of a dataset: the features of a photo or page ([`FeatureRow`]), and its metadata alone ([`RowInfo`]).

use crate::model::input::PatchGrid;
use crate::system::files::Digest;

/// Identifies the photo of a row; unique in a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowName {
    /// The photo's absolute path, `TAR/MEMBER` or URL.
    pub path: String,
    /// Page number from 1; 0 if the file has one image.
    pub page: u32,
}

/// The features of one photo or page. In the shapes, L is the number of layers, D the width of a token, and R the
/// number of register tokens. Values of a dataset in f16 are f32 that f16 represents exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureRow {
    /// The photo.
    pub name: RowName,
    /// Its path below the folder that was searched, without its extension, with `.p001` for pages; unique among the
    /// photos of a run, and the key of WebDataset.
    pub key: String,
    /// SHA-256 of the photo's bytes, lowercase hexadecimal.
    pub sha256: String,
    /// BLAKE3 digest of the photo's bytes.
    pub digest: Digest,
    /// Width and height of the photo in pixels, upright.
    pub photo_size: (u32, u32),
    /// The grid of the stored patch tokens (the pooled one where they are pooled).
    pub grid: PatchGrid,
    /// Cls tokens, `[L, D]`; empty if they are not stored.
    pub cls: Vec<f32>,
    /// Patch tokens, `[L, rows * cols, width]`, row-major; `width` is D, or the number of components of a basis. Empty
    /// if they are not stored.
    pub patches: Vec<f32>,
    /// Register tokens, `[L, R, D]`; empty if they are not stored.
    pub registers: Vec<f32>,
    /// The coarse scale: its grid, cls tokens `[L, D]` and patch tokens `[L, rows * cols, D]`; `None` without that
    /// scale.
    pub coarse: Option<(PatchGrid, Vec<f32>, Vec<f32>)>,
    /// Pixels (x, y) of the photo at which features are stored; the centre of the first pixel is (0, 0). Empty if there
    /// are none.
    pub points: Vec<(f32, f32)>,
    /// The features at `points`, `[points, L, D]`.
    pub point_features: Vec<f32>,
}

/// The metadata of a row, without its arrays, and its position in the dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct RowInfo {
    /// The photo.
    pub name: RowName,
    /// See [`FeatureRow::key`].
    pub key: String,
    /// SHA-256 of the photo's bytes, lowercase hexadecimal.
    pub sha256: String,
    /// BLAKE3 digest of the photo's bytes.
    pub digest: Digest,
    /// Width and height of the photo in pixels, upright.
    pub photo_size: (u32, u32),
    /// The grid of the stored patch tokens.
    pub grid: PatchGrid,
    /// The patch grid of the coarse scale, if there is one.
    pub coarse_grid: Option<PatchGrid>,
    /// The number of pixels at which features are stored.
    pub point_count: usize,
    /// Index of its part in the dataset.
    pub part: usize,
    /// Index of the row in that part.
    pub row: usize,
}

impl RowInfo {
    /// The metadata of `row`, which is not yet in a part: `part` and `row` are 0.
    pub(super) fn of(row: &FeatureRow) -> Self {
        RowInfo {
            name: row.name.clone(),
            key: row.key.clone(),
            sha256: row.sha256.clone(),
            digest: row.digest,
            photo_size: row.photo_size,
            grid: row.grid,
            coarse_grid: row.coarse.as_ref().map(|(grid, ..)| *grid),
            point_count: row.points.len(),
            part: 0,
            row: 0,
        }
    }
}
