//! Labels of one photo, drawn and written: those of a head, and those of clusters.

use std::path::Path;

use image::RgbImage;

use crate::engine::outcomes::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::error::{Error, Result};
use crate::io::output::{Destination, Job, PICTURE, Plan, Subject};
use crate::model::head::Class;
use crate::model::input::Geometry;
use crate::system::files::Stamp;
use crate::tasks::clip::{DrawnFrame, FrameNumbers};
use crate::tasks::costs::ENCODER;
use crate::tasks::recipe::{LabelFormat, LabelRecipe};
use crate::tasks::segment::coco::CocoFiles;
use crate::tasks::{Context, Document, Finished, Which, classes, not_gathered};
use crate::terminal::console::Console;
use crate::vision::postprocess::{Area, LabelMap, PixelBox, Regions};
use crate::vision::render::Captions;
use crate::vision::render::cutout::kept_box;
use crate::vision::render::segment::{SegmentLook, Shown, picture};
use crate::vision::render::system_fonts;

/// What is written for classes in the picture; those that are not `kept` are not in it.
fn captions(
    recipe: &LabelRecipe,
    classes: &[Class],
    kept: Option<&[bool]>,
    console: &Console,
) -> Result<Captions> {
    let writes = !recipe.no_legend || !recipe.no_names && !recipe.mask_only;
    let is_kept = |id: usize| kept.is_none_or(|kept| kept.get(id) == Some(&true));
    let names = classes
        .iter()
        .enumerate()
        .map(|(id, class)| match writes && is_kept(id) {
            true => class.name.as_str(),
            false => "",
        });
    system_fonts::captions(names, recipe.font.as_deref(), console.warnings())
}

/// Turns scores into files, the same for all photos of a run.
pub struct LabelPainter {
    pub(super) recipe: LabelRecipe,
    pub(super) context: Context,
    /// What JSON is about.
    pub(super) subject: Subject,
    /// What scores stand for.
    pub(super) classes: Vec<Class>,
    /// The classes that are shown, one flag a class.
    pub(super) kept: Option<Vec<bool>>,
    /// The probability that a class has at least in the picture, if the recipe says nothing.
    usual_least: Option<f32>,
    /// Model and head, for notes in the files.
    pub(super) made_by: Vec<(&'static str, String)>,
    /// What is written for classes in the picture.
    captions: Captions,
    pub(super) coco: CocoFiles,
}

/// A photo as it was seen.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// Where its results go.
    pub job: &'a Job,
    /// Upright.
    pub photo: &'a RgbImage,
    /// Of the bytes that it was decoded from.
    pub stamp: Option<&'a Stamp>,
    /// How it lay in the backbone's input.
    pub geometry: &'a Geometry,
}

/// Pixels whose class is not probable enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unsure {
    /// The probability that a class has at least; none where all are shown.
    pub least: Option<f32>,
    /// Whether they have no class in files and figures either.
    pub in_files: bool,
    /// How many they are.
    pub pixels: u64,
}

/// One photo with its labels.
pub(super) struct Labelled<'a> {
    pub job: &'a Job,
    pub photo: &'a RgbImage,
    pub stamp: Option<&'a Stamp>,
    pub geometry: &'a Geometry,
    /// At the photo's size, with the classes that are kept.
    pub map: LabelMap,
    pub areas: Vec<Area>,
    /// What is left out for its low probability.
    pub unsure: Unsure,
    /// If they were asked for.
    pub regions: Option<Regions>,
    /// Around what a cutout shows, if one was asked for and there is anything.
    pub cutout_box: Option<PixelBox>,
}

impl LabelPainter {
    /// As `recipe` has it.
    ///
    /// # Errors
    /// [`Error::Usage`] for wishes that would come to nothing.
    pub fn new(
        recipe: LabelRecipe,
        subject: Subject,
        context: Context,
        console: &Console,
    ) -> Result<Self> {
        check_wishes(&recipe, context.json)?;
        Ok(LabelPainter {
            captions: captions(&recipe, &[], None, console)?,
            coco: CocoFiles::new(&recipe, &context)?,
            recipe,
            context,
            subject,
            classes: Vec::new(),
            kept: None,
            usual_least: None,
            made_by: Vec::new(),
        })
    }

    /// Leaves pixels out of the picture whose class has a probability below `least`, if the recipe has no bound itself and
    /// they can show the photo instead.
    pub fn draw_sure(&mut self, least: f32) {
        self.usual_least = (!self.recipe.mask_only).then_some(least);
    }

