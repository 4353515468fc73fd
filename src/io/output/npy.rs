//! NumPy's array format (NEP 1): raw values with their type and shape.
//!
//! [`write_npy`] writes arrays in memory, such as label ids; [`write_npy_rows`] streams maps of f32.

use std::io::{self, Write};

use npyz::{AutoSerialize, WriterBuilder};

use crate::vision::postprocess::rows::RowSource;

/// Writes `values` in C order as an array of `shape`, of the NumPy type of `T` (float32, uint8, …).
///
/// # Errors
/// If writing fails, or `values` does not fill `shape`.
pub fn write_npy<T: AutoSerialize + Copy>(
    writer: impl Write,
    shape: &[usize],
    values: &[T],
) -> io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
    let mut array = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(writer)
        .begin_nd()?;
    array.extend(values.iter().copied())?;
    array.finish()
}

/// Writes a map as a float32 array `[height, width]`, a few rows at a time.
///
/// # Errors
/// If writing fails.
pub fn write_npy_rows(writer: impl Write, rows: &dyn RowSource) -> io::Result<()> {
    let (width, height) = rows.size();
    let mut array = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&[height as u64, width as u64])
        .writer(writer)
        .begin_nd()?;
    rows.for_each_band(|_, band| array.extend(band.iter().copied()))?;
    array.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_numpys() {
        let mut bytes = Vec::new();
        write_npy(&mut bytes, &[2, 3], &[0.0f32, 1.0, 2.0, 3.0, 4.0, -0.5]).unwrap();
        assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
        let header = String::from_utf8_lossy(&bytes[10..128]).into_owned();
        assert!(
            header.contains("'descr': '<f4'") && header.contains("'shape': (2, 3"),
            "{header}"
        );
        assert_eq!(bytes[bytes.len() - 4..], (-0.5f32).to_le_bytes());
        assert_eq!(npyz::NpyFile::new(&bytes[..]).unwrap().shape(), [2, 3]);
    }

    #[test]
    fn a_wrong_shape_is_refused() {
        assert!(write_npy(Vec::new(), &[2, 2], &[0.0f32; 3]).is_err());
        assert!(write_npy(Vec::new(), &[2, 2], &[0.0f32; 5]).is_err());
    }
}
