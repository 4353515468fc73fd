//! Headers of GIF, APNG and animated WebP: the format, the canvas and the delay of each frame, without decoding pixels.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};

/// A format of animated pictures that is decoded without ffmpeg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnimationFormat {
    Gif,
    Png,
    WebP,
}

impl AnimationFormat {
    /// The format of a file by its first bytes; `None` for still images (a GIF may be one) and other files.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn of_file(path: &Path) -> Result<Option<Self>> {
        let failed = |error: io::Error| Error::io(path, &error);
        let mut head = Vec::new();
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(None);
        }
        (&mut file)
            .take(32)
            .read_to_end(&mut head)
            .map_err(failed)?;
        if head.starts_with(b"GIF8") {
            return Ok(Some(AnimationFormat::Gif));
        }
        if head.starts_with(b"RIFF") && head.get(8..16) == Some(b"WEBPVP8X") {
            return Ok(head
                .get(20)
                .is_some_and(|flags| flags & 2 != 0)
                .then_some(AnimationFormat::WebP));
        }
        if head.starts_with(b"\x89PNG\r\n\x1a\n") {
            let mut is_animated = false;
            let read = png_chunks(&mut BufReader::new(file), |kind, _| {
                is_animated |= kind == b"acTL";
                kind != b"IDAT"
            });
            return Ok((read.is_ok() && is_animated).then_some(AnimationFormat::Png));
        }
        Ok(None)
    }

    /// ffmpeg's name of the format, for [`Clip::codec`](super::clip::Clip::codec).
    pub fn name(self) -> &'static str {
        match self {
            AnimationFormat::Gif => "gif",
            AnimationFormat::Png => "apng",
            AnimationFormat::WebP => "webp",
        }
    }
}

/// The canvas and the delays of an animation.
#[derive(Debug, Default)]
pub(super) struct AnimationHeader {
    /// Width and height of the canvas in pixels.
    pub size: (u32, u32),
    /// Duration of each frame in seconds, as numerator and denominator.
    pub delays: Vec<(u64, u64)>,
    /// Whether the file ends before its last frame.
    pub is_truncated: bool,
}

/// Reads the frames' delays of a GIF, which are hundredths of a second.
pub(super) fn gif_header(reader: impl Read) -> Result<AnimationHeader, String> {
    let mut options = gif::DecodeOptions::new();
    options.skip_frame_decoding(true);
    let mut decoder = options
        .read_info(reader)
        .map_err(|error| error.to_string())?;
    let mut header = AnimationHeader {
        size: (decoder.width().into(), decoder.height().into()),
        ..AnimationHeader::default()
    };
    loop {
        match decoder.next_frame_info() {
            Ok(Some(frame)) => header.delays.push((frame.delay.into(), 100)),
            Ok(None) => return Ok(header),
            Err(error) if header.delays.is_empty() => return Err(error.to_string()),
            Err(_) => {
                header.is_truncated = true;
                return Ok(header);
            }
        }
    }
}

/// Reads the `fcTL` chunks of an APNG (PNG specification, third edition).
pub(super) fn png_header(mut reader: impl Read + Seek) -> Result<AnimationHeader, String> {
    let mut header = AnimationHeader::default();
    let (mut promised, mut is_whole) = (0, false);
    let number = |data: &[u8], at: usize| {
        data.get(at..at + 4)
            .and_then(|bytes| Some(u32::from_be_bytes(*bytes.first_chunk()?)))
    };
    let half = |data: &[u8], at: usize| {
        data.get(at..at + 2)
            .and_then(|bytes| Some(u16::from_be_bytes(*bytes.first_chunk()?)))
    };
    seek_to(&mut reader, 8)?;
    let read = png_chunks(&mut reader, |kind, data| {
        match kind {
            b"IHDR" => header.size = (number(data, 0).unwrap_or(0), number(data, 4).unwrap_or(0)),
            b"acTL" => promised = number(data, 0).unwrap_or(0) as usize,
            b"fcTL" => {
                let (num, den) = (half(data, 20).unwrap_or(0), half(data, 22).unwrap_or(0));
                // A denominator of 0 means hundredths.
                let den = if den == 0 { 100 } else { den };
                header.delays.push((num.into(), den.into()));
            }
            b"IEND" => is_whole = true,
            _ => {}
        }
        !is_whole
    });
    header.is_truncated = read.is_err() || !is_whole || header.delays.len() < promised;
    Ok(header)
}

/// Reads the `ANMF` chunks of a WebP, whose delays are milliseconds.
pub(super) fn webp_header(mut reader: impl Read + Seek) -> Result<AnimationHeader, String> {
    let mut header = AnimationHeader::default();
    seek_to(&mut reader, 4)?;
    let mut size = [0; 8];
    reader
        .read_exact(&mut size)
        .map_err(|error| error.to_string())?;
    let end = 8 + u64::from(u32::from_le_bytes([size[0], size[1], size[2], size[3]]));
    let three = |data: &[u8], at: usize| {
        let bytes = data.get(at..at + 3).unwrap_or_default();
        bytes
            .iter()
            .rev()
            .fold(0u32, |all, &byte| all << 8 | u32::from(byte))
    };
    let mut at = 12;
    let mut head = [0; 8];
    while reader.read_exact(&mut head).is_ok() {
        let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let mut data = [0; 16];
        let few = &mut data[..length.min(16) as usize];
        if reader.read_exact(few).is_err() {
            break;
        }
        match &head[..4] {
            b"VP8X" => header.size = (three(few, 4) + 1, three(few, 7) + 1),
            b"ANMF" => header.delays.push((three(few, 12).into(), 1000)),
            _ => {}
        }
        at += 8 + length + length % 2;
        if reader.seek(SeekFrom::Start(at)).is_err() {
            break;
        }
    }
    let there = reader
        .seek(SeekFrom::End(0))
        .map_err(|error| error.to_string())?;
    if there < end.min(at) {
        header.is_truncated = true;
        header.delays.pop();
    }
    header.is_truncated |= there < end;
    Ok(header)
}

fn seek_to(reader: &mut impl Seek, to: u64) -> Result<(), String> {
    let moved = reader.seek(SeekFrom::Start(to));
    moved.map(|_| ()).map_err(|error| error.to_string())
}

/// Calls `each` with the type and the first 32 bytes of each chunk of a PNG, until it returns `false`.
pub(super) fn png_chunks(
    reader: &mut (impl Read + Seek),
    mut each: impl FnMut(&[u8], &[u8]) -> bool,
) -> io::Result<()> {
    reader.seek(SeekFrom::Start(8))?;
    loop {
        let mut head = [0; 8];
        reader.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let mut data = [0; 32];
        let few = &mut data[..length.min(32) as usize];
        reader.read_exact(few)?;
        if !each(&head[4..], few) {
            return Ok(());
        }
        reader.seek_relative(i64::from(length) - few.len() as i64 + 4)?;
    }
}
