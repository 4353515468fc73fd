//! A cloud of coloured points as binary PLY (little endian), which programs for meshes and point clouds read.
//!
//! Coordinates are in the axes and the unit of the [`PointCloud`], colours in 8-bit sRGB.

use std::io::{self, Write};

use crate::io::output::map_size::check_size;
use crate::io::output::points::write_points;
use crate::vision::postprocess::cloud::PointCloud;

/// Writes one vertex for each point (x, y, z as float and red, green, blue as uchar), with `comments` in the header.
///
/// # Errors
/// If writing fails, or the map of the cloud is empty.
pub fn write_ply(
    mut writer: impl Write,
    cloud: &PointCloud<'_>,
    comments: &[String],
) -> io::Result<()> {
    check_size(cloud.size(), cloud.counts.pixels)?;
    write!(writer, "ply\nformat binary_little_endian 1.0\n")?;
    for comment in comments {
        writeln!(writer, "comment {}", comment.replace(['\n', '\r'], " "))?;
    }
    writeln!(writer, "element vertex {}", cloud.counts.points())?;
    for axis in ["x", "y", "z"] {
        writeln!(writer, "property float {axis}")?;
    }
    for channel in ["red", "green", "blue"] {
        writeln!(writer, "property uchar {channel}")?;
    }
    writeln!(writer, "end_header")?;
    write_points(writer, cloud.points(), |bytes, point, color| {
        bytes.extend(point.iter().flat_map(|value| value.to_le_bytes()));
        bytes.extend(color);
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::vision::postprocess::camera::Pinhole;
    use crate::vision::postprocess::cloud::{Axes, Thinning};

    #[test]
    fn every_pixel_is_a_point() {
        let photo = RgbImage::from_fn(2, 1, |x, _| Rgb([x as u8, 7, 9]));
        let camera = Pinhole {
            focal: 2.0,
            principal_point: (1.0, 0.5),
        };
        let write = |axes| {
            let depth = [4.0, 8.0];
            let cloud = PointCloud::new(&photo, &depth, camera, axes, Thinning::default());
            let mut bytes = Vec::new();
            write_ply(&mut bytes, &cloud, &["unit m\nx".into()]).unwrap();
            bytes
        };
        for (axes, sign) in [(Axes::OpenCv, 1.0), (Axes::OpenGl, -1.0)] {
            let bytes = write(axes);
            let end = b"end_header\n";
            let at = bytes.windows(end.len()).position(|w| w == end).unwrap() + end.len();
            let header = std::str::from_utf8(&bytes[..at]).unwrap();
            assert!(header.contains("comment unit m x\nelement vertex 2\nproperty float x\n"));
            let point = |x: f32, z: f32, level: u8| {
                let place = [x, 0.0 * sign, z * sign].map(f32::to_le_bytes).concat();
                [place.as_slice(), &[level, 7, 9]].concat()
            };
            let expected = [point(-1.0, 4.0, 0), point(2.0, 8.0, 1)].concat();
            assert_eq!(bytes[at..], expected);
        }
    }

    #[test]
    fn a_wrong_size_is_refused() {
        let (photo, camera) = (RgbImage::new(2, 2), Pinhole::from_fov(60.0, (2, 2)));
        let depth = [1.0; 3];
        let thinning = Thinning::default();
        let cloud = PointCloud::new(&photo, &depth, camera, Axes::OpenCv, thinning);
        assert!(write_ply(Vec::new(), &cloud, &[]).is_err());
    }
}
