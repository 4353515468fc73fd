//! The state of a two-pass task over patch tokens ([`pca`](super::pca), [`clusters`](super::clusters)): its fit `F`,
//! read from a file or fitted to the tokens of all photos, which are spooled to disk between the passes.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::analysis::pca::TokenSpool;
use crate::error::{Error, Result};
use crate::io::output::OutputJob;
use crate::model::input::PatchGrid;
use crate::model::weights::ModelRecord;
use crate::tasks::DeferredPhoto;
use crate::tasks::backbone_info::{BackboneInfo, FitOrigin};

/// A fit read from a file, which replaces one to the run's own photos.
pub struct SavedFit<F> {
    /// The fit.
    pub fit: F,
    /// The weights whose tokens it was fitted to.
    pub origin: FitOrigin,
    /// The file.
    pub path: PathBuf,
}

/// The fit of a two-pass task, and the photos that wait for it.
pub struct DeferredTokens<F> {
    /// The fit of a file (`--basis`, `--codebook`, `--keep-fit`); no photo is deferred then.
    pub saved: Option<SavedFit<F>>,
    state: Mutex<SpoolState<F>>,
}

/// The photos between the passes.
struct SpoolState<F> {
    /// The tokens of each photo, `[rows * cols, D]`.
    tokens: TokenSpool,
    /// The photos, in the order of their tokens; frames of clips have tokens only.
    photos: Vec<DeferredPhoto>,
    /// The fit to all of `tokens`.
    fit: Option<F>,
}

impl<F: Clone> DeferredTokens<F> {
    /// An empty state for tokens of `dim` numbers each.
    pub fn new(dim: usize, saved: Option<SavedFit<F>>) -> Self {
        DeferredTokens {
            saved,
            state: Mutex::new(SpoolState {
                tokens: TokenSpool::new(dim),
                photos: Vec::new(),
                fit: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, SpoolState<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the loaded weights in `model`, and refuses them if the saved fit was made with other weights.
    ///
    /// # Errors
    /// As [`BackboneInfo::check_origin`].
    pub fn set_weights(&self, model: &mut BackboneInfo, record: &ModelRecord) -> Result<()> {
        let saved = self.saved.as_ref();
        model.set_weights(
            record,
            saved.map(|saved| (saved.path.as_path(), &saved.origin)),
        )
    }

    /// Adds a photo for the second pass; its tokens go to the spool.
    ///
    /// # Errors
    /// If the spool cannot be written.
    pub fn push_photo(&self, mut photo: DeferredPhoto) -> Result<()> {
        let mut state = self.state();
        let (cols, rows) = photo.grid_size;
        let tokens = std::mem::take(&mut photo.values);
        state.tokens.push(PatchGrid { rows, cols }, &tokens)?;
        state.photos.push(photo);
        Ok(())
    }

    /// Adds tokens `[rows * cols, D]` that only take part in the fit, such as those of a frame.
    ///
    /// # Errors
    /// If the spool cannot be written.
    pub fn push_tokens(&self, grid: PatchGrid, tokens: &[f32]) -> Result<()> {
        self.state().tokens.push(grid, tokens)
    }

    /// How many photos wait for the second pass.
    pub fn photo_count(&self) -> usize {
        self.state().photos.len()
    }

    /// Calls `fit` with all spooled tokens and keeps its result.
    ///
    /// # Errors
    /// Those of `fit`.
    pub fn fit_with(&self, fit: impl FnOnce(&mut TokenSpool) -> Result<F>) -> Result<()> {
        let mut state = self.state();
        state.fit = Some(fit(&mut state.tokens)?);
        Ok(())
    }

    /// The fit to the run's own photos.
    ///
    /// # Errors
    /// If there is none yet.
    pub fn fitted(&self) -> Result<F> {
        let fit = self.state().fit.clone();
        fit.ok_or_else(|| Error::Model("nothing was fitted".into()))
    }

    /// The saved fit, else the one to the run's own photos.
    ///
    /// # Errors
    /// If there is neither.
    pub fn saved_or_fitted(&self) -> Result<Cow<'_, F>> {
        match &self.saved {
            Some(saved) => Ok(Cow::Borrowed(&saved.fit)),
            None => self.fitted().map(Cow::Owned),
        }
    }

    /// The deferred photo number `index`, with its tokens unless it is `up_to_date`.
    ///
    /// # Errors
    /// If the spool cannot be read.
    pub fn read(&self, index: usize, job: &OutputJob, up_to_date: bool) -> Result<DeferredPhoto> {
        let mut state = self.state();
        let values = match up_to_date {
            true => Vec::new(),
            false => state.tokens.read(index)?.1,
        };
        Ok(state.photos[index].resume(job, values))
    }
}
