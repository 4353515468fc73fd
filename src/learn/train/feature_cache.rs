//! Frozen features, computed once and kept on the disk: one file a photo, view and block, found by what was computed.
//!
//! `<folder>/<model>/<photo>-<size>[-coarse<percent>][-mirrored][-norm][-<decoded>][-<dtype>]-<block>.tokens`, where
//! `<model>` is the start of the weights' fingerprint and `<photo>` that of the SHA-256 of the photo's bytes, so
//! renamed photos are found again and changed ones are not; `<dtype>` is named where it is not f32. Files appear whole
//! or not at all, so a run that was stopped goes on where it was. [`open_view`] is what is in them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use candle_core::DType;
use rayon::prelude::*;

use crate::engine::run_report::RunReport;
use crate::engine::{
    BackboneOutput, BackbonePass, BatchSize, DecodeStage, Engine, FeaturePass, FlipViews,
    InputScales, ReadyPhoto, note_overflow,
};
use crate::error::{Error, Result};
use crate::io::inputs::{PhotoDecoder, Source};
use crate::learn::train::cache::PHOTO_HASH_DIGITS;
use crate::learn::train::cached_view::{self, CachedView, ViewSpec};
use crate::model::backbone::{Backbone, Features, LayerRequest};
use crate::model::input::{CoarseScale, Padding, SizeRule, Unpad};
use crate::model::weights::digest;
use crate::terminal::console::Console;
use crate::vision::preprocess::{Preprocessor, Resample};

/// Which features are kept, of which model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractionConfig {
    /// The weights' fingerprint.
    pub fingerprint: String,
    /// 0-based blocks, rising.
    pub blocks: Vec<usize>,
    /// Whether the final norm is applied.
    pub norm: bool,
    /// Side of a patch.
    pub patch_size: usize,
    /// A coarser look that is kept too.
    pub coarse: Option<CoarseScale>,
    /// The number type that the backbone computes in.
    pub dtype: DType,
    /// How photos are decoded, where that is not as usual ([`DecodeOptions::tag`](crate::io::inputs::DecodeOptions::tag)).
    pub decoded: String,
}

/// A folder of features of one recipe.
#[derive(Debug, Clone)]
pub struct FeatureCache {
    folder: PathBuf,
    config: ExtractionConfig,
}

/// How features that are not there yet are computed.
#[derive(Debug)]
pub struct FeatureExtractor<'a> {
    /// The model.
    pub backbone: &'a Backbone,
    /// How photos are decoded.
    pub decoder: PhotoDecoder,
    /// Photos of one size to run at once.
    pub batch_size: BatchSize,
}

/// Whether files can be made in `folder`, which is made if need be.
fn check_writable(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::tempfile_in(folder))
        .map(|_| ())
        .map_err(|error| suggest_cache_option(Error::io(folder, &error)))
}

/// The error for features that cannot be kept where they should be.
fn suggest_cache_option(error: Error) -> Error {
    match error {
        Error::File {
            path,
            reason: why,
            fault,
        } => Error::File {
            path,
            fault,
            reason: format!(
                "{why}; features are kept there, and --cache FOLDER names another place"
            ),
        },
        other => other,
    }
}

impl FeatureCache {
    /// The cache in `folder`, for one recipe.
    pub fn new(folder: impl Into<PathBuf>, config: ExtractionConfig) -> Self {
        Self {
            folder: folder.into(),
            config,
        }
    }

    /// What is kept.
    pub fn config(&self) -> &ExtractionConfig {
        &self.config
    }

    fn file(&self, hash: &str, view: ViewSpec, look: Option<CoarseScale>, block: usize) -> PathBuf {
        let coarse = look.map_or(String::new(), |it| format!("-coarse{}", u32::from(it)));
        let mirrored = if view.mirrored { "-mirrored" } else { "" };
        let norm = if self.config.norm { "-norm" } else { "" };
        let decoded = match self.config.decoded.as_str() {
            "" => String::new(),
            tag => format!("-{tag}"),
        };
        let dtype = match self.config.dtype {
            DType::F32 => String::new(),
            less => format!("-{}", less.as_str()),
        };
        self.folder.join(self.model_folder()).join(format!(
            "{}-{}{coarse}{mirrored}{norm}{decoded}{dtype}-{block}.tokens",
            &hash[..PHOTO_HASH_DIGITS],
            view.size
        ))
    }

