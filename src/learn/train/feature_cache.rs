//! The features of the frozen backbone, computed once and kept on the disk: one file for each photo, view and block.
//!
//! In: photos and the views wanted of them. Out: a [`CachedView`] for each; what is missing is computed first. Files
//! are named by what was computed:
//! `<folder>/<model>/<photo>-<size>[-coarse<percent>][-mirrored][-norm][-<decoded>][-<dtype>]-<block>.tokens`, where
//! `<model>` is the start of the fingerprint of the weights and `<photo>` that of the SHA-256 of the photo's bytes, so
//! renamed photos are found again and changed ones are not; `<dtype>` is named where it is not f32. Files appear whole
//! or not at all, so a run that was stopped continues where it was. Their format is that of [`cached_view`].

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

/// Which features of which model are cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractionConfig {
    /// Fingerprint of the weights, hexadecimal.
    pub fingerprint: String,
    /// Indices of the blocks whose tokens are kept, from 0, rising.
    pub blocks: Vec<usize>,
    /// Whether the final LayerNorm of the backbone is applied to the tokens.
    pub norm: bool,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// A coarse scale of each view whose features are kept, too.
    pub coarse: Option<CoarseScale>,
    /// The number type that the backbone computes in.
    pub dtype: DType,
    /// Tag of decoding options that are not the default, else empty
    /// ([`DecodeOptions::tag`](crate::io::inputs::DecodeOptions::tag)).
    pub decoded: String,
}

/// The part of a cache folder that holds the features of one [`ExtractionConfig`].
#[derive(Debug, Clone)]
pub struct FeatureCache {
    folder: PathBuf,
    config: ExtractionConfig,
}

/// What missing features are computed with.
#[derive(Debug)]
pub struct FeatureExtractor<'a> {
    /// The frozen backbone.
    pub backbone: &'a Backbone,
    /// The decoder of photos.
    pub decoder: PhotoDecoder,
    /// How many photos of one size are run through the backbone at once.
    pub batch_size: BatchSize,
}

/// Checks that files can be written in `folder`, which is created where it does not exist.
fn check_writable(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::tempfile_in(folder))
        .map(|_| ())
        .map_err(|error| suggest_cache_option(Error::io(folder, &error)))
}

/// Adds to an error of writing features how another folder is named.
fn suggest_cache_option(error: Error) -> Error {
    error.with_remedy("; features are kept there, and --cache FOLDER names another place")
}

impl FeatureCache {
    /// The features of `config` in the cache folder `folder`, which need not exist.
    pub fn new(folder: impl Into<PathBuf>, config: ExtractionConfig) -> Self {
        Self {
            folder: folder.into(),
            config,
        }
    }

    /// Which features are cached.
    pub fn config(&self) -> &ExtractionConfig {
        &self.config
    }

