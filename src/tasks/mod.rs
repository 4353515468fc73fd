//! What is made of photos: depths, classes, clusters, components. A task is a value that says what it needs of the
//! device, what it makes of that, and which files it writes; [`run`] runs any number of them over the same photos.

pub mod classes;
pub mod clip;
pub mod clusters;
mod context;
pub mod costs;
pub mod depth;
pub mod features;
pub mod known;
pub mod layer;
pub mod network;
pub mod patch_map;
pub mod pca;
pub mod placed;
pub mod recipe;
pub mod run;
pub mod scorer;
pub mod segment;
pub mod selfcheck;
pub mod settings;
pub mod stored;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
pub mod track;
pub mod way;

use std::path::{Path, PathBuf};

use image::RgbImage;
use serde_json::Value;

use crate::engine::outcomes::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::engine::{Seen, SeenBatch};
use crate::error::{Error, Result};
use crate::io::manifest::Ledger;
use crate::io::output::{Job, Plan, Subject};
use crate::model::backbone::Backbone;
use crate::model::head::{Head, Scores};
use crate::model::input::Geometry;
use crate::model::input::Grid;
use crate::model::weights::Record;
use crate::system::files::{Digest, Stamp};
use crate::tasks::features::{Gathered, Tokens};
use crate::tasks::segment::Annotated;
use crate::tasks::settings::Settings;
use crate::terminal::console::Console;
use crate::vision::postprocess::LabelMap;

pub use context::Context;
pub use network::TaskNetwork;
pub use way::Way;

/// What the device found in a photo for a task.
#[derive(Debug)]
pub enum Found {
    /// The scores of a head over the input.
    Scores {
        /// Over the patch grid, or a finer one.
        scores: Scores,
        /// Of the mirror image, where they were asked for; not mirrored back.
        mirrored: Option<Scores>,
        /// The probability that the photo shows a room, where something depends on that.
        room: Option<f32>,
    },
    /// The labels that a published protocol ends with, at the photo's size.
    Labels(LabelMap),
    /// The patch tokens of a layer, `[rows * cols, D]`.
    Tokens(Vec<f32>, Grid),
    /// Tokens of several blocks.
    Features(Box<Tokens>),
}

impl Found {
    /// The probability that the photo shows a room, where that is known.
    pub fn room(&self) -> Option<f32> {
        match self {
            Found::Scores { room, .. } => *room,
            _ => None,
        }
    }

    /// Notes with what probability the photo shows a room.
    fn note_room(&mut self, probability: Option<f32>) {
        if let Found::Scores { room, .. } = self {
            *room = probability;
        }
    }
}

/// A photo of which everything is found.
pub struct Item<'a> {
    /// Where its results go.
    pub job: &'a Job,
    /// Upright.
    pub photo: &'a RgbImage,
    /// How it lay in the backbone's input.
    pub geometry: Geometry,
    /// What was found.
    pub found: Found,
    /// Of the bytes that it was decoded from.
    pub stamp: Option<Stamp>,
    /// SHA-256 of them, where a task wants it.
    pub sha256: Option<String>,
    /// Where the time went so far.
    pub watch: Stopwatch,
    /// Whether it is the only one of the run.
    pub is_only: bool,
}

/// How far a photo came.
pub enum Finished {
    /// Everything is written.
    Written(Outcome),
    /// Likewise; this belongs into a document of all photos, in their order.
    Annotated(Outcome, Option<Annotated>),
    /// It waits until all photos were seen.
    Kept(Box<Kept>),
    /// It goes into a dataset, in the order of the inputs.
    Gathered(Box<Gathered>),
}

/// What is kept of a photo until all were seen.
#[derive(Debug)]
pub struct Kept {
    /// Where its results go.
    pub job: Job,
    /// Only where it is the only one; of many, each is decoded again if it is wanted.
    pub photo: Option<RgbImage>,
    /// Of the bytes that it was decoded from.
    pub stamp: Option<Stamp>,
    /// How it lay in the backbone's input.
    pub geometry: Geometry,
    /// Cells of what was found: (columns, rows).
    pub size: (usize, usize),
    /// What was found, by cells; a map of deviations follows that of depths.
    pub values: Vec<f32>,
    /// Some of it, evenly spread over the photo, for what is fitted to all.
    pub samples: Vec<f32>,
    /// The probability that the photo shows a room, where something depends on that.
    pub room: Option<f32>,
    /// Where the time went so far.
    pub watch: Stopwatch,
}

