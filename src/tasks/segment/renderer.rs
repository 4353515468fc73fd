//! Labels of one photo, drawn and written: those of a head, and those of clusters.

use std::path::Path;

use image::RgbImage;

use crate::engine::run_report::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::error::{Error, Result};
use crate::io::output::{Destination, LineSubject, OutputJob, OutputPlan, PICTURE_EXTENSION};
use crate::model::head::Class;
use crate::model::input::Geometry;
use crate::system::files::FileStamp;
use crate::tasks::clip::{FrameValues, RenderedFrame};
use crate::tasks::memory_cost::ENCODER_BYTES;
use crate::tasks::recipe::{LabelFileFormat, LabelRecipe};
use crate::tasks::segment::coco::CocoWriter;
use crate::tasks::{
    DocumentFile, FinishedPhoto, PhotoSelection, TaskContext, classes, unexpected_row_error,
};
use crate::terminal::console::Console;
use crate::vision::postprocess::{ClassArea, LabelMap, PixelBox, Regions};
use crate::vision::render::cutout::kept_bounds;
use crate::vision::render::segment::{SegmentContent, SegmentStyle, draw_segmentation};
use crate::vision::render::{Captions, system_fonts};

/// What is written for classes in the picture; those that are not `kept` are not in it.
fn build_captions(
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
    system_fonts::build_captions(names, recipe.font.as_deref(), console.warnings())
}

/// Turns scores into files, the same for all photos of a run.
pub struct LabelRenderer {
    pub(super) recipe: LabelRecipe,
    pub(super) context: TaskContext,
    /// What JSON is about.
    pub(super) subject: LineSubject,
    /// What scores stand for.
    pub(super) classes: Vec<Class>,
    /// The classes that are shown, one flag a class.
    pub(super) class_mask: Option<Vec<bool>>,
    /// The probability that a class has at least in the picture, if the recipe says nothing.
    default_min_probability: Option<f32>,
    /// Model and head, for notes in the files.
    pub(super) made_by: Vec<(&'static str, String)>,
    /// What is written for classes in the picture.
    captions: Captions,
    pub(super) coco: CocoWriter,
}

/// A photo as it was seen.
#[derive(Clone, Copy)]
pub struct LabelInput<'a> {
    /// Where its results go.
    pub job: &'a OutputJob,
    /// Upright.
    pub photo: &'a RgbImage,
    /// Of the bytes that it was decoded from.
    pub stamp: Option<&'a FileStamp>,
    /// How it lay in the backbone's input.
    pub geometry: &'a Geometry,
}

/// Pixels whose class is not probable enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct UnsurePixels {
    /// The probability that a class has at least; none where all are shown.
    pub min_probability: Option<f32>,
    /// Whether they have no class in files and figures either.
    pub in_files: bool,
    /// How many they are.
    pub pixels: u64,
}

/// One photo with its labels.
pub(super) struct PhotoLabels<'a> {
    pub job: &'a OutputJob,
    pub photo: &'a RgbImage,
    pub stamp: Option<&'a FileStamp>,
    pub geometry: &'a Geometry,
    /// At the photo's size, with the classes that are kept.
    pub map: LabelMap,
    pub areas: Vec<ClassArea>,
    /// What is left out for its low probability.
    pub unsure: UnsurePixels,
    /// If they were asked for.
    pub regions: Option<Regions>,
    /// Around what a cutout shows, if one was asked for and there is anything.
    pub cutout_box: Option<PixelBox>,
}

impl LabelRenderer {
    /// As `recipe` has it.
    ///
    /// # Errors
    /// [`Error::Usage`] for wishes that would come to nothing.
    pub fn new(
        recipe: LabelRecipe,
        subject: LineSubject,
        context: TaskContext,
        console: &Console,
    ) -> Result<Self> {
        check_options(&recipe, context.json)?;
        Ok(LabelRenderer {
            captions: build_captions(&recipe, &[], None, console)?,
            coco: CocoWriter::new(&recipe, &context)?,
            recipe,
            context,
            subject,
            classes: Vec::new(),
            class_mask: None,
            default_min_probability: None,
            made_by: Vec::new(),
        })
    }

