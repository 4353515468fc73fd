//! The stage before the device: from a source to a [`ReadyPhoto`].
//!
//! The feeder admits photos one after the other (open, header, memory permit); the workers decode and prepare them side
//! by side.

use std::fs::Metadata;

use image::RgbImage;

use super::failed_stamps::FailedStamps;
use super::feed::FrameSource;
use super::pass_runner::PassRunner;
use super::ready_photo::ReadyPhoto;
use crate::engine::stage_timings::StageTimings;
use crate::error::{Error, FileFault, Result};
use crate::io::inputs::{OpenedPhoto, PhotoDecoder, PhotoHeader, Source};
use crate::model::weights::digest;
use crate::system::files::{Digest, FileStamp};
use crate::system::memory::{self, MemoryGate, MemoryPermit};

/// The crop of a photo of (width, height) pixels: left, top, width and height.
pub type PhotoCrop = fn((u32, u32)) -> (u32, u32, u32, u32);

/// What is known of a photo whose features are read from a dataset.
#[derive(Debug, Clone, Copy)]
pub struct StoredPhoto {
    /// Width and height in pixels, upright.
    pub size: (u32, u32),
    /// BLAKE3 digest of its bytes when the features were computed.
    pub digest: Digest,
    /// Whether its pixels are decoded; if not, the file may be absent.
    pub needs_pixels: bool,
}

/// How photos are admitted, decoded and prepared.
#[derive(Clone)]
pub struct DecodeStage {
    /// Reads headers and pixels.
    pub decoder: PhotoDecoder,
    /// Bounds the host memory of all photos under way.
    pub gate: MemoryGate,
    /// Cuts every photo before it is prepared; none to use all of it.
    pub crop: Option<PhotoCrop>,
    /// Whether [`ReadyPhoto::stamp`] is set, for the manifest.
    pub takes_stamps: bool,
    /// Whether [`ReadyPhoto::sha256`] is set, for stored features.
    pub takes_sha256: bool,
    /// By photo index, the photos whose features are stored; empty if none are.
    pub stored: Vec<Option<StoredPhoto>>,
    /// Gets the stamps of photos that cannot be decoded.
    pub failed_stamps: FailedStamps,
}

/// A photo that has its memory permit, but is not decoded.
pub(super) struct AdmittedPhoto<'s> {
    index: usize,
    source: &'s Source,
    content: PixelSource<'s>,
    stamp: Option<FileStamp>,
    metadata: Option<Metadata>,
    timings: StageTimings,
    permit: MemoryPermit,
}

/// Where the pixels of a photo come from.
enum PixelSource<'s> {
    /// An opened file, to be decoded.
    Opened(OpenedPhoto<'s>),
    /// No file: black pixels of this (width, height), for a photo of which only stored features are used.
    Blank((u32, u32)),
    /// A frame that was decoded already.
    Decoded(RgbImage),
}

impl DecodeStage {
    /// A stage with the memory limit of `decoder`, without crop, stamps and stored features.
    pub fn new(decoder: PhotoDecoder) -> Self {
        DecodeStage {
            gate: MemoryGate::new(decoder.options.max_memory),
            decoder,
            crop: None,
            takes_stamps: false,
            takes_sha256: false,
            stored: Vec::new(),
            failed_stamps: FailedStamps::default(),
        }
    }

