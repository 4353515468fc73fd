//! From a source to a photo that is ready for the network: opened and let in by its memory one after the other, decoded and
//! prepared by several workers.

use image::RgbImage;

use crate::error::{Error, Result};
use crate::inputs::{Measured, Opened, PhotoDecoder, Source};
use crate::manifest::Stamp;
use crate::memory::{self, Gate, Permit};
use crate::preprocess::{Geometry, Prepared};
use crate::stopwatch::Stopwatch;

use super::network::Network;

/// Left, top, width and height of the part that is looked at of a photo of (width, height).
pub type Cut = fn((u32, u32)) -> (u32, u32, u32, u32);

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
    /// Where the time went.
    pub watch: Stopwatch,
    /// For the memory of all that becomes of it.
    pub permit: Permit,
}

/// A photo that is let in, but not decoded.
pub(super) struct Admitted<'s> {
    index: usize,
    source: &'s Source,
    opened: Opened<'s>,
    stamp: Option<Stamp>,
    watch: Stopwatch,
    permit: Permit,
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
        let mut watch = Stopwatch::default();
        // Asked before it is read: whatever is written meanwhile has a later time.
        let met = self.stamps.then(|| source.metadata());
        let opened = watch.time("decode", || self.decoder.open(source))?;
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
            stamp: met.map(|met| Stamp::of_photo(source, opened.bytes(), met.as_ref())),
            opened,
            watch,
            permit,
        })
    }

    /// Decodes and prepares a photo.
    pub(super) fn prepare(&self, admitted: Admitted<'_>, network: &impl Network) -> Result<Ready> {
        let Admitted {
            index,
            source,
            opened,
            stamp,
            mut watch,
            permit,
        } = admitted;
        let mut photo = watch.time("decode", || opened.decode())?.rgb;
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

fn accept(
    network: &impl Network,
    (index, source): (usize, &Source),
    size: (u32, u32),
) -> Result<()> {
    let accepted = network.accept(index, size);
    accepted.map_err(|why| Error::file(source.path(), why))
}

/// Says of which photo it is that there is too little memory.
fn named(source: &Source, error: Error) -> Error {
    match error {
        Error::Memory(why) => Error::file(source.path(), why),
        other => other,
    }
}
