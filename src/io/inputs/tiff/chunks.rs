//! From strips or tiles to the samples of the whole image.

use std::io::Read;

use super::bits::{self, ChannelSource, PixelRun};
use super::compression::{ChunkDecompressor, ChunkExtent, UnpackError};
use super::directory::{Ifd, TRUNCATED};
use super::layout::{ChunkData, TiffLayout};
use super::ycbcr;
use crate::io::inputs::raster::RasterSamples;

/// Unpacks the stored samples `shown`, which become the channels of a pixel in that order; `missing` fills chunks that
/// were left out.
///
/// # Errors
/// Says that the file is truncated, or which chunk is damaged and how.
pub(super) fn assemble(
    directory: &Ifd,
    layout: &TiffLayout,
    shown: &[u16],
    missing: f64,
) -> Result<RasterSamples, String> {
    let codec = ChunkDecompressor::read(directory, layout.compression)?;
    let mut assembly = ImageAssembler {
        directory,
        layout,
        codec,
        channels: shown.len(),
        missing,
        line: vec![0; layout.line_size()?.0],
        rows: Vec::new(),
    };
    let pixels = layout.width as usize * layout.height as usize;
    let mut out = layout.sample.filled(pixels * shown.len(), 0.0);
    let sources = |channel: usize, sample: u16| ChannelSource {
        sample: if layout.is_planar { 0 } else { sample.into() },
        channel,
    };
    let sources: Vec<ChannelSource> = shown
        .iter()
        .enumerate()
        .map(|(channel, &sample)| sources(channel, sample))
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

struct ImageAssembler<'a, 'b> {
    directory: &'b Ifd<'a>,
    layout: &'b TiffLayout,
    codec: ChunkDecompressor<'a>,
    channels: usize,
    missing: f64,
    /// One unpacked line.
    line: Vec<u8>,
    /// The rows of pixels that a line of blocks becomes.
    rows: Vec<Vec<u8>>,
}

/// The part of the image that a chunk covers.
#[derive(Clone, Copy)]
struct ChunkRect {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl ImageAssembler<'_, '_> {
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

    fn chunk(
        &mut self,
        index: usize,
        area: ChunkRect,
        sources: &[ChannelSource],
        out: &mut RasterSamples,
    ) -> Result<(), String> {
        let (line_bytes, line_rows) = self.layout.line_size()?;
        let needed = line_bytes as u64 * area.height.div_ceil(line_rows as usize) as u64;
        let (packed, cut) = match self.layout.chunk(self.directory, index, needed)? {
            ChunkData::Stored {
                packed,
                is_truncated: cut,
            } => (packed, cut),
            ChunkData::Missing => {
                self.fill(area, sources, out);
                return Ok(());
            }
        };
        self.unpack(packed, area, sources, out)
            .map_err(|failure| match failure {
                UnpackError::Unsupported(why) => why,
                UnpackError::Damaged(_) if cut => TRUNCATED.into(),
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
        let mut lines = self.codec.unpack(packed, extent)?;
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

    /// Where row `row` of an area lies in the image.
    fn pixel_run(&self, area: ChunkRect, row: usize) -> PixelRun {
        PixelRun {
            pixel: (area.top + row) * self.layout.width as usize + area.left,
            count: area.width,
            channels: self.channels,
        }
    }

    fn fill(&self, area: ChunkRect, sources: &[ChannelSource], out: &mut RasterSamples) {
        for row in 0..area.height {
            bits::fill(self.missing, sources, self.pixel_run(area, row), out);
        }
    }
}
