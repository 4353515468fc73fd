//! A cloud of coloured points as binary glTF 2.0 (GLB), which browsers, Blender and the viewers of all systems show.
//!
//! glTF fixes the axes (y up, a camera looks along -z), the unit (metres) and the colours (linear light, not sRGB);
//! <https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html>. Points have no normals, so they are drawn unlit.

use std::io::{self, Write};

use serde_json::json;

use crate::io::output::map_size::check_size;
use crate::io::output::points::write_points;
use crate::system::files::signature::PROGRAM;
use crate::vision::postprocess::cloud::{Axes, PointCloud};

/// Bytes per point: position and colour, three f32 each. Of the colour types that glTF allows, all tested readers
/// accept floats, and eight bits of linear light would show bands in dark areas.
const STRIDE: usize = 24;

/// Writes `cloud`, whose axes must be [`Axes::OpenGl`], with `comments` in the file's `asset.extras`.
///
/// # Errors
/// If writing fails, the cloud is empty or has other axes than glTF, or it needs more than the 4 GiB of a GLB.
pub fn write_glb(
    mut writer: impl Write,
    cloud: &PointCloud<'_>,
    comments: &[String],
) -> io::Result<()> {
    check_size(cloud.size(), cloud.counts.pixels)?;
    let count = cloud.counts.points();
    if cloud.axes() != Axes::OpenGl || count == 0 {
        return Err(io::Error::other("a GLB has y up and one point at least"));
    }
    let buffer = count * STRIDE;
    let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    for (point, _) in cloud.points() {
        low = std::array::from_fn(|i| low[i].min(point[i]));
        high = std::array::from_fn(|i| high[i].max(point[i]));
    }
    let mut header = json!({
        "asset": {"version": "2.0", "generator": PROGRAM, "extras": {"comments": comments}},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "points"}],
        "meshes": [{"primitives": [
            {"mode": 0, "attributes": {"POSITION": 0, "COLOR_0": 1}, "material": 0}
        ]}],
        "materials": [{
            "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 1},
            "extensions": {"KHR_materials_unlit": {}},
        }],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3",
             "min": low.map(f64::from), "max": high.map(f64::from)},
            {"bufferView": 0, "byteOffset": 12, "componentType": 5126, "count": count, "type": "VEC3"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": buffer, "byteStride": STRIDE, "target": 34962}],
        "buffers": [{"byteLength": buffer}],
    })
    .to_string();
    // Chunks begin at multiples of four.
    header.extend(std::iter::repeat_n(
        ' ',
        header.len().next_multiple_of(4) - header.len(),
    ));
    let length = |bytes: usize| {
        u32::try_from(bytes).map_err(|_| {
            io::Error::other(
                "so many points need more than the 4 GiB of a GLB; --max-points has fewer",
            )
        })
    };
    let whole = length(12 + 8 + header.len() + 8 + buffer)?;
    writer.write_all(b"glTF")?;
    writer.write_all(&[2u32.to_le_bytes(), whole.to_le_bytes()].concat())?;
    writer.write_all(&length(header.len())?.to_le_bytes())?;
    writer.write_all(b"JSON")?;
    writer.write_all(header.as_bytes())?;
    writer.write_all(&length(buffer)?.to_le_bytes())?;
    writer.write_all(b"BIN\0")?;
    let linear: Vec<f32> = (0..=255).map(srgb_to_linear).collect();
    write_points(writer, cloud.points(), |bytes, point, color| {
        let light = color.map(|level| linear[usize::from(level)]);
        let values = point.into_iter().chain(light);
        bytes.extend(values.flat_map(f32::to_le_bytes));
    })
}

/// The linear light, 0..1, of an sRGB level (IEC 61966-2-1).
fn srgb_to_linear(level: u8) -> f32 {
    let value = f64::from(level) / 255.0;
    let light = match value <= 0.04045 {
        true => value / 12.92,
        false => ((value + 0.055) / 1.055).powf(2.4),
    };
    light as f32
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::vision::postprocess::camera::Pinhole;
    use crate::vision::postprocess::cloud::Thinning;

    fn number(bytes: &[u8]) -> usize {
        u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize
    }

    #[test]
    fn the_chunks_hold_what_the_header_says() {
        let photo = RgbImage::from_fn(3, 1, |x, _| Rgb([[0, 128, 255][x as usize], 10, 0]));
        let camera = Pinhole {
            focal: 2.0,
            principal_point: (1.5, 0.0),
        };
        let depth = [2.0, f32::NAN, 4.0];
        let cloud = PointCloud::new(&photo, &depth, camera, Axes::OpenGl, Thinning::default());
        let mut bytes = Vec::new();
        write_glb(&mut bytes, &cloud, &["unit m".into()]).unwrap();
        assert_eq!(bytes[..4], *b"glTF");
        assert_eq!((number(&bytes[4..]), number(&bytes[8..])), (2, bytes.len()));
        let json = number(&bytes[12..]);
        assert!(json.is_multiple_of(4) && bytes[16..20] == *b"JSON");
        let header: serde_json::Value = serde_json::from_slice(&bytes[20..20 + json]).unwrap();
        assert_eq!(header["accessors"][0]["count"], 2);
        assert_eq!(header["accessors"][0]["min"], json!([-1.0, -1.0, -4.0]));
        assert_eq!(header["accessors"][0]["max"], json!([2.0, -0.5, -2.0]));
        let bin = &bytes[20 + json..];
        assert_eq!((number(bin), &bin[4..8]), (48, &b"BIN\0"[..]));
        let floats = |at: usize| {
            [0, 4, 8].map(|i| f32::from_le_bytes(bin[8 + at + i..][..4].try_into().unwrap()))
        };
        // Below the axis is below in the cloud, and what is seen lies along -z.
        assert_eq!(floats(0), [-1.0, -0.5, -2.0]);
        assert_eq!(floats(24), [2.0, -1.0, -4.0]);
        assert_eq!(floats(12), [0.0, srgb_to_linear(10), 0.0]);
        assert_eq!(floats(36), [1.0, srgb_to_linear(10), 0.0]);
    }

    #[test]
    fn light_is_that_of_the_standard() {
        assert_eq!((srgb_to_linear(0), srgb_to_linear(255)), (0.0, 1.0));
        assert!((srgb_to_linear(10) - 10.0 / 255.0 / 12.92).abs() < 1e-8);
        // The middle of the scale, 0.5, is 0.21404 of the light.
        assert!((0.5 * (srgb_to_linear(127) + srgb_to_linear(128)) - 0.21404).abs() < 1e-4);
    }

    #[test]
    fn other_axes_and_nothing_at_all_are_refused() {
        let (photo, camera) = (RgbImage::new(1, 1), Pinhole::from_fov(60.0, (1, 1)));
        for (axes, depth) in [(Axes::OpenCv, 1.0), (Axes::OpenGl, 0.0)] {
            let depth = [depth];
            let cloud = PointCloud::new(&photo, &depth, camera, axes, Thinning::default());
            assert!(write_glb(Vec::new(), &cloud, &[]).is_err());
        }
    }
}
