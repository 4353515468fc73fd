//! Frozen features, computed once and kept on the disk: one file a photo, view and block, found by what was computed.
//!
//! `<folder>/<model>/<photo>-<size>[-mirrored][-norm]-<block>.tokens`, where `<model>` is the start of the weights'
//! fingerprint and `<photo>` that of the SHA-256 of the photo's bytes, so renamed photos are found again and changed
//! ones are not. A file is a header of eight little-endian u32, the global tokens and the patch tokens, all in f16. Files
//! appear whole or not at all, so a run that was stopped goes on where it was.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use crate::backbone::{Backbone, Features, Grid, LayerRequest};
use crate::batch::Report;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::head::globals::GlobalToken;
use crate::inputs::{DecodeLimits, Source};
use crate::output::write_atomic;
use crate::pipeline::{Extracted, Pipeline, Views};
use crate::preprocess::{Geometry, Padding, Preprocessor, Resample, SizeRule, Unpad};
use crate::weights::digest;

const MAGIC: u32 = u32::from_le_bytes(*b"dfea");
const VERSION: u32 = 2;
const HEADER: usize = 8 * 4;
/// Global tokens of a file.
const GLOBALS: usize = GlobalToken::ALL.len();

/// What the backbone saw of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The size it saw.
    pub size: SizeRule,
    /// Left and right exchanged.
    pub mirrored: bool,
}

/// Which features are kept, of which model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The weights' fingerprint.
    pub fingerprint: String,
    /// 0-based blocks, rising.
    pub blocks: Vec<usize>,
    /// Whether the final norm is applied.
    pub norm: bool,
    /// Side of a patch.
    pub patch_size: usize,
}

/// A folder of features of one recipe.
#[derive(Debug, Clone)]
pub struct FeatureCache {
    folder: PathBuf,
    recipe: Recipe,
}

/// The cached features of one view of one photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// One file a block.
    files: Vec<PathBuf>,
    /// How the photo lay in the input; of a mirrored view, that of the plain one.
    pub geometry: Geometry,
    /// The view.
    pub view: View,
    /// Width of a token.
    pub dim: usize,
    /// A global token of all blocks, `[blocks * D]`, each.
    globals: [Vec<f32>; GLOBALS],
}

/// How features that are not there yet are computed.
#[derive(Debug)]
pub struct Extraction<'a> {
    /// The model.
    pub backbone: &'a Backbone,
    /// What a photo may cost.
    pub limits: DecodeLimits,
    /// Photos of one size to run at once.
    pub batch_size: usize,
}

impl FeatureCache {
    /// The cache in `folder`, for one recipe.
    pub fn new(folder: impl Into<PathBuf>, recipe: Recipe) -> Self {
        Self {
            folder: folder.into(),
            recipe,
        }
    }

