//! Encodes raw frames with their times as a Matroska stream, which ffmpeg reads from a pipe; raw video alone carries no
//! times.
//!
//! Times are nanoseconds: finer than any time base in use, so that ffmpeg recovers the exact ticks.

use std::io::{self, Write};

use super::encoders::RawPixelFormat;

/// EBML's "unknown size" in 8 bytes, for a live stream.
const UNKNOWN_SIZE: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// The header of the stream: one track of uncompressed video whose default frame duration is `usual` nanoseconds.
pub(super) fn encode_header(
    (width, height): (u32, u32),
    pixel: RawPixelFormat,
    usual: u64,
) -> Vec<u8> {
    let mut all = encode_element(
        &[0x1a, 0x45, 0xdf, 0xa3],
        &[
            encode_element(&[0x42, 0x86], &[1]),
            encode_element(&[0x42, 0xf7], &[1]),
            encode_element(&[0x42, 0xf2], &[4]),
            encode_element(&[0x42, 0xf3], &[8]),
            encode_element(&[0x42, 0x82], b"matroska"),
            encode_element(&[0x42, 0x87], &[4]),
            encode_element(&[0x42, 0x85], &[2]),
        ]
        .concat(),
    );
    all.extend([0x18, 0x53, 0x80, 0x67]);
    all.extend(UNKNOWN_SIZE);
    all.extend(encode_element(
        &[0x15, 0x49, 0xa9, 0x66],
        &[
            // A tick is a nanosecond.
            encode_element(&[0x2a, 0xd7, 0xb1], &[1]),
            encode_element(&[0x4d, 0x80], b"dino"),
            encode_element(&[0x57, 0x41], b"dino"),
        ]
        .concat(),
    ));
    let video = [
        encode_element(&[0xb0], &width.to_be_bytes()),
        encode_element(&[0xba], &height.to_be_bytes()),
        encode_element(&[0x2e, 0xb5, 0x24], pixel.fourcc()),
    ]
    .concat();
    let track = [
        encode_element(&[0xd7], &[1]),
        encode_element(&[0x73, 0xc5], &[1]),
        encode_element(&[0x83], &[1]),
        encode_element(&[0x9c], &[0]),
        encode_element(&[0x23, 0xe3, 0x83], &usual.max(1).to_be_bytes()),
        encode_element(&[0x86], b"V_UNCOMPRESSED"),
        encode_element(&[0xe0], &video),
    ]
    .concat();
    all.extend(encode_element(
        &[0x16, 0x54, 0xae, 0x6b],
        &encode_element(&[0xae], &track),
    ));
    all
}

/// Writes a frame as a cluster of its own; `time` and `duration` are nanoseconds.
pub(super) fn write_frame(
    to: &mut impl Write,
    frame: &[u8],
    time: u64,
    duration: u64,
) -> io::Result<()> {
    // Track 1, time 0 relative to the cluster, no flags.
    let block_head = [0x81, 0, 0, 0];
    let block_size = (block_head.len() + frame.len()) as u64;
    let duration = encode_element(&[0x9b], &duration.to_be_bytes());
    let group_size = 1 + 8 + block_size + duration.len() as u64;
    let time = encode_element(&[0xe7], &time.to_be_bytes());
    let mut head = Vec::with_capacity(64);
    head.extend([0x1f, 0x43, 0xb6, 0x75]);
    head.extend(encode_size(time.len() as u64 + 1 + 8 + group_size));
    head.extend(time);
    head.push(0xa0);
    head.extend(encode_size(group_size));
    head.push(0xa1);
    head.extend(encode_size(block_size));
    head.extend(block_head);
    to.write_all(&head)?;
    to.write_all(frame)?;
    to.write_all(&duration)
}

/// An EBML element: id, size and content.
fn encode_element(id: &[u8], content: &[u8]) -> Vec<u8> {
    [id, &encode_size(content.len() as u64), content].concat()
}

/// An EBML size in 8 bytes, which the marker bit of the first byte announces.
fn encode_size(bytes: u64) -> [u8; 8] {
    (bytes | 1 << 56).to_be_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_as_long_as_it_says() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &[7; 12], 33_366_667, 33_366_666).unwrap();
        let length =
            |at: usize| u64::from_be_bytes(*bytes[at..].first_chunk().unwrap()) & ((1 << 56) - 1);
        assert_eq!(length(4) as usize, bytes.len() - 12);
        // Behind the time of 17 bytes, the group; in it the block, and behind that the duration.
        assert_eq!(bytes[12 + 17], 0xa0);
        assert_eq!(length(30) as usize, bytes.len() - 38);
        assert_eq!(bytes[38], 0xa1);
        assert_eq!(length(39), 4 + 12);
        assert_eq!(bytes[47 + 16], 0x9b);
    }
}