impl Kept {
    /// For the second pass, with the `values` that were put away meanwhile. The photo goes with it.
    fn taken_up(&mut self, job: &Job, values: Vec<f32>) -> Kept {
        Kept {
            job: job.clone(),
            photo: self.photo.take(),
            stamp: self.stamp.clone(),
            watch: self.watch.clone(),
            samples: Vec::new(),
            values,
            ..*self
        }
    }
}

/// Which photos a task is run over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those whose files are not all there.
    Missing,
    /// All, if files of any are missing: what is drawn depends on all of them.
    AllOrNone,
    /// All, for what is asked is not in the files.
    All,
}

/// Something that is found in photos.
pub trait Finder: Sync {
    /// How the backbone sees photos for it.
    fn way(&self) -> &Way;

    /// Bytes that a photo of a layout takes after the backbone, itself not counted.
    fn memory(&self, geometry: &Geometry) -> u64;

    /// Pixels that a photo must have, or it is refused before it is decoded.
    fn pixels(&self) -> &[(u32, u32)] {
        &[]
    }

    /// What it needs of what the backbone gives for a photo, or for a window of it.
    ///
    /// # Errors
    /// If a head gives no numbers, or the device fails.
    fn find(&self, seen: &Seen) -> Result<Found>;

    /// Whether the SHA-256 of its bytes is wanted of a photo.
    fn wants_sha256(&self) -> bool {
        false
    }

    /// Whether pixels of a photo are wanted beside what was found in it.
    fn needs_photo(&self) -> bool {
        true
    }

    /// As [`Finder::find`], for each photo of a batch.
    ///
    /// # Errors
    /// If the device fails with all of them.
    fn find_all(&self, batch: &SeenBatch) -> Result<Vec<Result<Found>>> {
        way::one_by_one(&batch.to_host()?, |seen| self.find(seen))
    }
}

/// Something that is made of photos, and written.
pub trait Task: Finder {
    /// What its lines in JSON are about.
    fn subject(&self) -> Subject;

    /// The word in the names of its files.
    fn kind(&self) -> String {
        let Subject { task, label } = self.subject();
        match label {
            Some(label) => format!("{task}-{label}"),
            None => task.to_owned(),
        }
    }

    /// The files of a photo, by the ends of their names, the picture first.
    fn extensions(&self) -> Vec<&'static str>;

    /// One of them that goes to a place of its own, which has room for one photo's.
    fn elsewhere(&self) -> Option<(&'static str, &Path)> {
        None
    }

    /// The photos.
    fn which(&self) -> Which {
        Which::Missing
    }

    /// Whether everything is there that is made of the photo of this number, whose files are those of `job`.
    fn has(&self, _photo: usize, job: &Job) -> bool {
        job.is_done()
    }

    /// What it knows of the folder that it keeps a record in itself, if it does.
    fn ledger(&self) -> Option<Ledger> {
        None
    }

    /// Whether nothing more can be kept, which ends the run.
    fn is_broken(&self) -> bool {
        false
    }

    /// Whether it notes itself what it made, in the place where that is; what it cannot keep ends the run then.
    fn records_itself(&self) -> bool {
        false
    }

    /// What decides, beside the photo and the backbone, how its output with this extension comes out.
    ///
    /// # Errors
    /// If a head or a name cannot be written down.
    fn settings(&self, extension: &str) -> Result<Settings>;