    /// Says what scores stand for; `of` says whose classes they are, and `made_by` by which model and head.
    ///
    /// # Errors
    /// [`Error::Usage`] for a class that is not among them.
    pub fn name_labels(
        &mut self,
        classes: Vec<Class>,
        of: &str,
        made_by: Vec<(&'static str, String)>,
        console: &Console,
    ) -> Result<()> {
        self.kept = classes::kept(&self.recipe.classes, &classes, of)?;
        self.captions = captions(&self.recipe, &classes, self.kept.as_deref(), console)?;
        self.classes = classes;
        self.made_by = made_by;
        Ok(())
    }

    /// What labels, their pictures and files are called.
    pub fn extensions(&self) -> Vec<&'static str> {
        super::names::extensions(&self.recipe)
    }

    /// Which photos are labelled.
    pub fn which(&self) -> Which {
        match self.coco.wants_all() {
            true => Which::All,
            false => Which::Missing,
        }
    }

    /// What tells whether the system's fonts draw the names in the same way; nothing where the built-in one draws them all.
    pub fn text_key(&self) -> Option<String> {
        let captions = &self.captions;
        let unnamed: Vec<usize> = (0..captions.len())
            .filter(|&id| !captions.has_name(id))
            .collect();
        let is_plain = unnamed.is_empty() && captions.fonts.count() == 1;
        let folder = std::env::var_os("DINO_FONTS");
        (!is_plain).then(|| format!("{folder:?} {} {unnamed:?}", captions.fonts.count()))
    }

    /// The font, if one is given.
    pub fn font(&self) -> Option<&Path> {
        self.recipe.font.as_deref()
    }

    /// Bytes a pixel of the photo that labels, their picture and their files take beside it.
    pub fn bytes_per_pixel(&self) -> u64 {
        bytes_per_pixel(&self.recipe)
    }

    /// Plans the document of all photos.
    ///
    /// # Errors
    /// [`Error::Usage`] if it cannot be written, or is about other photos.
    pub fn begin(&mut self, plan: &mut Plan, console: &Console) -> Result<()> {
        self.coco.begin(plan, console)
    }

    /// Takes what became of a photo, in the order of the inputs.
    ///
    /// # Errors
    /// If its annotations cannot be kept.
    pub fn take(&self, finished: Finished) -> Result<Option<Outcome>> {
        match finished {
            Finished::Written(outcome) => Ok(Some(outcome)),
            Finished::Annotated(outcome, annotated) => {
                self.coco.add(annotated)?;
                Ok(Some(outcome))
            }
            Finished::Kept(_) => Ok(None),
            Finished::Gathered(_) => Err(not_gathered()),
        }
    }

    /// The document of all photos.
    pub fn document(&self) -> Option<Document> {
        self.coco.document()
    }

    /// Writes the document of all photos.
    ///
    /// # Errors
    /// Names it.
    pub fn conclude(&self, console: &Console) -> Result<()> {
        self.coco.conclude(&self.classes, console)
    }

    /// Draws and writes the labels of one photo.
    ///
    /// # Errors
    /// Names the photo, or the file that could not be written.
    pub fn deliver(
        &self,
        seen: Seen<'_>,
        mut map: LabelMap,
        mut watch: Stopwatch,
        words: &Console,
    ) -> Result<Finished> {
        let Seen {
            job,
            photo,
            stamp,
            geometry,
        } = seen;
        if let Some(kept) = &self.kept {
            map.keep(kept);
        }
        let files = &self.recipe;
        let mut sure = None;
        let mut unsure = Unsure {
            least: files.least.or(self.usual_least),
            in_files: files.least.is_some(),
            pixels: 0,
        };
        match (files.least, self.usual_least) {
            (Some(least), _) => unsure.pixels = map.keep_sure(least),
            (None, Some(least)) => {
                let mut shown = map.try_clone()?;
                unsure.pixels = shown.keep_sure(least);
                sure = Some(shown);
            }
            (None, None) => {}
        }
        let least = files.min_region.pixels(map.ids.len());
        let cut = files.save.contains(&LabelFormat::Cutout);
        let labelled = Labelled {
            job,
            photo,
            stamp,
            geometry,
            areas: map.areas(),
            unsure,
            regions: files
                .regions
                .then(|| watch.time("regions", || Regions::of(&map, least))),
            cutout_box: cut
                .then(|| kept_box(&map, &self.cutout_classes()))
                .flatten(),
            map,
        };
        let annotated = watch.time("annotate", || self.coco.annotate(&labelled))?;
        let picture = matches!(job.output(PICTURE), Destination::Kept(_));
        let picture = match picture {
            true => None,
            false => Some(watch.time("render", || self.picture(&labelled, sure.as_ref()))?),
        };
        drop(sure);
        watch.time("write", || {
            self.write(&labelled, picture.as_ref(), annotated.as_ref(), words)
        })?;
        words.detail(format_args!("{}: {watch}", job.source.name()));
        words.found("classes", labelled.areas.len());
        words.found("seconds", watch.seconds());
        if self.context.json {
            let object = self.report(&labelled, &watch);
            words.out(&object.to_string())?;
        }
        let outcome = match job.is_done() {
            true => Outcome::Skipped,
            false => Outcome::Done,
        };
        Ok(Finished::Annotated(outcome, annotated))
    }

