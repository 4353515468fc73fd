//! The threads that decode and finish photos beside the device.
//!
//! Where the backbone runs on the CPU it needs the cores, so these threads have a lower priority and fill the gaps.
//! Beside a GPU they have the processor to themselves.

use candle_core::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// A pool of as many threads as the global one, for work beside a backbone on `device`.
///
/// # Errors
/// [`Error::Usage`] if the system starts no more threads.
pub fn build_worker_pool(device: &Device) -> Result<ThreadPool> {
    let gives_way = matches!(device, Device::Cpu);
    ThreadPoolBuilder::new()
        .num_threads(rayon::current_num_threads())
        .thread_name(|index| format!("photos-{index}"))
        .start_handler(move |_| {
            if gives_way {
                lower_priority();
            }
        })
        .build()
        .map_err(|error| Error::Usage(format!("no threads can be started: {error}")))
}

/// Lets other threads of the program go first. On Linux, niceness is per thread.
#[cfg(target_os = "linux")]
fn lower_priority() {
    // If it is refused, the work is merely not deprioritised.
    let thread = rustix::thread::gettid();
    let _ = rustix::process::setpriority_process(Some(thread), NICENESS);
}

/// Niceness of the workers: about a tenth of the time of a thread with niceness 0.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}
