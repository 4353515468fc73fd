//! The frames of an animated WebP (RFC 9649): their number and flags.

/// The number of frames; 1 without animation.
pub(super) fn count_frames(bytes: &[u8]) -> u32 {
    frame_flags(bytes).len().max(1) as u32
}

/// Whether a frame before `frame`, counted from 0, clears its part of the canvas, which the crate `image-webp` ignores.
pub(in crate::io::inputs) fn clears_before(bytes: &[u8], frame: usize) -> bool {
    let flags = frame_flags(bytes);
    flags.iter().take(frame).any(|flags| flags & 1 == 1)
}

/// The flags of every frame (ANMF chunk): bit 0 disposes to the background colour, bit 1 does not blend.
fn frame_flags(bytes: &[u8]) -> Vec<u8> {
    let mut at = 12;
    let mut all = Vec::new();
    while let Some(head) = bytes.get(at..at + 8) {
        if &head[..4] == b"ANMF" {
            // The flags follow position, size and duration of the frame.
            all.push(bytes.get(at + 8 + 15).copied().unwrap_or(0));
        }
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        match at.checked_add(8 + length + length % 2) {
            Some(next) => at = next,
            None => break,
        }
    }
    all
}