    /// The features of one view, if they are all there and sound.
    fn open_view(&self, hash: &str, view: ViewSpec) -> Option<CachedView> {
        let mut frame = self.open_scale(hash, view, None)?;
        if let Some(coarse) = self.config.coarse {
            frame.coarse = Some(Box::new(self.open_scale(hash, view, Some(coarse))?));
        }
        Some(frame)
    }

    /// Those of one look alone.
    fn open_scale(
        &self,
        hash: &str,
        view: ViewSpec,
        look: Option<CoarseScale>,
    ) -> Option<CachedView> {
        let blocks = self.config.blocks.iter();
        let files = blocks.map(|&block| self.file(hash, view, look, block));
        CachedView::open(files.collect(), view, look, self.config.patch_size)
    }

    /// The SHA-256 of each of `photos`, by which their features are found. Photos that cannot be read are recorded in
    /// `report`, and have none.
    ///
    /// # Errors
    /// Only what concerns the whole run.
    pub fn hash_photos(photos: &[PathBuf], report: &mut RunReport) -> Result<Vec<Option<String>>> {
        let hashes: Vec<Result<String>> = photos
            .par_iter()
            .map(|photo| digest::file_sha256(photo))
            .collect();
        let known = photos.iter().zip(hashes);
        known
            .map(|(photo, hash)| report.record(photo.display().to_string(), hash))
            .collect()
    }

    /// The folder of the model's features.
    pub fn model_folder(&self) -> &str {
        let fingerprint = &self.config.fingerprint;
        &fingerprint[..16.min(fingerprint.len())]
    }

    /// Features of all `photos`, with what [`FeatureCache::hash_photos`] says of them, in all `views`, by photo and then by
    /// view, computing those that are not there yet. Photos that fail are recorded in `report` and have no frames.
    ///
    /// # Errors
    /// Only what concerns the whole run.
    pub fn load_or_compute(
        &self,
        (photos, known): (&[PathBuf], &[Option<String>]),
        views: &[ViewSpec],
        how: &FeatureExtractor<'_>,
        report: &mut RunReport,
        console: &Console,
    ) -> Result<Vec<Vec<CachedView>>> {
        // Plain and mirrored views of one size are computed together.
        let mut sizes: Vec<(SizeRule, bool)> = Vec::new();
        for view in views {
            match sizes.iter_mut().find(|(size, _)| *size == view.size) {
                Some((_, mirror)) => *mirror |= view.mirrored,
                None => sizes.push((view.size, view.mirrored)),
            }
        }
        for (size, mirror) in sizes {
            for look in std::iter::once(None).chain(self.config.coarse.map(Some)) {
                self.compute_missing(photos, known, (size, look), mirror, how, report, console)?;
            }
        }
        let all_views = |hash: &Option<String>| {
            let hash = hash.as_ref()?;
            views
                .iter()
                .map(|&view| self.open_view(hash, view))
                .collect::<Option<Vec<_>>>()
        };
        Ok(known
            .par_iter()
            .map(|hash| all_views(hash).unwrap_or_default())
            .collect())
    }