    /// What is kept.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    fn file(&self, hash: &str, view: View, block: usize) -> PathBuf {
        let mirrored = if view.mirrored { "-mirrored" } else { "" };
        let norm = if self.recipe.norm { "-norm" } else { "" };
        self.folder
            .join(&self.recipe.fingerprint[..16.min(self.recipe.fingerprint.len())])
            .join(format!(
                "{}-{}{mirrored}{norm}-{block}.tokens",
                &hash[..32],
                view.size
            ))
    }

    /// The features of one view, if they are all there and sound.
    fn frame(&self, hash: &str, view: View) -> Option<Frame> {
        let files: Vec<PathBuf> = self
            .recipe
            .blocks
            .iter()
            .map(|&block| self.file(hash, view, block))
            .collect();
        let mut globals = [const { Vec::new() }; GLOBALS];
        let mut found: Option<(Geometry, usize)> = None;
        for file in &files {
            let Start {
                photo,
                grid,
                dim,
                globals: own,
            } = read_start(file).ok()?;
            let geometry = Geometry::new(photo, view.size, self.recipe.patch_size);
            if geometry.grid() != grid || found.is_some_and(|other| other != (geometry, dim)) {
                return None;
            }
            found = Some((geometry, dim));
            for (all, own) in globals.iter_mut().zip(own.chunks_exact(dim)) {
                all.extend_from_slice(own);
            }
        }
        let (geometry, dim) = found?;
        Some(Frame {
            files,
            geometry,
            view,
            dim,
            globals,
        })
    }

    /// Features of all `photos` in all `views`, by photo and then by view, computing those that are not there yet.
    /// Photos that fail are recorded in `report` and have no frames.
    ///
    /// # Errors
    /// Only what concerns the whole run.
    pub fn frames(
        &self,
        photos: &[PathBuf],
        views: &[View],
        how: &Extraction<'_>,
        report: &mut Report,
        console: &Console,
    ) -> Result<Vec<Vec<Frame>>> {
        let hashes: Vec<Result<String>> = photos
            .par_iter()
            .map(|photo| digest::file_sha256(photo))
            .collect();
        let mut known: Vec<Option<String>> = Vec::with_capacity(photos.len());
        for (photo, hash) in photos.iter().zip(hashes) {
            known.push(report.record(photo.display().to_string(), hash)?);
        }
        // Plain and mirrored views of one size are computed together.
        let mut sizes: Vec<(SizeRule, bool)> = Vec::new();
        for view in views {
            match sizes.iter_mut().find(|(size, _)| *size == view.size) {
                Some((_, mirror)) => *mirror |= view.mirrored,
                None => sizes.push((view.size, view.mirrored)),
            }
        }
        for (size, mirror) in sizes {
            self.fill(photos, &known, size, mirror, how, report, console)?;
        }
        let all_views = |hash: &Option<String>| {
            let hash = hash.as_ref()?;
            views
                .iter()
                .map(|&view| self.frame(hash, view))
                .collect::<Option<Vec<_>>>()
        };
        Ok(known
            .par_iter()
            .map(|hash| all_views(hash).unwrap_or_default())
            .collect())
    }

    #[allow(clippy::too_many_arguments)]
    fn fill(
        &self,
        photos: &[PathBuf],
        hashes: &[Option<String>],
        size: SizeRule,
        mirror: bool,
        how: &Extraction<'_>,
        report: &mut Report,
        console: &Console,
    ) -> Result<()> {
        let mut lacking: [Vec<usize>; 3] = Default::default();
        let mut seen = HashSet::new();
        for (index, hash) in hashes.iter().enumerate() {
            let Some(hash) = hash.as_deref().filter(|hash| seen.insert(*hash)) else {
                continue;
            };
            let lacks = |mirrored| self.frame(hash, View { size, mirrored }).is_none();
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
        console.note(format_args!(
            "computing the features of {count} photos at size {size}{}; they are kept in {}",
            if mirror { ", plain and mirrored" } else { "" },
            self.folder.display()
        ));
        let requests: Vec<LayerRequest> = self
            .recipe
            .blocks
            .iter()
            .map(|&block| LayerRequest {
                block,
                norm: self.recipe.norm,
            })
            .collect();
        let progress = console.progress(count as u64, "photos");
        for (views, missing) in [Views::Both, Views::Plain, Views::Mirrored]
            .into_iter()
            .zip(lacking)
        {
            let pipeline = Pipeline {
                backbone: how.backbone,
                preprocessor: Preprocessor {
                    size,
                    resample: Resample::Bicubic,
                    patch_size: self.recipe.patch_size,
                    padding: Padding::Center,
                    unpad: Unpad::Crop,
                    most_patches: None,
                    center_crop: None,
                },
                requests: &requests,
                limits: how.limits,
                batch_size: how.batch_size,
                views,
                cut: None,
            };
            let sources: Vec<Source> = missing
                .iter()
                .map(|&index| Source::named(&photos[index]))
                .collect();
            let sources: Vec<&Source> = sources.iter().collect();
            pipeline.run(
                &sources,
                |_, _| (),
                |at, result| {
                    let index = missing[at];
                    let hash = hashes[index].as_deref().unwrap_or_default();
                    let stored =
                        result.and_then(|extracted| self.store(hash, size, views, &extracted));
                    progress.inc(1);
                    report
                        .record(photos[index].display().to_string(), stored)
                        .map(|_| ())
                },
            )?;
        }
        Ok(())
    }

    fn store(&self, hash: &str, size: SizeRule, views: Views, extracted: &Extracted) -> Result<()> {
        let geometry = &extracted.geometry;
        let write = |mirrored: bool, features: &Features| -> Result<()> {
            for layer in &features.layers {
                let file = self.file(hash, View { size, mirrored }, layer.request.block);
                let mut globals: Vec<f32> = Vec::new();
                for token in GlobalToken::ALL {
                    globals.extend(token.of(layer)?.flatten_all()?.to_vec1::<f32>()?);
                }
                let tokens: Vec<f32> = layer.patch_tokens.flatten_all()?.to_vec1()?;
                let header = [
                    MAGIC,
                    VERSION,
                    geometry.photo.0,
                    geometry.photo.1,
                    features.grid.rows as u32,
                    features.grid.cols as u32,
                    (globals.len() / GLOBALS) as u32,
                    0,
                ];
                let mut bytes: Vec<u8> = header.iter().flat_map(|v| v.to_le_bytes()).collect();
                bytes.reserve(2 * (globals.len() + tokens.len()));
                for value in globals.iter().chain(&tokens) {
                    let half = f16::from_f32(value.clamp(-65504.0, 65504.0));
                    bytes.extend(half.to_le_bytes());
                }
                write_atomic(&file, |writer| writer.write_all(&bytes))?;
            }
            Ok(())
        };
        write(views == Views::Mirrored, &extracted.features)?;
        extracted
            .mirrored
            .as_ref()
            .map_or(Ok(()), |mirrored| write(true, mirrored))
    }
}

