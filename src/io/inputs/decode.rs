//! One photo's bytes to upright 8-bit sRGB.
//!
//! A decoder for each format gives a [`Raster`], [`develop`] makes a photo of it.

use std::borrow::Cow;
use std::cell::Cell;

use image::metadata::Orientation;
use image::{GrayImage, ImageFormat, RgbImage};

use super::develop::{self, develop};
use super::footprint::Footprint;
use super::metadata::Metadata;
use super::options::DecodeOptions;
use super::raster::Raster;
use super::sniff::{self, Kind};
use super::source::Source;
use super::{codec, jpeg, pages, tiff};
use crate::error::{Error, Fault, Result};
use crate::system::memory;
use crate::terminal::warnings::Warnings;

/// Decodes the photos of a run.
#[derive(Debug, Clone)]
pub struct PhotoDecoder {
    /// What a photo may cost and how its numbers become colours.
    pub options: DecodeOptions,
    /// Where it is said what may not be as the user meant it.
    pub warnings: Warnings,
}

/// A decoded photo, the right way up.
#[derive(Debug, Clone)]
pub struct Photo {
    /// The pixels, row by row.
    pub rgb: RgbImage,
}

/// A photo whose bytes have been read.
#[derive(Debug)]
pub struct Opened<'a> {
    decoder: &'a PhotoDecoder,
    source: &'a Source,
    bytes: Cow<'static, [u8]>,
    page: Option<u32>,
    /// What its header says.
    measured: Option<Measured>,
}

/// What is known of a photo before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Width and height, upright.
    pub size: (u32, u32),
    /// Bytes that decoding it takes.
    pub bytes: u64,
}

impl Opened<'_> {
    /// What its header says; none where it is damaged, or another program reads it.
    pub fn measured(&self) -> Option<Measured> {
        self.measured
    }

    /// What was read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How opaque its pixels are, upright; none where all are, or where the file has no say in it.
    ///
    /// # Errors
    /// As [`PhotoDecoder::decode`].
    pub fn opacity(self) -> Result<Option<GrayImage>> {
        let Opened {
            decoder,
            source,
            bytes,
            page,
            ..
        } = self;
        // What never has an alpha channel is not decoded again.
        if sniff::identify_bytes(&bytes) == Kind::Image(ImageFormat::Jpeg) {
            return Ok(None);
        }
        let refused = Cell::new(None);
        let raster = decoder
            .raster(
                &bytes,
                page,
                &source.name(),
                &decoder.check(&bytes, &refused),
            )
            .map_err(|why| Error::fault(source.path(), why, fault_of(&bytes, &refused)))?;
        Ok(develop::opacity(raster))
    }

    /// Decodes it.
    ///
    /// # Errors
    /// As [`PhotoDecoder::decode`].
    pub fn decode(self) -> Result<Photo> {
        let refused = Cell::new(None);
        let rgb = self
            .decoder
            .decode_checked((&self.bytes, self.page), &self.source.name(), &refused)
            .map_err(|why| {
                let fault = fault_of(&self.bytes, &refused);
                Error::fault(self.source.path(), why, fault)
            })?;
        Ok(Photo { rgb })
    }
}

impl PhotoDecoder {
    /// Decodes by the default options, and says nothing.
    pub fn plain() -> Self {
        PhotoDecoder {
            options: DecodeOptions::default(),
            warnings: Warnings::silent(),
        }
    }

    /// Decodes `source`.
    ///
    /// # Errors
    /// Names the source and says what is wrong: no image, an unsupported format, more pixels or memory than allowed,
    /// truncated or damaged data, several images where one is wanted.
    pub fn decode(&self, source: &Source) -> Result<Photo> {
        self.open(source)?.decode()
    }

    /// Width and height of `source`, upright; it is decoded only where its header cannot be read here.
    ///
    /// # Errors
    /// As [`PhotoDecoder::decode`].
    pub fn size(&self, source: &Source) -> Result<(u32, u32)> {
        let opened = self.open(source)?;
        match opened.measured() {
            Some(measured) => Ok(measured.size),
            None => Ok(opened.decode()?.rgb.dimensions()),
        }
    }

    /// Reads the bytes of `source`, and of them what tells how large the photo is.
    ///
    /// # Errors
    /// As [`PhotoDecoder::decode`], of what is seen before any pixel is.
    pub fn open<'a>(&'a self, source: &'a Source) -> Result<Opened<'a>> {
        let bytes = source.read(self.options.max_memory)?;
        let page = match (source.page(), source.page_within()) {
            (_, Some(page)) => Some(page.number),
            (Some(_), None) => match pages::count_in_file(&bytes) {
                1 => None,
                count => {
                    let why = format!(
                        "holds {count} images, one of several that follow each other; give it alone"
                    );
                    return Err(Error::fault(source.path(), why, Fault::Option));
                }
            },
            (None, None) => self
                .only_page(&bytes)
                .map_err(|why| Error::fault(source.path(), why, Fault::Option))?,
        };
        let measured = self.measure(&bytes, page);
        Ok(Opened {
            decoder: self,
            source,
            bytes,
            page,
            measured,
        })
    }

