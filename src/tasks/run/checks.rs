//! Checks of a run's options against its tasks and photos, before any work is done.

use super::plan::PlannedTask;
use super::task_run::TaskRun;
use crate::error::{Error, Result};
use crate::io::output::OutputJob;
use crate::tasks::{Task, check_pixel};

impl TaskRun<'_> {
    /// Refuses `--keep-fit` without a two-pass task.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(super) fn check_keep_fit(&self, tasks: &[Box<dyn Task>]) -> Result<()> {
        match self.keep_fit && !tasks.iter().any(|task| task.is_two_pass()) {
            true => Err(Error::Usage(
                "--keep-fit: nothing here is fitted to all photos; pca, --clusters K and --range global are, unless they \
                 are given a fit"
                    .into(),
            )),
            false => Ok(()),
        }
    }

    /// Refuses two-pass tasks and documents about all photos with `--shard`.
    ///
    /// # Errors
    /// [`Error::Usage`], with what to do instead.
    pub(super) fn check_shard(&self, tasks: &[Box<dyn Task>]) -> Result<()> {
        let Some(shard) = self.options.shard.filter(|shard| shard.is_part()) else {
            return Ok(());
        };
        if let Some(task) = tasks.iter().find(|task| task.is_two_pass()) {
            let kind = task.kind();
            let how = match task.subject().task {
                "pca" => {
                    "fit first, to some photos or all of them (dino pca … --save-basis FILE), and give every shard --basis FILE"
                }
                "clusters" => {
                    "fit first, to some photos or all of them (dino segment … --clusters K --save-codebook FILE), and give every \
                     shard --codebook FILE"
                }
                _ => "give all shards one range, such as --range 0.5,10",
            };
            return Err(Error::Usage(format!(
                "--shard {shard}: {kind} would be fitted to the photos of each shard for themselves, so that no two could be \
                 compared; {how}"
            )));
        }
        match tasks.iter().find_map(|task| task.document()) {
            Some(document) => Err(Error::Usage(format!(
                "--shard {shard}: {} is about all photos, and each shard would write one about its own; leave it out, and run \
                 once more without --shard for it when all shards are done",
                document.path.display()
            ))),
            None => Ok(()),
        }
    }

    /// Refuses a single photo without a pixel of `--at`, before a model is loaded or fetched.
    ///
    /// # Errors
    /// Names the photo.
    pub(super) fn check_pixels(
        &self,
        tasks: &[Box<dyn Task>],
        planned: Option<&PlannedTask>,
    ) -> Result<()> {
        let Some([OutputJob { source, .. }]) = planned.map(|planned| planned.plan.jobs.as_slice())
        else {
            return Ok(());
        };
        let mut pixels = tasks
            .iter()
            .flat_map(|task| task.required_pixels())
            .peekable();
        if pixels.peek().is_none() {
            return Ok(());
        }
        let size = self.context.decoder.size(source)?;
        let checked = pixels.try_for_each(|&pixel| check_pixel(pixel, size));
        checked.map_err(|why| Error::file(source.path(), why))
    }
}

/// Refuses a two-pass task over photos that arrive over time (`--watch`).
///
/// # Errors
/// [`Error::Usage`], with what to give instead.
pub(super) fn check_one_pass(task: &dyn Task) -> Result<()> {
    match task.is_two_pass() {
        true => Err(Error::Usage(format!(
            "--watch: {} is fitted to all photos, which have not come yet; give it a fit (--basis, --codebook, --range MIN,MAX), or \
             keep one that the output folder has (--keep-fit)",
            task.kind()
        ))),
        false => Ok(()),
    }
}
