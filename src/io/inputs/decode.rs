//! One photo's bytes to upright 8-bit sRGB.
//!
//! A decoder for each format gives a [`SourceRaster`], [`develop`] makes a photo of it.

use std::borrow::Cow;
use std::cell::Cell;

use image::metadata::Orientation;
use image::{GrayImage, ImageFormat, RgbImage};

use super::develop::{self, develop};
use super::footprint::Footprint;
use super::metadata::EmbeddedMetadata;
use super::options::DecodeOptions;
use super::raster::SourceRaster;
use super::sniff::{self, FileKind};
use super::source::Source;
use super::{codec, jpeg, pages, tiff};
use crate::error::{Error, FileFault, Result};
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
pub struct OpenedPhoto<'a> {
    decoder: &'a PhotoDecoder,
    source: &'a Source,
    bytes: Cow<'static, [u8]>,
    page: Option<u32>,
    /// What its header says.
    header: Option<PhotoHeader>,
}

/// What is known of a photo before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhotoHeader {
    /// Width and height, upright.
    pub size: (u32, u32),
    /// Bytes that decoding it takes.
    pub decode_bytes: u64,
}

impl OpenedPhoto<'_> {
    /// What its header says; none where it is damaged, or another program reads it.
    pub fn header(&self) -> Option<PhotoHeader> {
        self.header
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
        let OpenedPhoto {
            decoder,
            source,
            bytes,
            page,
            ..
        } = self;
        // What never has an alpha channel is not decoded again.
        if sniff::identify_bytes(&bytes) == FileKind::Image(ImageFormat::Jpeg) {
            return Ok(None);
        }
        let refused = Cell::new(None);
        let raster = decoder
            .decode_raster(
                &bytes,
                page,
                &source.name(),
                &decoder.limit_check(&bytes, &refused),
            )
            .map_err(|why| {
                Error::file_with_fault(source.path(), why, classify_fault(&bytes, &refused))
            })?;
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
                let fault = classify_fault(&self.bytes, &refused);
                Error::file_with_fault(self.source.path(), why, fault)
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
        match opened.header() {
            Some(measured) => Ok(measured.size),
            None => Ok(opened.decode()?.rgb.dimensions()),
        }
    }

    /// Reads the bytes of `source`, and of them what tells how large the photo is.
    ///
    /// # Errors
    /// As [`PhotoDecoder::decode`], of what is seen before any pixel is.
    pub fn open<'a>(&'a self, source: &'a Source) -> Result<OpenedPhoto<'a>> {
        let bytes = source.read(self.options.max_memory)?;
        let page = match (source.page(), source.page_within()) {
            (_, Some(page)) => Some(page.number),
            (Some(_), None) => match pages::count_in_file(&bytes) {
                1 => None,
                count => {
                    let why = format!(
                        "holds {count} images, one of several that follow each other; give it alone"
                    );
                    return Err(Error::file_with_fault(
                        source.path(),
                        why,
                        FileFault::Option,
                    ));
                }
            },
            (None, None) => self
                .resolve_page(&bytes)
                .map_err(|why| Error::file_with_fault(source.path(), why, FileFault::Option))?,
        };
        let measured = self.read_header(&bytes, page);
        Ok(OpenedPhoto {
            decoder: self,
            source,
            bytes,
            page,
            header: measured,
        })
    }

    /// The size of a photo, upright, and what decoding it takes; none where that is not known before, because its header
    /// is damaged or another program reads it.
    fn read_header(&self, bytes: &[u8], page: Option<u32>) -> Option<PhotoHeader> {
        let found = Cell::new(None);
        let stop = |footprint: Footprint| match footprint.bytes_per_pixel {
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
        if let FileKind::Foreign(foreign) = sniff::identify_bytes(bytes)
            && !foreign.is_built_in()
        {
            return None;
        }
        let _ = header.decode_raster(bytes, page, "", &stop);
        let footprint = found.get()?;
        let turn = EmbeddedMetadata::of(bytes).orientation();
        let swaps = matches!(
            turn,
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        );
        let (width, height) = (footprint.width, footprint.height);
        Some(PhotoHeader {
            size: if swaps {
                (height, width)
            } else {
                (width, height)
            },
            decode_bytes: footprint
                .peak_bytes(bytes.len() as u64, turn != Orientation::NoTransforms),
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
    fn limit_check<'c>(
        &'c self,
        bytes: &[u8],
        refused: &'c Cell<Option<FileFault>>,
    ) -> impl Fn(Footprint) -> Result<(), String> + 'c {
        let file = bytes.len() as u64;
        move |footprint| {
            let checked = check_size(&footprint, self.options.max_pixels);
            if checked.is_err() && footprint.pixels() > 0 {
                refused.set(Some(FileFault::TooLarge));
            }
            checked?;
            let (bytes, limit) = (footprint.peak_bytes(file, false), self.options.max_memory);
            match bytes <= limit {
                true => Ok(()),
                false => {
                    refused.set(Some(FileFault::Memory));
                    Err(memory::too_much(bytes, limit))
                }
            }
        }
    }

    /// The page that is meant of a file that was not looked at before.
    fn resolve_page(&self, bytes: &[u8]) -> Result<Option<u32>, String> {
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
        refused: &Cell<Option<FileFault>>,
    ) -> Result<RgbImage, String> {
        let raster = self.decode_raster(bytes, page, name, &self.limit_check(bytes, refused))?;
        develop(raster, &self.options, name, &self.warnings)
    }

    fn decode_raster(
        &self,
        bytes: &[u8],
        page: Option<u32>,
        name: &str,
        check: &dyn Fn(Footprint) -> Result<(), String>,
    ) -> Result<SourceRaster, String> {
        let options = &self.options;
        let kind = sniff::identify_bytes(bytes);
        // Pages that follow each other are images of their own; others have numbers within the file.
        if let Some(page) = page
            && pages::count_in_stream(bytes) > 1
        {
            let image = pages::image_of_stream(bytes, page);
            return self.decode_raster(image, None, name, check);
        }
        let frame = page.map(|page| page as usize - 1);
        let mut raster = match kind {
            FileKind::Image(ImageFormat::Jpeg) => {
                let decoded = jpeg::decode(bytes, check)?;
                if decoded.stray_bytes > 3 {
                    let sentence = format!(
                        "{} bytes of its data belong to no pixel, so part of the picture may be wrong",
                        decoded.stray_bytes
                    );
                    self.warnings.add("JPEG with stray data", name, sentence);
                }
                if decoded.lacks_fine_scans {
                    let sentence =
                        "ends before its finest details, which a complete progressive JPEG has";
                    self.warnings.add("coarse progressive JPEG", name, sentence);
                }
                decoded.raster
            }
            FileKind::Image(ImageFormat::Tiff) => {
                let decoded = tiff::decode(bytes, frame.unwrap_or(0), options.bands, check)?;
                for note in decoded.notes {
                    self.warnings
                        .add("TIFF with more than is shown", name, note);
                }
                return Ok(decoded.raster);
            }
            FileKind::Image(format) => {
                codec::decode(bytes, format, frame, options.max_memory, check)?
            }
            FileKind::OwnPicture => {
                codec::decode(bytes, ImageFormat::Png, frame, options.max_memory, check)?
            }
            FileKind::Foreign(foreign) => {
                return foreign.decode(bytes, frame, options.max_memory, check);
            }
            FileKind::Clip(clip) => {
                return Err(format!(
                    "is a video clip ({clip}), not a photo; `dino depth`, `segment`, `pca` and `run` make films of clips that are named \
                     as .mp4, .mkv and the like, and ffmpeg -i CLIP -vf fps=1 frame-%05d.png takes pictures out"
                ));
            }
            FileKind::Unsuitable(what) => {
                return Err(format!(
                    "{what} is not supported; convert it to JPEG or PNG first"
                ));
            }
            FileKind::Tar => {
                return Err(
                    "is a tar archive, whose photos are found by their places in a file; save it as one, and name that"
                        .into(),
                );
            }
            FileKind::Other if bytes.is_empty() => return Err("is empty".into()),
            FileKind::Other => {
                return Err("is not an image (known are JPEG, PNG, WebP, TIFF, GIF, BMP, PNM, QOI, ICO, farbfeld, JPEG XL, JPEG 2000, and with other programs AVIF, HEIC and camera raw)".into());
            }
        };
        if options.bands.is_some() {
            select_bands(&mut raster, options)?;
        }
        raster.orientation = EmbeddedMetadata::of(bytes).orientation();
        Ok(raster)
    }
}

/// What is wrong with bytes that could not be decoded, unless a limit `refused` them.
fn classify_fault(bytes: &[u8], refused: &Cell<Option<FileFault>>) -> FileFault {
    match (refused.get(), sniff::identify_bytes(bytes)) {
        (Some(limit), _) => limit,
        (None, FileKind::Other | FileKind::Clip(_)) => FileFault::NotImage,
        (None, FileKind::Unsuitable(_)) => FileFault::Unsupported,
        (None, FileKind::Foreign(foreign)) if !foreign.is_built_in() => FileFault::Program,
        _ => FileFault::Damaged,
    }
}

/// Takes other channels than the first three of an image that has few.
fn select_bands(raster: &mut SourceRaster, options: &DecodeOptions) -> Result<(), String> {
    use super::raster::{ColorModel, RasterSamples};
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
        RasterSamples::U8(values) => RasterSamples::U8(pick(values, channels, bands)),
        RasterSamples::U16(values) => RasterSamples::U16(pick(values, channels, bands)),
        RasterSamples::F32(values) => RasterSamples::F32(pick(values, channels, bands)),
    };
    raster.colour = ColorModel::Rgb;
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
