//! From a source to a photo that is ready for the network: opened and let in by its memory one after the other, decoded and
//! prepared by several workers.

use std::fs::Metadata;

use image::RgbImage;

use super::failed_stamps::FailedStamps;
use super::feed::FrameFeed;
use super::pass_runner::PassRunner;
use super::ready_photo::ReadyPhoto;
use crate::engine::stopwatch::Stopwatch;
use crate::error::{Error, FileFault, Result};
use crate::io::inputs::{OpenedPhoto, PhotoDecoder, PhotoHeader, Source};
use crate::model::weights::digest;
use crate::system::files::{Digest, FileStamp};
use crate::system::memory::{self, MemoryGate, MemoryPermit};

/// Left, top, width and height of the part that is looked at of a photo of (width, height).
pub type PhotoCrop = fn((u32, u32)) -> (u32, u32, u32, u32);

/// What is known of a photo whose features were stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredPhoto {
    /// Width and height, upright.
    pub size: (u32, u32),
    /// Of its bytes.
    pub digest: Digest,
    /// Whether its pixels are wanted; if not, it need not be there.
    pub needs_pixels: bool,
}

/// How photos are decoded.
#[derive(Clone)]
pub struct DecodeStage {
    /// By what.
    pub decoder: PhotoDecoder,
    /// What photos may take together.
    pub gate: MemoryGate,
    /// The part of every photo that is looked at, if not all of it.
    pub crop: Option<PhotoCrop>,
    /// Whether the stamps of photos are taken.
    pub takes_stamps: bool,
    /// Whether the SHA-256 of their bytes is.
    pub takes_sha256: bool,
    /// By number, what is known of photos whose features were stored; empty where none were.
    pub stored: Vec<Option<StoredPhoto>>,
    /// Those of photos that failed.
    pub failed_stamps: FailedStamps,
}

/// A photo that is let in, but not decoded.
pub(super) struct AdmittedPhoto<'s> {
    index: usize,
    source: &'s Source,
    content: PixelSource<'s>,
    stamp: Option<FileStamp>,
    metadata: Option<Metadata>,
    watch: Stopwatch,
    permit: MemoryPermit,
}

/// Where the pixels of a photo come from.
enum PixelSource<'s> {
    /// They are decoded.
    Opened(OpenedPhoto<'s>),
    /// They are not wanted.
    Blank((u32, u32)),
    /// They are there.
    Decoded(RgbImage),
}

impl DecodeStage {
    /// As `decoder` says, and within its memory.
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

    /// Reads enough of a photo to know what it will take, and waits until there is that much; `crowded` is called where
    /// there is not.
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
        // Asked before it is read: whatever is written meanwhile has a later time.
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
        let mut watch = Stopwatch::default();
        let opened = watch.time("decode", || self.decoder.open(source))?;
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
            watch,
            permit,
        })
    }

    /// As [`DecodeStage::admit`], of a photo whose pixels nobody wants: where it is there, it must be what it was.
    fn admit_without_pixels<'s>(
        &'s self,
        (index, source): (usize, &'s Source),
        stored: StoredPhoto,
        runner: &impl PassRunner,
        on_memory_wait: impl FnOnce(),
    ) -> Result<AdmittedPhoto<'s>> {
        let StoredPhoto { size, digest, .. } = stored;
        let mut watch = Stopwatch::default();
        let metadata = source.metadata();
        let mut stamp = FileStamp::of_digest(digest);
        if metadata.is_some() {
            let most = self.decoder.options.max_memory;
            let bytes = watch.time("decode", || source.read(most))?;
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
            watch,
            permit: entered.map_err(|error| name_source_in_error(source, error))?,
        })
    }

    /// Waits until there is memory for the next of `frames`, and takes it; none after the last.
    pub(super) fn admit_frame<'s>(
        &'s self,
        (index, clip): (usize, &'s Source),
        frames: &dyn FrameFeed,
        runner: &impl PassRunner,
        on_memory_wait: impl FnOnce(),
    ) -> Result<Option<AdmittedPhoto<'s>>> {
        let size = frames.size();
        let entered = self
            .gate
            .acquire(self.planned_bytes(runner, index, size), on_memory_wait);
        let permit = entered.map_err(|error| name_source_in_error(clip, error))?;
        let mut watch = Stopwatch::default();
        let Some(frame) = watch.time("decode", || frames.next_frame())? else {
            return Ok(None);
        };
        Ok(Some(AdmittedPhoto {
            index,
            source: clip,
            content: PixelSource::Decoded(frame),
            stamp: None,
            metadata: None,
            watch,
            permit,
        }))
    }

    /// Decodes and prepares a photo.
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
            mut watch,
            permit,
            ..
        } = admitted;
        let mut sha256 = None;
        let mut photo = match content {
            PixelSource::Opened(opened) => {
                if self.takes_sha256 {
                    sha256 = Some(watch.time("digest", || digest::sha256(opened.bytes())));
                }
                watch.time("decode", || opened.decode())?.rgb
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
        let prepared = watch.time("preprocess", || runner.prepare(index, &photo))?;
        Ok(ReadyPhoto {
            index,
            photo,
            prepared,
            stamp,
            sha256,
            watch,
            permit,
        })
    }

    /// Bytes that a photo of this size takes once it is decoded.
    fn planned_bytes(&self, runner: &impl PassRunner, index: usize, size: (u32, u32)) -> u64 {
        let cropped = self.crop.map_or(size, |crop| {
            let (_, _, width, height) = crop(size);
            (width, height)
        });
        runner.memory(index, cropped)
    }
}

/// Refuses a photo that is another one than its features are of.
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

/// Says of which photo it is that there is too little memory.
fn name_source_in_error(source: &Source, error: Error) -> Error {
    match error {
        Error::Memory(why) => Error::file_with_fault(source.path(), why, FileFault::Memory),
        other => other,
    }
}
