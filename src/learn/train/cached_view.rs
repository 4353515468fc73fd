//! The cached features of one view of one photo, one file for each block of the backbone.
//!
//! A file is a header of eight little-endian u32 (magic `dfea`, version, width and height of the photo in pixels, rows
//! and columns of the patch grid, token width D, 0), then the global tokens `[GLOBALS, D]` and the patch tokens `[N,
//! D]`, all as little-endian f16.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::error::{Error, Result};
use crate::model::backbone::LayerFeatures;
use crate::model::head::context;
use crate::model::head::global_token::GlobalToken;
use crate::model::head::upsample::GridUpsampler;
use crate::model::input::{CoarseScale, Geometry, PatchGrid, SizeRule};
use crate::system::files::write_atomic;

const MAGIC: u32 = u32::from_le_bytes(*b"dfea");
const VERSION: u32 = 3;
const HEADER: usize = 8 * 4;
/// Global tokens in each file.
const GLOBALS: usize = GlobalToken::ALL.len();

/// Which view of a photo the backbone is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewSpec {
    /// The rule by which the photo is resized.
    pub size: SizeRule,
    /// Whether the photo is mirrored, left to right.
    pub mirrored: bool,
}

/// The cached features of one view of one photo: paths and shapes; tokens are read when they are needed.
#[derive(Debug, Clone, PartialEq)]
pub struct CachedView {
    /// One file for each block, in the order of the blocks.
    files: Vec<PathBuf>,
    /// How the photo lies in the input; of a mirrored view, the geometry of the plain one.
    pub geometry: Geometry,
    /// Which view of the photo this is.
    pub spec: ViewSpec,
    /// The patch grid of the features in these files.
    grid: PatchGrid,
    /// The features of the same view at the coarse scale, where a head reads them.
    pub coarse: Option<Box<CachedView>>,
    /// Token width D of the backbone.
    pub dim: usize,
    /// Each global token over all blocks, `[blocks * D]`.
    globals: [Vec<f32>; GLOBALS],
}

impl CachedView {
    /// Opens the features of one view (or of its coarse `scale`) from the files of its blocks, and reads their headers
    /// and global tokens. None where a file is missing, cut, of another version, or contradicts the others or `view`.
    pub fn open(
        files: Vec<PathBuf>,
        view: ViewSpec,
        scale: Option<CoarseScale>,
        patch_size: usize,
    ) -> Option<Self> {
        let mut globals = [const { Vec::new() }; GLOBALS];
        let mut found: Option<(Geometry, usize)> = None;
        for file in &files {
            let TokenFileHeader {
                photo,
                grid,
                dim,
                globals: own,
            } = read_header(file).ok()?;
            let geometry = Geometry::new(photo, view.size, patch_size);
            let fine = geometry.grid();
            let expected = scale.map_or(fine, |coarse| coarse.grid(fine));
            if expected != grid || found.is_some_and(|other| other != (geometry, dim)) {
                return None;
            }
            found = Some((geometry, dim));
            for (all, own) in globals.iter_mut().zip(own.chunks_exact(dim)) {
                all.extend_from_slice(own);
            }
        }
        let (geometry, dim) = found?;
        let fine = geometry.grid();
        Some(CachedView {
            files,
            grid: scale.map_or(fine, |coarse| coarse.grid(fine)),
            coarse: None,
            geometry,
            spec: view,
            dim,
            globals,
        })
    }

    /// The patch grid of the features.
    pub fn grid(&self) -> PatchGrid {
        self.grid
    }

    /// A global token over all blocks, `[blocks * D]`.
    pub fn global(&self, token: GlobalToken) -> &[f32] {
        &self.globals[token as usize]
    }