    /// Leaves pixels out of the picture whose class has a probability below `least`, if the recipe has no bound itself and
    /// they can show the photo instead.
    pub fn set_picture_threshold(&mut self, least: f32) {
        self.default_min_probability = (!self.recipe.mask_only).then_some(least);
    }

    /// Says what scores stand for; `of` says whose classes they are, and `made_by` by which model and head.
    ///
    /// # Errors
    /// [`Error::Usage`] for a class that is not among them.
    pub fn set_classes(
        &mut self,
        classes: Vec<Class>,
        of: &str,
        made_by: Vec<(&'static str, String)>,
        console: &Console,
    ) -> Result<()> {
        self.class_mask = classes::class_mask(&self.recipe.classes, &classes, of)?;
        self.captions =
            build_captions(&self.recipe, &classes, self.class_mask.as_deref(), console)?;
        self.classes = classes;
        self.made_by = made_by;
        Ok(())
    }

    /// What labels, their pictures and files are called.
    pub fn extensions(&self) -> Vec<&'static str> {
        super::file_names::extensions(&self.recipe)
    }

    /// Which photos are labelled.
    pub fn photo_selection(&self) -> PhotoSelection {
        match self.coco.needs_all_photos() {
            true => PhotoSelection::All,
            false => PhotoSelection::Missing,
        }
    }

    /// What tells whether the system's fonts draw the names in the same way; nothing where the built-in one draws them all.
    pub fn font_key(&self) -> Option<String> {
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
    pub fn prepare_plan(&mut self, plan: &mut OutputPlan, console: &Console) -> Result<()> {
        self.coco.prepare_plan(plan, console)
    }

    /// Takes what became of a photo, in the order of the inputs.
    ///
    /// # Errors
    /// If its annotations cannot be kept.
    pub fn collect_finished(&self, finished: FinishedPhoto) -> Result<Option<Outcome>> {
        match finished {
            FinishedPhoto::Written(outcome) => Ok(Some(outcome)),
            FinishedPhoto::Annotated(outcome, annotated) => {
                self.coco.add(annotated)?;
                Ok(Some(outcome))
            }
            FinishedPhoto::Deferred(_) => Ok(None),
            FinishedPhoto::Gathered(_) => Err(unexpected_row_error()),
        }
    }

    /// The document of all photos.
    pub fn document(&self) -> Option<DocumentFile> {
        self.coco.document()
    }

    /// Writes the document of all photos.
    ///
    /// # Errors
    /// Names it.
    pub fn write_document(&self, console: &Console) -> Result<()> {
        self.coco.write_document(&self.classes, console)
    }

    /// Draws and writes the labels of one photo.
    ///
    /// # Errors
    /// Names the photo, or the file that could not be written.
    pub fn render_and_write(
        &self,
        seen: LabelInput<'_>,
        mut map: LabelMap,
        mut watch: Stopwatch,
        words: &Console,
    ) -> Result<FinishedPhoto> {
        let LabelInput {
            job,
            photo,
            stamp,
            geometry,
        } = seen;
        if let Some(kept) = &self.class_mask {
            map.retain_classes(kept);
        }
        let files = &self.recipe;
        let mut sure = None;
        let mut unsure = UnsurePixels {
            min_probability: files.least.or(self.default_min_probability),
            in_files: files.least.is_some(),
            pixels: 0,
        };
        match (files.least, self.default_min_probability) {
            (Some(least), _) => unsure.pixels = map.mask_unsure(least),
            (None, Some(least)) => {
                let mut shown = map.try_clone()?;
                unsure.pixels = shown.mask_unsure(least);
                sure = Some(shown);
            }
            (None, None) => {}
        }
        let least = files.min_region.pixels(map.ids.len());
        let cut = files.save.contains(&LabelFileFormat::Cutout);
        let labelled = PhotoLabels {
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
                .then(|| kept_bounds(&map, &self.cutout_classes()))
                .flatten(),
            map,
        };
        let annotated = watch.time("annotate", || self.coco.annotate(&labelled))?;
        let picture = matches!(job.output(PICTURE_EXTENSION), Destination::Existing(_));
        let picture = match picture {
            true => None,
            false => Some(watch.time("render", || self.render_picture(&labelled, sure.as_ref()))?),
        };
        drop(sure);
        watch.time("write", || {
            self.write(&labelled, picture.as_ref(), annotated.as_ref(), words)
        })?;
        words.detail(format_args!("{}: {watch}", job.source.name()));
        words.record_fact("classes", labelled.areas.len());
        words.record_fact("seconds", watch.seconds());
        if self.context.json {
            let object = self.report(&labelled, &watch);
            words.out(&object.to_string())?;
        }
        let outcome = match job.is_done() {
            true => Outcome::Skipped,
            false => Outcome::Done,
        };
        Ok(FinishedPhoto::Annotated(outcome, annotated))
    }

    /// Draws the labels of a frame of a clip, which has no room for a legend, and in which names would jump.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn render_frame(&self, frame: &RgbImage, mut map: LabelMap) -> Result<RenderedFrame> {
        if let Some(kept) = &self.class_mask {
            map.retain_classes(kept);
        }
        let (least, usual) = (self.recipe.least, self.default_min_probability);
        let mut sure = None;
        let unlabelled = match (least, usual) {
            (Some(least), _) => map.mask_unsure(least),
            (None, Some(least)) => sure.insert(map.try_clone()?).mask_unsure(least),
            (None, None) => 0,
        };
        let shown = SegmentContent {
            map: sure.as_ref().unwrap_or(&map),
            areas: &[],
            unlabelled,
        };
        let look = SegmentStyle {
            alpha: (!self.recipe.mask_only).then_some(self.recipe.alpha),
            outline: self.recipe.outline,
            side_by_side: self.recipe.side_by_side,
            names: false,
            legend: false,
        };
        let picture = draw_segmentation(frame, &shown, &self.classes, &look, &self.captions)?;
        let numbers = match self.recipe.save.is_empty() {
            true => FrameValues::None,
            false => FrameValues::Labels(map),
        };
        Ok(RenderedFrame {
            size: frame.dimensions(),
            picture,
            numbers,
        })
    }

