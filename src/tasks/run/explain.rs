//! Messages about the size at which a photo goes through the backbone.

use crate::model::backbone::BackboneConfig;
use crate::model::input::{CoarseScale, Geometry};
use crate::system::memory::format_bytes;
use crate::terminal::console::Console;

/// Notes that a photo was reduced below the requested size; and with `--verbose` its patches, also those of the
/// `coarse` scale, the GFLOP of the backbone, and the bytes of `memory` that the photo takes until it is finished.
pub fn explain_input(
    config: &BackboneConfig,
    console: &Console,
    name: &str,
    geometry: &Geometry,
    memory: u64,
    coarse: Option<CoarseScale>,
) {
    let (width, height) = geometry.resized;
    if geometry.reduced {
        console.note(format_args!(
            "{name}: so large a photo or so long a strip is seen at {width}x{height} (--size native and --size WIDTHxHEIGHT are obeyed)"
        ));
    }
    let grid = geometry.grid();
    let mut flops = config.flops(grid.len());
    let mut second = String::new();
    if let Some(grid) = coarse.map(|coarse| coarse.grid(grid)) {
        flops += config.flops(grid.len());
        second = format!(" and {} x {} coarser ones", grid.cols, grid.rows);
    }
    console.detail(format_args!(
        "{name}: {} x {} = {} patches{second}, {:.0} GFLOP, up to {} of memory",
        grid.cols,
        grid.rows,
        grid.len(),
        flops / 1e9,
        format_bytes(memory),
    ));
}
