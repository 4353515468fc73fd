//! A depth map as a cloud of coloured points: binary PLY, which mesh and point cloud programs read.

use std::io::{self, Write};

use image::RgbImage;

use crate::postprocess::camera::Pinhole;

/// Writes one vertex a pixel of `photo`, row by row, at `depth` `[height, width]` along the optical axis: `x` to the
/// right, `y` down, `z` forward, in the unit of the map. `comments` go to the header.
///
/// # Errors
/// If writing fails, or `depth` does not fill the photo.
pub fn write_ply(
    mut writer: impl Write,
    photo: &RgbImage,
    depth: &[f32],
    camera: Pinhole,
    comments: &[String],
) -> io::Result<()> {
    let (width, height) = photo.dimensions();
    super::check_size((width as usize, height as usize), depth.len())?;
    write!(writer, "ply\nformat binary_little_endian 1.0\n")?;
    for comment in comments {
        writeln!(writer, "comment {}", comment.replace(['\n', '\r'], " "))?;
    }
    writeln!(writer, "element vertex {}", depth.len())?;
    for axis in ["x", "y", "z"] {
        writeln!(writer, "property float {axis}")?;
    }
    for channel in ["red", "green", "blue"] {
        writeln!(writer, "property uchar {channel}")?;
    }
    writeln!(writer, "end_header")?;
    let mut line = Vec::with_capacity(width as usize * 15);
    for (y, (pixels, depth)) in photo
        .rows()
        .zip(depth.chunks_exact(width as usize))
        .enumerate()
    {
        line.clear();
        for (x, (pixel, &z)) in pixels.zip(depth).enumerate() {
            let point = camera.point((x as f32 + 0.5, y as f32 + 0.5), z);
            line.extend(point.iter().flat_map(|value| value.to_le_bytes()));
            line.extend(pixel.0);
        }
        writer.write_all(&line)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn every_pixel_is_a_point() {
        let photo = RgbImage::from_fn(2, 1, |x, _| Rgb([x as u8, 7, 9]));
        let camera = Pinhole {
            focal: 2.0,
            centre: (1.0, 0.5),
        };
        let mut bytes = Vec::new();
        write_ply(
            &mut bytes,
            &photo,
            &[4.0, 8.0],
            camera,
            &["unit m\nx".into()],
        )
        .unwrap();
        let end = b"end_header\n";
        let at = bytes.windows(end.len()).position(|w| w == end).unwrap() + end.len();
        let header = std::str::from_utf8(&bytes[..at]).unwrap();
        assert!(header.contains("comment unit m x\nelement vertex 2\nproperty float x\n"));
        let mut expected = Vec::new();
        expected.extend([-1f32, 0.0, 4.0].map(f32::to_le_bytes).concat());
        expected.extend([0, 7, 9]);
        expected.extend([2f32, 0.0, 8.0].map(f32::to_le_bytes).concat());
        expected.extend([1, 7, 9]);
        assert_eq!(bytes[at..], expected);
    }

    #[test]
    fn a_wrong_size_is_refused() {
        let camera = Pinhole::from_fov(60.0, (2, 2));
        assert!(write_ply(Vec::new(), &RgbImage::new(2, 2), &[1.0; 3], camera, &[]).is_err());
    }
}
