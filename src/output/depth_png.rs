//! Depth as 16-bit PNG in thousandths of the unit (millimetres for metres), as depth cameras and data sets store it.

use std::io::{self, Write};

use crate::output::png::{Pixels, write_png};

/// Steps a unit.
const STEPS: f64 = 1000.0;

/// How a map fits into 16 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thousandths {
    /// Rounded; values below 0 are 0, values above 65.535 units are 65535.
    pub values: Vec<u16>,
    /// How many values had to be clipped.
    pub saturated: usize,
}

impl Thousandths {
    /// Rounds and clips `values`.
    pub fn of(values: &[f32]) -> Self {
        let mut saturated = 0;
        let rounded = values.iter().map(|&value| {
            let steps = (f64::from(value) * STEPS).round();
            let kept = steps.clamp(0.0, f64::from(u16::MAX));
            saturated += usize::from(kept != steps);
            kept as u16
        });
        Self {
            values: rounded.collect(),
            saturated,
        }
    }
}

/// Writes `map` `[height, width]` with `text` as keyword and value pairs.
///
/// # Errors
/// If writing fails, or the map does not fill the size.
pub fn write_depth_png(
    writer: impl Write,
    (width, height): (usize, usize),
    map: &Thousandths,
    text: &[(&str, String)],
) -> io::Result<()> {
    let size = (width as u32, height as u32);
    write_png(writer, size, Pixels::Gray16(&map.values), text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn clipped_values_are_counted() {
        let map = Thousandths::of(&[0.0, 1.2344, 1.2346, 65.535, 65.536, 80.0, -0.001, f32::NAN]);
        assert_eq!(map.values, [0, 1234, 1235, 65535, 65535, 65535, 0, 0]);
        assert_eq!(map.saturated, 4);
    }

    #[test]
    fn millimetres_read_back() {
        let mut bytes = Vec::new();
        let map = Thousandths::of(&[0.5, 2.0]);
        write_depth_png(&mut bytes, (2, 1), &map, &[("unit", "mm".into())]).unwrap();
        let picture = image::load_from_memory(&bytes).unwrap().into_luma16();
        assert_eq!(picture.into_raw(), [500, 2000]);
    }
}
