//! `dino segment`: labels of a head or of clusters, drawn and written.

use dino::Result;
use dino::batch::Outcome;
use dino::console::Console;
use dino::fonts;
use dino::head::{Class, Head, Scores, Task};
use dino::heads::Heads;
use dino::output::{
    Destination, Job, MASKS, PICTURE, Pixels, coco, deliver, ids, put_path, write_atomic,
    write_folder_atomic, write_picture, write_png,
};
use dino::postprocess::segment::{label, mean_with_mirrored};
use dino::postprocess::{Area, LabelMap, refine};
use dino::preprocess::Geometry;
use dino::render::Captions;
use dino::render::segment::{SegmentLook, confidence, picture};
use dino::stopwatch::Stopwatch;
use dino::weights::Store;
use image::RgbImage;
use serde_json::{Map, Value, json};

use crate::cli::{LabelFormat, SegmentArgs};
use crate::commands::predict::{self, Draw, Prediction, Request, Which};
use crate::commands::score::Found;
use crate::commands::{classes, clusters};

/// Runs the command.
pub fn run(args: &SegmentArgs, console: &Console) -> Result<u8> {
    if args.clusters.clusters.is_some() || args.clusters.codebook.is_some() {
        return clusters::run(args, console);
    }
    // Wrong names are found before any work is done.
    let heads = Heads::at(Store::open()?.root());
    let head = heads
        .choose("segment", args.predict.head.name.as_deref())?
        .head;
    let kept = classes::kept(
        &args.look.classes,
        classes_of(&head),
        &format!("the head {}", head.meta.name),
    )?;
    let mut painter = Painter {
        args,
        console,
        captions: captions(args, classes_of(&head), kept.as_deref(), console)?,
        kept,
        classes: classes_of(&head).to_vec(),
        made_by: vec![
            ("model", head.meta.backbone.clone()),
            ("head", head.meta.name.clone()),
        ],
    };
    predict::run(
        &args.predict,
        &Request {
            task: "segment",
            kind: "segment",
            extensions: &extensions(args),
            elsewhere: None,
            which: Which::Missing,
        },
        console,
        &mut painter,
    )
}

impl Draw for Painter<'_> {
    fn draw(&mut self, prediction: Prediction<'_>) -> Result<Option<Outcome>> {
        let watch = prediction.watch.clone();
        let (job, photo, geometry) = (prediction.job, prediction.photo, prediction.geometry);
        match prediction.found {
            Found::Labels(map) => self.deliver(job, photo, geometry, map.clone(), watch)?,
            Found::Scores {
                scores,
                mirrored: None,
            } => self.label(job, photo, geometry, scores, watch)?,
            Found::Scores {
                scores,
                mirrored: Some(mirrored),
            } => {
                let mean = mean_with_mirrored(scores, mirrored);
                self.label(job, photo, geometry, &mean, watch)?;
            }
        }
        Ok(Some(Outcome::Done))
    }
}

/// What is written for classes in the picture; those that are not `kept` are not in it.
pub fn captions(
    args: &SegmentArgs,
    classes: &[Class],
    kept: Option<&[bool]>,
    console: &Console,
) -> Result<Captions> {
    let look = &args.look;
    let writes = !look.no_legend || !look.no_names && !look.mask_only;
    let is_kept = |id: usize| kept.is_none_or(|kept| kept.get(id) == Some(&true));
    let names = classes
        .iter()
        .enumerate()
        .map(|(id, class)| match writes && is_kept(id) {
            true => class.name.as_str(),
            false => "",
        });
    fonts::captions(names, args.text.font.as_deref(), console.warnings())
}

fn classes_of(head: &Head) -> &[Class] {
    match &head.meta.task {
        Task::Segment { classes } => classes,
        _ => &[],
    }
}

/// What a job's outputs are called, the picture first.
pub fn extensions(args: &SegmentArgs) -> Vec<&'static str> {
    let saved = formats(args).into_iter().map(extension);
    let sure = args.files.confidence.then_some(CONFIDENCE);
    [PICTURE].into_iter().chain(saved).chain(sure).collect()
}

const CONFIDENCE: &str = "confidence.png";

/// Whether borders are fitted to the photo without a word about it.
pub const REFINE: bool = true;

fn extension(format: LabelFormat) -> &'static str {
    match format {
        LabelFormat::Ids => "ids.png",
        LabelFormat::Npy => "ids.npy",
        LabelFormat::Masks => MASKS,
        LabelFormat::Coco => "coco.json",
    }
}

/// The formats of `--save`, each once.
fn formats(args: &SegmentArgs) -> Vec<LabelFormat> {
    let mut formats = args.files.save.clone();
    formats.sort_unstable();
    formats.dedup();
    formats
}

/// Turns scores into files, the same for all photos of a run.
pub struct Painter<'a> {
    /// The wishes.
    pub args: &'a SegmentArgs,
    /// Where words go.
    pub console: &'a Console,
    /// What scores stand for.
    pub classes: Vec<Class>,
    /// What is written for them.
    pub captions: Captions,
    /// The classes of `--classes`.
    pub kept: Option<Vec<bool>>,
    /// Model and head, for notes in the files.
    pub made_by: Vec<(&'static str, String)>,
}

