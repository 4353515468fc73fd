//! `dino segment`: labels of a head or of clusters, drawn and written.
//!
//! [`files`] writes what was asked for of one photo, [`coco`] the documents of one and of all, and [`report`] says it
//! in JSON.

mod coco;
mod files;
mod names;
mod report;

use std::path::Path;

use dino::batch::Outcome;
use dino::console::Console;
use dino::fonts;
use dino::head::{Class, Head, Scores, Task};
use dino::heads::Heads;
use dino::output::{Destination, Job, PICTURE, Plan};
use dino::postprocess::segment::{label, mean_with_mirrored};
use dino::postprocess::{Area, LabelMap, PixelBox, Regions, refine};
use dino::preprocess::Geometry;
use dino::render::Captions;
use dino::render::cutout::kept_box;
use dino::render::segment::{SegmentLook, picture};
use dino::stopwatch::Stopwatch;
use dino::weights::Store;
use dino::{Error, Result};
use image::RgbImage;

use crate::cli::{LabelFormat, SegmentArgs};
use crate::commands::costs::ENCODER;
use crate::commands::predict::{self, Draw, Prediction, Request, Which};
use crate::commands::score::Found;
use crate::commands::{classes, clusters};

use coco::CocoFiles;
pub use names::extensions;

/// Whether borders are fitted to the photo without a word about it.
pub const REFINE: bool = true;

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
    let mut painter = Painter::new(args, console)?;
    painter.name_labels(
        classes_of(&head).to_vec(),
        &format!("the head {}", head.meta.name),
        vec![
            ("model", head.meta.backbone.clone()),
            ("head", head.meta.name.clone()),
        ],
    )?;
    predict::run(
        &args.predict,
        &Request {
            task: "segment",
            kind: "segment",
            extensions: &extensions(args),
            elsewhere: None,
            which: match painter.wants_all() {
                true => Which::All,
                false => Which::Missing,
            },
        },
        console,
        &mut painter,
    )
}

fn classes_of(head: &Head) -> &[Class] {
    match &head.meta.task {
        Task::Segment { classes } => classes,
        _ => &[],
    }
}

/// What is written for classes in the picture; those that are not `kept` are not in it.
fn captions(
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

/// Turns scores into files, the same for all photos of a run.
pub struct Painter<'a> {
    args: &'a SegmentArgs,
    console: &'a Console,
    /// What scores stand for.
    classes: Vec<Class>,
    /// The classes of `--classes`, one flag a class.
    kept: Option<Vec<bool>>,
    /// Model and head, for notes in the files.
    made_by: Vec<(&'static str, String)>,
    /// What is written for classes in the picture.
    captions: Captions,
    coco: CocoFiles<'a>,
}

/// One photo with its labels.
struct Labelled<'a> {
    job: &'a Job,
    photo: &'a RgbImage,
    geometry: &'a Geometry,
    /// At the photo's size, with the classes that are kept.
    map: LabelMap,
    areas: Vec<Area>,
    /// If they were asked for.
    regions: Option<Regions>,
    /// Around what a cutout shows, if one was asked for and there is anything.
    cutout_box: Option<PixelBox>,
}

impl Draw for Painter<'_> {
    fn bytes_per_pixel(&self) -> u64 {
        bytes_per_pixel(self.args)
    }

    fn reads(&self) -> Vec<Option<&'_ Path>> {
        vec![
            self.args.text.font.as_deref(),
            self.args.clusters.codebook.as_deref(),
        ]
    }

    fn begin(&mut self, plan: &mut Plan) -> Result<()> {
        self.coco.begin(plan, self.console)
    }

    fn draw(&mut self, prediction: Prediction<'_>) -> Result<Option<Outcome>> {
        let watch = prediction.watch.clone();
        let (job, photo, geometry) = (prediction.job, prediction.photo, prediction.geometry);
        let outcome = match prediction.found {
            Found::Labels(map) => self.deliver(job, photo, geometry, map.clone(), watch),
            Found::Scores {
                scores,
                mirrored: None,
            } => self.label(job, photo, geometry, scores, watch),
            Found::Scores {
                scores,
                mirrored: Some(mirrored),
            } => {
                let mean = mean_with_mirrored(scores, mirrored);
                self.label(job, photo, geometry, &mean, watch)
            }
        };
        outcome.map(Some)
    }

    fn conclude(&mut self) -> Result<()> {
        self.coco.conclude(&self.classes, self.console)
    }
}

impl<'a> Painter<'a> {
    /// Refuses wishes that would come to nothing.
    pub fn new(args: &'a SegmentArgs, console: &'a Console) -> Result<Self> {
        check_wishes(args)?;
        Ok(Painter {
            args,
            console,
            classes: Vec::new(),
            kept: None,
            made_by: Vec::new(),
            captions: captions(args, &[], None, console)?,
            coco: CocoFiles::new(args)?,
        })
    }