    /// The names of its files without folders, joined by spaces: an identifier that does not depend on the cache's
    /// path.
    pub fn id(&self) -> String {
        let coarse = self.coarse.iter().flat_map(|coarse| &coarse.files);
        let files = self.files.iter().chain(coarse);
        let names = files.filter_map(|file| file.file_name());
        names
            .map(|name| name.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Numbers of a patch over all blocks: `blocks * D`.
    pub fn width(&self) -> usize {
        self.files.len() * self.dim
    }

    /// Reads the tokens of all patches, `[N, blocks * D]`.
    ///
    /// # Errors
    /// Where a file was removed or changed since [`CachedView::open`].
    pub fn read_all(&self) -> Result<Vec<f32>> {
        let (dim, width) = (self.dim, self.width());
        let mut out = vec![0f32; self.grid.len() * width];
        let mut tokens = Vec::new();
        for (block, file) in self.files.iter().enumerate() {
            self.load(file, &mut tokens)?;
            let rows = out.chunks_exact_mut(width);
            for (row, token) in rows.zip(tokens.chunks_exact(dim)) {
                token.convert_to_f32_slice(&mut row[block * dim..][..dim]);
            }
        }
        Ok(out)
    }

    /// Reads the tokens of `patches` into `out` `[patches, (1 + context + coarse) * blocks * D]`: first the patch
    /// tokens of all blocks, then for each side of `context` the mean tokens of the square of that side around the
    /// patch, and last, where `coarse` is set, the tokens of the coarse scale at the place of the patch.
    ///
    /// # Errors
    /// As [`CachedView::read_all`].
    pub fn read(
        &self,
        patches: &[u32],
        context: &[usize],
        coarse: bool,
        buffers: &mut TokenBuffers,
        out: &mut [f16],
    ) -> Result<()> {
        let (dim, width) = (self.dim, self.width());
        let line = (1 + context.len() + usize::from(coarse)) * width;
        for (block, file) in self.files.iter().enumerate() {
            self.load(file, &mut buffers.tokens)?;
            for (row, &patch) in out.chunks_exact_mut(line).zip(patches) {
                let token = &buffers.tokens[patch as usize * dim..][..dim];
                row[block * dim..][..dim].copy_from_slice(token);
            }
            if context.is_empty() {
                continue;
            }
            buffers.widen();
            for (at, &side) in context.iter().enumerate() {
                buffers.means.resize(buffers.floats.len(), 0.0);
                context::box_means(&buffers.floats, dim, self.grid, side, &mut buffers.means);
                for (row, &patch) in out.chunks_exact_mut(line).zip(patches) {
                    row[(1 + at) * width + block * dim..][..dim]
                        .convert_from_f32_slice(&buffers.means[patch as usize * dim..][..dim]);
                }
            }
        }
        match self.coarse.as_deref().filter(|_| coarse) {
            Some(coarse) => coarse.read_stretched(self.grid, patches, line, buffers, out),
            None => Ok(()),
        }
    }

    /// Reads the tokens of this coarse scale, interpolated at `patches` of the `fine` grid, into the end of every
    /// `line` numbers of `out`.
    fn read_stretched(
        &self,
        fine: PatchGrid,
        patches: &[u32],
        line: usize,
        buffers: &mut TokenBuffers,
        out: &mut [f16],
    ) -> Result<()> {
        let (dim, width) = (self.dim, self.width());
        let stretch = GridUpsampler::new(self.grid, fine);
        for (block, file) in self.files.iter().enumerate() {
            self.load(file, &mut buffers.tokens)?;
            buffers.widen();
            let TokenBuffers { floats, means, .. } = buffers;
            means.resize(dim, 0.0);
            for (row, &patch) in out.chunks_exact_mut(line).zip(patches) {
                means.fill(0.0);
                stretch.add_at(patch as usize, floats, dim, means);
                row[line - width + block * dim..][..dim].convert_from_f32_slice(means);
            }
        }
        Ok(())
    }

    /// Reads all patch tokens of a file, `[N, D]`.
    fn load(&self, path: &Path, tokens: &mut Vec<f16>) -> Result<()> {
        let bytes = map(path).map_err(|error| Error::io(path, &error))?;
        let before = HEADER + 2 * self.dim * GLOBALS;
        tokens.resize(self.grid.len() * self.dim, f16::ZERO);
        let bits: &mut [u16] = tokens.reinterpret_cast_mut();
        if bytes.len() != before + 2 * bits.len() {
            return Err(Error::file(
                path,
                "changed while it was in use; delete it and run again",
            ));
        }
        bytemuck::cast_slice_mut(bits).copy_from_slice(&bytes[before..]);
        bits.iter_mut().for_each(|bits| *bits = u16::from_le(*bits));
        Ok(())
    }
}

/// Maps a file of features into memory.
#[allow(unsafe_code)] // A memory map.
fn map(path: &Path) -> io::Result<memmap2::Mmap> {
    let file = File::open(path)?;
    // SAFETY: the cache's files appear whole and are never written again, only replaced or deleted, which leaves what
    // is mapped as it was.
    unsafe { memmap2::MmapOptions::new().populate().map(&file) }
}

/// Buffers for reading views, kept from one view to the next: fresh pages for every file took half of the time.
#[derive(Debug, Default)]
pub struct TokenBuffers {
    tokens: Vec<f16>,
    floats: Vec<f32>,
    means: Vec<f32>,
}

impl TokenBuffers {
    /// Converts the tokens to f32.
    fn widen(&mut self) {
        self.floats.resize(self.tokens.len(), 0.0);
        self.tokens.convert_to_f32_slice(&mut self.floats);
    }
}

/// Little-endian f16 from their bytes.
fn halves(bytes: &[u8], out: &mut [f16]) {
    for (to, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *to = f16::from_le_bytes([pair[0], pair[1]]);
    }
}

/// Writes the features of one block, `layer`, of a photo of `photo` (width, height) pixels. Values beyond the range of
/// f16 are clamped to it.
///
/// # Errors
/// Where the tokens cannot be read from the device, or the file cannot be written.
pub fn write(path: &Path, photo: (u32, u32), grid: PatchGrid, layer: &LayerFeatures) -> Result<()> {
    let globals = GlobalToken::concat_tokens(&GlobalToken::ALL, layer)?;
    let globals: Vec<f32> = globals.flatten_all()?.to_vec1()?;
    let tokens: Vec<f32> = layer.patch_tokens.flatten_all()?.to_vec1()?;
    let header = [
        MAGIC,
        VERSION,
        photo.0,
        photo.1,
        grid.rows as u32,
        grid.cols as u32,
        (globals.len() / GLOBALS) as u32,
        0,
    ];
    let mut bytes: Vec<u8> = header.iter().flat_map(|v| v.to_le_bytes()).collect();
    bytes.reserve(2 * (globals.len() + tokens.len()));
    for value in globals.iter().chain(&tokens) {
        let half = f16::from_f32(value.clamp(-65504.0, 65504.0));
        bytes.extend(half.to_le_bytes());
    }
    write_atomic(path, |writer| writer.write_all(&bytes))
}

/// The header and the global tokens, which stand before the patch tokens.
struct TokenFileHeader {
    photo: (u32, u32),
    grid: PatchGrid,
    dim: usize,
    /// `[GLOBALS, D]`.
    globals: Vec<f32>,
}

/// Reads what stands before the patch tokens, and checks the length of the file.
fn read_header(path: &Path) -> io::Result<TokenFileHeader> {
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
    let grid = PatchGrid {
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
    let mut values = vec![f16::ZERO; dim * GLOBALS];
    halves(&globals, &mut values);
    Ok(TokenFileHeader {
        photo: (word(2), word(3)),
        grid,
        dim,
        globals: values.to_f32_vec(),
    })
}
