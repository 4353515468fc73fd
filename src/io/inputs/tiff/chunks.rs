//! From strips or tiles to the samples of the whole image.

use std::io::Read;

use super::bits::{self, Source, Target};
use super::compression::{Codec, Extent, Failure};
use super::directory::{Directory, TRUNCATED};
use super::layout::{Chunk, Layout};
use super::ycbcr;
use crate::io::inputs::raster::Samples;

/// Unpacks the stored samples `shown`, which become the channels of a pixel in that order; `missing` fills chunks that
/// were left out.
///
/// # Errors
/// Says that the file is truncated, or which chunk is damaged and how.
pub(super) fn assemble(
    directory: &Directory,
    layout: &Layout,
    shown: &[u16],
    missing: f64,
) -> Result<Samples, String> {
    let codec = Codec::read(directory, layout.compression)?;
    let mut assembly = Assembly {
        directory,
        layout,
        codec,
        channels: shown.len(),
        missing,
        line: vec![0; layout.line()?.0],
        rows: Vec::new(),
    };
    let pixels = layout.width as usize * layout.height as usize;
    let mut out = layout.sample.filled(pixels * shown.len(), 0.0);
    let sources = |channel: usize, sample: u16| Source {
        sample: if layout.planar { 0 } else { sample.into() },
        channel,
    };
    let sources: Vec<Source> = shown
        .iter()
        .enumerate()
        .map(|(channel, &sample)| sources(channel, sample))
        .collect();
    match layout.planar {
        false => assembly.plane(0, &sources, &mut out)?,
        true => {
            for (&sample, source) in shown.iter().zip(&sources) {
                assembly.plane(sample.into(), std::slice::from_ref(source), &mut out)?;
            }
        }
    }
    Ok(out)
}

struct Assembly<'a, 'b> {
    directory: &'b Directory<'a>,
    layout: &'b Layout,
    codec: Codec<'a>,
    channels: usize,
    missing: f64,
    /// One unpacked line.
    line: Vec<u8>,
    /// The rows of pixels that a line of blocks becomes.
    rows: Vec<Vec<u8>>,
}

/// The part of the image that a chunk covers.
#[derive(Clone, Copy)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Assembly<'_, '_> {
    fn plane(&mut self, plane: usize, sources: &[Source], out: &mut Samples) -> Result<(), String> {
        let grid = &self.layout.grid;
        let (width, height) = (grid.chunk_width as usize, grid.chunk_height as usize);
        for row in 0..grid.down {
            for column in 0..grid.across {
                let (left, top) = (column * width, row * height);
                let area = Area {
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
        area: Area,
        sources: &[Source],
        out: &mut Samples,
    ) -> Result<(), String> {
        let (line_bytes, line_rows) = self.layout.line()?;
        let needed = line_bytes as u64 * area.height.div_ceil(line_rows as usize) as u64;
        let (packed, cut) = match self.layout.chunk(self.directory, index, needed)? {
            Chunk::Here { packed, cut } => (packed, cut),
            Chunk::Missing => {
                self.fill(area, sources, out);
                return Ok(());
            }
        };
        self.unpack(packed, area, sources, out)
            .map_err(|failure| match failure {
                Failure::Refused(why) => why,
                Failure::Damaged(_) if cut => TRUNCATED.into(),
                Failure::Damaged(why) => {
                    let grid = &self.layout.grid;
                    format!(
                        "damaged TIFF: number {} of its {} {} {why}",
                        index + 1,
                        grid.len(),
                        grid.noun()
                    )
                }
            })
    }

    fn unpack(
        &mut self,
        packed: &[u8],
        area: Area,
        sources: &[Source],
        out: &mut Samples,
    ) -> Result<(), Failure> {
        let layout = self.layout;
        let samples = layout.chunk_samples();
        let extent = Extent {
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
                bits::restore(
                    &mut self.line,
                    layout.sample,
                    samples.into(),
                    layout.predictor,
                    big_endian,
                );
                let target = self.target(area, top);
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
            ycbcr::spread(
                &self.line,
                (across, down),
                layout.grid.chunk_width,
                &mut self.rows,
            );
            for (row, line) in self.rows.iter().enumerate().take(area.height - top) {
                let target = self.target(area, top + row);
                bits::unpack(line, layout.sample, samples.into(), sources, target, out);
            }
        }
        Ok(())
    }

    /// Where row `row` of an area lies in the image.
    fn target(&self, area: Area, row: usize) -> Target {
        Target {
            pixel: (area.top + row) * self.layout.width as usize + area.left,
            count: area.width,
            channels: self.channels,
        }
    }

    fn fill(&self, area: Area, sources: &[Source], out: &mut Samples) {
        for row in 0..area.height {
            bits::fill(self.missing, sources, self.target(area, row), out);
        }
    }
}
