//! The JSON line of a photo.

use serde_json::{Value, json};

use crate::engine::stage_timings::StageTimings;
use crate::io::output::LineStatus;
use crate::tasks::recipe::LabelFileFormat;
use crate::tasks::segment::photo_labels::{PhotoLabels, REGION_RULE};
use crate::tasks::segment::renderer::LabelRenderer;
use crate::vision::postprocess::{ClassArea, Region, Regions};

impl LabelRenderer {
    /// The photo's classes and regions, their statistics, and the paths of its files.
    pub(super) fn report(&self, labelled: &PhotoLabels<'_>, timings: &StageTimings) -> Value {
        let PhotoLabels {
            job,
            geometry,
            map,
            areas,
            unsure,
            ..
        } = labelled;
        let files = &self.recipe;
        let grid = geometry.grid();
        let status = match job.is_done() {
            true => LineStatus::Skipped,
            false => LineStatus::Done,
        };
        let mut object = self.subject.job_line(status, job);
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        for (key, value) in &self.made_by {
            put(key, json!(value));
        }
        put("photo_size", json!([map.width, map.height]));
        put("input_size", json!([geometry.padded.0, geometry.padded.1]));
        put("grid", json!([grid.rows, grid.cols]));
        if files.save.contains(&LabelFileFormat::Cutout) {
            let shown = labelled.cutout_box.map(|shown| shown.xywh());
            put("cutout_box", json!(shown));
        }
        let pixels: u64 = areas.iter().map(|area| area.pixels).sum();
        let sure: f64 = areas
            .iter()
            .map(|area| area.confidence * area.pixels as f64)
            .sum();
        let classes: Vec<Value> = areas.iter().map(|area| self.class_json(area)).collect();
        put("classes", json!(classes));
        put("unlabelled_pixels", json!(map.ids.len() as u64 - pixels));
        put("least", json!(unsure.min_probability.map(round_f32)));
        put("least_in_files", json!(unsure.in_files));
        put("unsure_pixels", json!(unsure.pixels));
        let percent = unsure.pixels as f64 / map.ids.len() as f64 * 100.0;
        put("unsure_percent", json!(round(percent)));
        // Without labelled pixels there is no mean.
        let mean = (pixels > 0).then(|| round(sure / pixels as f64));
        put("confidence", json!(mean));
        if let Some(regions) = &labelled.regions {
            put("region_rule", json!(REGION_RULE));
            put("regions", json!(self.regions_json(regions)));
            put(
                "regions_left_out",
                json!({
                    "smaller_than": regions.min_pixels,
                    "count": regions.dropped,
                    "pixels": regions.left_out_pixels,
                }),
            );
        }
        put("seconds", json!(timings));
        Value::Object(object)
    }

    fn class_json(&self, area: &ClassArea) -> Value {
        let class = &self.classes[usize::from(area.id)];
        json!({
            "id": area.id,
            "name": class.name,
            "color": class.color,
            "pixels": area.pixels,
            "percent": round(area.share * 100.0),
            "confidence": round(area.confidence),
        })
    }

    fn regions_json(&self, regions: &Regions) -> Vec<Value> {
        let all = regions.labels.len() as f64;
        let region = |region: &Region| {
            json!({
                "id": region.class,
                "name": self.classes[usize::from(region.class)].name,
                "pixels": region.pixels,
                "percent": round(region.pixels as f64 / all * 100.0),
                "box": region.bounds.xywh(),
                "confidence": round(region.confidence),
            })
        };
        regions.list.iter().map(region).collect()
    }
}

/// Rounded to 6 decimals, without the digits that f32 adds.
fn round_f32(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}

/// Rounded to 4 decimals.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
