//! From a source to a photo that is ready for the network: opened and let in by its memory one after the other, decoded and
//! prepared by several workers.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
use crate::error::{Error, Fault, Result};
use crate::io::inputs::{Measured, Opened, PhotoDecoder, Source};
use crate::io::manifest::FailureKind;
use crate::model::input::Geometry;
use crate::model::weights::digest;
use crate::system::files::{Digest, Stamp};
use crate::system::memory::{self, Gate, Permit};
use crate::vision::preprocess::Prepared;

use super::feed::FrameFeed;
use super::network::Network;

/// Left, top, width and height of the part that is looked at of a photo of (width, height).
pub type Cut = fn((u32, u32)) -> (u32, u32, u32, u32);

/// What is known of a photo whose features were stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredPhoto {
    /// Width and height, upright.
    pub size: (u32, u32),
    /// Of its bytes.
    pub digest: Digest,
    /// Whether its pixels are wanted; if not, it need not be there.
    pub is_needed: bool,
}

/// The stamps of photos whose own bytes were at fault, by their numbers.
#[derive(Debug, Clone, Default)]
pub struct FailedStamps(Arc<Mutex<BTreeMap<usize, Stamp>>>);

impl FailedStamps {
    /// Takes the stamp of a photo with which `error` came up, and of which `met` was asked before it was read.
    fn put(&self, (index, source): (usize, &Source), met: Option<&Metadata>, error: &Error) {
        let is_lasting = FailureKind::of(error, source.path()).is_lasting();
        let Some(met) = met.filter(|met| met.is_file() && is_lasting) else {
            return;
        };
        // What was changed meanwhile is not what failed.
        let stamp = Stamp::of_file(source.path()).ok();
        if let Some(stamp) = stamp.filter(|stamp| stamp.is_of(met)) {
            let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            stamps.insert(index, stamp);
        }
    }

    /// The stamp of the photo `index`, if it is known; it is asked once.
    pub fn take(&self, index: usize) -> Option<Stamp> {
        let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.remove(&index)
    }
}

/// How photos are decoded.
#[derive(Clone)]
pub struct Decoding {
    /// By what.
    pub decoder: PhotoDecoder,
    /// What photos may take together.
    pub gate: Gate,
    /// The part of every photo that is looked at, if not all of it.
    pub cut: Option<Cut>,
    /// Whether the stamps of photos are taken.
    pub stamps: bool,
    /// Whether the SHA-256 of their bytes is.
    pub sha256: bool,
    /// By number, what is known of photos whose features were stored; empty where none were.
    pub stored: Vec<Option<StoredPhoto>>,
    /// Those of photos that failed.
    pub failed: FailedStamps,
}

/// A photo that is ready for the network.
#[derive(Debug)]
pub struct Ready {
    /// Which of the sources it is.
    pub index: usize,
    /// Upright.
    pub photo: RgbImage,
    /// What the backbone sees of it, by [`Network::layouts`].
    pub prepared: Vec<Prepared>,
    /// Of the bytes that it was decoded from, if that is asked for.
    pub stamp: Option<Stamp>,
    /// SHA-256 of them, lower-case hexadecimal, if that is asked for.
    pub sha256: Option<String>,
    /// Where the time went.
    pub watch: Stopwatch,
    /// For the memory of all that becomes of it.
    pub permit: Permit,
}

/// A photo that is let in, but not decoded.
pub(super) struct Admitted<'s> {
    index: usize,
    source: &'s Source,
    content: Content<'s>,
    stamp: Option<Stamp>,
    met: Option<Metadata>,
    watch: Stopwatch,
    permit: Permit,
}

/// Where the pixels of a photo come from.
enum Content<'s> {
    /// They are decoded.
    Opened(Opened<'s>),
    /// They are not wanted.
    Blank((u32, u32)),
    /// They are there.
    Decoded(RgbImage),
}

impl Ready {
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

impl Decoding {
    /// As `decoder` says, and within its memory.
    pub fn new(decoder: PhotoDecoder) -> Self {
        Decoding {
            gate: Gate::new(decoder.options.max_memory),
            decoder,
            cut: None,
            stamps: false,
            sha256: false,
            stored: Vec::new(),
            failed: FailedStamps::default(),
        }
    }

    /// Reads enough of a photo to know what it will take, and waits until there is that much; `crowded` is called where
    /// there is not.
    pub(super) fn admit<'s>(
        &'s self,
        (index, source): (usize, &'s Source),
        network: &impl Network,
        crowded: impl FnOnce(),
    ) -> Result<Admitted<'s>> {
        let stored = self.stored.get(index).copied().flatten();
        if let Some(stored) = stored.filter(|stored| !stored.is_needed) {
            return self.admit_blank((index, source), stored, network, crowded);
        }
        // Asked before it is read: whatever is written meanwhile has a later time.
        let met = self.stamps.then(|| source.metadata());
        let admitted = self.let_in((index, source), (met.as_ref(), stored), network, crowded);
        admitted.inspect_err(|error| {
            self.failed
                .put((index, source), met.flatten().as_ref(), error)
        })
    }

