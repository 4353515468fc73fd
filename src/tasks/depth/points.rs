//! The point cloud of a photo: what becomes of its pixels, and what is said about it.

use crate::io::output::{CloudFormat, Destination, deliver};
use crate::terminal::console::Console;
use crate::vision::postprocess::{Axes, Pinhole, PointCloud, PointCounts, Thinning};
use crate::{Error, Result};
use image::RgbImage;
use serde_json::{Value, json};

use super::cloud::Cameras;
use super::files::Measured;
use super::report::unit;
use crate::tasks::recipe::CloudRecipe;

/// Writes the clouds of a run.
pub struct Clouds {
    format: CloudFormat,
    axes: Axes,
    thinning: Thinning,
    cameras: Cameras,
}

/// What was made of a photo.
pub struct Cloud {
    /// How it was seen.
    pub camera: Pinhole,
    axes: Axes,
    thinning: Thinning,
    /// Unless the file was there already.
    counts: Option<PointCounts>,
}

impl Clouds {
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
            cameras: Cameras { fov: recipe.fov },
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
        measured: &Measured<'_>,
        photo: &RgbImage,
        announce: bool,
        words: &Console,
    ) -> Result<Cloud> {
        let camera = self.cameras.of(measured, words);
        let (axes, thinning) = (self.axes, self.thinning);
        let destination = measured.job.output(self.format.extension());
        let mut counts = None;
        if !matches!(destination, Destination::Kept(_)) {
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
                    left_out(&cloud.counts)
                );
                return Err(Error::file(measured.job.source.path(), why));
            }
            if cloud.counts.points() < cloud.counts.pixels {
                let said = sentence(&cloud.counts);
                words.note_once("points left out", format_args!("{name}: {said}"));
            }
            let comments = self.comments(measured, camera, &cloud.counts);
            deliver(words, destination, announce, |writer| {
                self.format.write(writer, &cloud, &comments)
            })?;
        }
        Ok(Cloud {
            camera,
            axes,
            thinning,
            counts,
        })
    }

    /// What a cloud says about itself.
    fn comments(
        &self,
        measured: &Measured<'_>,
        camera: Pinhole,
        counts: &PointCounts,
    ) -> Vec<String> {
        let edges = self.thinning.edges.map(|jump| {
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
            sentence(counts),
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

impl Cloud {
    /// For the photo's JSON object.
    pub fn json(&self) -> Value {
        let counts = self.counts.map(|counts| {
            json!({"pixels": counts.pixels, "points": counts.points(), "without_depth": counts.without_depth,
                   "at_edges": counts.at_edges, "beyond_max_points": counts.spare})
        });
        json!({
            "axes": self.axes.name(),
            // The shortest decimal that is this number.
            "drop_edges": self.thinning.edges.map(|share| share.to_string().parse::<f64>().ok()),
            "max_points": self.thinning.most,
            "counts": counts,
        })
    }
}

/// How many points there are of how many pixels.
fn sentence(counts: &PointCounts) -> String {
    let (points, pixels) = (counts.points(), counts.pixels);
    match points == pixels {
        true => format!("{points} points, one a pixel"),
        false => format!("{points} points of {pixels} pixels: {}", left_out(counts)),
    }
}

/// What became of the other pixels.
fn left_out(counts: &PointCounts) -> String {
    let parts = [
        (counts.without_depth, "have no depth"),
        (counts.at_edges, "lie at edges of depth (--drop-edges)"),
        (counts.spare, "are more than --max-points"),
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
            spare: 50,
        };
        assert_eq!(
            sentence(&counts),
            "30 points of 100 pixels: 20 lie at edges of depth (--drop-edges), 50 are more than --max-points"
        );
        let all = PointCounts {
            pixels: 9,
            ..PointCounts::default()
        };
        assert_eq!(sentence(&all), "9 points, one a pixel");
    }
}
