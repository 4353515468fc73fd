//! The compression of a TIFF's chunks (tag 259): unpacks supported ones to a stream of bytes, and names the others.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use flate2::bufread::ZlibDecoder;
use image_webp::WebPDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::bits::SampleType;
use super::directory::{Ifd, TRUNCATED};
use super::fax::{self, FaxCoding};
use super::streams::{Lzw, PackBits};
use super::unpack::{ChunkExtent, UnpackError};
use super::{jpeg, tags};

/// The compressions that can be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// Uncompressed.
    None,
    /// One of the fax codings (ITU-T T.4 and T.6).
    Fax(FaxCoding),
    /// LZW with codes of 9 to 12 bits (TIFF 6.0, section 13).
    Lzw,
    /// Each chunk is a JPEG, whose tables may be shared (TIFF technical note 2).
    Jpeg,
    /// Deflate in zlib streams.
    Deflate,
    /// Runs of bytes (TIFF 6.0, section 9).
    PackBits,
    /// Zstandard frames.
    Zstd,
    /// Each chunk is a WebP.
    WebP,
}

impl Compression {
    /// Reads the tag of an image with `samples` samples per pixel of type `sample`.
    ///
    /// # Errors
    /// Names a compression that is not supported, or samples that the compression cannot hold.
    pub fn read(directory: &Ifd, samples: u16, sample: SampleType) -> Result<Self, String> {
        let number = directory.integer(tags::COMPRESSION)?.unwrap_or(1);
        let planar = directory.integer(tags::PLANAR_CONFIGURATION)? == Some(2);
        let needs = |bits: u16, text: &str| match sample.bits == bits {
            true => Ok(()),
            false => Err(format!(
                "this TIFF has {text} of {} bits, which is not supported; {ADVICE}",
                sample.bits
            )),
        };
        Ok(match number {
            1 => Compression::None,
            2 | 3 | 4 | 32771 => {
                if sample.bits != 1 || (samples != 1 && !planar) {
                    return Err(
                        "damaged TIFF: it has fax compression, but its pixels are not of one bit"
                            .into(),
                    );
                }
                let options = directory.integer(tags::T4_OPTIONS)?.unwrap_or(0);
                Compression::Fax(FaxCoding::of(number, options))
            }
            5 => Compression::Lzw,
            7 => {
                needs(8, "JPEG compression")?;
                Compression::Jpeg
            }
            8 | 32946 | 50013 => Compression::Deflate,
            32773 => Compression::PackBits,
            50000 | 34926 => Compression::Zstd,
            50001 | 34927 => {
                needs(8, "WebP compression")?;
                if planar || !matches!(samples, 3 | 4) {
                    return Err(
                        "damaged TIFF: it has WebP compression, but its pixels are not RGB".into(),
                    );
                }
                Compression::WebP
            }
            other => {
                return Err(format!(
                    "this TIFF is compressed with {}, which is not supported; {ADVICE}",
                    name(other)
                ));
            }
        })
    }

    /// Whether the predictor tag (317) applies, as in libtiff.
    pub fn supports_predictor(self) -> bool {
        matches!(
            self,
            Compression::Lzw | Compression::Deflate | Compression::Zstd
        )
    }

    /// Whether it is one of the fax codings.
    pub fn is_fax(self) -> bool {
        matches!(self, Compression::Fax(_))
    }

    /// Whether unpacking yields chroma in full size.
    pub fn upsamples(self) -> bool {
        matches!(self, Compression::Jpeg | Compression::WebP)
    }
}

/// What the user can do about a compression that is not supported.
const ADVICE: &str = "convert it to a TIFF with Deflate or LZW compression first";

