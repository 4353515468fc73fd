//! The point cloud of a photo: what becomes of its pixels, and what is said about it.

use image::RgbImage;
use serde_json::{Value, json};

use super::camera::CameraLookup;
use super::head::unit;
use super::photo_depth::PhotoDepth;
use crate::io::output::{CloudFormat, Destination, write_output};
use crate::tasks::recipe::CloudRecipe;
use crate::terminal::console::Console;
use crate::vision::postprocess::{Axes, Pinhole, PointCloud, PointCounts, Thinning};
use crate::{Error, Result};

/// Writes the clouds of a run.
pub struct CloudWriter {
    format: CloudFormat,
    axes: Axes,
    thinning: Thinning,
    cameras: CameraLookup,
}

/// What was made of a photo.
pub struct WrittenCloud {
    /// How it was seen.
    pub camera: Pinhole,
    axes: Axes,
    thinning: Thinning,
    /// Unless the file was there already.
    counts: Option<PointCounts>,
}

impl CloudWriter {
    /// As `recipe` has them.
    ///
    /// # Errors
    /// [`Error::Usage`] if the format has other axes than are asked for.
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

    /// Bytes a pixel of the photo that its cloud takes: depths, which of them are points, and a file that is made as a whole.
    pub fn bytes_per_pixel(&self) -> u64 {
        let file = match self.format {
            CloudFormat::Glb => 16,
            CloudFormat::Ply => 0,
        };
        4 + 2 + file
    }

    /// Writes the cloud of `photo`, and with `announce` prints the path of its file.
    pub fn write(
        &self,
        measured: &PhotoDepth<'_>,
        photo: &RgbImage,
        announce: bool,
        words: &Console,
    ) -> Result<WrittenCloud> {
        let camera = self.cameras.find(measured, words);
        let (axes, thinning) = (self.axes, self.thinning);
        let destination = measured.job.output(self.format.extension());
        let mut counts = None;
        if !matches!(destination, Destination::Existing(_)) {
            // Neighbours are compared, so that it is wanted as a whole.
            let mut depth = measured.depth.collect()?;
            if let Some(farthest) = measured.farthest {
                // Nobody knows where they are.
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
                words.note_once("points left out", format_args!("{name}: {said}"));
            }
            let comments = self.comments(measured, camera, &cloud.counts);
            write_output(words, destination, announce, |writer| {
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

    /// What a cloud says about itself.
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
    /// For the photo's JSON object.
    pub fn json(&self) -> Value {
        let counts = self.counts.map(|counts| {
            json!({"pixels": counts.pixels, "points": counts.points(), "without_depth": counts.without_depth,
                   "at_edges": counts.at_edges, "beyond_max_points": counts.over_limit})
        });
        json!({
            "axes": self.axes.name(),
            // The shortest decimal that is this number.
            "drop_edges": self.thinning.max_jump.map(|share| share.to_string().parse::<f64>().ok()),
            "max_points": self.thinning.max_points,
            "counts": counts,
        })
    }
}

/// How many points there are of how many pixels.
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

/// What became of the other pixels.
fn describe_dropped(counts: &PointCounts) -> String {
    let parts = [
        (counts.without_depth, "have no depth"),
        (counts.at_edges, "lie at edges of depth (--drop-edges)"),
        (counts.over_limit, "are more than --max-points"),
    ];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    told.map(|(count, what)| format!("{count} {what}"))
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
