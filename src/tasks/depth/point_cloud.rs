//! The point cloud of a photo: its file, and the counts of pixels that became no points.

use image::RgbImage;
use serde_json::{Value, json};

use super::camera::CameraLookup;
use super::head::unit;
use super::photo_depth::PhotoDepth;
use crate::error::{Error, Result};
use crate::io::output::{CloudFormat, Destination, write_output};
use crate::tasks::recipe::CloudRecipe;
use crate::terminal::console::Console;
use crate::vision::postprocess::{Axes, Pinhole, PointCloud, PointCounts, Thinning};

/// Writes the point clouds of a run.
pub struct CloudWriter {
    format: CloudFormat,
    axes: Axes,
    thinning: Thinning,
    cameras: CameraLookup,
}

/// The point cloud of one photo, for its JSON line.
pub struct WrittenCloud {
    /// The camera that the points were computed with.
    pub camera: Pinhole,
    axes: Axes,
    thinning: Thinning,
    /// The counts of points; `None` where the file was there already.
    counts: Option<PointCounts>,
}

impl CloudWriter {
    /// A writer of the clouds that `recipe` describes.
    ///
    /// # Errors
    /// [`Error::Usage`] for axes that the format does not have.
    pub fn new(recipe: &CloudRecipe) -> Result<Self> {
        if recipe.format == CloudFormat::Glb && recipe.axes == Some(Axes::OpenCv) {
            return Err(Error::Usage(
                "--axes opencv: GLB is y up by its definition (opengl); leave --axes out, or write .ply".into(),
            ));
        }
        Ok(Self {
            format: recipe.format,
            axes: recipe.axes(),
            thinning: recipe.thinning(),
            cameras: CameraLookup { fov: recipe.fov },
        })
    }

    /// Bytes a pixel of the photo that its cloud takes: depths, flags of points, and a GLB file, which is built in
    /// memory.
    pub fn bytes_per_pixel(&self) -> u64 {
        let file = match self.format {
            CloudFormat::Glb => 16,
            CloudFormat::Ply => 0,
        };
        4 + 2 + file
    }

    /// Writes the cloud of `photo`, and with `announce` prints the path of its file.
    ///
    /// # Errors
    /// Names the photo if no point is left, or the file that cannot be written.
    pub fn write(
        &self,
        measured: &PhotoDepth<'_>,
        photo: &RgbImage,
        announce: bool,
        console: &Console,
    ) -> Result<WrittenCloud> {
        let camera = self.cameras.find(measured, console);
        let (axes, thinning) = (self.axes, self.thinning);
        let destination = measured.job.output(self.format.extension());
        let mut counts = None;
        if !matches!(destination, Destination::Existing(_)) {
            // Neighbours across rows are compared, so the whole map is needed.
            let mut depth = measured.depth.collect()?;
            if let Some(farthest) = measured.farthest {
                // The distance of these pixels is unknown.
                depth
                    .iter_mut()
                    .filter(|depth| **depth >= farthest)
                    .for_each(|depth| *depth = 0.0);
            }
            let cloud = PointCloud::new(photo, &depth, camera, axes, thinning);
            counts = Some(cloud.counts);
            let name = measured.job.source.name();
            if cloud.counts.points() == 0 {
                let why = format!(
                    "no point is left for its cloud: {}",
                    describe_dropped(&cloud.counts)
                );
                return Err(Error::file(measured.job.source.path(), why));
            }
            if cloud.counts.points() < cloud.counts.pixels {
                let said = describe_counts(&cloud.counts);
                console.note_once("points left out", format_args!("{name}: {said}"));
            }
            let comments = self.comments(measured, camera, &cloud.counts);
            write_output(console, destination, announce, |writer| {
                self.format.write(writer, &cloud, &comments)
            })?;
        }
        Ok(WrittenCloud {
            camera,
            axes,
            thinning,
            counts,
        })
    }

    /// The comments in the cloud's file: unit, axes, camera, counts, conversion, head.
    fn comments(
        &self,
        measured: &PhotoDepth<'_>,
        camera: Pinhole,
        counts: &PointCounts,
    ) -> Vec<String> {
        let edges = self.thinning.max_jump.map(|jump| {
            format!(
                "points beside jumps in depth of more than {jump} of the nearer one were dropped"
            )
        });
        let conversion = measured.conversion;
        let conversion = conversion.map(|conversion| format!("conversion: {conversion}"));
        [
            format!("unit {}", unit(measured.meta)),
            format!("axes {}", self.axes),
            format!(
                "camera: focal length {:.2} pixels, {:.1} degrees wide",
                camera.focal,
                camera.fov()
            ),
            describe_counts(counts),
        ]
        .into_iter()
        .chain(conversion)
        .chain(edges)
        .chain([format!(
            "{} by dino {}",
            measured.meta.name,
            env!("CARGO_PKG_VERSION")
        )])
        .collect()
    }
}

impl WrittenCloud {
    /// The cloud in the photo's JSON line.
    pub fn json(&self) -> Value {
        let counts = self.counts.map(|counts| {
            json!({"pixels": counts.pixels, "points": counts.points(), "without_depth": counts.without_depth,
                   "at_edges": counts.at_edges, "beyond_max_points": counts.over_limit})
        });
        json!({
            "axes": self.axes.name(),
            // As a decimal of f32's precision.
            "drop_edges": self.thinning.max_jump.map(|share| share.to_string().parse::<f64>().ok()),
            "max_points": self.thinning.max_points,
            "counts": counts,
        })
    }
}

/// The number of points and of pixels, in words.
fn describe_counts(counts: &PointCounts) -> String {
    let (points, pixels) = (counts.points(), counts.pixels);
    match points == pixels {
        true => format!("{points} points, one a pixel"),
        false => format!(
            "{points} points of {pixels} pixels: {}",
            describe_dropped(counts)
        ),
    }
}

/// The numbers of pixels without a point, by reason.
fn describe_dropped(counts: &PointCounts) -> String {
    let parts = [
        (counts.without_depth, "have no depth"),
        (counts.at_edges, "lie at edges of depth (--drop-edges)"),
        (counts.over_limit, "are more than --max-points"),
    ];
    let given = parts.iter().filter(|(count, _)| *count > 0);
    given
        .map(|(count, what)| format!("{count} {what}"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_accounted_for() {
        let counts = PointCounts {
            pixels: 100,
            without_depth: 0,
            at_edges: 20,
            over_limit: 50,
        };
        assert_eq!(
            describe_counts(&counts),
            "30 points of 100 pixels: 20 lie at edges of depth (--drop-edges), 50 are more than --max-points"
        );
        let all = PointCounts {
            pixels: 9,
            ..PointCounts::default()
        };
        assert_eq!(describe_counts(&all), "9 points, one a pixel");
    }
}
