//! What GIFs, animated PNGs and animated WebPs say of their frames before these are decoded.

use std::io::{self, Read, Seek, SeekFrom};

/// What a file says of its frames: their size and how long each stays, in seconds as a fraction.
#[derive(Debug, Default)]
pub(super) struct AnimationHeader {
    pub size: (u32, u32),
    pub delays: Vec<(u64, u64)>,
    pub is_truncated: bool,
}

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
                // 0 stands for hundredths.
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

/// Calls `each` with the chunks of a PNG and their first bytes, until it has enough; the reader is behind the signature.
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
