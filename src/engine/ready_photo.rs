//! TODO

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
use crate::error::{Error, Result};
use crate::model::input::Geometry;
use crate::system::files::FileStamp;
use crate::system::memory::MemoryPermit;
use crate::vision::preprocess::PreparedImage;

/// A photo that is ready for the network.
#[derive(Debug)]
pub struct ReadyPhoto {
    /// Which of the sources it is.
    pub index: usize,
    /// Upright.
    pub photo: RgbImage,
    /// What the backbone sees of it, by [`PassRunner::layouts`].
    pub prepared: Vec<PreparedImage>,
    /// Of the bytes that it was decoded from, if that is asked for.
    pub stamp: Option<FileStamp>,
    /// SHA-256 of them, lower-case hexadecimal, if that is asked for.
    pub sha256: Option<String>,
    /// Where the time went.
    pub watch: Stopwatch,
    /// For the memory of all that becomes of it.
    pub permit: MemoryPermit,
}

impl ReadyPhoto {
    /// How the photo lay in the only input.
    ///
    /// # Errors
    /// If there was none.
    pub fn geometry(&self) -> Result<Geometry> {
        let prepared = self.prepared.first();
        let missing = || Error::Model("a photo lacks a layout".into());
        Ok(prepared.ok_or_else(missing)?.geometry)
    }
}
