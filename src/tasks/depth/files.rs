//! The files of one photo whose depths and range of colours are known: the picture, the depths in other formats, the
//! point cloud; and what is printed: depths at pixels, a JSON line.

use std::sync::OnceLock;

use serde_json::Value;

use super::file_names::{depth_scale, formats, std_extension};
use super::head::unit;
use super::photo_depth::{DepthLayer, DepthReading, PhotoDepth};
use super::point_cloud::{CloudWriter, WrittenCloud};
use super::report;
use crate::engine::run_report::Outcome;
use crate::engine::stage_timings::StageTimings;
use crate::error::{Error, Result};
use crate::io::output::{
    Destination, FloatFormat, FloatMap, LineStatus, LineSubject, OutputJob, PICTURE_EXTENSION,
    PictureFormat, put_all, write_output, write_picture,
};
use crate::tasks::check_pixel;
use crate::tasks::inference::memory_cost::ENCODER_BYTES;
use crate::tasks::recipe::DepthRecipe;
use crate::terminal::console::Console;
use crate::vision::postprocess::rows::RowSource;
use crate::vision::render::{Colormap, Fonts, ValueRange};

/// Writes the files of photos, the same formats for all photos of a run.
pub struct DepthWriter {
    pub(super) recipe: DepthRecipe,
    /// The task, as JSON lines name it.
    subject: LineSubject,
    /// Whether a JSON line is printed instead of paths.
    json: bool,
    pub(super) colormap: Colormap,
    /// Whether larger values are nearer (relative inverse depth).
    pub(super) is_inverse: bool,
    /// The colormap of standard deviations: the larger, the brighter.
    std_colormap: Colormap,
    clouds: Option<CloudWriter>,
    /// Fonts and unit of the scale, once the head is known.
    pub(super) scale: OnceLock<ScaleText>,
}

/// The scale's fonts, and the unit if they have all its letters, else an empty one.
pub(super) struct ScaleText {
    pub fonts: Fonts,
    pub unit: String,
}

impl DepthWriter {
    /// A writer of the files that `recipe` asks for; with `json` it prints one object a photo. `is_inverse` says that
    /// larger values are nearer.
    ///
    /// # Errors
    /// [`Error::Usage`] for axes that the point cloud's format does not have.
    pub fn new(
        recipe: &DepthRecipe,
        is_inverse: bool,
        subject: LineSubject,
        json: bool,
    ) -> Result<Self> {
        let map = recipe.colormap.clone();
        // Near depths get the colormap's last colour, so it is reversed where small values are near.
        let colormap = match recipe.invert != is_inverse {
            true => map.clone(),
            false => map.clone().reversed(),
        };
        Ok(Self {
            recipe: recipe.clone(),
            subject,
            json,
            colormap,
            is_inverse,
            std_colormap: map,
            clouds: recipe
                .pointcloud
                .as_ref()
                .map(CloudWriter::new)
                .transpose()?,
            scale: OnceLock::new(),
        })
    }

    /// Whether the photo's pixels are needed for a file.
    pub fn uses_photo(&self) -> bool {
        let recipe = &self.recipe;
        recipe.side_by_side || recipe.overlay.is_some() || self.clouds.is_some()
    }

    /// Whether standard deviations are written or printed.
    pub fn needs_deviation(&self) -> bool {
        self.recipe.uncertainty || !self.prints_only_paths()
    }

    /// Whether all files of a photo are there and nothing is printed of it.
    pub fn is_up_to_date(&self, job: &OutputJob) -> bool {
        job.is_done() && self.recipe.at.is_empty()
    }

    /// Bytes a pixel of the photo that its picture and files take beside the photo; they are written one after the
    /// other.
    pub fn bytes_per_pixel(&self) -> u64 {
        let picture = if self.recipe.side_by_side { 6 } else { 3 };
        let of_format = |format: &FloatFormat| match format {
            FloatFormat::Npy | FloatFormat::Pfm => 0,
            FloatFormat::Png16(_) => 2 + 2,
            FloatFormat::Tiff => 4 + 4,
            // Two buffers, and the encoded file.
            FloatFormat::Exr => 4 + 4 + 8,
        };
        let formats = formats(&self.recipe);
        let numbers = formats.iter().map(of_format).max().unwrap_or(0);
        let cloud = self.clouds.as_ref().map_or(0, CloudWriter::bytes_per_pixel);
        [picture, numbers, cloud].into_iter().max().unwrap_or(0) + ENCODER_BYTES
    }

