//! The length of a binary PBM, PGM, PPM (P4 to P6) or PAM (P7) image, from its header (Netpbm).

use crate::io::inputs::sniff;

/// The length of a binary PNM in bytes, with the white space that may follow it; `None` for text formats and damaged
/// headers.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let kind = *bytes.get(1)?;
    if kind == b'7' {
        return pam_length(bytes);
    }
    let numbers = match kind {
        b'4' => 2,
        b'5' | b'6' => 3,
        _ => return None,
    };
    let mut at = 2;
    let mut header = Vec::new();
    while header.len() < numbers {
        match *bytes.get(at)? {
            b'#' => at += bytes.get(at..)?.iter().position(|&c| c == b'\n')?,
            c if c.is_ascii_whitespace() => at += 1,
            _ => {
                let digits = bytes
                    .get(at..)?
                    .iter()
                    .take_while(|c| c.is_ascii_digit())
                    .count();
                let text = std::str::from_utf8(bytes.get(at..at + digits)?).ok()?;
                header.push(text.parse::<usize>().ok()?);
                at += digits;
            }
        }
    }
    let (width, height) = (header[0], header[1]);
    let row = match (kind, header.get(2)) {
        (b'4', _) => width.div_ceil(8),
        (b'5', Some(&most)) => width.checked_mul(if most > 255 { 2 } else { 1 })?,
        (_, Some(&most)) => width.checked_mul(if most > 255 { 6 } else { 3 })?,
        _ => return None,
    };
    let end = (at + 1).checked_add(row.checked_mul(height)?)?;
    let gap = bytes
        .get(end..)?
        .iter()
        .take_while(|c| c.is_ascii_whitespace())
        .count();
    Some(end + gap)
}

/// As [`length`], for PAM, whose header has named fields.
fn pam_length(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"ENDHDR\n";
    let head = &bytes[..bytes.len().min(sniff::HEAD_BYTES)];
    let data = head.windows(END.len()).position(|window| window == END)? + END.len();
    let header = std::str::from_utf8(&head[..data]).ok()?;
    let number = |name: &str| -> Option<usize> {
        let line = header.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let bytes_a_sample = if number("MAXVAL ")? > 255 { 2 } else { 1 };
    let samples = number("WIDTH ")?
        .checked_mul(number("HEIGHT ")?)?
        .checked_mul(number("DEPTH ")?)?;
    data.checked_add(samples.checked_mul(bytes_a_sample)?)
}
