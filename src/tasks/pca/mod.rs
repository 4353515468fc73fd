//! Principal components of patch tokens, as colours.
//!
//! In: patch tokens `[rows * cols, D]` of each photo, and with `--basis` an earlier fit. Out: a picture whose red,
//! green and blue are the chosen components, with `--raw` the scores `[rows, cols, C]` as float32 `.npy`, and with
//! `--save-basis` the fit. By default one fit is made of the tokens of all photos, which are deferred until then; with
//! `--fit each` every photo has its own. `task` holds both passes, `render` the files of one photo, `clip` the frames
//! of clips, and `basis` the file of a fit.

pub(super) mod basis;
mod clip;
mod render;
mod task;

pub use task::PcaTask;