/// The registered name of a compression that is not supported.
fn name(number: u64) -> Cow<'static, str> {
    Cow::Borrowed(match number {
        6 => "old-style JPEG (TIFF 6.0, withdrawn in 1995)",
        9 => "JBIG (T.85)",
        10 => "JBIG (T.43)",
        22610 | 34934 => "JPEG XR",
        32766 => "NeXT's 2-bit coding",
        32809 => "ThunderScan",
        32895..=32898 => "IT8 coding",
        32908 | 32909 => "Pixar's coding",
        32947 => "Kodak DCS coding",
        33003 | 33004 | 33005 | 34712 => "JPEG 2000",
        34661 => "JBIG",
        34676 | 34677 => "SGI LogLuv",
        34713 => "Nikon's raw coding",
        34715 => "JBIG2",
        34718..=34720 => "Microsoft Document Imaging",
        34887 => "LERC",
        34892 => "lossy JPEG of DNG",
        34925 => "LZMA",
        34933 => "PNG",
        50002 | 52546 => "JPEG XL",
        other => return Cow::Owned(format!("method {other}")),
    })
}

/// Unpacks the chunks of one image.
#[derive(Debug)]
pub(super) struct ChunkDecompressor<'a> {
    compression: Compression,
    /// Whether the bits of every byte are reversed (tag 266).
    is_bit_reversed: bool,
    /// The tables that JPEG chunks share (tag 347).
    jpeg_tables: Option<&'a [u8]>,
}

impl<'a> ChunkDecompressor<'a> {
    /// Reads the tags that `compression` needs.
    ///
    /// # Errors
    /// [`TRUNCATED`], if the file ends before their values.
    pub fn read(directory: &Ifd<'a>, compression: Compression) -> Result<Self, String> {
        let own_order = compression.upsamples();
        Ok(ChunkDecompressor {
            compression,
            is_bit_reversed: !own_order && directory.integer(tags::FILL_ORDER)? == Some(2),
            jpeg_tables: match compression {
                Compression::Jpeg => directory.bytes(tags::JPEG_TABLES).map_err(|_| TRUNCATED)?,
                _ => None,
            },
        })
    }

    /// A stream of the unpacked bytes of a chunk, line by line.
    ///
    /// # Errors
    /// What is wrong with the chunk; some compressions report it only while the stream is read.
    pub fn unpack<'b>(
        &self,
        packed: &'b [u8],
        extent: ChunkExtent,
    ) -> Result<Box<dyn Read + 'b>, UnpackError> {
        let packed = match self.is_bit_reversed {
            true => Cow::Owned(packed.iter().map(|byte| byte.reverse_bits()).collect()),
            false => Cow::Borrowed(packed),
        };
        Ok(match self.compression {
            Compression::Jpeg => Box::new(Cursor::new(jpeg::decode(
                self.jpeg_tables,
                &packed,
                extent,
            )?)),
            Compression::WebP => Box::new(Cursor::new(webp(&packed, extent)?)),
            Compression::Fax(coding) => {
                Box::new(Cursor::new(fax::decode(coding, &packed, extent)?))
            }
            Compression::None => Box::new(Cursor::new(packed)),
            Compression::PackBits => Box::new(PackBits::new(packed)),
            Compression::Lzw => Box::new(Lzw::new(packed)),
            Compression::Deflate => Box::new(ZlibDecoder::new(Cursor::new(packed))),
            Compression::Zstd => {
                let decoder = StreamingDecoder::new(Cursor::new(packed));
                Box::new(
                    decoder.map_err(|error| {
                        UnpackError::Damaged(format!("does not unpack: {error}"))
                    })?,
                )
            }
        })
    }
}

/// Decodes a WebP chunk to interleaved RGB or RGBA, by the number of samples in `extent`.
fn webp(packed: &[u8], extent: ChunkExtent) -> Result<Vec<u8>, UnpackError> {
    let damaged = |error: image_webp::DecodingError| {
        UnpackError::Damaged(format!("does not unpack: {error}"))
    };
    let mut decoder = WebPDecoder::new(Cursor::new(packed)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if width != extent.width || height < extent.height || height > extent.full_height {
        return Err(UnpackError::Damaged(format!(
            "is a WebP of {width} x {height}"
        )));
    }
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut pixels = vec![0; width as usize * height as usize * channels];
    decoder.read_image(&mut pixels).map_err(damaged)?;
    if channels == usize::from(extent.samples) {
        return Ok(pixels);
    }
    let opaque = |pixel: &[u8]| {
        [pixel[0], pixel[1], pixel[2], 255]
            .into_iter()
            .take(extent.samples.into())
    };
    Ok(pixels.chunks_exact(channels).flat_map(opaque).collect())
}
