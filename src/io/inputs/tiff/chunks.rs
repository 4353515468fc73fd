//! Assembles the samples of a whole TIFF image, `[height, width, channels]`, from its strips or tiles.

use std::io::Read;

use super::bits::{self, ChannelSource, PixelRun};
use super::compression::ChunkDecompressor;
use super::directory::{Ifd, TRUNCATED};
use super::layout::{ChunkData, TiffLayout};
use super::unpack::{ChunkExtent, UnpackError};
use super::ycbcr;
use crate::io::inputs::raster::RasterSamples;

/// Unpacks the stored samples with the indices `shown` as the channels of the pixels, in that order; chunks that are
/// not stored are filled with `missing`.
///
/// # Errors
/// A sentence, if the file is truncated, or a chunk is damaged, with its number and the damage.
pub(super) fn assemble(
    directory: &Ifd,
    layout: &TiffLayout,
    shown: &[u16],
    missing: f64,
) -> Result<RasterSamples, String> {
    let decompressor = ChunkDecompressor::read(directory, layout.compression)?;
    let mut assembly = ImageAssembler {
        directory,
        layout,
        decompressor,
        channels: shown.len(),
        missing,
        line: vec![0; layout.line_size()?.0],
        rows: Vec::new(),
    };
    let pixels = layout.width as usize * layout.height as usize;
    let mut out = layout.sample.filled(pixels * shown.len(), 0.0);
    let source = |channel: usize, sample: u16| ChannelSource {
        sample: if layout.is_planar { 0 } else { sample.into() },
        channel,
    };
    let sources: Vec<ChannelSource> = shown
        .iter()
        .enumerate()
        .map(|(channel, &sample)| source(channel, sample))
        .collect();
    match layout.is_planar {
        false => assembly.plane(0, &sources, &mut out)?,
        true => {
            for (&sample, source) in shown.iter().zip(&sources) {
                assembly.plane(sample.into(), std::slice::from_ref(source), &mut out)?;
            }
        }
    }
    Ok(out)
}

/// Unpacks the chunks one by one into the samples of the image.
struct ImageAssembler<'a, 'b> {
    directory: &'b Ifd<'a>,
    layout: &'b TiffLayout,
    decompressor: ChunkDecompressor<'a>,
    /// Channels per pixel of the raster.
    channels: usize,
    /// The value of chunks that are not stored.
    missing: f64,
    /// The bytes of one unpacked line.
    line: Vec<u8>,
    /// The rows of pixels that a line of subsampled blocks is expanded to.
    rows: Vec<Vec<u8>>,
}

/// The part of the image that a chunk covers, in pixels.
#[derive(Clone, Copy)]
struct ChunkRect {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl ImageAssembler<'_, '_> {
    /// Unpacks all chunks of a plane: in a planar image each stored sample has its own plane, else there is one.
    fn plane(
        &mut self,
        plane: usize,
        sources: &[ChannelSource],
        out: &mut RasterSamples,
    ) -> Result<(), String> {
        let grid = &self.layout.grid;
        let (width, height) = (grid.chunk_width as usize, grid.chunk_height as usize);
        for row in 0..grid.down {
            for column in 0..grid.across {
                let (left, top) = (column * width, row * height);
                let area = ChunkRect {
                    left,
                    top,
                    width: width.min(self.layout.width as usize - left),
                    height: height.min(self.layout.height as usize - top),
                };
                let index = (plane * grid.down + row) * grid.across + column;
                self.chunk(index, area, sources, out)?;
            }
        }
        Ok(())
    }

    /// Unpacks one chunk, or fills its area where it is not stored.
    fn chunk(
        &mut self,
        index: usize,
        area: ChunkRect,
        sources: &[ChannelSource],
        out: &mut RasterSamples,
    ) -> Result<(), String> {
        let (line_bytes, line_rows) = self.layout.line_size()?;
        let needed = line_bytes as u64 * area.height.div_ceil(line_rows as usize) as u64;
        let (packed, is_truncated) = match self.layout.chunk(self.directory, index, needed)? {
            ChunkData::Stored {
                packed,
                is_truncated,
            } => (packed, is_truncated),
            ChunkData::Missing => {
                self.fill(area, sources, out);
                return Ok(());
            }
        };
        self.unpack(packed, area, sources, out)
            .map_err(|failure| match failure {
                UnpackError::Unsupported(why) => why,
                UnpackError::Damaged(_) if is_truncated => TRUNCATED.into(),
                UnpackError::Damaged(why) => {
                    let grid = &self.layout.grid;
                    format!(
                        "damaged TIFF: number {} of its {} {} {why}",
                        index + 1,
                        grid.len(),
                        grid.chunk_noun()
                    )
                }
            })
    }

    /// Unpacks the bytes of one chunk into the samples of its area.
    fn unpack(
        &mut self,
        packed: &[u8],
        area: ChunkRect,
        sources: &[ChannelSource],
        out: &mut RasterSamples,
    ) -> Result<(), UnpackError> {
        let layout = self.layout;
        let samples = layout.chunk_samples();
        let extent = ChunkExtent {
            width: layout.grid.chunk_width,
            height: area.height as u32,
            full_height: layout.grid.chunk_height,
            samples,
        };
        let mut lines = self.decompressor.unpack(packed, extent)?;
        let (across, down) = layout.subsampling;
        for top in (0..area.height).step_by(down as usize) {
            lines.read_exact(&mut self.line)?;
            if (across, down) == (1, 1) {
                let big_endian = self.directory.tiff.big_endian;
                bits::undo_predictor(
                    &mut self.line,
                    layout.sample,
                    samples.into(),
                    layout.predictor,
                    big_endian,
                );
                let target = self.pixel_run(area, top);
                bits::unpack(
                    &self.line,
                    layout.sample,
                    samples.into(),
                    sources,
                    target,
                    out,
                );
                continue;
            }
            self.rows.resize(down as usize, Vec::new());
            ycbcr::upsample_chroma(
                &self.line,
                (across, down),
                layout.grid.chunk_width,
                &mut self.rows,
            );
            for (row, line) in self.rows.iter().enumerate().take(area.height - top) {
                let target = self.pixel_run(area, top + row);
                bits::unpack(line, layout.sample, samples.into(), sources, target, out);
            }
        }
        Ok(())
    }

    /// The pixels of row `row` of an area.
    fn pixel_run(&self, area: ChunkRect, row: usize) -> PixelRun {
        PixelRun {
            pixel: (area.top + row) * self.layout.width as usize + area.left,
            count: area.width,
            channels: self.channels,
        }
    }

    /// Fills an area with the value of chunks that are not stored.
    fn fill(&self, area: ChunkRect, sources: &[ChannelSource], out: &mut RasterSamples) {
        for row in 0..area.height {
            bits::fill(self.missing, sources, self.pixel_run(area, row), out);
        }
    }
}
