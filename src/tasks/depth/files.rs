//! What `dino depth` writes of one photo once its depths and the range of the colours are known: the picture, the
//! numbers in files, the point cloud, readings at pixels, JSON.

use std::sync::OnceLock;

use serde_json::Value;

use super::file_names::{depth_scale, formats, std_extension};
use super::head::unit;
use super::photo_depth::{DepthLayer, DepthReading, PhotoDepth};
use super::point_cloud::{CloudWriter, WrittenCloud};
use super::report;
use crate::engine::run_report::Outcome;
use crate::engine::stopwatch::Stopwatch;
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
use crate::{Error, Result};

/// Writes what was asked for.
pub struct DepthWriter {
    pub(super) recipe: DepthRecipe,
    /// What JSON is about.
    subject: LineSubject,
    /// Whether JSON says it all.
    json: bool,
    pub(super) colormap: Colormap,
    /// Whether larger numbers are nearer.
    pub(super) is_inverse: bool,
    /// For standard deviations: the larger, the brighter.
    std_colormap: Colormap,
    clouds: Option<CloudWriter>,
    /// What draws the scale, once the head is known.
    pub(super) scale: OnceLock<ScaleText>,
}

/// The scale's fonts, and the unit if they can draw it.
pub(super) struct ScaleText {
    pub fonts: Fonts,
    pub unit: String,
}

impl DepthWriter {
    /// As `recipe` has them; with `json`, an object a photo is printed. `is_inverse` says that larger numbers are nearer.
    ///
    /// # Errors
    /// [`Error::Usage`] if they contradict each other.
    pub fn new(
        recipe: &DepthRecipe,
        is_inverse: bool,
        subject: LineSubject,
        json: bool,
    ) -> Result<Self> {
        let map = recipe.colormap.clone();
        // What is near gets the last colour, so the map begins at its other end.
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

    /// Whether any file shows the photo itself.
    pub fn uses_photo(&self) -> bool {
        let look = &self.recipe;
        look.side_by_side || look.overlay.is_some() || self.clouds.is_some()
    }

    /// Whether anything says how sure the head is.
    pub fn needs_deviation(&self) -> bool {
        self.recipe.uncertainty || !self.prints_only_paths()
    }

    /// Whether all files of a photo are there and nothing is to be said about it.
    pub fn is_up_to_date(&self, job: &OutputJob) -> bool {
        job.is_done() && self.recipe.at.is_empty()
    }

    /// Bytes a pixel of the photo that its picture and its files take beside it, one after the other.
    pub fn bytes_per_pixel(&self) -> u64 {
        let picture = if self.recipe.side_by_side { 6 } else { 3 };
        let of_format = |format: &FloatFormat| match format {
            FloatFormat::Npy | FloatFormat::Pfm => 0,
            FloatFormat::Png16(_) => 2 + 2,
            FloatFormat::Tiff => 4 + 4,
            // Two channels, and the file with them.
            FloatFormat::Exr => 4 + 4 + 8,
        };
        let formats = formats(&self.recipe);
        let numbers = formats.iter().map(of_format).max().unwrap_or(0);
        let cloud = self.clouds.as_ref().map_or(0, CloudWriter::bytes_per_pixel);
        [picture, numbers, cloud].into_iter().max().unwrap_or(0) + ENCODER_BYTES
    }

    /// Writes everything of one photo.
    pub fn write(&self, mut measured: PhotoDepth<'_>, words: &Console) -> Result<Outcome> {
        let readings = self.readings(&measured)?;
        let mut watch = std::mem::take(&mut measured.watch);
        let mut clipped = 0;
        let layer = DepthLayer {
            rows: measured.depth,
            range: measured.range,
            colormap: &self.colormap,
            is_std: false,
        };
        clipped += self.write_layer(&measured, &layer, &mut watch, words)?;
        if let Some(rows) = measured.deviation.filter(|_| self.recipe.uncertainty) {
            let layer = DepthLayer {
                rows,
                range: ValueRange::from_rows(rows),
                colormap: &self.std_colormap,
                is_std: true,
            };
            clipped += self.write_layer(&measured, &layer, &mut watch, words)?;
        }
        let cloud = watch.time("write", || self.write_cloud(&measured, words))?;
        let name = measured.job.source.name();
        words.detail(format_args!("{name}: {watch}"));
        words.record_fact("seconds", watch.seconds());
        if self.json {
            let facts = report::photo_json(
                &self.recipe,
                &measured,
                &self.colormap,
                &readings,
                clipped,
                cloud.as_ref(),
                &watch,
            );
            let mut object = self.subject.job_line(LineStatus::Done, measured.job);
            put_all(&mut object, facts);
            words.out(&Value::Object(object).to_string())?;
        } else {
            for DepthReading {
                pixel: (x, y),
                depth,
                ..
            } in &readings
            {
                let unit = unit(measured.meta);
                words.out_named(
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

    /// Writes picture and numbers of a map; returns how many values a format clipped.
    fn write_layer(
        &self,
        measured: &PhotoDepth<'_>,
        layer: &DepthLayer<'_>,
        watch: &mut Stopwatch,
        words: &Console,
    ) -> Result<usize> {
        let job = measured.job;
        let extent = layer.rows.extent();
        if !layer.is_std {
            words.record_fact("min", report::round(extent.0));
            words.record_fact("max", report::round(extent.1));
            words.record_fact("unit", unit(measured.meta));
        }
        let text = report::layer_text(measured, layer, extent);
        let (extension, format) = match layer.is_std {
            true => (std_extension(PICTURE_EXTENSION), PictureFormat::Png),
            false => (PICTURE_EXTENSION, job.format),
        };
        if !matches!(job.output(extension), Destination::Existing(_)) {
            let (photo, size) = (measured.photo, measured.geometry.photo);
            let scale = !self.recipe.no_scale;
            let picture = watch.time("render", || self.render_layer(photo, size, layer, scale))?;
            let text = [
                text.as_slice(),
                &report::color_text(layer, unit(measured.meta)),
            ]
            .concat();
            watch.time("write", || {
                write_output(words, job.output(extension), self.prints_paths(), |w| {
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
            watch.time("write", || {
                write_output(words, job.output(extension), self.prints_paths(), |w| {
                    clipped += format.write(w, &map)?;
                    Ok(())
                })
            })?;
        }
        if clipped > 0 {
            words.warn(format_args!(
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

    /// Writes the point cloud, if one is wanted.
    fn write_cloud(
        &self,
        measured: &PhotoDepth<'_>,
        words: &Console,
    ) -> Result<Option<WrittenCloud>> {
        let wanted = self.clouds.as_ref().zip(measured.photo);
        wanted
            .map(|(clouds, photo)| clouds.write(measured, photo, self.prints_paths(), words))
            .transpose()
    }

    /// Whether written paths go to stdout: nothing else does.
    fn prints_only_paths(&self) -> bool {
        self.prints_paths() && self.recipe.at.is_empty()
    }

    /// Whether written paths are told, on stdout or beside what goes there; JSON has them.
    fn prints_paths(&self) -> bool {
        !self.json
    }
}
