//! The blocks of a GIF (GIF89a specification): how many frames it has, and its length.

/// The number of frames (image descriptors), at least 1; in a truncated file, of those present.
pub(super) fn count_frames(bytes: &[u8]) -> u32 {
    scan(bytes).0
}

/// The length of the GIF in bytes, including its trailer; `None` if that is missing.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    scan(bytes).1
}

/// The number of frames, and the length in bytes.
fn scan(bytes: &[u8]) -> (u32, Option<usize>) {
    let table = |packed: u8| match packed & 0x80 {
        0 => 0,
        _ => 3usize << ((packed & 7) + 1),
    };
    let mut at = 13 + bytes.get(10).map_or(0, |&packed| table(packed));
    let mut frames = 0;
    loop {
        match bytes.get(at) {
            Some(0x2c) => {
                let Some(&packed) = bytes.get(at + 9) else {
                    break;
                };
                frames += 1;
                at += 10 + table(packed) + 1;
            }
            Some(0x21) => at += 2,
            Some(0x3b) => return (frames.max(1), Some(at + 1)),
            _ => break,
        }
        // Data come in sub-blocks, each behind a byte with its length.
        while let Some(&length) = bytes.get(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
    (frames.max(1), None)
}
