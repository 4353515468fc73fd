//! The files of one photo: the picture of its components, their scores with `--raw`, and its JSON line.

use image::RgbImage;
use serde_json::{Value, json};

use super::task::{PcaPhoto, PcaTask};
use crate::analysis::pca::{Basis, ProjectedPatches, Projection};
use crate::engine::run_report::Outcome;
use crate::engine::stage_timings::StageTimings;
use crate::error::{Error, Result};
use crate::io::output::{
    LineStatus, OutputJob, PICTURE_EXTENSION, put_all, write_npy, write_output, write_picture,
};
use crate::model::input::Geometry;
use crate::tasks::{FinishedPhoto, Task};
use crate::terminal::console::Console;
use crate::vision::render::{self, overlay, side_by_side};

impl PcaTask {
    /// Projects the tokens `[rows * cols, D]` of one photo, and renders and writes its files.
    pub(super) fn render_photo(
        &self,
        item: PcaPhoto<'_>,
        projection: &Projection,
        tokens: &[f32],
        console: &Console,
    ) -> Result<FinishedPhoto> {
        let PcaPhoto {
            job,
            photo,
            geometry,
            mut timings,
        } = item;
        let projected = timings.time("project", || projection.project(tokens))?;
        let picture = timings.time("render", || {
            self.render_picture(&projected, projection, geometry, photo)
        })?;
        let announce = !self.context.json;
        let text = [
            ("dino:model", self.model.name.clone()),
            ("dino:layer", self.layer.block.to_string()),
        ];
        timings.time("write", || {
            write_output(console, job.output(PICTURE_EXTENSION), announce, |writer| {
                write_picture(writer, job.format, &picture, &text)
            })?;
            if self.recipe.raw {
                let grid = geometry.grid();
                let shape = [grid.rows, grid.cols, projection.component_indices.len()];
                write_output(console, job.output("npy"), announce, |writer| {
                    write_npy(writer, &shape, &projected.scores)
                })?;
            }
            Ok::<_, Error>(())
        })?;
        console.detail(format_args!("{}: {timings}", job.source.name()));
        console.record_fact("seconds", timings.seconds());
        if self.context.json {
            let object = self.report(job, geometry, &projected, projection, &timings);
            console.out(&object.to_string())?;
        }
        Ok(FinishedPhoto::Written(Outcome::Done))
    }

    /// The picture of the components, over or beside the photo if the recipe says so.
    pub(super) fn render_picture(
        &self,
        projected: &ProjectedPatches,
        projection: &Projection,
        geometry: &Geometry,
        photo: Option<&RgbImage>,
    ) -> Result<RgbImage> {
        let upscale = self.recipe.upscale;
        let guide = photo.filter(|_| self.recipe.refine);
        let ranges = &projection.ranges;
        let picture = render::pca::draw_components(projected, ranges, geometry, upscale, guide)?;
        match (photo, self.recipe.overlay) {
            (Some(photo), Some(alpha)) => Ok(overlay(photo, picture, alpha)),
            (Some(photo), None) if self.recipe.side_by_side => side_by_side(photo, &picture),
            (_, _) => Ok(picture),
        }
    }

    /// The photo's JSON line: sizes, components, variances, foreground.
    fn report(
        &self,
        job: &OutputJob,
        geometry: &Geometry,
        projected: &ProjectedPatches,
        projection: &Projection,
        timings: &StageTimings,
    ) -> Value {
        let grid = geometry.grid();
        let foreground = projected.foreground.iter().filter(|is| **is).count();
        let of_shown = |values: &[f64]| {
            let shown = projection.component_indices.iter();
            shown.map(|&index| values[index]).collect::<Vec<_>>()
        };
        let Basis { variances, .. } = &projection.basis;
        let mut object = self.subject().job_line(LineStatus::Done, job);
        let facts = json!({
            "model": self.model.name,
            "layer": self.layer.block,
            "norm": self.layer.norm,
            "photo_size": [geometry.photo.0, geometry.photo.1],
            "input_size": [geometry.padded.0, geometry.padded.1],
            "grid": [grid.rows, grid.cols],
            "components": projection.component_indices.iter().map(|index| index + 1).collect::<Vec<_>>(),
            "variance": of_shown(variances),
            "explained_variance_ratio": of_shown(&projection.basis.explained_variance_ratio()),
            "ranges": projection.ranges,
            "whiten": projection.whiten,
            "refined": self.recipe.refine,
            "foreground_share": foreground as f64 / projected.foreground.len() as f64,
            "seconds": timings,
        });
        put_all(&mut object, facts);
        Value::Object(object)
    }
}
