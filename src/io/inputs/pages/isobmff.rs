//! The boxes of an ISO base media file (ISO/IEC 14496-12), such as HEIC and AVIF.

/// The length in bytes of the boxes up to the next `ftyp` or to bytes that are not a box; `None` if the last box
/// extends to the end.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0usize;
    loop {
        let head = bytes.get(at..at.checked_add(8)?)?;
        // The type of a box has letters, digits and spaces only.
        let is_box = head[4..8]
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || *c == b' ');
        if at > 0 && (&head[4..8] == b"ftyp" || !is_box) {
            return Some(at);
        }
        let length = match u32::from_be_bytes(*head.first_chunk()?) {
            1 => u64::from_be_bytes(*bytes.get(at + 8..at + 16)?.first_chunk()?) as usize,
            0 => return None,
            length => length as usize,
        };
        at = at.checked_add(length.max(8))?;
    }
}