impl Frame {
    /// The grid of patches.
    pub fn grid(&self) -> Grid {
        self.geometry.grid()
    }

    /// A token of the whole photo, of all blocks: `[blocks * D]`.
    pub fn global(&self, token: GlobalToken) -> &[f32] {
        &self.globals[token as usize]
    }

    /// What it is of, wherever it is kept.
    pub fn id(&self) -> String {
        let names = self.files.iter().filter_map(|file| file.file_name());
        names
            .map(|name| name.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Numbers a patch, over all blocks.
    pub fn width(&self) -> usize {
        self.files.len() * self.dim
    }

    /// The patch tokens of `patches` (all if `None`), each with the tokens of all blocks in a row: `[n, blocks * D]`.
    ///
    /// # Errors
    /// If a file went away or changed since it was found.
    #[allow(unsafe_code)] // A memory map.
    pub fn read(&self, patches: Option<&[u32]>, out: &mut [f16]) -> Result<()> {
        let (dim, width) = (self.dim, self.width());
        for (block, file) in self.files.iter().enumerate() {
            // Only the pages of the patches that are wanted are read.
            // SAFETY: the cache's files appear whole and are never written again, only replaced or deleted, which
            // leaves what is mapped as it was.
            let bytes = File::open(file)
                .and_then(|file| unsafe { memmap2::Mmap::map(&file) })
                .map_err(|error| Error::io(file, &error))?;
            let start = HEADER + 2 * dim * GLOBALS;
            if bytes.len() != start + 2 * dim * self.grid().len() {
                return Err(Error::file(
                    file,
                    "changed while it was in use; delete it and run again",
                ));
            }
            let tokens = &bytes[start..];
            for (at, row) in out.chunks_exact_mut(width).enumerate() {
                let patch = patches.map_or(at, |patches| patches[at] as usize);
                let values = tokens[patch * 2 * dim..][..2 * dim].chunks_exact(2);
                for (to, pair) in row[block * dim..][..dim].iter_mut().zip(values) {
                    *to = f16::from_le_bytes([pair[0], pair[1]]);
                }
            }
        }
        Ok(())
    }
}

/// What stands before the patch tokens.
struct Start {
    photo: (u32, u32),
    grid: Grid,
    dim: usize,
    /// `[GLOBALS, D]`.
    globals: Vec<f32>,
}

/// The start of a file whose length is right.
fn read_start(path: &Path) -> io::Result<Start> {
    let mut file = File::open(path)?;
    let mut header = [0u8; HEADER];
    file.read_exact(&mut header)?;
    let word = |i: usize| {
        u32::from_le_bytes([
            header[4 * i],
            header[4 * i + 1],
            header[4 * i + 2],
            header[4 * i + 3],
        ])
    };
    let grid = Grid {
        rows: word(4) as usize,
        cols: word(5) as usize,
    };
    let dim = word(6) as usize;
    let expected =
        HEADER as u64 + 2 * dim as u64 * (GLOBALS as u64 + grid.rows as u64 * grid.cols as u64);
    if word(0) != MAGIC || word(1) != VERSION || fs::metadata(path)?.len() != expected {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut globals = vec![0u8; 2 * dim * GLOBALS];
    file.read_exact(&mut globals)?;
    let globals: Vec<f16> = globals
        .chunks_exact(2)
        .map(|pair| f16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    Ok(Start {
        photo: (word(2), word(3)),
        grid,
        dim,
        globals: globals.to_f32_vec(),
    })
}