    fn let_in<'s>(
        &'s self,
        (index, source): (usize, &'s Source),
        (met, stored): (Option<&Option<Metadata>>, Option<StoredPhoto>),
        network: &impl Network,
        crowded: impl FnOnce(),
    ) -> Result<Admitted<'s>> {
        let mut watch = Stopwatch::default();
        let opened = watch.time("decode", || self.decoder.open(source))?;
        let of_bytes = |met: &Option<Metadata>| source.stamp(opened.bytes(), met.as_ref());
        let stamp = met.map(of_bytes);
        if let Some(stored) = stored {
            let digest = stamp.as_ref().map(|stamp| stamp.digest);
            let digest = digest.unwrap_or_else(|| Digest::of_bytes(opened.bytes()));
            check_stored(source, digest, &stored)?;
        }
        let permit = match opened.measured() {
            Some(Measured { size, bytes }) => {
                accept(network, (index, source), size)?;
                let bytes = bytes.max(self.planned(network, index, size));
                let entered = self.gate.enter(bytes, crowded);
                entered.map_err(|error| named(source, error))?
            }
            None => Permit::free(),
        };
        Ok(Admitted {
            index,
            source,
            stamp,
            met: met.cloned().flatten(),
            content: Content::Opened(opened),
            watch,
            permit,
        })
    }

    /// As [`Decoding::admit`], of a photo whose pixels nobody wants: where it is there, it must be what it was.
    fn admit_blank<'s>(
        &'s self,
        (index, source): (usize, &'s Source),
        stored: StoredPhoto,
        network: &impl Network,
        crowded: impl FnOnce(),
    ) -> Result<Admitted<'s>> {
        let StoredPhoto { size, digest, .. } = stored;
        let mut watch = Stopwatch::default();
        let met = source.metadata();
        let mut stamp = Stamp::of_digest(digest);
        if met.is_some() {
            let most = self.decoder.options.max_memory;
            let bytes = watch.time("decode", || source.read(most))?;
            stamp = source.stamp(&bytes, met.as_ref());
            check_stored(source, stamp.digest, &stored)?;
        }
        accept(network, (index, source), size)?;
        let entered = self.gate.enter(self.planned(network, index, size), crowded);
        Ok(Admitted {
            index,
            source,
            stamp: Some(stamp),
            met: None,
            content: Content::Blank(size),
            watch,
            permit: entered.map_err(|error| named(source, error))?,
        })
    }

    /// Waits until there is memory for the next of `frames`, and takes it; none after the last.
    pub(super) fn admit_frame<'s>(
        &'s self,
        (index, clip): (usize, &'s Source),
        frames: &dyn FrameFeed,
        network: &impl Network,
        crowded: impl FnOnce(),
    ) -> Result<Option<Admitted<'s>>> {
        let size = frames.size();
        let entered = self.gate.enter(self.planned(network, index, size), crowded);
        let permit = entered.map_err(|error| named(clip, error))?;
        let mut watch = Stopwatch::default();
        let Some(frame) = watch.time("decode", || frames.next_frame())? else {
            return Ok(None);
        };
        Ok(Some(Admitted {
            index,
            source: clip,
            content: Content::Decoded(frame),
            stamp: None,
            met: None,
            watch,
            permit,
        }))
    }

    /// Decodes and prepares a photo.
    pub(super) fn prepare(&self, admitted: Admitted<'_>, network: &impl Network) -> Result<Ready> {
        let (index, source, met) = (admitted.index, admitted.source, admitted.met.clone());
        let ready = self.make_ready(admitted, network);
        ready.inspect_err(|error| self.failed.put((index, source), met.as_ref(), error))
    }

    fn make_ready(&self, admitted: Admitted<'_>, network: &impl Network) -> Result<Ready> {
        let Admitted {
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
            Content::Opened(opened) => {
                if self.sha256 {
                    sha256 = Some(watch.time("digest", || digest::sha256(opened.bytes())));
                }
                watch.time("decode", || opened.decode())?.rgb
            }
            Content::Blank((width, height)) => RgbImage::new(width, height),
            Content::Decoded(photo) => photo,
        };
        if permit.bytes() == 0 {
            let size = photo.dimensions();
            accept(network, (index, source), size)?;
            let planned = self.planned(network, index, size);
            memory::check(planned, self.gate.limit()).map_err(|error| named(source, error))?;
        }
        if let Some(cut) = self.cut {
            let (x, y, width, height) = cut(photo.dimensions());
            photo = image::imageops::crop_imm(&photo, x, y, width, height).to_image();
        }
        let prepared = watch.time("preprocess", || network.prepare(index, &photo))?;
        Ok(Ready {
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
    fn planned(&self, network: &impl Network, index: usize, size: (u32, u32)) -> u64 {
        let seen = self.cut.map_or(size, |cut| {
            let (_, _, width, height) = cut(size);
            (width, height)
        });
        network.memory(index, seen)
    }
}

/// Refuses a photo that is another one than its features are of.
fn check_stored(source: &Source, digest: Digest, stored: &StoredPhoto) -> Result<()> {
    match digest == stored.digest {
        true => Ok(()),
        false => Err(Error::fault(
            source.path(),
            "was changed since its features were stored; run `dino features` again",
            Fault::Changed,
        )),
    }
}

fn accept(
    network: &impl Network,
    (index, source): (usize, &Source),
    size: (u32, u32),
) -> Result<()> {
    let accepted = network.accept(index, size);
    accepted.map_err(|why| Error::fault(source.path(), why, Fault::Option))
}

/// Says of which photo it is that there is too little memory.
fn named(source: &Source, error: Error) -> Error {
    match error {
        Error::Memory(why) => Error::fault(source.path(), why, Fault::Memory),
        other => other,
    }
}