    /// The size of a photo, upright, and what decoding it takes; none where that is not known before, because its header
    /// is damaged or another program reads it.
    fn measure(&self, bytes: &[u8], page: Option<u32>) -> Option<Measured> {
        let found = Cell::new(None);
        let stop = |footprint: Footprint| match footprint.samples {
            // More is known in a moment.
            0 => Ok(()),
            _ => {
                found.set(Some(footprint));
                Err(String::new())
            }
        };
        let header = PhotoDecoder {
            warnings: Warnings::silent(),
            ..self.clone()
        };
        if let Kind::Foreign(foreign) = sniff::identify_bytes(bytes)
            && !foreign.is_built_in()
        {
            return None;
        }
        let _ = header.raster(bytes, page, "", &stop);
        let footprint = found.get()?;
        let turn = Metadata::of(bytes).orientation();
        let swaps = matches!(
            turn,
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        );
        let (width, height) = (footprint.width, footprint.height);
        Some(Measured {
            size: if swaps {
                (height, width)
            } else {
                (width, height)
            },
            bytes: footprint.bytes(bytes.len() as u64, turn != Orientation::NoTransforms),
        })
    }

    /// How opaque the pixels of `source` are, upright; none where all are, or where the file has no say in it.
    ///
    /// # Errors
    /// As [`PhotoDecoder::decode`].
    pub fn opacity(&self, source: &Source) -> Result<Option<GrayImage>> {
        self.open(source)?.opacity()
    }

    /// Refuses what is larger or takes more than the options allow, and says so in `refused`.
    fn check<'c>(
        &'c self,
        bytes: &[u8],
        refused: &'c Cell<Option<Fault>>,
    ) -> impl Fn(Footprint) -> Result<(), String> + 'c {
        let file = bytes.len() as u64;
        move |footprint| {
            let checked = check_size(&footprint, self.options.max_pixels);
            if checked.is_err() && footprint.pixels() > 0 {
                refused.set(Some(Fault::TooLarge));
            }
            checked?;
            let (bytes, limit) = (footprint.bytes(file, false), self.options.max_memory);
            match bytes <= limit {
                true => Ok(()),
                false => {
                    refused.set(Some(Fault::Memory));
                    Err(memory::too_much(bytes, limit))
                }
            }
        }
    }

    /// The page that is meant of a file that was not looked at before.
    fn only_page(&self, bytes: &[u8]) -> Result<Option<u32>, String> {
        let count = pages::count_in_file(bytes);
        match (count, self.options.page) {
            (1, None | Some(1)) => Ok(None),
            (_, Some(page)) if page <= count => Ok(Some(page)),
            (1, Some(page)) => Err(format!("holds one image, so there is no page {page}")),
            (_, Some(page)) => Err(format!("holds {count} images, so there is no page {page}")),
            (_, None) => Err(format!(
                "holds {count} images where one is wanted; --page N takes one of them"
            )),
        }
    }

    /// Decodes the bytes of a file called `name`, or one page of it, counted from 1.
    #[cfg(test)]
    pub(super) fn decode_bytes(
        &self,
        bytes: &[u8],
        page: Option<u32>,
        name: &str,
    ) -> Result<RgbImage, String> {
        self.decode_checked((bytes, page), name, &Cell::new(None))
    }

    /// Decodes the bytes of a file called `name`, or one page of it, counted from 1; which limit is in the way is in
    /// `refused`.
    fn decode_checked(
        &self,
        (bytes, page): (&[u8], Option<u32>),
        name: &str,
        refused: &Cell<Option<Fault>>,
    ) -> Result<RgbImage, String> {
        let raster = self.raster(bytes, page, name, &self.check(bytes, refused))?;
        develop(raster, &self.options, name, &self.warnings)
    }

    fn raster(
        &self,
        bytes: &[u8],
        page: Option<u32>,
        name: &str,
        check: &dyn Fn(Footprint) -> Result<(), String>,
    ) -> Result<Raster, String> {
        let options = &self.options;
        let kind = sniff::identify_bytes(bytes);
        // Pages that follow each other are images of their own; others have numbers within the file.
        if let Some(page) = page
            && pages::count_in_stream(bytes) > 1
        {
            let image = pages::image_of_stream(bytes, page);
            return self.raster(image, None, name, check);
        }
        let frame = page.map(|page| page as usize - 1);
        let mut raster = match kind {
            Kind::Image(ImageFormat::Jpeg) => {
                let decoded = jpeg::decode(bytes, check)?;
                if decoded.unused > 3 {
                    let sentence = format!(
                        "{} bytes of its data belong to no pixel, so part of the picture may be wrong",
                        decoded.unused
                    );
                    self.warnings.add("JPEG with stray data", name, sentence);
                }
                if decoded.coarse {
                    let sentence =
                        "ends before its finest details, which a complete progressive JPEG has";
                    self.warnings.add("coarse progressive JPEG", name, sentence);
                }
                decoded.raster
            }
            Kind::Image(ImageFormat::Tiff) => {
                let decoded = tiff::decode(bytes, frame.unwrap_or(0), options.bands, check)?;
                for note in decoded.notes {
                    self.warnings
                        .add("TIFF with more than is shown", name, note);
                }
                return Ok(decoded.raster);
            }
            Kind::Image(format) => codec::decode(bytes, format, frame, options.max_memory, check)?,
            Kind::OwnPicture => {
                codec::decode(bytes, ImageFormat::Png, frame, options.max_memory, check)?
            }
            Kind::Foreign(foreign) => {
                return foreign.decode(bytes, frame, options.max_memory, check);
            }
            Kind::Clip(clip) => {
                return Err(format!(
                    "is a video clip ({clip}), not a photo; `dino depth`, `segment`, `pca` and `run` make films of clips that are named \
                     as .mp4, .mkv and the like, and ffmpeg -i CLIP -vf fps=1 frame-%05d.png takes pictures out"
                ));
            }
            Kind::Unsuitable(what) => {
                return Err(format!(
                    "{what} is not supported; convert it to JPEG or PNG first"
                ));
            }
            Kind::Tar => {
                return Err(
                    "is a tar archive, whose photos are found by their places in a file; save it as one, and name that"
                        .into(),
                );
            }
            Kind::Other if bytes.is_empty() => return Err("is empty".into()),
            Kind::Other => {
                return Err("is not an image (known are JPEG, PNG, WebP, TIFF, GIF, BMP, PNM, QOI, ICO, farbfeld, JPEG XL, JPEG 2000, and with other programs AVIF, HEIC and camera raw)".into());
            }
        };
        if options.bands.is_some() {
            select_bands(&mut raster, options)?;
        }
        raster.orientation = Metadata::of(bytes).orientation();
        Ok(raster)
    }
}

