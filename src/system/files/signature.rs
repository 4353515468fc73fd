//! Signatures of the files that this program writes. They keep it from taking its own pictures for inputs or labels,
//! and from replacing folders that it did not write.

/// Name and version of the program, as files hold them.
pub const PROGRAM: &str = concat!("dino ", env!("CARGO_PKG_VERSION"));

/// Keyword of the first text chunk of every PNG of the program, whose value is [`PROGRAM`]; it comes before the pixels.
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