    /// The ends of the names of all files that it ever makes of a photo, but the picture.
    fn siblings(&self) -> &'static [&'static str];

    /// Whether photos wait until all were seen, for what is fitted to them.
    fn waits(&self) -> bool {
        false
    }

    /// Files that are read beside photos, and must not be replaced.
    fn reads(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// Adds its own files to the plan, and refuses what could not be done.
    ///
    /// # Errors
    /// As [`Plan::add_flag`].
    fn begin(&mut self, _plan: &mut Plan, _console: &Console) -> Result<()> {
        Ok(())
    }

    /// The head that it runs, if it runs one.
    fn head(&self) -> Option<&Head> {
        None
    }

    /// Its digest.
    ///
    /// # Errors
    /// If it cannot be written down.
    fn head_digest(&self) -> Result<Option<Digest>> {
        Ok(None)
    }

    /// The settings that are not the usual ones, for the folder's record.
    fn parameters(&self) -> Value {
        Value::Null
    }

    /// Learns the backbone, and goes to each device that has one.
    ///
    /// # Errors
    /// If the backbone is another one than was meant, or the device fails.
    fn meet(&mut self, backbones: &[Backbone], record: &Record, console: &Console) -> Result<()>;

    /// Draws and writes what was found in a photo, or keeps it; runs on any thread, and says what it says through `words`.
    ///
    /// # Errors
    /// Names the photo, or the file that could not be written.
    fn finish(&self, item: Item<'_>, words: &Console) -> Result<Finished>;

    /// Takes what became of a photo, in the order of the inputs.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn take(&self, finished: Finished) -> Result<Option<Outcome>> {
        Ok(match finished {
            Finished::Written(outcome) | Finished::Annotated(outcome, _) => Some(outcome),
            Finished::Kept(_) | Finished::Gathered(_) => None,
        })
    }

    /// The document about all photos, if there is one.
    fn document(&self) -> Option<Document> {
        None
    }

    /// Does what needs all photos, and says how many wait for it.
    ///
    /// # Errors
    /// If that cannot be done, which concerns them all.
    fn fit(&self, _words: &Console) -> Result<usize> {
        Ok(0)
    }

    /// What was fitted, as a file holds it.
    ///
    /// # Errors
    /// If nothing was.
    fn fit_bytes(&self) -> Result<Vec<u8>> {
        Err(Error::Model("nothing was fitted".into()))
    }

    /// Takes what was fitted earlier and is in the file at `path`, so that no photo waits.
    ///
    /// # Errors
    /// Names the file if it is of another kind, or of another backbone.
    fn adopt_fit(&mut self, _path: &Path) -> Result<()> {
        Err(Error::Model("nothing is fitted".into()))
    }

    /// Gives one of those that wait back, with what was found in it unless its `job` is done.
    ///
    /// # Errors
    /// If it cannot be read back.
    fn kept(&self, _index: usize, _job: &Job) -> Result<Kept> {
        Err(Error::Model("nothing is kept".into()))
    }

    /// Draws and writes a photo that waited; runs on any thread.
    ///
    /// # Errors
    /// As [`Task::finish`].
    fn finish_kept(&self, _kept: Kept, _words: &Console) -> Result<Finished> {
        Err(Error::Model("nothing is kept".into()))
    }

    /// Itself, if it can draw the frames of clips.
    fn as_clip_task(&self) -> Option<&dyn clip::ClipTask> {
        None
    }

    /// Keeps what it still has in memory, once no more photos come, also because the run was interrupted.
    ///
    /// # Errors
    /// Names the file.
    fn wind_up(&self, _words: &Console) -> Result<()> {
        Ok(())
    }

    /// Writes what is about the whole run, after failures were named.
    ///
    /// # Errors
    /// Names the file.
    fn conclude(&self, _words: &Console) -> Result<()> {
        Ok(())
    }
}

/// A document about all photos of a run.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its file.
    pub path: PathBuf,
    /// The extension of a photo's own document of that kind.
    pub extension: &'static str,
    /// Whether it is there and is not made again.
    pub is_kept: bool,
}

/// Refuses a pixel of `--at` that a photo of (width, height) does not have.
///
/// # Errors
/// A part of a sentence about the photo.
pub fn check_pixel((x, y): (u32, u32), (width, height): (u32, u32)) -> Result<(), String> {
    match x < width && y < height {
        true => Ok(()),
        false => Err(format!(
            "--at {x},{y} lies outside of the photo, which is {width} x {height} pixels (counted from 0,0)"
        )),
    }
}

/// Why a row of a dataset is not taken by another task.
fn not_gathered() -> Error {
    Error::Model("a row goes into a dataset".into())
}

/// Why what a head gave is not drawn.
fn no_scores(head: &Head) -> Error {
    Error::Model(format!(
        "the head {} gave something else than scores",
        head.meta.name
    ))
}
