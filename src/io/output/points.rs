//! Writing of coloured points in blocks, shared by the encoders of point clouds.

use std::io::{self, Write};

/// Number of points that are encoded per write.
const POINTS_AT_ONCE: usize = 1 << 14;

/// Writes `points` (coordinates and sRGB colour), each as `encode` appends it to the bytes.
///
/// # Errors
/// If writing fails.
pub(super) fn write_points(
    mut writer: impl Write,
    points: impl Iterator<Item = ([f32; 3], [u8; 3])>,
    encode: impl Fn(&mut Vec<u8>, [f32; 3], [u8; 3]),
) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (index, (point, color)) in points.enumerate() {
        encode(&mut bytes, point, color);
        if (index + 1).is_multiple_of(POINTS_AT_ONCE) {
            writer.write_all(&bytes)?;
            bytes.clear();
        }
    }
    writer.write_all(&bytes)
}
