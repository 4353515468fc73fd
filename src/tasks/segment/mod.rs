//! Labels of a head, drawn and written.
//!
//! `reader` has the labels; [`painter`] draws one photo, here and for clusters; `files` writes what was asked for of it,
//! `coco` the documents of one and of all, and `report` says it in JSON.

mod clip;
mod coco;
mod files;
mod names;
pub mod painter;
mod reader;
mod report;

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value};

use crate::engine;
use crate::engine::outcomes::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::error::Result;
use crate::io::output::{PICTURE, Plan, Subject};
use crate::model::backbone::Backbone;
use crate::model::head::Head;
use crate::model::input::Geometry;
use crate::model::weights::Record;
use crate::system::files::Digest;
use crate::tasks::clip::{ClipTask, DrawnFrame, NumberFilm, ShownFrame, Smoothing};
use crate::tasks::costs::{of_scores, per_pixel};
use crate::tasks::recipe::{LabelFormat, SegmentRecipe};
use crate::tasks::settings::{Settings, unusual};
use crate::tasks::{Context, Document, Finder, Finished, Found, Item, Task, Way, Which};
use crate::terminal::console::Console;

pub use coco::Annotated;
pub(crate) use names::{SIBLINGS, recipe_of};
use painter::{LabelPainter, Seen};
pub use reader::LabelReader;
pub(super) use reader::label;

/// Whether borders are fitted to the photo without a word about it.
pub const REFINE: bool = true;

/// Of how labels are made: 1 gives small regions to the classes around them.
pub(crate) const REVISION: u32 = 1;

/// The probability that a class has at least in the picture without a word about it. Below one half, about
/// three of five pixels are wrong, in rooms and streets as in landscapes.
pub const LEAST: f32 = 0.5;

/// Labels photos with a head.
pub struct SegmentTask {
    recipe: SegmentRecipe,
    reader: LabelReader,
    painter: LabelPainter,
}

impl SegmentTask {
    /// With `head`, on a backbone whose patches have this side.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for wishes that contradict each other or that the head cannot fulfil.
    pub fn new(
        recipe: SegmentRecipe,
        head: Head,
        patch_size: usize,
        context: Context,
        console: &Console,
    ) -> Result<Self> {
        let subject = context.subject("segment");
        let labels = recipe.labels.clone();
        let mut painter = LabelPainter::new(labels, subject, context, console)?;
        painter.draw_sure(LEAST);
        painter.name_labels(
            reader::classes_of(&head).to_vec(),
            &format!("the head {}", head.meta.name),
            vec![
                ("model", head.meta.backbone.clone()),
                ("head", head.meta.name.clone()),
            ],
            console,
        )?;
        Ok(SegmentTask {
            reader: LabelReader::new(&recipe.head, head, patch_size, console)?,
            recipe,
            painter,
        })
    }
}

impl Finder for SegmentTask {
    fn way(&self) -> &Way {
        self.reader.way()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        of_scores(self.reader.head(), geometry)
            + per_pixel(self.painter.bytes_per_pixel())(geometry)
    }

    fn needs_photo(&self) -> bool {
        let labels = &self.recipe.labels;
        let is_shown = !labels.mask_only || labels.save.contains(&LabelFormat::Cutout);
        is_shown || labels.side_by_side || self.reader.refines()
    }

    fn find(&self, seen: &engine::Seen) -> Result<Found> {
        self.reader.find(seen)
    }

    fn find_all(&self, batch: &engine::SeenBatch) -> Result<Vec<Result<Found>>> {
        self.reader.find_all(batch)
    }
}

impl Task for SegmentTask {
    fn subject(&self) -> Subject {
        self.painter.context.subject("segment")
    }

    fn extensions(&self) -> Vec<&'static str> {
        self.painter.extensions()
    }

    fn which(&self) -> Which {
        self.painter.which()
    }

    fn siblings(&self) -> &'static [&'static str] {
        SIBLINGS
    }

    fn settings(&self, extension: &str) -> Result<Settings> {
        let labels = recipe_of(&self.recipe.labels, extension);
        let font = self.painter.font().filter(|_| labels.font.is_some());
        let mut head = self.recipe.head.clone();
        head.name = None;
        Ok(Settings::of(&SegmentRecipe { head, labels })?
            .with_revision(REVISION)
            .with("head", self.reader.digest()?)
            .with_font(font)
            .with_text(
                (extension == PICTURE)
                    .then(|| self.painter.text_key())
                    .flatten(),
            ))
    }

    fn reads(&self) -> Vec<&Path> {
        let head = self.recipe.head.name.as_deref();
        head.into_iter().chain(self.painter.font()).collect()
    }

    fn begin(&mut self, plan: &mut Plan, console: &Console) -> Result<()> {
        self.painter.begin(plan, console)
    }

    fn head(&self) -> Option<&Head> {
        Some(self.reader.head())
    }

    fn head_digest(&self) -> Result<Option<Digest>> {
        self.reader.digest().map(Some)
    }

    fn parameters(&self) -> Value {
        unusual(&self.recipe)
    }

    fn as_clip_task(&self) -> Option<&dyn ClipTask> {
        Some(self)
    }

    fn meet(&mut self, backbones: &[Backbone], _: &Record, _: &Console) -> Result<()> {
        self.reader.meet(backbones)
    }

    fn finish(&self, item: Item<'_>, words: &Console) -> Result<Finished> {
        let Item {
            job,
            photo,
            geometry,
            found,
            stamp,
            mut watch,
            ..
        } = item;
        let map = self.reader.read(found, &geometry, photo, &mut watch)?;
        let seen = Seen {
            job,
            photo,
            stamp: stamp.as_ref(),
            geometry: &geometry,
        };
        self.painter.deliver(seen, map, watch, words)
    }

    fn take(&self, finished: Finished) -> Result<Option<Outcome>> {
        self.painter.take(finished)
    }

    fn document(&self) -> Option<Document> {
        self.painter.document()
    }

    fn conclude(&self, console: &Console) -> Result<()> {
        self.painter.conclude(console)
    }
}

impl ClipTask for SegmentTask {
    fn is_guided(&self) -> bool {
        self.reader.refines()
    }

    fn usual_smoothing(&self) -> Smoothing {
        Smoothing::ByChange
    }

    fn draw(&self, frame: ShownFrame<'_>, geometry: &Geometry, found: Found) -> Result<DrawnFrame> {
        let mut watch = Stopwatch::default();
        let map = self.reader.read(found, geometry, frame.guide, &mut watch)?;
        self.painter.frame(frame.photo, map)
    }

    fn number_files(&self) -> Vec<&'static str> {
        self.painter.number_files()
    }

    fn write_numbers(
        &self,
        extension: &str,
        writer: &mut dyn Write,
        frame: &DrawnFrame,
    ) -> io::Result<usize> {
        self.painter
            .write_numbers(extension, writer, frame)
            .map(|()| 0)
    }

    fn number_film(&self) -> Option<NumberFilm> {
        self.painter.number_film()
    }

    fn film_numbers(&self, frame: &DrawnFrame) -> (Vec<u8>, usize) {
        (self.painter.film_numbers(frame), 0)
    }

    fn facts(&self) -> Map<String, Value> {
        self.painter.facts()
    }
}
