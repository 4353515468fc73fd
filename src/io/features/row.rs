//! One photo's features.

use crate::model::input::Grid;
use crate::system::files::Digest;

/// Which photo a row is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowName {
    /// The photo's absolute path, `TAR/MEMBER` or URL.
    pub path: String,
    /// Which page of it, counted from 1; 0 where it has one.
    pub page: u32,
}

/// One photo's features. Numbers are as they will be stored: f16 values that are exact in f32 where that is the
/// precision.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureRow {
    /// Which photo.
    pub name: RowName,
    /// Its path below the folder that was searched, without its ending, with `.p001` for pages; unique among the photos
    /// of a run, and WebDataset's key.
    pub key: String,
    /// Of the photo's bytes, lowercase hexadecimal.
    pub sha256: String,
    /// Of the photo's bytes (BLAKE3).
    pub digest: Digest,
    /// Width and height of the photo in pixels, upright.
    pub photo_size: (u32, u32),
    /// The grid of the stored patch tokens (the pooled one where they are pooled).
    pub grid: Grid,
    /// `[L, D]`; empty where it is not stored.
    pub cls: Vec<f32>,
    /// `[L, rows * cols, width]`, row-major, or empty.
    pub patches: Vec<f32>,
    /// `[L, R, D]`, or empty.
    pub registers: Vec<f32>,
    /// Of the coarser look: its grid, `[L, D]` and `[L, rows * cols, D]`; none where there is none.
    pub coarse: Option<(Grid, Vec<f32>, Vec<f32>)>,
    /// Pixels (x, y) of the photo, and the features there: `[points, L, D]`; empty where none are stored.
    pub points: Vec<(f32, f32)>,
    /// See `points`.
    pub point_features: Vec<f32>,
}

/// What is known of a row without its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct RowInfo {
    /// Which photo.
    pub name: RowName,
    /// See [`FeatureRow::key`].
    pub key: String,
    /// Of the photo's bytes, lowercase hexadecimal.
    pub sha256: String,
    /// Of the photo's bytes (BLAKE3).
    pub digest: Digest,
    /// Width and height of the photo in pixels, upright.
    pub photo_size: (u32, u32),
    /// The grid of the stored patch tokens.
    pub grid: Grid,
    /// The grid of the coarser look, if there is one.
    pub coarse_grid: Option<Grid>,
    /// At how many pixels features are stored.
    pub point_count: usize,
    /// In which of the dataset's parts it is.
    pub part: usize,
    /// Which of that part's rows it is.
    pub row: usize,
}

impl RowInfo {
    /// Of a row that is in no part yet.
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
