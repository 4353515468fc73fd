//! Decodes one photo: a [`Source`] to a [`Photo`], upright 8-bit sRGB of shape `[height, width, 3]`.
//!
//! [`formats`](super::formats) decodes the stored samples to a [`SourceRaster`](super::raster::SourceRaster), and
//! [`develop()`] turns it into the photo. The limits on pixels and memory are checked here, from the header.

use std::borrow::Cow;
use std::cell::Cell;

use image::metadata::Orientation;
use image::{GrayImage, ImageFormat, RgbImage};

use super::develop::{self, develop};
use super::footprint::Footprint;
use super::formats::decode_raster;
use super::metadata::EmbeddedMetadata;
use super::options::DecodeOptions;
use super::pages;
use super::sniff::{self, FileKind};
use super::source::Source;
use crate::error::{Error, FileFault, Result};
use crate::system::memory;
use crate::terminal::warnings::Warnings;

/// Decodes photos, all with the same options.
#[derive(Debug, Clone)]
pub struct PhotoDecoder {
    /// Limits on a photo, and how its samples become colours.
    pub options: DecodeOptions,
    /// Receives warnings about decoded photos.
    pub warnings: Warnings,
}

/// A decoded photo.
#[derive(Debug, Clone)]
pub struct Photo {
    /// The upright pixels, 8-bit sRGB, `[height, width, 3]`.
    pub rgb: RgbImage,
}

/// A photo whose bytes have been read, and whose pixels have not been decoded yet.
#[derive(Debug)]
pub struct OpenedPhoto<'a> {
    decoder: &'a PhotoDecoder,
    source: &'a Source,
    bytes: Cow<'static, [u8]>,
    /// The page to decode, counted from 1; `None` for a file with one image.
    page: Option<u32>,
    /// Size and memory by its header; `None` if it cannot be read here.
    header: Option<PhotoHeader>,
}

/// Size and memory need of a photo, from its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhotoHeader {
    /// Width and height in pixels, upright.
    pub size: (u32, u32),
    /// Peak memory of decoding the photo, in bytes.
    pub decode_bytes: u64,
}

