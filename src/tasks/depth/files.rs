//! What `dino depth` writes of one photo once its depths and the range of the colours are known: the picture, the
//! numbers in files, the point cloud, readings at pixels, JSON.

use std::sync::OnceLock;

use image::{Rgb, RgbImage};
use serde_json::Value;

use super::file_names::{depth_scale, formats, std_extension};
use super::point_cloud::{CloudWriter, WrittenCloud};
use super::report::{self, unit};
use crate::engine::run_report::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::io::output::{
    Destination, FloatFormat, FloatMap, LineStatus, LineSubject, OutputJob, PICTURE_EXTENSION,
    PictureFormat, put_all, write_output, write_picture,
};
use crate::model::head::HeadMeta;
use crate::model::head_zoo::DepthCalibration;
use crate::model::input::Geometry;
use crate::tasks::check_pixel;
use crate::tasks::memory_cost::ENCODER_BYTES;
use crate::tasks::recipe::DepthRecipe;
use crate::terminal::console::Console;
use crate::vision::postprocess::MetricConversion;
use crate::vision::postprocess::rows::RowSource;
use crate::vision::render::{
    Colormap, Fonts, ScaleBar, ValueRange, canvas, canvas_with_scale_bar, captions, paint_rows,
    system_fonts,
};
use crate::{Error, Result};

/// A photo whose depths are known.
pub struct PhotoDepth<'a> {
    /// Where its results go.
    pub job: &'a OutputJob,
    /// Where [`DepthWriter::uses_photo`].
    pub photo: Option<&'a RgbImage>,
    /// How it lay in the backbone's input.
    pub geometry: &'a Geometry,
    /// At the photo's size.
    pub depth: &'a dyn RowSource,
    /// Standard deviations, likewise, where they are asked for and the head has a say in them.
    pub deviation: Option<&'a dyn RowSource>,
    /// Of the colours.
    pub range: ValueRange,
    /// Of the head, with the unit and the range of the depths.
    pub meta: &'a HeadMeta,
    /// How metres were made of what the head says, where they were.
    pub conversion: Option<MetricConversion>,
    /// Where the conversion comes from it.
    pub calibration: Option<&'a DepthCalibration>,
    /// What stands for all that is farther than is known, if anything does.
    pub farthest: Option<f32>,
    /// The probability that the photo shows a room, where that is known.
    pub room_probability: Option<f32>,
    /// Where the time went so far.
    pub watch: Stopwatch,
}

/// Writes what was asked for.
pub struct DepthWriter {
    recipe: DepthRecipe,
    /// What JSON is about.
    subject: LineSubject,
    /// Whether JSON says it all.
    json: bool,
    colormap: Colormap,
    /// Whether larger numbers are nearer.
    is_inverse: bool,
    /// For standard deviations: the larger, the brighter.
    std_colormap: Colormap,
    clouds: Option<CloudWriter>,
    /// What draws the scale, once the head is known.
    scale: OnceLock<ScaleText>,
}

/// The scale's fonts, and the unit if they can draw it.
struct ScaleText {
    fonts: Fonts,
    unit: String,
}

/// What one pixel says.
pub struct DepthReading {
    /// Column and row.
    pub pixel: (u32, u32),
    /// In the head's unit.
    pub depth: f32,
    /// Standard deviation, likewise; none where the head has no say in it.
    pub std: Option<f32>,
}

/// One map of a photo on its way to its files.
pub struct DepthLayer<'m> {
    /// At the photo's size.
    pub rows: &'m dyn RowSource,
    /// Of the colours.
    pub range: ValueRange,
    /// Its first colour stands for the low end.
    pub colormap: &'m Colormap,
    /// Whether it is the standard deviation of depth, not depth itself.
    pub is_std: bool,
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

    /// Finds the fonts of the scale, whose unit is that of the head.
    pub fn prepare_scale(&self, meta: &HeadMeta, console: &Console) -> Result<()> {
        if self.recipe.no_scale {
            return Ok(());
        }
        // Where larger is nearer there are words in place of numbers.
        let unit = if self.is_inverse { "" } else { unit(meta) };
        let fonts = system_fonts::load_fonts(&[unit], self.recipe.font.as_deref())?;
        let unit = captions::clean_name(unit).unwrap_or_default();
        let is_drawn = fonts.missing(&unit).is_empty();
        if !is_drawn {
            console.warnings().add(
                "letters without a font",
                &format!("unit `{unit}`"),
                "no font at hand has all its letters, so the scale has bare numbers; name a font that has them with --font",
            );
        }
        let unit = if is_drawn { unit } else { String::new() };
        self.scale.get_or_init(|| ScaleText { fonts, unit });
        Ok(())
    }

    /// Draws the depths of a frame of a clip, which has no room for a scale.
    pub fn render_frame(
        &self,
        frame: &RgbImage,
        depth: &dyn RowSource,
        range: ValueRange,
    ) -> Result<RgbImage> {
        let layer = DepthLayer {
            rows: depth,
            range,
            colormap: &self.colormap,
            is_std: false,
        };
        self.render_layer(Some(frame), frame.dimensions(), &layer, false)
    }

    fn render_layer(
        &self,
        photo: Option<&RgbImage>,
        (width, height): (u32, u32),
        layer: &DepthLayer<'_>,
        scale: bool,
    ) -> Result<RgbImage> {
        let look = &self.recipe;
        // The photo lies at the left, or under the colours; they are painted where the rest of the picture already is.
        let (behind, left) = match (photo, look.overlay, look.side_by_side) {
            (Some(photo), Some(_), _) => (Some(photo), 0),
            (Some(photo), None, true) => (Some(photo), width),
            _ => (None, 0),
        };
        let behind: Vec<(&RgbImage, (u32, u32))> =
            behind.into_iter().map(|photo| (photo, (0, 0))).collect();
        let size = (left + width, height);
        let (mut picture, top) = match scale {
            false => (canvas(size, Rgb([0; 3]), &behind)?, 0),
            true => {
                let text = self.scale.get_or_init(|| ScaleText {
                    fonts: Fonts::built_in(),
                    unit: String::new(),
                });
                let bar = ScaleBar {
                    range: layer.range,
                    colormap: layer.colormap,
                    unit: &text.unit,
                    prefix: if layer.is_std { "±" } else { "" },
                    end_labels: self.is_inverse.then_some(("far", "near")),
                    fonts: &text.fonts,
                };
                canvas_with_scale_bar(size, &behind, &bar)?
            }
        };
        let opacity = look.overlay.filter(|_| !behind.is_empty());
        paint_rows(
            layer.rows,
            (layer.range, layer.colormap),
            &mut picture,
            (left, top),
            opacity,
        );
        Ok(picture)
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