    /// Opens a photo and reads its header, which tells its size, then waits for the memory that it will take;
    /// `on_memory_wait` is called before it blocks.
    ///
    /// # Errors
    /// If the photo cannot be opened, is refused for its size or changed since its features were stored, or needs more
    /// memory than the limit.
    pub(super) fn admit<'s>(
        &'s self,
        (index, source): (usize, &'s Source),
        runner: &impl PassRunner,
        on_memory_wait: impl FnOnce(),
    ) -> Result<AdmittedPhoto<'s>> {
        let stored = self.stored.get(index).copied().flatten();
        if let Some(stored) = stored.filter(|stored| !stored.needs_pixels) {
            return self.admit_without_pixels((index, source), stored, runner, on_memory_wait);
        }
        // Before the bytes are read: a later write gives a later time, and the stamp no longer matches.
        let metadata = self.takes_stamps.then(|| source.metadata());
        let admitted = self.open_and_admit(
            (index, source),
            (metadata.as_ref(), stored),
            runner,
            on_memory_wait,
        );
        admitted.inspect_err(|error| {
            self.failed_stamps
                .record((index, source), metadata.flatten().as_ref(), error)
        })
    }

    fn open_and_admit<'s>(
        &'s self,
        (index, source): (usize, &'s Source),
        (metadata, stored): (Option<&Option<Metadata>>, Option<StoredPhoto>),
        runner: &impl PassRunner,
        on_memory_wait: impl FnOnce(),
    ) -> Result<AdmittedPhoto<'s>> {
        let mut timings = StageTimings::default();
        let opened = timings.time("decode", || self.decoder.open(source))?;
        let of_bytes =
            |metadata: &Option<Metadata>| source.stamp(opened.bytes(), metadata.as_ref());
        let stamp = metadata.map(of_bytes);
        if let Some(stored) = stored {
            let digest = stamp.as_ref().map(|stamp| stamp.digest);
            let digest = digest.unwrap_or_else(|| Digest::of_bytes(opened.bytes()));
            check_stored(source, digest, &stored)?;
        }
        let permit = match opened.header() {
            Some(PhotoHeader {
                size,
                decode_bytes: bytes,
            }) => {
                check_photo_size(runner, (index, source), size)?;
                let bytes = bytes.max(self.planned_bytes(runner, index, size));
                let entered = self.gate.acquire(bytes, on_memory_wait);
                entered.map_err(|error| name_source_in_error(source, error))?
            }
            None => MemoryPermit::uncounted(),
        };
        Ok(AdmittedPhoto {
            index,
            source,
            stamp,
            metadata: metadata.cloned().flatten(),
            content: PixelSource::Opened(opened),
            timings,
            permit,
        })
    }

    /// As [`DecodeStage::admit`], for a photo whose pixels are not needed. If its file exists, it must be unchanged.
    fn admit_without_pixels<'s>(
        &'s self,
        (index, source): (usize, &'s Source),
        stored: StoredPhoto,
        runner: &impl PassRunner,
        on_memory_wait: impl FnOnce(),
    ) -> Result<AdmittedPhoto<'s>> {
        let StoredPhoto { size, digest, .. } = stored;
        let mut timings = StageTimings::default();
        let metadata = source.metadata();
        let mut stamp = FileStamp::of_digest(digest);
        if metadata.is_some() {
            let most = self.decoder.options.max_memory;
            let bytes = timings.time("decode", || source.read(most))?;
            stamp = source.stamp(&bytes, metadata.as_ref());
            check_stored(source, stamp.digest, &stored)?;
        }
        check_photo_size(runner, (index, source), size)?;
        let entered = self
            .gate
            .acquire(self.planned_bytes(runner, index, size), on_memory_wait);
        Ok(AdmittedPhoto {
            index,
            source,
            stamp: Some(stamp),
            metadata: None,
            content: PixelSource::Blank(size),
            timings,
            permit: entered.map_err(|error| name_source_in_error(source, error))?,
        })
    }

    /// Waits for the memory of the next of `frames`, then takes it; none after the last. `index` is that of the frame.
    pub(super) fn admit_frame<'s>(
        &'s self,
        (index, clip): (usize, &'s Source),
        frames: &dyn FrameSource,
        runner: &impl PassRunner,
        on_memory_wait: impl FnOnce(),
    ) -> Result<Option<AdmittedPhoto<'s>>> {
        let size = frames.size();
        let entered = self
            .gate
            .acquire(self.planned_bytes(runner, index, size), on_memory_wait);
        let permit = entered.map_err(|error| name_source_in_error(clip, error))?;
        let mut timings = StageTimings::default();
        let Some(frame) = timings.time("decode", || frames.next_frame())? else {
            return Ok(None);
        };
        Ok(Some(AdmittedPhoto {
            index,
            source: clip,
            content: PixelSource::Decoded(frame),
            stamp: None,
            metadata: None,
            timings,
            permit,
        }))
    }

    /// Decodes a photo upright, crops it, and makes its inputs ([`PassRunner::prepare`]); runs on a worker.
    pub(super) fn prepare(
        &self,
        admitted: AdmittedPhoto<'_>,
        runner: &impl PassRunner,
    ) -> Result<ReadyPhoto> {
        let (index, source, metadata) =
            (admitted.index, admitted.source, admitted.metadata.clone());
        let ready = self.decode_and_prepare(admitted, runner);
        ready.inspect_err(|error| {
            self.failed_stamps
                .record((index, source), metadata.as_ref(), error)
        })
    }

    fn decode_and_prepare(
        &self,
        admitted: AdmittedPhoto<'_>,
        runner: &impl PassRunner,
    ) -> Result<ReadyPhoto> {
        let AdmittedPhoto {
            index,
            source,
            content,
            stamp,
            mut timings,
            permit,
            ..
        } = admitted;
        let mut sha256 = None;
        let mut photo = match content {
            PixelSource::Opened(opened) => {
                if self.takes_sha256 {
                    sha256 = Some(timings.time("digest", || digest::sha256(opened.bytes())));
                }
                timings.time("decode", || opened.decode())?.rgb
            }
            PixelSource::Blank((width, height)) => RgbImage::new(width, height),
            PixelSource::Decoded(photo) => photo,
        };
        if permit.bytes() == 0 {
            let size = photo.dimensions();
            check_photo_size(runner, (index, source), size)?;
            let planned = self.planned_bytes(runner, index, size);
            memory::check(planned, self.gate.limit())
                .map_err(|error| name_source_in_error(source, error))?;
        }
        if let Some(crop) = self.crop {
            let (x, y, width, height) = crop(photo.dimensions());
            photo = image::imageops::crop_imm(&photo, x, y, width, height).to_image();
        }
        let prepared = timings.time("preprocess", || runner.prepare(index, &photo))?;
        Ok(ReadyPhoto {
            index,
            photo,
            prepared,
            stamp,
            sha256,
            timings,
            permit,
        })
    }

    /// Host memory in bytes that a photo of this (width, height) takes once it is decoded and cropped.
    fn planned_bytes(&self, runner: &impl PassRunner, index: usize, size: (u32, u32)) -> u64 {
        let cropped = self.crop.map_or(size, |crop| {
            let (_, _, width, height) = crop(size);
            (width, height)
        });
        runner.memory(index, cropped)
    }
}

/// Refuses a photo whose bytes are not those that its features were computed of.
fn check_stored(source: &Source, digest: Digest, stored: &StoredPhoto) -> Result<()> {
    match digest == stored.digest {
        true => Ok(()),
        false => Err(Error::file_with_fault(
            source.path(),
            "was changed since its features were stored; run `dino features` again",
            FileFault::Changed,
        )),
    }
}

fn check_photo_size(
    runner: &impl PassRunner,
    (index, source): (usize, &Source),
    size: (u32, u32),
) -> Result<()> {
    let accepted = runner.check_photo_size(index, size);
    accepted.map_err(|why| Error::file_with_fault(source.path(), why, FileFault::Option))
}

/// Adds the path of the photo to an error about memory.
fn name_source_in_error(source: &Source, error: Error) -> Error {
    match error {
        Error::Memory(why) => Error::file_with_fault(source.path(), why, FileFault::Memory),
        other => other,
    }
}