impl OpenedPhoto<'_> {
    /// Size and memory need by the header; `None` if it is damaged, or only another program can read it.
    pub fn header(&self) -> Option<PhotoHeader> {
        self.header
    }

    /// The bytes of the file, or of its image on standard input.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The alpha channel, upright, `[height, width]`, 0 transparent to 255 opaque; `None` if the file has none, or the
    /// same value everywhere.
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
        // A JPEG has no alpha channel and need not be decoded again.
        if sniff::identify_bytes(&bytes) == FileKind::Image(ImageFormat::Jpeg) {
            return Ok(None);
        }
        let refused = Cell::new(None);
        let raster = decode_raster(
            &bytes,
            page,
            &source.name(),
            &decoder.options,
            &decoder.warnings,
            &decoder.limit_check(&bytes, &refused),
        )
        .map_err(|why| {
            Error::file_with_fault(source.path(), why, classify_fault(&bytes, &refused))
        })?;
        Ok(develop::opacity(raster))
    }

    /// Decodes the pixels.
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
    /// A decoder with the default options that drops all warnings.
    pub fn plain() -> Self {
        PhotoDecoder {
            options: DecodeOptions::default(),
            warnings: Warnings::silent(),
        }
    }

    /// Reads and decodes `source`.
    ///
    /// # Errors
    /// Names the source and says what is wrong: it cannot be read, is not an image, has an unsupported format, more
    /// pixels or needs more memory than allowed, is truncated or damaged, or holds several images where one is wanted.
    pub fn decode(&self, source: &Source) -> Result<Photo> {
        self.open(source)?.decode()
    }

    /// Width and height of `source` in pixels, upright; it is decoded only where its header cannot be read here.
    ///
    /// # Errors
    /// As [`PhotoDecoder::decode`].
    pub fn size(&self, source: &Source) -> Result<(u32, u32)> {
        let opened = self.open(source)?;
        match opened.header() {
            Some(header) => Ok(header.size),
            None => Ok(opened.decode()?.rgb.dimensions()),
        }
    }

    /// Reads the bytes of `source` and the header of the photo.
    ///
    /// # Errors
    /// The errors of [`PhotoDecoder::decode`] that occur before any pixel is decoded. A damaged header is not an error
    /// here.
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
        let header = self.read_header(&bytes, page);
        Ok(OpenedPhoto {
            decoder: self,
            source,
            bytes,
            page,
            header,
        })
    }

    /// The upright size of a photo and the memory that decoding takes: runs the decoder until it reports its first
    /// complete [`Footprint`]. `None` if the header is damaged or only another program can read it.
    fn read_header(&self, bytes: &[u8], page: Option<u32>) -> Option<PhotoHeader> {
        let first_footprint = Cell::new(None);
        let stop = |footprint: Footprint| match footprint.bytes_per_pixel {
            // The TIFF decoder checks the size first, and the memory in a second call.
            0 => Ok(()),
            _ => {
                first_footprint.set(Some(footprint));
                Err(String::new())
            }
        };
        if let FileKind::Foreign(foreign) = sniff::identify_bytes(bytes)
            && !foreign.is_built_in()
        {
            return None;
        }
        let silent = Warnings::silent();
        let _ = decode_raster(bytes, page, "", &self.options, &silent, &stop);
        let footprint = first_footprint.get()?;
        let orientation = EmbeddedMetadata::of(bytes).orientation();
        let swaps = matches!(
            orientation,
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
                .peak_bytes(bytes.len() as u64, orientation != Orientation::NoTransforms),
        })
    }

    /// The alpha channel of `source`, as [`OpenedPhoto::opacity`].
    ///
    /// # Errors
    /// As [`PhotoDecoder::decode`].
    pub fn opacity(&self, source: &Source) -> Result<Option<GrayImage>> {
        self.open(source)?.opacity()
    }

    /// A check that refuses a footprint with more pixels or memory than the options allow, and records in `refused`
    /// which limit it was.
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
                    Err(memory::over_limit_reason(bytes, limit))
                }
            }
        }
    }

    /// The page to decode, counted from 1, of a file whose images were not counted before; `None` if it holds one.
    ///
    /// # Errors
    /// If it holds several images and no page was requested, or has no such page.
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

    /// Decodes and develops the bytes of a file called `name`, or one page of it, counted from 1.
    #[cfg(test)]
    pub(super) fn decode_bytes(
        &self,
        bytes: &[u8],
        page: Option<u32>,
        name: &str,
    ) -> Result<RgbImage, String> {
        self.decode_checked((bytes, page), name, &Cell::new(None))
    }

    /// Decodes and develops the bytes of a file called `name`, or one page of it, counted from 1; a limit that was
    /// exceeded is recorded in `refused`.
    fn decode_checked(
        &self,
        (bytes, page): (&[u8], Option<u32>),
        name: &str,
        refused: &Cell<Option<FileFault>>,
    ) -> Result<RgbImage, String> {
        let check = self.limit_check(bytes, refused);
        let raster = decode_raster(bytes, page, name, &self.options, &self.warnings, &check)?;
        develop(raster, &self.options, name, &self.warnings)
    }
}

/// The kind of fault of bytes that could not be decoded: the limit in `refused`, if there is one, else by their format.
fn classify_fault(bytes: &[u8], refused: &Cell<Option<FileFault>>) -> FileFault {
    match (refused.get(), sniff::identify_bytes(bytes)) {
        (Some(limit), _) => limit,
        (None, FileKind::Other | FileKind::Clip(_)) => FileFault::NotImage,
        (None, FileKind::UnsupportedPicture(_)) => FileFault::Unsupported,
        (None, FileKind::Foreign(foreign)) if !foreign.is_built_in() => FileFault::Program,
        _ => FileFault::Damaged,
    }
}

/// Refuses images without pixels, and those with more than `max_pixels`.
fn check_size(footprint: &Footprint, max_pixels: u64) -> Result<(), String> {
    let Footprint { width, height, .. } = footprint;
    let pixels = footprint.pixels();
    if pixels == 0 {
        return Err(format!("has no pixels ({width} x {height})"));
    }
    if pixels > max_pixels {
        let mega = |pixels: u64| pixels as f64 / 1e6;
        return Err(format!(
            "{width} x {height} is {:.1} megapixels, over the limit of {} (raise it with --max-megapixels)",
            mega(pixels),
            mega(max_pixels),
        ));
    }
    Ok(())
}
