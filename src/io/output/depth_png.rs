//! Depth as 16-bit PNG, in whole multiples of a fraction of the unit, as depth cameras and data sets store it: 1/1000
//! (millimetres for metres), 1/256 (KITTI), 1/5000 (TUM).

use std::io::{self, Write};
use std::num::NonZeroU32;

use crate::io::output::png::{PngPixels, write_png};
use crate::vision::postprocess::rows::RowSource;

/// A map quantised to 16 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantisedDepth {
    /// Steps of each pixel, `[height, width]`, rounded and clipped to 0..=65535.
    pub values: Vec<u16>,
    /// Number of values that were outside 0..=65535 and were clipped.
    pub saturated: usize,
}

impl QuantisedDepth {
    /// Quantises the values of `rows`, with `scale` steps per unit.
    pub fn quantise(rows: &dyn RowSource, scale: NonZeroU32) -> Self {
        let (width, height) = rows.size();
        let (mut saturated, mut values) = (0, Vec::with_capacity(width * height));
        rows.for_each(|value| {
            let steps = (f64::from(value) * f64::from(scale.get())).round();
            let kept = steps.clamp(0.0, f64::from(u16::MAX));
            saturated += usize::from(kept != steps);
            values.push(kept as u16);
        });
        Self { values, saturated }
    }
}

/// Writes `map` `[height, width]` as PNG, with `text` as pairs of keyword and value.
///
/// # Errors
/// If writing fails, or the map does not fill the size.
pub fn write_depth_png(
    writer: impl Write,
    (width, height): (usize, usize),
    map: &QuantisedDepth,
    text: &[(&str, String)],
) -> io::Result<()> {
    let size = (width as u32, height as u32);
    write_png(writer, size, PngPixels::Gray16(&map.values), text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::vision::postprocess::rows::InMemoryRows;

    fn row(values: &[f32]) -> InMemoryRows<'_> {
        InMemoryRows {
            width: values.len(),
            values,
        }
    }

    fn scale(steps: u32) -> NonZeroU32 {
        NonZeroU32::new(steps).unwrap()
    }

    #[test]
    fn clipped_values_are_counted() {
        let values = [0.0, 1.2344, 1.2346, 65.535, 65.536, 80.0, -0.001, f32::NAN];
        let map = QuantisedDepth::quantise(&row(&values), scale(1000));
        assert_eq!(map.values, [0, 1234, 1235, 65535, 65535, 65535, 0, 0]);
        assert_eq!(map.saturated, 4);
        let map = QuantisedDepth::quantise(&row(&values[5..7]), scale(256));
        assert_eq!((map.values, map.saturated), (vec![20480, 0], 0));
    }

    #[test]
    fn millimetres_read_back() {
        let mut bytes = Vec::new();
        let map = QuantisedDepth::quantise(&row(&[0.5, 2.0]), scale(1000));
        write_depth_png(&mut bytes, (2, 1), &map, &[("unit", "mm".into())]).unwrap();
        let picture = image::load_from_memory(&bytes).unwrap().into_luma16();
        assert_eq!(picture.into_raw(), [500, 2000]);
    }
}
