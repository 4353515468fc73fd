//! What is said about a depth map: in the files' own text, and as JSON.

use serde_json::{Value, json};

use super::file_names::depth_scale;
use super::head::unit;
use super::photo_depth::{DepthLayer, DepthReading, PhotoDepth};
use super::point_cloud::WrittenCloud;
use crate::engine::stopwatch::Stopwatch;
use crate::io::output::{CONTENT_KEY, DEPTH_CONTENT, INVERSE_CONTENT, UNIT_KEY};
use crate::model::head::{HeadMeta, RELATIVE_INVERSE_DEPTH};
use crate::model::head_zoo::DepthCalibration;
use crate::tasks::recipe::DepthRecipe;
use crate::vision::postprocess::rows::RowSource;
use crate::vision::postprocess::{MetricConversion, ScaleShift};
use crate::vision::render::{Colormap, ValueRange};

/// Keyword and value pairs.
pub type TextEntries = Vec<(&'static str, String)>;

/// What every file of a map says about it, whose least and largest value these are.
pub fn layer_text(
    measured: &PhotoDepth<'_>,
    layer: &DepthLayer<'_>,
    (low, high): (f32, f32),
) -> TextEntries {
    let mut text = depth_text(measured.meta, measured.conversion, (low, high));
    if layer.is_std {
        let content = match measured.meta.calibration.is_none() {
            true => "spread of depth over the bins",
            false => "standard deviation of depth",
        };
        text[0] = (CONTENT_KEY, content.to_owned());
    }
    text
}

/// What every file of depths says about them, by a head of this `meta` and this conversion.
pub fn depth_text(
    meta: &HeadMeta,
    conversion: Option<MetricConversion>,
    (low, high): (f32, f32),
) -> TextEntries {
    let unit = unit(meta);
    let content = match unit == RELATIVE_INVERSE_DEPTH {
        true => INVERSE_CONTENT,
        false => DEPTH_CONTENT,
    };
    let mut text = vec![
        (CONTENT_KEY, content.to_owned()),
        (UNIT_KEY, unit.to_owned()),
        ("dino:range", format!("{low:.3} to {high:.3} {unit}")),
        ("dino:head", meta.name.clone()),
        ("dino:model", meta.backbone.clone()),
    ];
    if let Some(conversion) = conversion {
        text.push(("dino:conversion", conversion.to_string()));
    }
    text
}

/// What a picture says besides.
pub fn color_text(layer: &DepthLayer<'_>, unit: &str) -> TextEntries {
    let ValueRange { low, high } = layer.range;
    vec![
        ("dino:colors", format!("{low:.3} to {high:.3} {unit}")),
        ("dino:colormap", layer.colormap.name.to_owned()),
    ]
}

/// What the line of a photo says beside its files.
pub fn photo_json(
    recipe: &DepthRecipe,
    measured: &PhotoDepth<'_>,
    colormap: &Colormap,
    readings: &[DepthReading],
    clipped: usize,
    cloud: Option<&WrittenCloud>,
    watch: &Stopwatch,
) -> Value {
    let PhotoDepth {
        geometry,
        depth,
        deviation,
        range,
        meta,
        conversion,
        calibration,
        room_probability: room,
        ..
    } = measured;
    let grid = geometry.grid();
    let at = readings.iter().map(|reading| {
        let (x, y) = reading.pixel;
        json!({"x": x, "y": y, "depth": round(reading.depth), "std": reading.std.map(round)})
    });
    let camera = cloud.map(|WrittenCloud { camera, .. }| {
        json!({"focal_pixels": round(camera.focal), "fov": round(camera.fov() as f32)})
    });
    json!({
        "head": meta.name,
        "model": meta.backbone,
        "unit": unit(meta),
        "conversion": conversion.map(|it| conversion_json(it, *calibration)),
        "room": room.map(round),
        "depth": depth_statistics(*depth),
        "std": deviation.map(depth_statistics),
        "std_calibration": meta.calibration,
        "colors": {"colormap": colormap.name, "inverted": recipe.invert,
                   "min": round(range.low), "max": round(range.high)},
        "clipped": clipped,
        "depth_scale": depth_scale(recipe),
        "at": at.collect::<Vec<_>>(),
        "camera": camera,
        "cloud": cloud.map(WrittenCloud::json),
        "photo_size": [geometry.photo.0, geometry.photo.1],
        "input_size": [geometry.padded.0, geometry.padded.1],
        "grid": [grid.rows, grid.cols],
        "seconds": watch,
    })
}

/// The numbers that make metres of what the head says, and where they come from.
fn conversion_json(conversion: MetricConversion, calibration: Option<&DepthCalibration>) -> Value {
    let (scale, shift) = match conversion {
        MetricConversion::Inverse(ScaleShift { scale, shift }) => (scale, Some(shift)),
        MetricConversion::Factor(factor) => (factor, None),
    };
    json!({
        "scale": scale,
        "shift": shift,
        "calibration": calibration.map(|it| json!({"data": it.data, "photos": it.photos})),
    })
}

fn depth_statistics(rows: &dyn RowSource) -> Value {
    let (low, high) = rows.extent();
    let (mut sum, (width, height)) = (0f64, rows.size());
    rows.for_each(|value| sum += f64::from(value));
    let mean = (sum / (width * height) as f64) as f32;
    json!({"min": round(low), "max": round(high), "mean": round(mean)})
}

/// For JSON: finer than any head sees, without the digits that a float32 does not have.
pub fn round(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}