    /// Says what scores stand for; `of` says whose classes they are, and `made_by` by which model and head.
    pub fn name_labels(
        &mut self,
        classes: Vec<Class>,
        of: &str,
        made_by: Vec<(&'static str, String)>,
    ) -> Result<()> {
        self.kept = classes::kept(&self.args.look.classes, &classes, of)?;
        self.captions = captions(self.args, &classes, self.kept.as_deref(), self.console)?;
        self.classes = classes;
        self.made_by = made_by;
        Ok(())
    }

    /// Whether photos are labelled whose files are all there.
    pub fn wants_all(&self) -> bool {
        self.coco.wants_all()
    }

    /// Labels, draws and writes one photo.
    pub fn label(
        &mut self,
        job: &Job,
        photo: &RgbImage,
        geometry: &Geometry,
        scores: &Scores,
        mut watch: Stopwatch,
    ) -> Result<Outcome> {
        let map = match self.args.predict.head.refines(REFINE) {
            true => watch.time("refine", || refine::label(scores, geometry, photo))?,
            false => watch.time("label", || label(scores, geometry, &[]))?,
        };
        self.deliver(job, photo, geometry, map, watch)
    }

    /// Draws and writes the labels of one photo.
    fn deliver(
        &mut self,
        job: &Job,
        photo: &RgbImage,
        geometry: &Geometry,
        mut map: LabelMap,
        mut watch: Stopwatch,
    ) -> Result<Outcome> {
        if let Some(kept) = &self.kept {
            map.keep(kept);
        }
        let files = &self.args.files;
        let least = files.min_region.pixels(map.ids.len());
        let cut = files.save.contains(&LabelFormat::Cutout);
        let labelled = Labelled {
            job,
            photo,
            geometry,
            areas: map.areas(),
            regions: files
                .instances
                .map(|_| watch.time("regions", || Regions::of(&map, least))),
            cutout_box: cut
                .then(|| kept_box(&map, &self.cutout_classes()))
                .flatten(),
            map,
        };
        let annotated = watch.time("annotate", || self.coco.annotate(&labelled))?;
        let picture = matches!(job.output(PICTURE), Destination::Kept(_));
        let picture = match picture {
            true => None,
            false => Some(watch.time("render", || self.picture(&labelled))?),
        };
        watch.time("write", || {
            self.write(&labelled, picture.as_ref(), annotated.as_ref())
        })?;
        self.coco.add(annotated)?;
        self.console
            .detail(format_args!("{}: {watch}", job.source.name()));
        if self.args.predict.output.json {
            let object = self.report(&labelled, &watch);
            self.console.out(&object.to_string())?;
        }
        Ok(match job.is_done() {
            true => Outcome::Skipped,
            false => Outcome::Done,
        })
    }

    fn picture(&self, labelled: &Labelled<'_>) -> Result<RgbImage> {
        let look = &self.args.look;
        let look = SegmentLook {
            alpha: (!look.mask_only).then_some(look.alpha),
            outline: look.outline,
            names: !look.no_names && !look.mask_only,
            legend: !look.no_legend,
        };
        let Labelled {
            photo, map, areas, ..
        } = labelled;
        picture(photo, map, &self.classes, areas, &look, &self.captions)
    }
}

/// Bytes a pixel of the photo that labels, their picture and their files take beside it.
pub fn bytes_per_pixel(args: &SegmentArgs) -> u64 {
    let files = &args.files;
    // Ids and confidences.
    let labels = 2 + 4;
    let picture = 3 + if args.look.no_legend { 0 } else { 3 };
    let regions = if files.instances.is_some() { 8 } else { 0 };
    let of_format = |format: &LabelFormat| match format {
        LabelFormat::Ids | LabelFormat::Npy => 2,
        LabelFormat::Masks | LabelFormat::Coco => 1,
        // The photo is decoded again for its opacity.
        LabelFormat::Cutout => 4 + 16,
    };
    let saved = files.save.iter().map(of_format).max().unwrap_or(0);
    let written = saved.max(u64::from(files.confidence));
    labels + picture + regions + written + ENCODER
}

/// Refuses flags that mean nothing without others.
fn check_wishes(args: &SegmentArgs) -> Result<()> {
    let files = &args.files;
    let coco = files.coco.is_some() || files.save.contains(&LabelFormat::Coco);
    let wishes = [
        (
            files.crop,
            files.save.contains(&LabelFormat::Cutout),
            "--crop crops the cutout; add --save cutout",
        ),
        (
            files.coco_polygons,
            coco,
            "--coco-polygons is about COCO documents; add --coco FILE or --save coco",
        ),
        (
            files.instances.is_some(),
            coco || args.predict.output.json,
            "--instances lists regions in JSON; add --json, --coco FILE or --save coco",
        ),
    ];
    match wishes.iter().find(|(given, meant, _)| *given && !meant) {
        Some((_, _, why)) => Err(Error::Usage((*why).into())),
        None => Ok(()),
    }
}
