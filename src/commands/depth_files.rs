//! What `dino depth` says of one photo once its depths and the range of the colours are known: the picture, the
//! numbers in files, the point cloud, readings at pixels, JSON.

use std::cell::Cell;

use dino::batch::Outcome;
use dino::console::Console;
use dino::head::{HeadMeta, Task};
use dino::inputs::focal_length_35mm;
use dino::output::{
    Destination, FloatFormat, FloatMap, Job, PICTURE, PictureFormat, UNIT, deliver, write_picture,
    write_ply,
};
use dino::postprocess::{DepthMap, Pinhole};
use dino::preprocess::Geometry;
use dino::render::{Colormap, Range, ScaleBar, colorize, overlay, side_by_side, with_scale};
use dino::stopwatch::Stopwatch;
use dino::{Error, Result};
use image::RgbImage;
use serde_json::{Map, Value, json};

use crate::cli::{DepthArgs, NumbersArgs};

/// Focal length in mm on 35 mm film that is assumed of a camera that noted none: about that of a phone.
const USUAL_FOCAL: f64 = 28.0;

/// The files of a photo, by the ends of their names.
pub fn extensions(numbers: &NumbersArgs) -> Vec<&'static str> {
    let formats = || numbers.save.iter().map(|&format| FloatFormat::from(format));
    let mut all = vec![PICTURE];
    all.extend(formats().map(FloatFormat::extension));
    if numbers.uncertainty {
        all.push(std_extension(PICTURE));
        all.extend(formats().map(|format| std_extension(format.extension())));
    }
    if numbers.pointcloud.is_some() {
        all.push("ply");
    }
    all
}

/// The ending of the standard deviations where the depths have `extension`.
fn std_extension(extension: &str) -> &'static str {
    match extension {
        "npy" => "std.npy",
        "mm.png" => "std.mm.png",
        "pfm" => "std.pfm",
        "exr" => "std.exr",
        "tiff" => "std.tiff",
        _ => "std.png",
    }
}

/// A photo whose depths are known.
pub struct Measured<'a> {
    /// Where its results go.
    pub job: &'a Job,
    /// Where [`Files::wants_photo`].
    pub photo: Option<&'a RgbImage>,
    /// How it lay in the backbone's input.
    pub geometry: &'a Geometry,
    /// At the photo's size.
    pub map: &'a DepthMap,
    /// Of the colours.
    pub range: Range,
    /// Of the head.
    pub meta: &'a HeadMeta,
    /// Where the time went so far.
    pub watch: Stopwatch,
}

/// Writes what was asked for.
pub struct Files<'a> {
    args: &'a DepthArgs,
    console: &'a Console,
    colormap: Colormap,
    /// For standard deviations: the larger, the brighter.
    std_colormap: Colormap,
    /// Whether the focal length that is assumed was told.
    told: Cell<bool>,
}

/// What one pixel says.
struct Reading {
    pixel: (u32, u32),
    depth: f32,
    std: f32,
}

/// One map of a photo on its way to its files.
struct Layer<'m> {
    values: &'m [f32],
    range: Range,
    colormap: &'m Colormap,
    sign: &'static str,
    /// Depth, or its standard deviation.
    is_std: bool,
}

impl<'a> Files<'a> {
    /// For a run with `args`.
    pub fn new(args: &'a DepthArgs, console: &'a Console) -> Self {
        let map = Colormap::named(&args.look.colormap).unwrap_or_default();
        // What is near gets the last colour, so the map begins at its other end.
        let colormap = match args.look.invert {
            true => map.clone(),
            false => map.clone().reversed(),
        };
        Self {
            args,
            console,
            colormap,
            std_colormap: map,
            told: Cell::new(false),
        }
    }

    /// Whether any file shows the photo itself.
    pub fn wants_photo(&self) -> bool {
        let look = &self.args.look;
        look.side_by_side || look.overlay.is_some() || self.args.numbers.pointcloud.is_some()
    }