    /// Writes the files of one photo, and prints its line.
    ///
    /// # Errors
    /// Names the photo, or the file that cannot be written.
    pub fn write(&self, mut measured: PhotoDepth<'_>, console: &Console) -> Result<Outcome> {
        let readings = self.readings(&measured)?;
        let mut timings = std::mem::take(&mut measured.timings);
        let mut clipped = 0;
        let layer = DepthLayer {
            rows: measured.depth,
            range: measured.range,
            colormap: &self.colormap,
            is_std: false,
        };
        clipped += self.write_layer(&measured, &layer, &mut timings, console)?;
        if let Some(rows) = measured.deviation.filter(|_| self.recipe.uncertainty) {
            let layer = DepthLayer {
                rows,
                range: ValueRange::from_rows(rows),
                colormap: &self.std_colormap,
                is_std: true,
            };
            clipped += self.write_layer(&measured, &layer, &mut timings, console)?;
        }
        let cloud = timings.time("write", || self.write_cloud(&measured, console))?;
        let name = measured.job.source.name();
        console.detail(format_args!("{name}: {timings}"));
        console.record_fact("seconds", timings.seconds());
        if self.json {
            let facts = report::photo_json(
                &self.recipe,
                &measured,
                &self.colormap,
                &readings,
                clipped,
                cloud.as_ref(),
                &timings,
            );
            let mut object = self.subject.job_line(LineStatus::Done, measured.job);
            put_all(&mut object, facts);
            console.out(&Value::Object(object).to_string())?;
        } else {
            for DepthReading {
                pixel: (x, y),
                depth,
                ..
            } in &readings
            {
                let unit = unit(measured.meta);
                console.out_named(
                    measured.job.source.path(),
                    &format!("\t{x},{y}\t{depth:.3} {unit}"),
                )?;
            }
        }
        let skipped = measured.job.is_done() && readings.is_empty();
        Ok(if skipped {
            Outcome::Skipped
        } else {
            Outcome::Done
        })
    }

    /// Depth and standard deviation at the pixels of `--at`.
    fn readings(&self, measured: &PhotoDepth<'_>) -> Result<Vec<DepthReading>> {
        let read = |&(x, y): &(u32, u32)| {
            check_pixel((x, y), measured.geometry.photo)
                .map_err(|why| Error::file(measured.job.source.path(), why))?;
            let at = |rows: &dyn RowSource| rows.at(x as usize, y as usize);
            Ok(DepthReading {
                pixel: (x, y),
                depth: at(measured.depth),
                std: measured.deviation.map(at),
            })
        };
        self.recipe.at.iter().map(read).collect()
    }

    /// Writes the picture and the other files of one map; returns how many values were clipped.
    fn write_layer(
        &self,
        measured: &PhotoDepth<'_>,
        layer: &DepthLayer<'_>,
        timings: &mut StageTimings,
        console: &Console,
    ) -> Result<usize> {
        let job = measured.job;
        let extent = layer.rows.extent();
        if !layer.is_std {
            console.record_fact("min", report::round(extent.0));
            console.record_fact("max", report::round(extent.1));
            console.record_fact("unit", unit(measured.meta));
        }
        let text = report::layer_text(measured, layer, extent);
        let (extension, format) = match layer.is_std {
            true => (std_extension(PICTURE_EXTENSION), PictureFormat::Png),
            false => (PICTURE_EXTENSION, job.format),
        };
        if !matches!(job.output(extension), Destination::Existing(_)) {
            let (photo, size) = (measured.photo, measured.geometry.photo);
            let scale = !self.recipe.no_scale;
            let picture =
                timings.time("render", || self.render_layer(photo, size, layer, scale))?;
            let text = [
                text.as_slice(),
                &report::color_text(layer, unit(measured.meta)),
            ]
            .concat();
            timings.time("write", || {
                write_output(console, job.output(extension), self.prints_paths(), |w| {
                    write_picture(w, format, &picture, &text)
                })
            })?;
        }
        let map = FloatMap {
            rows: layer.rows,
            text: &text,
        };
        let mut clipped = 0;
        for format in formats(&self.recipe) {
            let extension = match layer.is_std {
                true => std_extension(format.extension()),
                false => format.extension(),
            };
            timings.time("write", || {
                write_output(console, job.output(extension), self.prints_paths(), |w| {
                    clipped += format.write(w, &map)?;
                    Ok(())
                })
            })?;
        }
        if clipped > 0 {
            console.warn(format_args!(
                "{}: {clipped} of {} values lie beyond {:.3} {} and were clipped in the 16-bit PNG; a smaller \
                 --depth-scale and the other formats hold them",
                job.source.name(),
                layer.rows.size().0 * layer.rows.size().1,
                65_535.0 / f64::from(depth_scale(&self.recipe).unwrap_or(1)),
                unit(measured.meta)
            ));
        }
        Ok(clipped)
    }

    /// Writes the point cloud, if the recipe asks for one.
    fn write_cloud(
        &self,
        measured: &PhotoDepth<'_>,
        console: &Console,
    ) -> Result<Option<WrittenCloud>> {
        let wanted = self.clouds.as_ref().zip(measured.photo);
        wanted
            .map(|(clouds, photo)| clouds.write(measured, photo, self.prints_paths(), console))
            .transpose()
    }

    /// Whether written paths are all that is printed.
    fn prints_only_paths(&self) -> bool {
        self.prints_paths() && self.recipe.at.is_empty()
    }

    /// Whether written paths are printed; JSON lines have them otherwise.
    fn prints_paths(&self) -> bool {
        !self.json
    }
}
