//! The marks by which the files that this program wrote are known.

/// The name and version that are written into files.
pub const PROGRAM: &str = concat!("dino ", env!("CARGO_PKG_VERSION"));

/// The first text chunk of every PNG written here; it comes before the pixels.
pub const SOFTWARE: &str = "Software";

/// Whether a PNG that starts with `head` was written by this program.
pub fn is_own_picture(head: &[u8]) -> bool {
    let mark = b"tEXtSoftware\0dino ";
    head.windows(mark.len()).any(|window| window == mark)
}

/// Whether a TIFF that starts with `head` was written by this program.
pub fn is_own_tiff(head: &[u8]) -> bool {
    let mark = PROGRAM.split_once(' ').map_or("", |(name, _)| name);
    let first = &head[..head.len().min(128)];
    let mark = [mark.as_bytes(), b" "].concat();
    first.starts_with(b"II*\0") && first.windows(mark.len()).any(|window| window == mark)
}
