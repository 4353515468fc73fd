//! Portable float map (PFM, <https://www.pauldebevec.com/Research/HDR/PFM/>), and the depth files of MPI Sintel
//! (`.dpt`).

use super::raster::{LabelRaster, RasterContent};

/// Decodes a PFM of one channel, whose rows are stored from the bottom. The sign of its scale tells the byte order; the
/// scale itself is not applied, as in the readers of Middlebury and others.
pub(super) fn decode(bytes: &[u8]) -> Result<LabelRaster, String> {
    if bytes.starts_with(b"PF") {
        return Err("is a PFM with three channels; a label has one (Pf)".into());
    }
    let damaged = || "is a damaged PFM".to_owned();
    let mut at = 2;
    let mut word = || -> Option<&str> {
        let rest = bytes.get(at..)?;
        let start = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let rest = rest.get(start..)?;
        let length = rest.iter().position(u8::is_ascii_whitespace)?;
        at += start + length;
        std::str::from_utf8(rest.get(..length)?).ok()
    };
    let mut side = || word()?.parse::<usize>().ok();
    let (width, height) = side().zip(side()).ok_or_else(damaged)?;
    let scale = word().and_then(|word| word.parse::<f64>().ok());
    let scale = scale.filter(|scale| *scale != 0.0).ok_or_else(damaged)?;
    // One white space ends the header.
    let rows = floats(
        bytes.get(at + 1..).unwrap_or_default(),
        (width, height),
        scale < 0.0,
    )
    .ok_or("is a PFM that ends too early")?;
    let values = rows.chunks_exact(width.max(1)).rev().flatten().copied();
    let content = RasterContent::Floats(values.collect());
    let mut raster = LabelRaster::new((width, height), content, "PFM");
    raster.unapplied_scale = Some(scale.abs()).filter(|scale| (scale - 1.0).abs() > 1e-9);
    Ok(raster)
}

/// Decodes a `.dpt` of Sintel: `PIEH`, width and height as i32, then f32 row by row, all little-endian.
pub(super) fn decode_dpt(bytes: &[u8]) -> Result<LabelRaster, String> {
    let word = |at: usize| -> Option<usize> {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(i32::from_le_bytes(bytes)).ok()
    };
    let size = word(4).zip(word(8)).ok_or("is a damaged .dpt file")?;
    let data = bytes.get(12..).unwrap_or_default();
    if data.len() / 8 == size.0.saturating_mul(size.1) && data.len() % 8 == 0 {
        return Err("is a map of optical flow (.flo), not of depth".into());
    }
    let values = floats(data, size, true).ok_or("is a .dpt file that ends too early")?;
    Ok(LabelRaster::new(
        size,
        RasterContent::Floats(values),
        ".dpt",
    ))
}

/// As many f32 as there are pixels; none where the bytes end too early.
fn floats(bytes: &[u8], (width, height): (usize, usize), is_little: bool) -> Option<Vec<f64>> {
    let length = width.checked_mul(height)?.checked_mul(4)?;
    let words = bytes.get(..length)?.as_chunks::<4>().0.iter();
    let value = |word: &[u8; 4]| match is_little {
        true => f32::from_le_bytes(*word),
        false => f32::from_be_bytes(*word),
    };
    Some(words.map(|word| f64::from(value(word))).collect())
}