    /// The file of one block of a view, of the full scale or of a coarse one.
    fn file(
        &self,
        hash: &str,
        view: ViewSpec,
        scale: Option<CoarseScale>,
        block: usize,
    ) -> PathBuf {
        let coarse = scale.map_or(String::new(), |it| format!("-coarse{}", u32::from(it)));
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

    /// The features of one view with its coarse scale; none where a file is missing or damaged.
    fn open_view(&self, hash: &str, spec: ViewSpec) -> Option<CachedView> {
        let mut view = self.open_scale(hash, spec, None)?;
        if let Some(coarse) = self.config.coarse {
            view.coarse = Some(Box::new(self.open_scale(hash, spec, Some(coarse))?));
        }
        Some(view)
    }

    /// The features of one scale of a view alone.
    fn open_scale(
        &self,
        hash: &str,
        view: ViewSpec,
        scale: Option<CoarseScale>,
    ) -> Option<CachedView> {
        let blocks = self.config.blocks.iter();
        let files = blocks.map(|&block| self.file(hash, view, scale, block));
        CachedView::open(files.collect(), view, scale, self.config.patch_size)
    }

    /// The SHA-256 of the bytes of each of `photos`, by which their features are found. Photos that cannot be read are
    /// recorded in `report` and have none.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after Ctrl-C.
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

    /// The name of the folder of the model's features: the first 16 digits of its fingerprint.
    pub fn model_folder(&self) -> &str {
        let fingerprint = &self.config.fingerprint;
        &fingerprint[..16.min(fingerprint.len())]
    }

    /// The cached views of all photos, by photo and then by view; features that are missing are computed first. Photos
    /// come with their hashes ([`FeatureCache::hash_photos`]); those that fail are recorded in `report` and have no
    /// views.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after Ctrl-C; where the folder cannot be written, or the engine cannot be set up.
    pub fn load_or_compute(
        &self,
        (photos, known): (&[PathBuf], &[Option<String>]),
        views: &[ViewSpec],
        extractor: &FeatureExtractor<'_>,
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
            for scale in std::iter::once(None).chain(self.config.coarse.map(Some)) {
                self.compute_missing(
                    photos,
                    known,
                    (size, scale),
                    mirror,
                    extractor,
                    report,
                    console,
                )?;
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

    /// Computes the features of one size and scale that are missing, each of several equal photos once.
    #[allow(clippy::too_many_arguments)]
    fn compute_missing(
        &self,
        photos: &[PathBuf],
        hashes: &[Option<String>],
        (size, scale): (SizeRule, Option<CoarseScale>),
        mirror: bool,
        extractor: &FeatureExtractor<'_>,
        report: &mut RunReport,
        console: &Console,
    ) -> Result<()> {
        let mut missing_by_views: [Vec<usize>; 3] = Default::default();
        let mut seen = HashSet::new();
        for (index, hash) in hashes.iter().enumerate() {
            let Some(hash) = hash.as_deref().filter(|hash| seen.insert(*hash)) else {
                continue;
            };
            let lacks = |mirrored| {
                self.open_scale(hash, ViewSpec { size, mirrored }, scale)
                    .is_none()
            };
            match (lacks(false), mirror && lacks(true)) {
                (true, true) => missing_by_views[0].push(index),
                (true, false) => missing_by_views[1].push(index),
                (false, true) => missing_by_views[2].push(index),
                (false, false) => (),
            }
        }
        let count = missing_by_views.iter().map(Vec::len).sum::<usize>();
        if count == 0 {
            return Ok(());
        }
        check_writable(&self.folder)?;
        console.note(format_args!(
            "features at size {size}{}{} are computed, and kept in {}",
            scale.map_or(String::new(), |it| format!(", {} % of it", u32::from(it))),
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
        let decoding = DecodeStage::new(extractor.decoder.clone());
        let engine = Engine::new(
            std::slice::from_ref(extractor.backbone),
            decoding,
            extractor.batch_size,
            console,
        )?;
        for (views, missing) in [FlipViews::Both, FlipViews::Plain, FlipViews::Mirrored]
            .into_iter()
            .zip(missing_by_views)
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
                scales: scale.map_or(InputScales::Full, InputScales::Coarse),
            };
            let network = FeaturePass {
                backbone: extractor.backbone,
                pass,
                bytes_after: &|_| 0,
                on_progress: &|_| (),
            };
            let sources: Vec<Source> = missing
                .iter()
                .map(|&index| Source::from_path(&photos[index]))
                .collect();
            let sources: Vec<&Source> = sources.iter().collect();
            // A failure to write ends the run: the next photo could not be written either.
            let store = |ready: ReadyPhoto, output: BackboneOutput| {
                let hash = hashes[missing[ready.index]].as_deref().unwrap_or_default();
                let photo = ready.photo.dimensions();
                let stored = self.store(hash, (size, scale), views, photo, &output);
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
            note_overflow(std::slice::from_ref(extractor.backbone), console);
            ran?;
        }
        Ok(())
    }

    /// Writes the features of one photo, all blocks of one or both mirrorings.
    fn store(
        &self,
        hash: &str,
        (size, scale): (SizeRule, Option<CoarseScale>),
        views: FlipViews,
        photo: (u32, u32),
        output: &BackboneOutput,
    ) -> Result<()> {
        let write = |mirrored: bool, features: &Features| -> Result<()> {
            for layer in &features.layers {
                let file = self.file(
                    hash,
                    ViewSpec { size, mirrored },
                    scale,
                    layer.request.block,
                );
                cached_view::write(&file, photo, features.grid, layer)?;
            }
            Ok(())
        };
        write(views == FlipViews::Mirrored, &output.features)?;
        output
            .mirrored
            .as_ref()
            .map_or(Ok(()), |mirrored| write(true, mirrored))
    }
}
