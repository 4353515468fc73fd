//! Portable float map: the plainest file of floats that stereo and depth tools read
//! (<https://www.pauldebevec.com/Research/HDR/PFM/>).

use std::io::{self, Write};

/// Writes `values` `[height, width]` as a one-channel PFM. The format counts its rows from the bottom, and a negative
/// scale says that bytes are little endian.
///
/// # Errors
/// If writing fails, or `values` does not fill the size.
pub fn write_pfm(
    mut writer: impl Write,
    (width, height): (usize, usize),
    values: &[f32],
) -> io::Result<()> {
    super::check_size((width, height), values.len())?;
    write!(writer, "Pf\n{width} {height}\n-1.0\n")?;
    for row in values.chunks_exact(width).rev() {
        let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
        writer.write_all(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_comes_first() {
        let mut bytes = Vec::new();
        write_pfm(&mut bytes, (2, 2), &[1.0, 2.0, 3.0, 4.5]).unwrap();
        let rest = bytes.strip_prefix(b"Pf\n2 2\n-1.0\n").unwrap();
        assert_eq!(
            rest,
            [3f32, 4.5, 1.0, 2.0].map(f32::to_le_bytes).as_flattened()
        );
    }

    #[test]
    fn a_wrong_size_is_refused() {
        assert!(write_pfm(Vec::new(), (2, 2), &[0.0; 3]).is_err());
        assert!(write_pfm(Vec::new(), (0, 2), &[]).is_err());
    }
}
