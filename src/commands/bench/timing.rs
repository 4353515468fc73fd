//! Timing of a backbone alone, on random pixels, and the peak memory of the process.

use std::time::{Duration, Instant};

use candle_core::Tensor;
use dino::Result;
use dino::maths::quantile::percentile_f64;
use dino::model::backbone::{Backbone, LayerRequest};
use dino::model::input::PatchGrid;
use dino::system::interrupt;
use dino::system::memory::{self, try_with_capacity};

/// Wall times of single runs in milliseconds, the shortest first.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTimes(Vec<f64>);

impl RunTimes {
    /// Sorts the times of at least one run.
    pub fn new(runs: Vec<Duration>) -> Self {
        let mut ms: Vec<f64> = runs.iter().map(|run| run.as_secs_f64() * 1e3).collect();
        ms.sort_unstable_by(f64::total_cmp);
        Self(ms)
    }

    /// The quantile `share` (0 to 1) of the times in milliseconds, interpolated linearly.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        percentile_f64(&self.0, 100.0 * share)
    }
}

/// Times `runs` forward passes of `batch` random photos of `grid` patches through all blocks, after one to warm up.
/// `each` is called after each run.
///
/// # Errors
/// If the device fails, for lack of memory above all, or the program is interrupted.
pub fn time_forward(
    backbone: &Backbone,
    grid: PatchGrid,
    batch: usize,
    runs: usize,
    mut each: impl FnMut(),
) -> Result<RunTimes> {
    let config = backbone.config();
    let p = config.patch_size;
    let shape = (batch, 3, grid.rows * p, grid.cols * p);
    let photo = 3 * grid.len() * p * p;
    let count = batch.saturating_mul(photo);
    let network = backbone.planned_memory(grid, 1).unwrap_or(0);
    let bytes = (batch as u64).saturating_mul(4 * photo as u64 + network);
    memory::check(bytes, memory::default_limit())?;
    let mut random = fastrand::Rng::with_seed(0);
    let mut values = try_with_capacity(count)?;
    values.extend((0..count).map(|_| 4.0 * random.f32() - 2.0));
    // Copied before the clock starts: the backbone alone is timed.
    let pixels = Tensor::from_vec(values, shape, &candle_core::Device::Cpu)?;
    let pixels = pixels.to_device(backbone.device())?;
    let requests = [LayerRequest {
        block: config.depth - 1,
        norm: true,
    }];
    let run = || -> Result<Duration> {
        interrupt::check()?;
        let start = Instant::now();
        let features = backbone.forward(&pixels, &requests)?;
        // A GPU computes asynchronously.
        backbone.device().synchronize()?;
        let time = start.elapsed();
        drop(features);
        Ok(time)
    };
    run()?;
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        times.push(run()?);
        each();
    }
    Ok(RunTimes::new(times))
}

/// Resets the peak that [`peak_memory`] reports; false where the system cannot (it needs Linux).
pub fn reset_peak_memory() -> bool {
    // "5" sets the high-water mark to what is in use now (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Peak resident memory of this process in bytes since the last [`reset_peak_memory`]; none where the system does not
/// report it.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_peak_can_be_forgotten() {
        // Some sandboxes do not let a process write there.
        if !reset_peak_memory() {
            return;
        }
        drop(std::hint::black_box(vec![1u8; 400 << 20]));
        let high = peak_memory();
        assert!(reset_peak_memory() && peak_memory() < high);
    }

    #[test]
    fn quantiles_are_between_neighbours() {
        let timing = RunTimes::new([30, 10, 20, 40].map(Duration::from_millis).to_vec());
        assert!((timing.quantile_ms(0.5) - 25.0).abs() < 1e-9);
        assert!((timing.quantile_ms(0.1) - 13.0).abs() < 1e-9);
        assert!((timing.quantile_ms(1.0) - 40.0).abs() < 1e-9);
        assert_eq!(
            RunTimes::new(vec![Duration::from_millis(7)]).quantile_ms(0.9),
            7.0
        );
    }
}