    #[allow(clippy::too_many_arguments)]
    fn compute_missing(
        &self,
        photos: &[PathBuf],
        hashes: &[Option<String>],
        (size, look): (SizeRule, Option<CoarseScale>),
        mirror: bool,
        how: &FeatureExtractor<'_>,
        report: &mut RunReport,
        console: &Console,
    ) -> Result<()> {
        let mut lacking: [Vec<usize>; 3] = Default::default();
        let mut seen = HashSet::new();
        for (index, hash) in hashes.iter().enumerate() {
            let Some(hash) = hash.as_deref().filter(|hash| seen.insert(*hash)) else {
                continue;
            };
            let lacks = |mirrored| {
                self.open_scale(hash, ViewSpec { size, mirrored }, look)
                    .is_none()
            };
            match (lacks(false), mirror && lacks(true)) {
                (true, true) => lacking[0].push(index),
                (true, false) => lacking[1].push(index),
                (false, true) => lacking[2].push(index),
                (false, false) => (),
            }
        }
        let count = lacking.iter().map(Vec::len).sum::<usize>();
        if count == 0 {
            return Ok(());
        }
        check_writable(&self.folder)?;
        console.note(format_args!(
            "features at size {size}{}{} are computed, and kept in {}",
            look.map_or(String::new(), |it| format!(", {} % of it", u32::from(it))),
            if mirror { ", plain and mirrored" } else { "" },
            self.folder.display()
        ));
        let requests: Vec<LayerRequest> = self
            .config
            .blocks
            .iter()
            .map(|&block| LayerRequest {
                block,
                norm: self.config.norm,
            })
            .collect();
        let progress = console.progress_of_work(count, "features");
        let decoding = DecodeStage::new(how.decoder.clone());
        let engine = Engine::new(
            std::slice::from_ref(how.backbone),
            decoding,
            how.batch_size,
            console,
        )?;
        for (views, missing) in [FlipViews::Both, FlipViews::Plain, FlipViews::Mirrored]
            .into_iter()
            .zip(lacking)
        {
            let pass = BackbonePass {
                preprocessor: Preprocessor {
                    size,
                    resample: Resample::Bicubic,
                    patch_size: self.config.patch_size,
                    padding: Padding::Center,
                    unpad: Unpad::Crop,
                    max_patches: None,
                    center_crop: None,
                },
                requests: requests.clone(),
                views,
                scales: look.map_or(InputScales::Full, InputScales::Coarse),
            };
            let network = FeaturePass {
                backbone: how.backbone,
                pass,
                bytes_after: &|_| 0,
                on_progress: &|_| (),
            };
            let sources: Vec<Source> = missing
                .iter()
                .map(|&index| Source::from_path(&photos[index]))
                .collect();
            let sources: Vec<&Source> = sources.iter().collect();
            // What cannot be written for one photo cannot be for the next one either.
            let store = |ready: ReadyPhoto, seen: BackboneOutput| {
                let hash = hashes[missing[ready.index]].as_deref().unwrap_or_default();
                let photo = ready.photo.dimensions();
                let stored = self.store(hash, (size, look), views, photo, &seen);
                Ok(stored.map_err(suggest_cache_option))
            };
            let ran = engine.run(
                &sources,
                std::slice::from_ref(&network),
                |_, _, _| (),
                store,
                |at, result| {
                    let stored = match result {
                        Ok(stored) => Ok(stored?),
                        Err(error) => Err(error),
                    };
                    progress.inc(1);
                    let name = photos[missing[at]].display().to_string();
                    report.record(name, stored).map(|_| ())
                },
            );
            note_overflow(std::slice::from_ref(how.backbone), console);
            ran?;
        }
        Ok(())
    }

    fn store(
        &self,
        hash: &str,
        (size, look): (SizeRule, Option<CoarseScale>),
        views: FlipViews,
        photo: (u32, u32),
        seen: &BackboneOutput,
    ) -> Result<()> {
        let write = |mirrored: bool, features: &Features| -> Result<()> {
            for layer in &features.layers {
                let file = self.file(hash, ViewSpec { size, mirrored }, look, layer.request.block);
                cached_view::write(&file, photo, features.grid, layer)?;
            }
            Ok(())
        };
        write(views == FlipViews::Mirrored, &seen.features)?;
        seen.mirrored
            .as_ref()
            .map_or(Ok(()), |mirrored| write(true, mirrored))
    }
}
