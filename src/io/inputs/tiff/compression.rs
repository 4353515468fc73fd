//! How chunks are packed (tag 259): the kinds that can be unpacked, and the names of the others.

use std::borrow::Cow;
use std::io::{self, Cursor, Read};

use flate2::bufread::ZlibDecoder;
use image_webp::WebPDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::bits::SampleType;
use super::directory::{Ifd, TRUNCATED};
use super::fax::{self, FaxCoding};
use super::streams::{Lzw, PackBits};
use super::{jpeg, tags};

/// The kinds that can be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// As they are.
    None,
    /// Of fax machines.
    Fax(FaxCoding),
    /// With codes from 9 to 12 bits.
    Lzw,
    /// Each chunk is a JPEG, perhaps without its tables.
    Jpeg,
    /// zlib streams.
    Deflate,
    /// Runs of bytes.
    PackBits,
    /// Zstandard frames.
    Zstd,
    /// Each chunk is a WebP.
    WebP,
}

/// Why a chunk could not be unpacked.
#[derive(Debug)]
pub(super) enum UnpackError {
    /// The bytes may be fine, but this kind cannot be read.
    Unsupported(String),
    /// The bytes are not as they should be.
    Damaged(String),
}

impl From<io::Error> for UnpackError {
    fn from(error: io::Error) -> Self {
        UnpackError::Damaged(match error.kind() {
            io::ErrorKind::UnexpectedEof => "ends before its pixels do".into(),
            _ => format!("does not unpack: {error}"),
        })
    }
}

impl Compression {
    /// Reads the tag.
    ///
    /// # Errors
    /// Names a kind that cannot be unpacked, or samples that this kind cannot hold.
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

    /// Whether the predictor tag is heeded, as libtiff does.
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

    /// Whether chroma has the full size once unpacked.
    pub fn upsamples(self) -> bool {
        matches!(self, Compression::Jpeg | Compression::WebP)
    }
}

const ADVICE: &str = "convert it to a TIFF with Deflate or LZW compression first";

/// The registered names of kinds that cannot be unpacked.
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

/// What is needed to unpack any chunk of one image.
#[derive(Debug)]
pub(super) struct ChunkDecompressor<'a> {
    compression: Compression,
    /// Whether the bits of every byte are reversed (tag 266).
    is_bit_reversed: bool,
    /// Tables that the JPEGs share (tag 347).
    jpeg_tables: Option<&'a [u8]>,
}

/// The pixels of one chunk, as they are unpacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkExtent {
    /// Pixels a row.
    pub width: u32,
    /// Rows that are needed.
    pub height: u32,
    /// Rows that may be there: of a whole strip or tile.
    pub full_height: u32,
    /// Samples a pixel.
    pub samples: u16,
}

impl<'a> ChunkDecompressor<'a> {
    /// Reads the tags that go with `compression`.
    ///
    /// # Errors
    /// [`TRUNCATED`](super::directory::TRUNCATED), where the file ends before their values.
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

    /// The unpacked lines of a chunk.
    ///
    /// # Errors
    /// Says what is wrong with its bytes.
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