/// What is wrong with bytes that could not be decoded, unless a limit `refused` them.
fn fault_of(bytes: &[u8], refused: &Cell<Option<Fault>>) -> Fault {
    match (refused.get(), sniff::identify_bytes(bytes)) {
        (Some(limit), _) => limit,
        (None, Kind::Other | Kind::Clip(_)) => Fault::NotImage,
        (None, Kind::Unsuitable(_)) => Fault::Unsupported,
        (None, Kind::Foreign(foreign)) if !foreign.is_built_in() => Fault::Program,
        _ => Fault::Damaged,
    }
}

/// Takes other channels than the first three of an image that has few.
fn select_bands(raster: &mut Raster, options: &DecodeOptions) -> Result<(), String> {
    use super::raster::{Colour, Samples};
    let Some(bands) = options.bands else {
        return Ok(());
    };
    let channels = raster.channels();
    if let Some(band) = bands.iter().find(|&&band| usize::from(band) > channels) {
        return Err(format!("has {channels} bands, so there is no band {band}"));
    }
    fn pick<T: Copy>(values: &[T], channels: usize, bands: [u16; 3]) -> Vec<T> {
        let pixels = values.chunks_exact(channels);
        pixels
            .flat_map(|pixel| bands.map(|band| pixel[usize::from(band) - 1]))
            .collect()
    }
    raster.samples = match &raster.samples {
        Samples::U8(values) => Samples::U8(pick(values, channels, bands)),
        Samples::U16(values) => Samples::U16(pick(values, channels, bands)),
        Samples::F32(values) => Samples::F32(pick(values, channels, bands)),
    };
    raster.colour = Colour::Rgb;
    raster.alpha = super::raster::Alpha::None;
    raster.icc = None;
    Ok(())
}

/// Refuses images without pixels, and those with more than `most`.
fn check_size(footprint: &Footprint, most: u64) -> Result<(), String> {
    let Footprint { width, height, .. } = footprint;
    let pixels = footprint.pixels();
    if pixels == 0 {
        return Err(format!("has no pixels ({width} x {height})"));
    }
    if pixels > most {
        let mega = |pixels: u64| pixels as f64 / 1e6;
        return Err(format!(
            "{width} x {height} is {:.1} megapixels, over the limit of {} (raise it with --max-megapixels)",
            mega(pixels),
            mega(most),
        ));
    }
    Ok(())
}
