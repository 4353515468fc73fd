//! The class of every pixel: by a head (`dino segment`), and the files that clusters share with it.
//!
//! In: the head's scores over the patch grid, or the labels of a published protocol. Out: class ids `[height, width]`
//! with confidences from 0 to 1 at the photo's size, and the files of them.
//!
//! [`LabelPredictor`] reads labels out of scores. [`LabelRenderer`] turns the labels of one photo, a [`LabelInput`],
//! into its files: `picture` and `captions` draw it, `files` writes what was asked for, `coco` the documents of one
//! photo (`annotation`) and of all, `report` the JSON line; `file_names` has the extensions, `memory` the bytes a
//! pixel, and [`classes`] resolves `--classes`. `task` ties both together, and `clip` renders the frames of clips.

mod annotation;
mod captions;
pub mod classes;
mod clip;
mod coco;
mod file_names;
mod files;
mod memory;
mod photo_labels;
mod picture;
mod predictor;
mod renderer;
mod report;
mod task;

pub use annotation::AnnotatedPhoto;
pub use clip::LabelClipTask;
pub(crate) use file_names::{LABEL_REVISION, SIBLING_EXTENSIONS, recipe_for_file};
pub use photo_labels::LabelInput;
pub(super) use predictor::label_scores;
pub use predictor::{DEFAULT_REFINE, LabelPredictor};
pub use renderer::LabelRenderer;
pub use task::{MIN_PICTURE_PROBABILITY, SegmentTask};
