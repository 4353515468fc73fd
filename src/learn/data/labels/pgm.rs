//! Netpbm's portable grey map (PGM; P2 is text, P5 binary) as it is stored: its numbers are not scaled to the full
//! range, as image readers do.

use super::raster::{LabelRaster, RasterContent};

/// Decodes a PGM of 8 or 16 bits, by its highest number.
pub(super) fn decode(bytes: &[u8]) -> Result<LabelRaster, String> {
    let damaged = || "is a damaged PGM".to_owned();
    let is_text = bytes.starts_with(b"P2");
    let mut words = PgmTokens { bytes, at: 2 };
    let mut number = || words.next().ok_or_else(damaged);
    let (width, height, maximum) = (number()?, number()?, number()?);
    if !(1..=65_535).contains(&maximum) {
        return Err(format!("is a PGM whose highest number is {maximum}"));
    }
    let pixels = width.checked_mul(height).ok_or_else(damaged)?;
    let values: Vec<i64> = if is_text {
        (0..pixels)
            .map(|_| Some(words.next()? as i64))
            .collect::<Option<_>>()
            .ok_or_else(damaged)?
    } else {
        // One white space ends the header.
        let rest = bytes.get(words.at + 1..).unwrap_or_default();
        let step = if maximum > 255 { 2 } else { 1 };
        let length = pixels.checked_mul(step).ok_or_else(damaged)?;
        let data = rest.get(..length).ok_or("is a PGM that ends too early")?;
        let value = |word: &[u8]| word.iter().fold(0, |sum, &byte| sum << 8 | i64::from(byte));
        data.chunks_exact(step).map(value).collect()
    };
    let bits = if maximum > 255 { 16 } else { 8 };
    let content = RasterContent::Integers { values, bits };
    Ok(LabelRaster::new((width, height), content, "PGM"))
}

/// The decimal numbers of a PGM, between white space and comments.
struct PgmTokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl PgmTokens<'_> {
    fn next(&mut self) -> Option<usize> {
        loop {
            match self.bytes.get(self.at)? {
                b'#' => {
                    let rest = self.bytes.get(self.at..)?;
                    self.at += rest.iter().position(|&byte| byte == b'\n')?;
                }
                byte if byte.is_ascii_whitespace() => self.at += 1,
                _ => break,
            }
        }
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += length;
        std::str::from_utf8(rest.get(..length)?).ok()?.parse().ok()
    }
}