    /// Draws the labels of a frame of a clip, which has no room for a legend, and in which names would jump.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn frame(&self, frame: &RgbImage, mut map: LabelMap) -> Result<DrawnFrame> {
        if let Some(kept) = &self.kept {
            map.keep(kept);
        }
        let (least, usual) = (self.recipe.least, self.usual_least);
        let mut sure = None;
        let unlabelled = match (least, usual) {
            (Some(least), _) => map.keep_sure(least),
            (None, Some(least)) => sure.insert(map.try_clone()?).keep_sure(least),
            (None, None) => 0,
        };
        let shown = Shown {
            map: sure.as_ref().unwrap_or(&map),
            areas: &[],
            unlabelled,
        };
        let look = SegmentLook {
            alpha: (!self.recipe.mask_only).then_some(self.recipe.alpha),
            outline: self.recipe.outline,
            side_by_side: self.recipe.side_by_side,
            names: false,
            legend: false,
        };
        let picture = picture(frame, &shown, &self.classes, &look, &self.captions)?;
        let numbers = match self.recipe.save.is_empty() {
            true => FrameNumbers::None,
            false => FrameNumbers::Labels(map),
        };
        Ok(DrawnFrame {
            size: frame.dimensions(),
            picture,
            numbers,
        })
    }

    /// Of what is `sure`, where that is another map.
    fn picture(&self, labelled: &Labelled<'_>, sure: Option<&LabelMap>) -> Result<RgbImage> {
        let look = &self.recipe;
        let look = SegmentLook {
            alpha: (!look.mask_only).then_some(look.alpha),
            outline: look.outline,
            side_by_side: look.side_by_side,
            names: !look.no_names && !look.mask_only,
            legend: !look.no_legend,
        };
        let Labelled {
            photo,
            map,
            areas,
            unsure,
            ..
        } = labelled;
        let areas_of_sure = sure.map(LabelMap::areas);
        let (map, areas) = (sure.unwrap_or(map), areas_of_sure.as_ref().unwrap_or(areas));
        let shown = Shown {
            map,
            areas,
            unlabelled: unsure.pixels,
        };
        picture(photo, &shown, &self.classes, &look, &self.captions)
    }
}

/// Bytes a pixel of the photo that labels, their picture and their files take beside it.
fn bytes_per_pixel(recipe: &LabelRecipe) -> u64 {
    // Ids and confidences, and those of what is sure enough for the picture.
    let labels = 2 * (2 + 4);
    let drawn = if recipe.side_by_side { 3 + 6 } else { 3 };
    let legend = match (recipe.no_legend, recipe.side_by_side) {
        (true, _) => 0,
        (false, false) => 3,
        (false, true) => 6,
    };
    let picture = drawn + legend;
    let regions = if recipe.regions { 8 } else { 0 };
    let of_format = |format: &LabelFormat| match format {
        LabelFormat::Ids | LabelFormat::Npy | LabelFormat::Ffv1 => 2,
        LabelFormat::Masks | LabelFormat::Coco => 1,
        // The photo is decoded again for its opacity.
        LabelFormat::Cutout => 4 + 16,
    };
    let saved = recipe.save.iter().map(of_format).max().unwrap_or(0);
    let written = saved.max(u64::from(recipe.confidence));
    labels + picture + regions + written + ENCODER
}

/// Refuses flags that mean nothing without others.
fn check_wishes(recipe: &LabelRecipe, json: bool) -> Result<()> {
    let coco = recipe.coco.is_some() || recipe.save.contains(&LabelFormat::Coco);
    let wishes = [
        (
            recipe.crop,
            recipe.save.contains(&LabelFormat::Cutout),
            "--crop crops the cutout; add --save cutout",
        ),
        (
            recipe.coco_polygons,
            coco,
            "--coco-polygons is about COCO documents; add --coco FILE or --save coco",
        ),
        (
            recipe.regions,
            coco || json,
            "--instances lists regions in JSON; add --json, --coco FILE or --save coco",
        ),
    ];
    match wishes.iter().find(|(given, meant, _)| *given && !meant) {
        Some((_, _, why)) => Err(Error::Usage((*why).into())),
        None => Ok(()),
    }
}