    /// Writes everything of one photo.
    pub fn write(&self, mut measured: Measured<'_>) -> Result<Outcome> {
        let readings = self.readings(&measured)?;
        let mut watch = std::mem::take(&mut measured.watch);
        let mut clipped = 0;
        let map = measured.map;
        let layer = Layer {
            values: &map.depth,
            range: measured.range,
            colormap: &self.colormap,
            sign: "",
            is_std: false,
        };
        clipped += self.layer(&measured, &layer, &mut watch)?;
        if self.args.numbers.uncertainty {
            let layer = Layer {
                values: &map.deviation,
                range: Range::of(&map.deviation),
                colormap: &self.std_colormap,
                sign: "±",
                is_std: true,
            };
            clipped += self.layer(&measured, &layer, &mut watch)?;
        }
        let camera = match self.args.numbers.pointcloud {
            Some(_) => Some(watch.time("write", || self.cloud(&measured))?),
            None => None,
        };
        let name = measured.job.source.name();
        self.console.detail(format_args!("{name}: {watch}"));
        if self.args.predict.output.json {
            self.print_json(&measured, &readings, clipped, camera, &watch)?;
        } else {
            for Reading {
                pixel: (x, y),
                depth,
                ..
            } in &readings
            {
                let unit = unit(measured.meta);
                self.console
                    .out(&format!("{name}\t{x},{y}\t{depth:.3} {unit}"))?;
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
        let (width, height) = measured.geometry.photo;
        let read = |&(x, y): &(u32, u32)| {
            if x >= width || y >= height {
                return Err(Error::file(
                    measured.job.source.path(),
                    format!(
                        "--at {x},{y} lies outside of the photo, which is {width} x {height} pixels (counted from 0,0)"
                    ),
                ));
            }
            let at = y as usize * width as usize + x as usize;
            Ok(Reading {
                pixel: (x, y),
                depth: measured.map.depth[at],
                std: measured.map.deviation[at],
            })
        };
        self.args.numbers.at.iter().map(read).collect()
    }

    /// Writes picture and numbers of a map; returns how many values a format clipped.
    fn layer(
        &self,
        measured: &Measured<'_>,
        layer: &Layer<'_>,
        watch: &mut Stopwatch,
    ) -> Result<usize> {
        let job = measured.job;
        let text = self.text(measured, layer);
        let (extension, format) = match layer.is_std {
            true => (std_extension(PICTURE), PictureFormat::Png),
            false => (PICTURE, job.format),
        };
        if !matches!(job.output(extension), Destination::Kept(_)) {
            let picture = watch.time("render", || self.picture(measured, layer));
            watch.time("write", || {
                deliver(self.console, job.output(extension), self.announces(), |w| {
                    write_picture(w, format, &picture, &text)
                })
            })?;
        }
        let size = (measured.map.width, measured.map.height);
        let map = FloatMap {
            size,
            values: layer.values,
            text: &text,
        };
        let mut clipped = 0;
        for &format in &self.args.numbers.save {
            let format = FloatFormat::from(format);
            let extension = match layer.is_std {
                true => std_extension(format.extension()),
                false => format.extension(),
            };
            watch.time("write", || {
                deliver(self.console, job.output(extension), self.announces(), |w| {
                    clipped += format.write(w, &map)?;
                    Ok(())
                })
            })?;
        }
        if clipped > 0 {
            self.console.warn(format_args!(
                "{}: {clipped} of {} values lie beyond 65.535 {} and were clipped in the 16-bit PNG; the other formats \
                 hold them",
                job.source.name(),
                layer.values.len(),
                unit(measured.meta)
            ));
        }
        Ok(clipped)
    }

    fn picture(&self, measured: &Measured<'_>, layer: &Layer<'_>) -> RgbImage {
        let look = &self.args.look;
        let colors = colorize(
            layer.values,
            measured.map.width,
            layer.range,
            layer.colormap,
        );
        let picture = match (measured.photo, look.overlay, look.side_by_side) {
            (Some(photo), Some(alpha), _) => overlay(photo, &colors, alpha),
            (Some(photo), None, true) => side_by_side(photo, &colors),
            _ => colors,
        };
        if look.no_scale {
            return picture;
        }
        let bar = ScaleBar {
            range: layer.range,
            colormap: layer.colormap,
            unit: unit(measured.meta),
            sign: layer.sign,
        };
        with_scale(&picture, &bar)
    }

    /// What the files say about themselves.
    fn text(&self, measured: &Measured<'_>, layer: &Layer<'_>) -> Vec<(&'static str, String)> {
        let unit = unit(measured.meta);
        let (low, high) = extent(layer.values);
        let Range {
            low: from,
            high: to,
        } = layer.range;
        let content = match layer.is_std {
            true => "standard deviation of depth",
            false => "depth along the viewing axis",
        };
        vec![
            ("dino:content", content.to_owned()),
            (UNIT, unit.to_owned()),
            ("dino:range", format!("{low:.3} to {high:.3} {unit}")),
            ("dino:colors", format!("{from:.3} to {to:.3} {unit}")),
            ("dino:colormap", layer.colormap.name.to_owned()),
            ("dino:head", measured.meta.name.clone()),
            ("dino:model", measured.meta.backbone.clone()),
        ]
    }

    /// Writes the point cloud.
    fn cloud(&self, measured: &Measured<'_>) -> Result<Pinhole> {
        let size = measured.geometry.photo;
        let camera = match self.args.numbers.fov {
            Some(degrees) => Pinhole::from_fov(degrees, size),
            None => match focal_length_35mm(&measured.job.source) {
                Some(mm) => Pinhole::from_focal_35mm(mm, size),
                None => self.usual_camera(measured),
            },
        };
        let comments = [
            format!("unit {}", unit(measured.meta)),
            "x right, y down, z forward along the viewing axis".to_owned(),
            format!(
                "camera: focal length {:.2} pixels, {:.1} degrees wide",
                camera.focal,
                camera.fov()
            ),
            format!(
                "{} by dino {}",
                measured.meta.name,
                env!("CARGO_PKG_VERSION")
            ),
        ];
        if let Some(photo) = measured.photo {
            deliver(
                self.console,
                measured.job.output("ply"),
                self.announces(),
                |writer| write_ply(writer, photo, &measured.map.depth, camera, &comments),
            )?;
        }
        Ok(camera)
    }

    fn usual_camera(&self, measured: &Measured<'_>) -> Pinhole {
        let camera = Pinhole::from_focal_35mm(USUAL_FOCAL, measured.geometry.photo);
        if !self.told.replace(true) {
            self.console.note(format_args!(
                "{}: no focal length in EXIF; assuming {USUAL_FOCAL} mm on 35 mm film ({:.0} degrees wide), here and \
                 where it is missing from others; --fov sets it",
                measured.job.source.name(),
                camera.fov()
            ));
        }
        camera
    }

    /// One JSON object a photo.
    fn print_json(
        &self,
        measured: &Measured<'_>,
        readings: &[Reading],
        clipped: usize,
        camera: Option<Pinhole>,
        watch: &Stopwatch,
    ) -> Result<()> {
        let Measured {
            job,
            geometry,
            map,
            range,
            meta,
            ..
        } = measured;
        let (grid, numbers) = (geometry.grid(), &self.args.numbers);
        let path = |extension: &str| json!(job.output(extension).path());
        let saved: Map<String, Value> = extensions(numbers)
            .into_iter()
            .filter(|&extension| extension != PICTURE)
            .map(|extension| (extension.to_owned(), path(extension)))
            .collect();
        let stats = |values: &[f32]| {
            let (low, high) = extent(values);
            let sum: f64 = values.iter().map(|&v| f64::from(v)).sum();
            json!({"min": round(low), "max": round(high), "mean": round((sum / values.len() as f64) as f32)})
        };
        let at = readings.iter().map(|reading| {
            let (x, y) = reading.pixel;
            json!({"x": x, "y": y, "depth": round(reading.depth), "std": round(reading.std)})
        });
        let object = json!({
            "input": job.source.name(),
            "picture": path(PICTURE),
            "files": saved,
            "head": meta.name,
            "model": meta.backbone,
            "unit": unit(meta),
            "depth": stats(&map.depth),
            "std": stats(&map.deviation),
            "colors": {"colormap": self.colormap.name, "inverted": self.args.look.invert,
                       "min": round(range.low), "max": round(range.high)},
            "clipped": clipped,
            "at": at.collect::<Vec<_>>(),
            "camera": camera.map(|camera| json!({"focal_pixels": round(camera.focal), "fov": round(camera.fov() as f32)})),
            "photo_size": [geometry.photo.0, geometry.photo.1],
            "input_size": [geometry.padded.0, geometry.padded.1],
            "grid": [grid.rows, grid.cols],
            "seconds": watch,
        });
        self.console.out(&object.to_string())
    }

    /// Whether written paths go to stdout.
    fn announces(&self) -> bool {
        !self.args.predict.output.json && self.args.numbers.at.is_empty()
    }
}

/// For JSON: finer than any head sees, without the digits that a float32 does not have.
fn round(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

/// Smallest and largest value.
fn extent(values: &[f32]) -> (f32, f32) {
    let first = (f32::INFINITY, f32::NEG_INFINITY);
    values
        .iter()
        .fold(first, |(low, high), &v| (low.min(v), high.max(v)))
}

/// The unit of a head's depths.
fn unit(meta: &HeadMeta) -> &str {
    match &meta.task {
        Task::Depth { unit, .. } => unit,
        Task::Segment { .. } => "",
    }
}
