//! The chunks of a PNG (PNG specification, third edition; APNG): its length, and how many frames it has.

/// The chunks of a PNG: type, content, and the index of the byte after each; stops where the file is truncated.
pub(super) fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], usize)> {
    let mut at = 8;
    std::iter::from_fn(move || {
        let head = bytes.get(at..at + 8)?;
        let length = u32::from_be_bytes(*head.first_chunk()?) as usize;
        let data = bytes.get(at + 8..at.checked_add(8 + length)?)?;
        at += 12 + length;
        Some((&head[4..8], data, at))
    })
}

/// The length of the PNG in bytes, including IEND; `None` if that is missing.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    chunks(bytes)
        .find(|(kind, ..)| *kind == b"IEND")
        .map(|(_, _, end)| end)
}

/// The number of frames that are present, whatever the header states; 1 without animation.
pub(super) fn count_frames(bytes: &[u8]) -> u32 {
    let is_animated = chunks(bytes)
        .take_while(|(kind, ..)| *kind != b"IDAT")
        .any(|(kind, data, _)| kind == b"acTL" && data.first_chunk() > Some(&[0, 0, 0, 1]));
    let frames = chunks(bytes).filter(|(kind, ..)| *kind == b"fcTL");
    match is_animated {
        true => (frames.count() as u32).max(1),
        false => 1,
    }
}
