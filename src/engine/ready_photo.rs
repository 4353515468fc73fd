//! A photo between decoding and the device: pixels, prepared inputs, stamps and timings.

use image::RgbImage;

use crate::engine::stage_timings::StageTimings;
use crate::error::{Error, Result};
use crate::model::input::Geometry;
use crate::system::files::FileStamp;
use crate::system::memory::MemoryPermit;
use crate::vision::preprocess::PreparedImage;

/// A photo that is ready to be computed.
#[derive(Debug)]
pub struct ReadyPhoto {
    /// Its index among the sources or frames of the run.
    pub index: usize,
    /// RGB, upright, cropped to [`DecodeStage::crop`](super::DecodeStage::crop).
    pub photo: RgbImage,
    /// The input of each backbone pass, in the order of [`PassRunner::layouts`](super::PassRunner::layouts).
    pub prepared: Vec<PreparedImage>,
    /// Stamp of the bytes that it was decoded from, if [`DecodeStage::takes_stamps`](super::DecodeStage::takes_stamps).
    pub stamp: Option<FileStamp>,
    /// SHA-256 of those bytes, lowercase hexadecimal, if
    /// [`DecodeStage::takes_sha256`](super::DecodeStage::takes_sha256).
    pub sha256: Option<String>,
    /// Time spent so far, by stage.
    pub timings: StageTimings,
    /// The host memory planned for it; freed when the photo is dropped.
    pub permit: MemoryPermit,
}

impl ReadyPhoto {
    /// The layout of the photo in its first input.
    ///
    /// # Errors
    /// [`Error::Model`] if it has no input.
    pub fn geometry(&self) -> Result<Geometry> {
        let prepared = self.prepared.first();
        let missing = || Error::Model("a photo lacks a layout".into());
        Ok(prepared.ok_or_else(missing)?.geometry)
    }
}
