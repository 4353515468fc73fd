//! [`LabelRenderer`]: from the labels of one photo, by a head or by clusters, to its files.

use std::path::Path;

use super::captions::build_captions;
use super::file_names::check_options;
use super::memory::bytes_per_pixel;
use super::photo_labels::{LabelInput, PhotoLabels, UnsurePixels};
use crate::engine::run_report::Outcome;
use crate::engine::stage_timings::StageTimings;
use crate::error::Result;
use crate::io::output::{Destination, LineSubject, OutputPlan, PICTURE_EXTENSION};
use crate::model::head::Class;
use crate::tasks::recipe::{LabelFileFormat, LabelRecipe};
use crate::tasks::segment::coco::CocoWriter;
use crate::tasks::{
    DocumentFile, FinishedPhoto, PhotoSelection, TaskContext, classes, unexpected_row_error,
};
use crate::terminal::console::Console;
use crate::vision::postprocess::{LabelMap, Regions};
use crate::vision::render::Captions;
use crate::vision::render::cutout::kept_bounds;

/// Turns labels into pictures and files, the same for all photos of a run.
pub struct LabelRenderer {
    pub(super) recipe: LabelRecipe,
    pub(super) context: TaskContext,
    /// The task, as JSON lines name it.
    pub(super) subject: LineSubject,
    /// The classes, by id.
    pub(super) classes: Vec<Class>,
    /// One flag a class, whether it is shown; `None` where all are.
    pub(super) class_mask: Option<Vec<bool>>,
    /// The least probability of a class in the picture without `--least`.
    pub(super) default_min_probability: Option<f32>,
    /// Model and head, for the metadata of files.
    pub(super) made_by: Vec<(&'static str, String)>,
    /// The class names in the picture.
    pub(super) captions: Captions,
    pub(super) coco: CocoWriter,
}

impl LabelRenderer {
    /// A renderer for `recipe`, without classes yet.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for options that have no effect without others.
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

    /// Leaves pixels out of the picture whose class has a probability below `least`, if the recipe has no bound of its
    /// own and the photo is shown beneath.
    pub fn set_picture_threshold(&mut self, least: f32) {
        self.default_min_probability = (!self.recipe.mask_only).then_some(least);
    }

    /// Sets the classes; `of` names their owner in messages, and `made_by` model and head for the metadata.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for a name of `--classes` that is not among them.
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

    /// The extensions of a photo's files, the picture's first.
    pub fn extensions(&self) -> Vec<&'static str> {
        super::file_names::extensions(&self.recipe)
    }

    /// Which photos are labelled: all where a document about all photos is written.
    pub fn photo_selection(&self) -> PhotoSelection {
        match self.coco.needs_all_photos() {
            true => PhotoSelection::All,
            false => PhotoSelection::Missing,
        }
    }

    /// A key for outputs that changes with the fonts that draw the class names; `None` where the built-in font has all
    /// their letters.
    pub fn font_key(&self) -> Option<String> {
        let captions = &self.captions;
        let unnamed: Vec<usize> = (0..captions.len())
            .filter(|&id| !captions.has_name(id))
            .collect();
        let is_plain = unnamed.is_empty() && captions.fonts.count() == 1;
        let folder = std::env::var_os("DINO_FONTS");
        (!is_plain).then(|| format!("{folder:?} {} {unnamed:?}", captions.fonts.count()))
    }

    /// The font file of `--font`.
    pub fn font(&self) -> Option<&Path> {
        self.recipe.font.as_deref()
    }

    /// Bytes a pixel of the photo that its labels, picture and files take beside the photo.
    pub fn bytes_per_pixel(&self) -> u64 {
        bytes_per_pixel(&self.recipe)
    }

    /// Plans the document about all photos.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if it cannot be written, or is about other photos.
    pub fn prepare_plan(&mut self, plan: &mut OutputPlan, console: &Console) -> Result<()> {
        self.coco.prepare_plan(plan, console)
    }

    /// Takes a finished photo, in the order of the inputs.
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

    /// The document about all photos, if one is written.
    pub fn document(&self) -> Option<DocumentFile> {
        self.coco.document()
    }

    /// Writes the document about all photos.
    ///
    /// # Errors
    /// Names the document.
    pub fn write_document(&self, console: &Console) -> Result<()> {
        self.coco.write_document(&self.classes, console)
    }

    /// Renders the labels of one photo, and writes its files.
    ///
    /// # Errors
    /// Names the photo, or the file that could not be written.
    pub fn render_and_write(
        &self,
        input: LabelInput<'_>,
        mut map: LabelMap,
        mut timings: StageTimings,
        console: &Console,
    ) -> Result<FinishedPhoto> {
        let LabelInput {
            job,
            photo,
            stamp,
            geometry,
        } = input;
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
            (Some(least), _) => unsure.pixels = map.mask_below_confidence(least),
            (None, Some(least)) => {
                let mut shown = map.try_clone()?;
                unsure.pixels = shown.mask_below_confidence(least);
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
                .then(|| timings.time("regions", || Regions::of(&map, least))),
            cutout_box: cut
                .then(|| kept_bounds(&map, &self.cutout_classes()))
                .flatten(),
            map,
        };
        let annotated = timings.time("annotate", || self.coco.annotate(&labelled))?;
        let has_picture = matches!(job.output(PICTURE_EXTENSION), Destination::Existing(_));
        let picture = match has_picture {
            true => None,
            false => {
                Some(timings.time("render", || self.render_picture(&labelled, sure.as_ref()))?)
            }
        };
        drop(sure);
        timings.time("write", || {
            self.write(&labelled, picture.as_ref(), annotated.as_ref(), console)
        })?;
        console.detail(format_args!("{}: {timings}", job.source.name()));
        console.record_fact("classes", labelled.areas.len());
        console.record_fact("seconds", timings.seconds());
        if self.context.json {
            let object = self.report(&labelled, &timings);
            console.out(&object.to_string())?;
        }
        let outcome = match job.is_done() {
            true => Outcome::Skipped,
            false => Outcome::Done,
        };
        Ok(FinishedPhoto::Annotated(outcome, annotated))
    }
}
