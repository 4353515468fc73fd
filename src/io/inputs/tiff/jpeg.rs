//! JPEG compression in TIFF (compression 7, TIFF technical note 2): each chunk is a JPEG, whose tables may be shared.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::unpack::{ChunkExtent, UnpackError};

/// Decodes a chunk to its interleaved components, without colour conversion, chroma in full size, cropped to `extent`.
///
/// # Errors
/// Names a kind of JPEG that is not supported, or what is wrong with the data.
pub(super) fn decode(
    tables: Option<&[u8]>,
    packed: &[u8],
    extent: ChunkExtent,
) -> Result<Vec<u8>, UnpackError> {
    let stream = match tables {
        // Drop the end-of-image marker of the tables and the start-of-image marker of the chunk.
        Some(tables) if tables.len() > 4 && packed.len() > 2 => {
            let tables = tables.strip_suffix(b"\xff\xd9").unwrap_or(tables);
            [tables, &packed[2..]].concat()
        }
        _ => packed.to_vec(),
    };
    if let Some(why) = unsupported_kind(&stream) {
        return Err(unsupported_error(why));
    }
    // The decoder silently fills the last blocks of a truncated stream.
    if !has_end(&stream) {
        return Err(UnpackError::Damaged("ends before its pixels do".into()));
    }
    // Garbage between the headers does no harm; any other irregularity costs pixels.
    match read(&stream, true, extent) {
        Err(UnpackError::Damaged(why)) if why.contains("Extra bytes between headers") => {
            read(&stream, false, extent)
        }
        other => other,
    }
}

/// Decodes a complete JPEG; `strict` refuses any irregularity between the markers.
fn read(stream: &[u8], strict: bool, extent: ChunkExtent) -> Result<Vec<u8>, UnpackError> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let damaged = |error: DecodeErrors| UnpackError::Damaged(format!("does not unpack: {error}"));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(stream), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    // Encoders pad to whole blocks, and the last strip to the height of the others.
    let needed = (extent.width as usize, extent.height as usize);
    let limit = (needed.0 + 64, extent.full_height as usize + 64);
    if width < needed.0 || height < needed.1 || width > limit.0 || height > limit.1 {
        return Err(UnpackError::Damaged(format!(
            "is a JPEG of {width} x {height} pixels where {} x {} are needed",
            needed.0, needed.1
        )));
    }
    // No colour conversion: the tags of the TIFF define what the components mean.
    let colours = decoder.input_colorspace();
    let samples = usize::from(extent.samples);
    let Some(colours) = colours.filter(|colours| colours.num_components() == samples) else {
        let components = usize::from(frame_header(stream).map_or(0, |header| header.components));
        return Err(match components == samples {
            true => unsupported_error(&format!("JPEG of {samples} components")),
            false => UnpackError::Damaged(format!(
                "is a JPEG of {components} components where {samples} are needed"
            )),
        });
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let pixels = decoder.decode().map_err(damaged)?;
    if width == needed.0 {
        return Ok(pixels);
    }
    let rows = pixels.chunks_exact(width * samples).take(needed.1);
    Ok(rows
        .flat_map(|row| &row[..needed.0 * samples])
        .copied()
        .collect())
}

/// The error for a kind of JPEG that is not supported.
fn unsupported_error(what: &str) -> UnpackError {
    UnpackError::Unsupported(format!(
        "this TIFF holds {what}, which is not supported; convert it to a TIFF with Deflate or LZW compression first"
    ))
}

/// The name of an unsupported kind of JPEG, by the frame header; `None` for supported ones.
fn unsupported_kind(stream: &[u8]) -> Option<&'static str> {
    let header = frame_header(stream)?;
    match (header.marker, header.precision) {
        (0xc3 | 0xc7 | 0xcb | 0xcf, _) => Some("lossless JPEG"),
        (0xc9..=0xcf, _) => Some("JPEG with arithmetic coding"),
        (0xc5..=0xc7, _) => Some("hierarchical JPEG"),
        (_, 12) => Some("JPEG of 12 bits"),
        _ => None,
    }
}

/// The first frame header (ITU-T T.81, B.2.2).
struct SofHeader {
    /// The second byte of its marker, 0xc0 to 0xcf.
    marker: u8,
    /// Bits per sample.
    precision: u8,
    components: u8,
}

/// Finds the first frame header before any scan.
fn frame_header(stream: &[u8]) -> Option<SofHeader> {
    let mut at = 2;
    loop {
        while *stream.get(at)? != 0xff || matches!(stream.get(at + 1)?, 0xff | 0x00) {
            at += 1;
        }
        let marker = stream[at + 1];
        match marker {
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => {
                return Some(SofHeader {
                    marker,
                    precision: *stream.get(at + 4)?,
                    components: *stream.get(at + 9)?,
                });
            }
            0x01 | 0xd0..=0xd8 => {
                at += 2;
                continue;
            }
            0xd9 | 0xda => return None,
            _ => {}
        }
        let length = usize::from(*stream.get(at + 2)?) << 8 | usize::from(*stream.get(at + 3)?);
        at += 2 + length.max(2);
    }
}

/// Whether an end-of-image marker follows the last scan.
fn has_end(stream: &[u8]) -> bool {
    let markers = stream.windows(2).rev();
    let last = markers
        .into_iter()
        .find(|pair| matches!(pair, [0xff, 0xd9 | 0xda]));
    last == Some(&[0xff, 0xd9])
}

/// Whether a stream begins with a JFIF segment, so that three components are YCbCr whatever the tags declare.
pub(super) fn is_jfif(packed: &[u8]) -> bool {
    packed.get(2..4) == Some(b"\xff\xe0") && packed.get(6..11) == Some(b"JFIF\0")
}
