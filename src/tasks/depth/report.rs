//! The metadata of a depth map: text entries in its files, and the photo's JSON line.

use serde_json::{Value, json};

use super::file_names::depth_scale;
use super::head::unit;
use super::photo_depth::{DepthLayer, DepthReading, PhotoDepth};
use super::point_cloud::WrittenCloud;
use crate::engine::stage_timings::StageTimings;
use crate::io::output::{CONTENT_KEY, DEPTH_CONTENT, INVERSE_CONTENT, UNIT_KEY};
use crate::model::head::{HeadMeta, RELATIVE_INVERSE_DEPTH};
use crate::model::head_zoo::DepthCalibration;
use crate::tasks::recipe::DepthRecipe;
use crate::vision::postprocess::rows::RowSource;
use crate::vision::postprocess::{MetricConversion, ScaleShift};
use crate::vision::render::{Colormap, ValueRange};

/// Pairs of a keyword and its value, as PNG, EXR and TIFF files hold them.
pub type TextEntries = Vec<(&'static str, String)>;

/// The text entries of every file of a map, whose least and largest values are `low` and `high`.
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

/// The text entries of depths of a head of this `meta`, after this conversion.
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

/// The text entries of a picture beside those of the map: its range of colours and its colormap.
pub fn color_text(layer: &DepthLayer<'_>, unit: &str) -> TextEntries {
    let ValueRange { low, high } = layer.range;
    vec![
        ("dino:colors", format!("{low:.3} to {high:.3} {unit}")),
        ("dino:colormap", layer.colormap.name.to_owned()),
    ]
}

/// The fields of a photo's JSON line beside its files.
pub fn photo_json(
    recipe: &DepthRecipe,
    measured: &PhotoDepth<'_>,
    colormap: &Colormap,
    readings: &[DepthReading],
    clipped: usize,
    cloud: Option<&WrittenCloud>,
    timings: &StageTimings,
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
        "seconds": timings,
    })
}

/// Scale and shift of the conversion to metres, and the calibration that they come from.
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

/// Least, largest and mean value of a map.
fn depth_statistics(rows: &dyn RowSource) -> Value {
    let (low, high) = rows.extent();
    let (mut sum, (width, height)) = (0f64, rows.size());
    rows.for_each(|value| sum += f64::from(value));
    let mean = (sum / (width * height) as f64) as f32;
    json!({"min": round(low), "max": round(high), "mean": round(mean)})
}

/// `value` rounded to 4 decimals for JSON: finer than any head resolves, and without the digits that f64 adds.
pub fn round(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}
