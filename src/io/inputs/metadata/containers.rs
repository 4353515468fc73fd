//! Finds the EXIF and XMP blocks of a file: APP1 segments of JPEG, chunks of PNG and WebP, the TIFF file itself, and
//! boxes of HEIF and JPEG XL.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::blocks::{EmbeddedMetadata, find};

/// What precedes an EXIF block in a JPEG.
const EXIF: &[u8] = b"Exif\0\0";
/// What precedes an XMP packet in a JPEG.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// The signature of a PNG.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Maximum decompressed size in bytes of a PNG text chunk; the rest is dropped.
const MAX_TEXT_BYTES: u64 = 16 << 20;

impl EmbeddedMetadata {
    /// Finds the blocks of a file of any format; both are `None` if it has none.
    pub fn of(bytes: &[u8]) -> Self {
        let exif_only = |exif| EmbeddedMetadata { exif, xmp: None };
        match bytes {
            [0xff, 0xd8, ..] => jpeg(bytes),
            _ if bytes.starts_with(PNG) => png(bytes),
            _ if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => webp(bytes),
            [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => {
                exif_only(Some(bytes.to_vec()))
            }
            _ => exif_only(search_exif(bytes)),
        }
    }
}

/// The EXIF block of a HEIF or a JPEG XL, in a box or an item: a TIFF structure within 8 bytes behind the name `Exif`.
fn search_exif(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_box = bytes.get(4..8) == Some(b"ftyp") || bytes.get(4..8) == Some(b"JXL ");
    let starts = |block: &[u8]| block.starts_with(b"II*\0") || block.starts_with(b"MM\0*");
    let mut at = 0;
    while is_box && let Some(found) = find(&bytes[at..], b"Exif") {
        at += found + 4;
        // A length, or two zero bytes, may come between.
        let block = (0..=8).find_map(|gap| bytes.get(at + gap..).filter(|block| starts(block)));
        if let Some(block) = block {
            return Some(block.to_vec());
        }
    }
    None
}

/// An EXIF block without the prefix of JPEG, which some programs write in other containers too, even twice.
fn without_prefix(block: &[u8]) -> Vec<u8> {
    let mut block = block;
    while let Some(rest) = block.strip_prefix(EXIF) {
        block = rest;
    }
    block.to_vec()
}

/// The blocks of a JPEG, in APP1 segments before the picture.
fn jpeg(bytes: &[u8]) -> EmbeddedMetadata {
    let mut blocks = EmbeddedMetadata::default();
    let mut at = 2;
    while let Some(&[mark, kind, high, low]) =
        bytes.get(at..).and_then(|rest| rest.first_chunk::<4>())
    {
        if mark != 0xff {
            // Skip garbage between segments.
            at += 1;
            continue;
        }
        match kind {
            0xff => {
                at += 1;
                continue;
            }
            0x01 | 0xd0..=0xd8 => {
                at += 2;
                continue;
            }
            0xd9 | 0xda => break,
            _ => {}
        }
        let length = usize::from(high) << 8 | usize::from(low);
        let Some(body) = bytes.get(at + 4..at + 2 + length.max(2)) else {
            break;
        };
        if kind == 0xe1 && body.starts_with(EXIF) && blocks.exif.is_none() {
            blocks.exif = Some(without_prefix(body));
        } else if kind == 0xe1 && blocks.xmp.is_none() {
            blocks.xmp = body.strip_prefix(XMP).map(<[u8]>::to_vec);
        }
        at += 2 + length.max(2);
    }
    blocks
}

/// The blocks of a PNG: the chunk `eXIf`, ImageMagick's texts `Raw profile type exif` and `Raw profile type APP1`, and
/// the text `XML:com.adobe.xmp`, before or behind the picture.
fn png(bytes: &[u8]) -> EmbeddedMetadata {
    let mut blocks = EmbeddedMetadata::default();
    let mut raw = None;
    let mut at = PNG.len();
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(data) = at
            .checked_add(8 + length)
            .and_then(|end| bytes.get(at + 8..end))
        else {
            break;
        };
        match &head[4..8] {
            b"eXIf" if blocks.exif.is_none() => blocks.exif = Some(without_prefix(data)),
            b"tEXt" | b"zTXt" | b"iTXt" => {
                if let Some((keyword, text)) = text_chunk(&head[4..8], data) {
                    match keyword {
                        b"Raw profile type exif" | b"Raw profile type APP1" => {
                            raw = raw.or_else(|| raw_profile(&text));
                        }
                        b"XML:com.adobe.xmp" => blocks.xmp = blocks.xmp.or(Some(text)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        at += 12 + length;
    }
    if let Some(block) = raw {
        match block.strip_prefix(XMP) {
            Some(xmp) => blocks.xmp = blocks.xmp.or_else(|| Some(xmp.to_vec())),
            None => blocks.exif = blocks.exif.or_else(|| Some(without_prefix(&block))),
        }
    }
    blocks
}

/// Keyword and text of a PNG's chunk of type tEXt, zTXt or iTXt.
fn text_chunk<'a>(kind: &[u8], data: &'a [u8]) -> Option<(&'a [u8], Vec<u8>)> {
    let (keyword, rest) = split_at_zero(data)?;
    let (packed, text) = match kind {
        b"tEXt" => (false, rest),
        b"zTXt" => (true, rest.get(1..)?),
        _ => {
            let packed = *rest.first()? == 1;
            let (_, rest) = split_at_zero(rest.get(2..)?)?;
            (packed, split_at_zero(rest)?.1)
        }
    };
    if !packed {
        return Some((keyword, text.to_vec()));
    }
    let mut unpacked = Vec::new();
    ZlibDecoder::new(text)
        .take(MAX_TEXT_BYTES)
        .read_to_end(&mut unpacked)
        .ok()?;
    Some((keyword, unpacked))
}

/// Splits `data` at the first zero byte; `None` without one.
fn split_at_zero(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = data.iter().position(|&byte| byte == 0)?;
    Some((&data[..at], &data[at + 1..]))
}

/// The bytes of ImageMagick's text: a line break, the profile's name, its length in bytes, then hexadecimal digits.
fn raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.split(|&byte| byte == b'\n').skip(2);
    let length: usize = std::str::from_utf8(lines.next()?)
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let digits: Vec<u8> = lines
        .flatten()
        .filter_map(|&digit| char::from(digit).to_digit(16).map(|value| value as u8))
        .collect();
    let mut block: Vec<u8> = digits
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[high, low]| high << 4 | low)
        .collect();
    block.truncate(length);
    Some(block)
}

/// The blocks of a WebP, in its chunks `EXIF` and `XMP `.
fn webp(bytes: &[u8]) -> EmbeddedMetadata {
    let mut blocks = EmbeddedMetadata::default();
    let mut at = 12;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let Some(data) = at
            .checked_add(8 + length)
            .and_then(|end| bytes.get(at + 8..end))
        else {
            break;
        };
        match &head[..4] {
            b"EXIF" if blocks.exif.is_none() => blocks.exif = Some(without_prefix(data)),
            b"XMP " if blocks.xmp.is_none() => blocks.xmp = Some(data.to_vec()),
            _ => {}
        }
        at += 8 + length + length % 2;
    }
    blocks
}