    /// Of what is `sure`, where that is another map.
    fn render_picture(
        &self,
        labelled: &PhotoLabels<'_>,
        sure: Option<&LabelMap>,
    ) -> Result<RgbImage> {
        let look = &self.recipe;
        let look = SegmentStyle {
            alpha: (!look.mask_only).then_some(look.alpha),
            outline: look.outline,
            side_by_side: look.side_by_side,
            names: !look.no_names && !look.mask_only,
            legend: !look.no_legend,
        };
        let PhotoLabels {
            photo,
            map,
            areas,
            unsure,
            ..
        } = labelled;
        let areas_of_sure = sure.map(LabelMap::areas);
        let (map, areas) = (sure.unwrap_or(map), areas_of_sure.as_ref().unwrap_or(areas));
        let shown = SegmentContent {
            map,
            areas,
            unlabelled: unsure.pixels,
        };
        draw_segmentation(photo, &shown, &self.classes, &look, &self.captions)
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
    let of_format = |format: &LabelFileFormat| match format {
        LabelFileFormat::Ids | LabelFileFormat::Npy | LabelFileFormat::Ffv1 => 2,
        LabelFileFormat::Masks | LabelFileFormat::Coco => 1,
        // The photo is decoded again for its opacity.
        LabelFileFormat::Cutout => 4 + 16,
    };
    let saved = recipe.save.iter().map(of_format).max().unwrap_or(0);
    let written = saved.max(u64::from(recipe.confidence));
    labels + picture + regions + written + ENCODER_BYTES
}

/// Refuses flags that mean nothing without others.
fn check_options(recipe: &LabelRecipe, json: bool) -> Result<()> {
    let coco = recipe.coco.is_some() || recipe.save.contains(&LabelFileFormat::Coco);
    let wishes = [
        (
            recipe.crop,
            recipe.save.contains(&LabelFileFormat::Cutout),
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
