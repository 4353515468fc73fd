//! Portable float map, a plain format of 32-bit floats that stereo and depth tools read
//! (<https://www.pauldebevec.com/Research/HDR/PFM/>).

use std::io::{self, Write};

use crate::io::output::map_size::check_size;
use crate::vision::postprocess::rows::RowSource;

/// Number of rows that are computed at a time.
const ROWS: usize = 64;

/// Writes a map `[height, width]` as a one-channel PFM: rows from the bottom up, and a negative scale, which stands for
/// little endian.
///
/// # Errors
/// If writing fails, or the map is empty.
pub fn write_pfm(mut writer: impl Write, rows: &dyn RowSource) -> io::Result<()> {
    let (width, height) = rows.size();
    check_size((width, height), width * height)?;
    write!(writer, "Pf\n{width} {height}\n-1.0\n")?;
    let mut band = vec![0f32; ROWS.min(height) * width];
    let mut end = height;
    while end > 0 {
        let first = end.saturating_sub(ROWS);
        let band = &mut band[..(end - first) * width];
        rows.fill(first, band);
        for row in band.chunks_exact(width).rev() {
            let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            writer.write_all(&bytes)?;
        }
        end = first;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::vision::postprocess::rows::InMemoryRows;

    #[test]
    fn the_last_row_comes_first() {
        let mut bytes = Vec::new();
        let rows = InMemoryRows {
            width: 2,
            values: &[1.0, 2.0, 3.0, 4.5],
        };
        write_pfm(&mut bytes, &rows).unwrap();
        let rest = bytes.strip_prefix(b"Pf\n2 2\n-1.0\n").unwrap();
        assert_eq!(
            rest,
            [3f32, 4.5, 1.0, 2.0].map(f32::to_le_bytes).as_flattened()
        );
    }

    #[test]
    fn all_rows_come_once() {
        let values: Vec<f32> = (0..2 * 200).map(|v| v as f32).collect();
        let rows = InMemoryRows {
            width: 2,
            values: &values,
        };
        let mut bytes = Vec::new();
        write_pfm(&mut bytes, &rows).unwrap();
        let rest = bytes.strip_prefix(b"Pf\n2 200\n-1.0\n").unwrap();
        let expected: Vec<f32> = values.chunks_exact(2).rev().flatten().copied().collect();
        let found: Vec<f32> = rest
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_empty_map_is_refused() {
        let rows = InMemoryRows {
            width: 0,
            values: &[],
        };
        assert!(write_pfm(Vec::new(), &rows).is_err());
    }
}
