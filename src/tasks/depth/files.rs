//! What `dino depth` writes of one photo once its depths and the range of the colours are known: the picture, the
//! numbers in files, the point cloud, readings at pixels, JSON.

use std::sync::OnceLock;

use crate::engine::outcomes::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::io::output::{
    Destination, FloatFormat, FloatMap, Job, PICTURE, PictureFormat, Status, Subject, deliver,
    put_all, write_picture,
};
use crate::model::head::HeadMeta;
use crate::model::head_zoo::DepthCalibration;
use crate::model::input::Geometry;
use crate::terminal::console::Console;
use crate::vision::postprocess::Conversion;
use crate::vision::postprocess::rows::Rows;
use crate::vision::render::system_fonts;
use crate::vision::render::{
    Colormap, Fonts, Range, ScaleBar, canvas, canvas_with_scale, captions, paint,
};
use crate::{Error, Result};
use image::{Rgb, RgbImage};
use serde_json::Value;

use super::names::{depth_scale, formats, std_extension};
use super::points::{Cloud, Clouds};
use super::report::{self, unit};
use crate::tasks::check_pixel;
use crate::tasks::costs::ENCODER;
use crate::tasks::recipe::DepthRecipe;

/// A photo whose depths are known.
pub struct Measured<'a> {
    /// Where its results go.
    pub job: &'a Job,
    /// Where [`Files::wants_photo`].
    pub photo: Option<&'a RgbImage>,
    /// How it lay in the backbone's input.
    pub geometry: &'a Geometry,
    /// At the photo's size.
    pub depth: &'a dyn Rows,
    /// Standard deviations, likewise, where they are asked for and the head has a say in them.
    pub deviation: Option<&'a dyn Rows>,
    /// Of the colours.
    pub range: Range,
    /// Of the head, with the unit and the range of the depths.
    pub meta: &'a HeadMeta,
    /// How metres were made of what the head says, where they were.
    pub conversion: Option<Conversion>,
    /// Where the conversion comes from it.
    pub calibration: Option<&'a DepthCalibration>,
    /// What stands for all that is farther than is known, if anything does.
    pub farthest: Option<f32>,
    /// The probability that the photo shows a room, where that is known.
    pub room: Option<f32>,
    /// Where the time went so far.
    pub watch: Stopwatch,
}

/// Writes what was asked for.
pub struct Files {
    recipe: DepthRecipe,
    /// What JSON is about.
    subject: Subject,
    /// Whether JSON says it all.
    json: bool,
    colormap: Colormap,
    /// Whether larger numbers are nearer.
    is_inverse: bool,
    /// For standard deviations: the larger, the brighter.
    std_colormap: Colormap,
    clouds: Option<Clouds>,
    /// What draws the scale, once the head is known.
    scale: OnceLock<ScaleText>,
}

/// The scale's fonts, and the unit if they can draw it.
struct ScaleText {
    fonts: Fonts,
    unit: String,
}

/// What one pixel says.
pub struct Reading {
    /// Column and row.
    pub pixel: (u32, u32),
    /// In the head's unit.
    pub depth: f32,
    /// Standard deviation, likewise; none where the head has no say in it.
    pub std: Option<f32>,
}

/// One map of a photo on its way to its files.
pub struct Layer<'m> {
    /// At the photo's size.
    pub rows: &'m dyn Rows,
    /// Of the colours.
    pub range: Range,
    /// Its first colour stands for the low end.
    pub colormap: &'m Colormap,
    /// Whether it is the standard deviation of depth, not depth itself.
    pub is_std: bool,
}

