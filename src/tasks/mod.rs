//! Tasks: what is computed from photos and written. Depth, classes, clusters, principal components, stored features,
//! tracked labels.
//!
//! A task is a value that implements [`TaskPredictor`] (which pass of the backbone it needs, and what it makes of the
//! pass's output) and [`Task`] (which files it writes, and with which content). [`run`] runs any number of tasks over
//! the same photos; their options are plain values, a [`recipe`].
//!
//! # One photo through a task
//!
//! 1. [`run`] plans: [`Task::extensions`] and [`Task::settings`] tell which files of the photo are missing or outdated.
//! 2. The engine decodes the photo. [`MultiTaskRunner`] lays it out and prepares it for each pass that its tasks share,
//!    as their [`InferenceMode`] says: a [`Geometry`](crate::model::input::Geometry), and pixels `[3, height, width]`.
//! 3. The backbone runs over a batch of such photos. What it gives for one, a
//!    [`BackboneOutput`](crate::engine::BackboneOutput), goes to [`TaskPredictor::predict`]: a head's scores, or the
//!    tokens of a layer, as a [`TaskOutput`]. (On a GPU heads run over the batch, on a CPU where the photo is finished.
//!    Photos in windows go through `inference::window_runner`, and [`stored_features`] stand in for the backbone.)
//! 4. [`Task::finish_photo`] takes the [`PredictedPhoto`], brings the output to the photo's size, renders and writes
//!    the files, and returns a [`FinishedPhoto`]. A task that fits something to all photos returns it as a
//!    [`DeferredPhoto`].
//! 5. [`Task::collect_finished`] takes photos in the order of the inputs. For deferred photos the second pass follows:
//!    [`Task::fit`], then [`Task::finish_deferred`] for each.
//!
//! Frames of clips reach a [`TaskOutput`] by the same steps; see [`clip`] for the rest.
//!
//! # Adding a task
//!
//! 1. Its options: a `*Recipe` with `check` in [`recipe`], a field of [`recipe::Recipe`], and its arguments in `cli`.
//! 2. A folder here with a `task` module: implement [`TaskPredictor`] (without a head, start from [`layer`]; with one,
//!    from [`scorer::HeadScorer`]) and [`Task`]. [`segment`] is the model of a task in one pass, [`pca`] of one in two,
//!    whose state is a `DeferredTokens`. What decides a file's content must be in [`Task::settings`], or outdated files
//!    are kept.
//! 3. For clips: implement [`ClipTask`](clip::ClipTask), and return it from [`Task::as_clip_task`].
//! 4. `commands/tasks/build.rs` makes the task of a recipe, and a file in `commands/` the command.

pub mod backbone_info;
mod checks;
pub mod clip;
pub mod clusters;
mod context;
mod deferred_tokens;
pub mod depth;
pub mod features;
pub mod inference;
mod output;
pub mod patch_map;
pub mod pca;
pub mod recipe;
pub mod run;
pub mod segment;
pub mod selfcheck;
pub mod settings;
mod task;
mod task_predictor;
pub mod track;

pub use checks::check_pixel;
pub use context::TaskContext;
pub use inference::inference_mode::InferenceMode;
pub use inference::multi_task::MultiTaskRunner;
pub use inference::{
    device_heads, inference_mode, layer, memory_cost, multi_task, scorer, stored_features,
};
pub use output::{DeferredPhoto, FinishedPhoto, PredictedPhoto, TaskOutput};
use output::{no_scores_error, unexpected_row_error};
pub use segment::classes;
pub use task::{DocumentFile, PhotoSelection, Task};
pub use task_predictor::TaskPredictor;
