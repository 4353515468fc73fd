//! The threads that decode and finish photos while the device has its own.
//!
//! Where the network runs on the processor, it gets the cores, and these fill the gaps: they give way wherever both could
//! run. Beside a GPU they are all that the processor does.

use candle_core::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// As many as the program may use, for work beside a network on `device`.
///
/// # Errors
/// If the system starts no more threads.
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

/// Lets other threads of the program go first. On Linux, niceness is that of a thread.
#[cfg(target_os = "linux")]
fn lower_priority() {
    // Where that is refused, the work is done all the same.
    let thread = rustix::thread::gettid();
    let _ = rustix::process::setpriority_process(Some(thread), NICENESS);
}

/// Of threads in the background: a tenth of the time where others want to run too.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}