impl Files {
    /// As `recipe` has them; with `json`, an object a photo is printed. `is_inverse` says that larger numbers are nearer.
    ///
    /// # Errors
    /// [`Error::Usage`] if they contradict each other.
    pub fn new(
        recipe: &DepthRecipe,
        is_inverse: bool,
        subject: Subject,
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
            clouds: recipe.pointcloud.as_ref().map(Clouds::new).transpose()?,
            scale: OnceLock::new(),
        })
    }

    /// Whether any file shows the photo itself.
    pub fn wants_photo(&self) -> bool {
        let look = &self.recipe;
        look.side_by_side || look.overlay.is_some() || self.clouds.is_some()
    }

    /// Whether anything says how sure the head is.
    pub fn wants_deviation(&self) -> bool {
        self.recipe.uncertainty || !self.announces()
    }

    /// Whether all files of a photo are there and nothing is to be said about it.
    pub fn has_nothing_to_do(&self, job: &Job) -> bool {
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
        let cloud = self.clouds.as_ref().map_or(0, Clouds::bytes_per_pixel);
        [picture, numbers, cloud].into_iter().max().unwrap_or(0) + ENCODER
    }

    /// Writes everything of one photo.
    pub fn write(&self, mut measured: Measured<'_>, words: &Console) -> Result<Outcome> {
        let readings = self.readings(&measured)?;
        let mut watch = std::mem::take(&mut measured.watch);
        let mut clipped = 0;
        let layer = Layer {
            rows: measured.depth,
            range: measured.range,
            colormap: &self.colormap,
            is_std: false,
        };
        clipped += self.layer(&measured, &layer, &mut watch, words)?;
        if let Some(rows) = measured.deviation.filter(|_| self.recipe.uncertainty) {
            let layer = Layer {
                rows,
                range: Range::of_rows(rows),
                colormap: &self.std_colormap,
                is_std: true,
            };
            clipped += self.layer(&measured, &layer, &mut watch, words)?;
        }
        let cloud = watch.time("write", || self.cloud(&measured, words))?;
        let name = measured.job.source.name();
        words.detail(format_args!("{name}: {watch}"));
        words.found("seconds", watch.seconds());
        if self.json {
            let facts = report::json(
                &self.recipe,
                &measured,
                &self.colormap,
                &readings,
                clipped,
                cloud.as_ref(),
                &watch,
            );
            let mut object = self.subject.line_of_job(Status::Done, measured.job);
            put_all(&mut object, facts);
            words.out(&Value::Object(object).to_string())?;
        } else {
            for Reading {
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
    fn readings(&self, measured: &Measured<'_>) -> Result<Vec<Reading>> {
        let read = |&(x, y): &(u32, u32)| {
            check_pixel((x, y), measured.geometry.photo)
                .map_err(|why| Error::file(measured.job.source.path(), why))?;
            let at = |rows: &dyn Rows| rows.at(x as usize, y as usize);
            Ok(Reading {
                pixel: (x, y),
                depth: at(measured.depth),
                std: measured.deviation.map(at),
            })
        };
        self.recipe.at.iter().map(read).collect()
    }

    /// Writes picture and numbers of a map; returns how many values a format clipped.
    fn layer(
        &self,
        measured: &Measured<'_>,
        layer: &Layer<'_>,
        watch: &mut Stopwatch,
        words: &Console,
    ) -> Result<usize> {
        let job = measured.job;
        let extent = layer.rows.extent();
        if !layer.is_std {
            words.found("min", report::round(extent.0));
            words.found("max", report::round(extent.1));
            words.found("unit", unit(measured.meta));
        }
        let text = report::text(measured, layer, extent);
        let (extension, format) = match layer.is_std {
            true => (std_extension(PICTURE), PictureFormat::Png),
            false => (PICTURE, job.format),
        };
        if !matches!(job.output(extension), Destination::Kept(_)) {
            let (photo, size) = (measured.photo, measured.geometry.photo);
            let scale = !self.recipe.no_scale;
            let picture = watch.time("render", || self.picture(photo, size, layer, scale))?;
            let text = [text.as_slice(), &report::colors(layer, unit(measured.meta))].concat();
            watch.time("write", || {
                deliver(words, job.output(extension), self.names_files(), |w| {
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
                deliver(words, job.output(extension), self.names_files(), |w| {
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
        let fonts = system_fonts::fonts(&[unit], self.recipe.font.as_deref())?;
        let unit = captions::clean(unit).unwrap_or_default();
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
    pub fn frame(&self, frame: &RgbImage, depth: &dyn Rows, range: Range) -> Result<RgbImage> {
        let layer = Layer {
            rows: depth,
            range,
            colormap: &self.colormap,
            is_std: false,
        };
        self.picture(Some(frame), frame.dimensions(), &layer, false)
    }

    fn picture(
        &self,
        photo: Option<&RgbImage>,
        (width, height): (u32, u32),
        layer: &Layer<'_>,
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
                    sign: if layer.is_std { "±" } else { "" },
                    words: self.is_inverse.then_some(("far", "near")),
                    fonts: &text.fonts,
                };
                canvas_with_scale(size, &behind, &bar)?
            }
        };
        let opacity = look.overlay.filter(|_| !behind.is_empty());
        paint(
            layer.rows,
            (layer.range, layer.colormap),
            &mut picture,
            (left, top),
            opacity,
        );
        Ok(picture)
    }

    /// Writes the point cloud, if one is wanted.
    fn cloud(&self, measured: &Measured<'_>, words: &Console) -> Result<Option<Cloud>> {
        let wanted = self.clouds.as_ref().zip(measured.photo);
        wanted
            .map(|(clouds, photo)| clouds.write(measured, photo, self.names_files(), words))
            .transpose()
    }

    /// Whether written paths go to stdout: nothing else does.
    fn announces(&self) -> bool {
        self.names_files() && self.recipe.at.is_empty()
    }

    /// Whether written paths are told, on stdout or beside what goes there; JSON has them.
    fn names_files(&self) -> bool {
        !self.json
    }
}
