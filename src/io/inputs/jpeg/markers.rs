//! The marker segments of a JPEG (ITU-T T.81, B.1): finds where each begins and ends, and from that the length of a
//! JPEG in a stream of several.

use super::error::JpegError;

/// Number of bytes of `rest` before the next marker; 0 if no marker follows, since the bytes then belong to data
/// appended to the file.
pub(super) fn count_stray_bytes(rest: &[u8]) -> usize {
    let marker = rest
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
    marker.unwrap_or(0)
}

/// A marker's second byte, the content of its segment without the length, and the index of the byte behind it.
pub(super) type MarkerSegment<'a> = (u8, &'a [u8], usize);

/// The first marker segment at or after `at`; `None` at the end of the file. Restart markers and stuffed bytes are
/// skipped.
///
/// # Errors
/// [`JpegError::Truncated`] if the file ends within the segment.
pub(super) fn next_segment(
    bytes: &[u8],
    mut at: usize,
) -> Result<Option<MarkerSegment<'_>>, JpegError> {
    loop {
        let Some(found) = bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|&byte| byte == 0xff))
        else {
            return Ok(None);
        };
        at += found + 1;
        match bytes.get(at) {
            None => return Ok(None),
            // A fill byte: the next byte may be the marker.
            Some(0xff) => {}
            // A stuffed zero, TEM or a restart marker: no segment follows.
            Some(0x00 | 0x01 | 0xd0..=0xd7) => at += 1,
            Some(&marker @ (0xd8 | 0xd9)) => return Ok(Some((marker, &[], at + 1))),
            Some(&marker) => {
                let Some(length) = u16_at(bytes, at + 1).map(|n| n.max(2)) else {
                    return Ok(None);
                };
                return match bytes.get(at + 3..at + 1 + length) {
                    Some(body) => Ok(Some((marker, body, at + 1 + length))),
                    None => Err(JpegError::Truncated),
                };
            }
        }
    }
}

/// The big-endian 16-bit number at `at`; `None` past the end.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let pair = bytes.get(at..at + 2)?;
    Some(usize::from(pair[0]) << 8 | usize::from(pair[1]))
}

/// The length in bytes of the JPEG at the start of `bytes`, including its end marker; `None` if there is no end marker,
/// or if the file declares that further images belong to the picture (MPF, a gain map).
pub(in crate::io::inputs) fn encoded_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    let mut in_scan = false;
    loop {
        let (marker, body, next) = next_segment(bytes, at).ok()??;
        in_scan |= marker == 0xda;
        if in_scan && marker == 0xd8 {
            // A JPEG without an end marker, and the start of the next one.
            return Some(next - 2);
        }
        let belongs = (marker == 0xe2 && body.starts_with(b"MPF\0"))
            || (marker == 0xe1 && body.windows(6).any(|window| window == b"hdrgm:"));
        if belongs {
            return None;
        }
        if marker == 0xd9 {
            return Some(next);
        }
        at = next;
    }
}