impl Painter<'_> {
    /// Labels, draws and writes one photo.
    pub fn label(
        &self,
        job: &Job,
        photo: &RgbImage,
        geometry: &Geometry,
        scores: &Scores,
        mut watch: Stopwatch,
    ) -> Result<()> {
        let map = match self.args.predict.head.refines(REFINE) {
            true => watch.time("refine", || refine::label(scores, geometry, photo))?,
            false => watch.time("label", || label(scores, geometry, &[])),
        };
        self.deliver(job, photo, geometry, map, watch)
    }

    /// Draws and writes the labels of one photo.
    fn deliver(
        &self,
        job: &Job,
        photo: &RgbImage,
        geometry: &Geometry,
        mut map: LabelMap,
        mut watch: Stopwatch,
    ) -> Result<()> {
        if let Some(kept) = &self.kept {
            map.keep(kept);
        }
        let areas = map.areas();
        let picture = watch.time("render", || {
            let look = self.look();
            picture(photo, &map, &self.classes, &areas, &look, &self.captions)
        });
        watch.time("write", || self.write(job, &picture, &map, &areas))?;
        self.console
            .detail(format_args!("{}: {watch}", job.source.name()));
        match self.args.predict.output.json {
            true => {
                let object = self.report(job, geometry, &map, &areas, &watch);
                self.console.out(&object.to_string())
            }
            false => Ok(()),
        }
    }

    fn look(&self) -> SegmentLook {
        let look = &self.args.look;
        SegmentLook {
            alpha: (!look.mask_only).then_some(look.alpha),
            outline: look.outline,
            names: !look.no_names && !look.mask_only,
            legend: !look.no_legend,
        }
    }

    fn write(&self, job: &Job, picture: &RgbImage, map: &LabelMap, areas: &[Area]) -> Result<()> {
        let announce = !self.args.predict.output.json;
        let notes: Vec<(String, String)> = self
            .made_by
            .iter()
            .map(|(key, value)| (format!("dino:{key}"), value.clone()))
            .collect();
        let text: Vec<(&str, String)> = notes
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        let size = (map.width as u32, map.height as u32);
        deliver(self.console, job.output(PICTURE), announce, |writer| {
            write_picture(writer, job.format, picture, &text)
        })?;
        for format in formats(self.args) {
            let destination = job.output(extension(format));
            match format {
                LabelFormat::Ids => deliver(self.console, destination, announce, |writer| {
                    ids::write_ids_png(writer, map, &self.classes)
                })?,
                LabelFormat::Npy => deliver(self.console, destination, announce, |writer| {
                    ids::write_ids_npy(writer, map, self.classes.len())
                })?,
                LabelFormat::Masks => self.write_masks(job, map, areas)?,
                LabelFormat::Coco => {
                    let name = file_name(job);
                    let document = coco::document(&name, map, &self.classes, areas);
                    deliver(self.console, destination, announce, |writer| {
                        writeln!(writer, "{document}")
                    })?;
                }
            }
        }
        if self.args.files.confidence {
            deliver(self.console, job.output(CONFIDENCE), announce, |writer| {
                write_png(writer, size, Pixels::Gray8(&confidence(map)), &text)
            })?;
        }
        Ok(())
    }

    /// A folder with a mask for each class that is there.
    fn write_masks(&self, job: &Job, map: &LabelMap, areas: &[Area]) -> Result<()> {
        let Destination::File(path) = job.output(extension(LabelFormat::Masks)) else {
            return Ok(());
        };
        let stems = ids::file_stems(&self.classes);
        write_folder_atomic(path, |folder| {
            areas.iter().try_for_each(|area| {
                let name = format!("{}.png", stems[usize::from(area.id)]);
                write_atomic(&folder.join(name), |writer| {
                    ids::write_mask(writer, map, area.id, &self.classes)
                })
            })
        })?;
        match self.args.predict.output.json {
            true => Ok(()),
            false => self.console.out_path(path),
        }
    }

    /// One JSON object a photo.
    fn report(
        &self,
        job: &Job,
        geometry: &Geometry,
        map: &LabelMap,
        areas: &[Area],
        watch: &Stopwatch,
    ) -> Value {
        let grid = geometry.grid();
        let mut object = Map::new();
        let mut put_file = |key: &str, path| put_path(&mut object, key, path);
        put_file("input", Some(job.source.path()));
        put_file("picture", job.output(PICTURE).path());
        for (key, format) in [
            ("ids", LabelFormat::Ids),
            ("npy", LabelFormat::Npy),
            ("masks", LabelFormat::Masks),
            ("coco", LabelFormat::Coco),
        ] {
            if self.args.files.save.contains(&format) {
                put_file(key, job.output(extension(format)).path());
            }
        }
        if self.args.files.confidence {
            put_file("confidence_map", job.output(CONFIDENCE).path());
        }
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        for (key, value) in &self.made_by {
            put(key, json!(value));
        }
        put("photo_size", json!([map.width, map.height]));
        put("input_size", json!([geometry.padded.0, geometry.padded.1]));
        put("grid", json!([grid.rows, grid.cols]));
        let pixels: u64 = areas.iter().map(|area| area.pixels).sum();
        let sure: f64 = areas
            .iter()
            .map(|area| area.confidence * area.pixels as f64)
            .sum();
        let classes: Vec<Value> = areas
            .iter()
            .map(|area| {
                json!({
                    "id": area.id,
                    "name": self.classes[usize::from(area.id)].name,
                    "color": self.classes[usize::from(area.id)].color,
                    "pixels": area.pixels,
                    "percent": round(area.share * 100.0, 1e4),
                    "confidence": round(area.confidence, 1e4),
                })
            })
            .collect();
        put("classes", json!(classes));
        put("unlabelled_pixels", json!(map.ids.len() as u64 - pixels));
        // Of nothing there is no mean.
        let mean = (pixels > 0).then(|| round(sure / pixels as f64, 1e4));
        put("confidence", json!(mean));
        put("seconds", json!(watch));
        Value::Object(object)
    }
}

fn round(value: f64, scale: f64) -> f64 {
    (value * scale).round() / scale
}

/// The photo's own name, without folders.
fn file_name(job: &Job) -> String {
    match job.source.path().file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => job.source.name(),
    }
}
