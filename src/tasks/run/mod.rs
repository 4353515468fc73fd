//! Tasks over photos: results that are there and up to date are kept, the other photos go through the engine, and
//! two-pass tasks render theirs once all photos are collected. The failure of a photo is recorded, and the run
//! continues.
//!
//! [`TaskRun`] says what holds for all photos, and `execute` is the run in order: `plan` compares each task with the
//! files that are there, `checks` refuses what cannot be done, `compute` takes photos through both passes (`explain`
//! tells the user at which size), `progress` keeps the outcome of each photo, and `pack` puts the files of `--tar` into
//! tars. `protect` keeps outputs off the model store.

mod checks;
mod compute;
mod execute;
mod explain;
mod pack;
mod plan;
mod progress;
mod protect;
mod task_run;

pub use explain::explain_input;
pub use protect::{protect_installed, protect_with_named};
pub use task_run::TaskRun;
