//! Memory limits: how much is free, and a semaphore that admits only as many photos at once as fit. All sizes are
//! bytes.
//!
//! The cost of a photo follows from its size, which is known before anything is allocated for it. A photo that cannot
//! fit is an error that names it, and the run continues with the others. Large allocations are fallible ([`try_vec`]).

use std::fs;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::error::{Error, Result};

/// Assumed free memory if the system does not state it, 8 GiB.
const ASSUMED_FREE: u64 = 8 << 30;

/// Share of the free memory that is left to the system and other programs.
const SYSTEM_SHARE: f64 = 0.2;

/// Memory of the program itself, 64 MiB: threads' stacks, tables, heads.
const RESERVE: u64 = 64 << 20;

/// Default of `--max-memory` in bytes: 80 % of the free memory, less 64 MiB.
pub fn default_limit() -> u64 {
    let free = free_bytes().unwrap_or(ASSUMED_FREE);
    ((free as f64 * (1.0 - SYSTEM_SHARE)) as u64).saturating_sub(RESERVE)
}

/// Bytes that this process can still allocate: the least of the machine's free memory and of the limits of its control
/// group and of its shell (`ulimit`); `None` if the system states none of them.
pub fn free_bytes() -> Option<u64> {
    [
        machine_free_bytes(),
        cgroup_free_bytes(),
        rlimit_free_bytes(),
    ]
    .into_iter()
    .flatten()
    .min()
}

fn machine_free_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Free bytes within the process's control group (version 1 or 2) and those above it, whichever has least.
fn cgroup_free_bytes() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let within = |line: &str| -> Option<u64> {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, limit, usage) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max", "memory.current"),
            names if names.split(',').any(|name| name == "memory") => (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
            ),
            _ => return None,
        };
        let own = Path::new(root).join(path.trim_start_matches('/'));
        let free = |folder: &Path| -> Option<u64> {
            let number = |name: &str| -> Option<u64> {
                fs::read_to_string(folder.join(name))
                    .ok()?
                    .trim()
                    .parse()
                    .ok()
            };
            // Cached file pages are released as soon as memory is needed.
            let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            let cached = stat.lines().find_map(|line| {
                let (name, value) = line.split_once(' ')?;
                matches!(name, "inactive_file" | "total_inactive_file")
                    .then(|| value.parse().ok())?
            });
            let used = number(usage)?.saturating_sub(cached.unwrap_or(0));
            Some(number(limit)?.saturating_sub(used))
        };
        own.ancestors()
            .take_while(|folder| folder.starts_with(root))
            .filter_map(free)
            .min()
    };
    groups.lines().filter_map(within).min()
}

/// Free bytes within the resource limits of the process (`ulimit -v`, `ulimit -d`).
#[cfg(target_os = "linux")]
fn rlimit_free_bytes() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let used = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    };
    let left = |resource, name| Some(getrlimit(resource).current?.saturating_sub(used(name)?));
    [
        left(Resource::As, "VmSize:"),
        left(Resource::Data, "VmData:"),
    ]
    .into_iter()
    .flatten()
    .min()
}

#[cfg(not(target_os = "linux"))]
fn rlimit_free_bytes() -> Option<u64> {
    None
}

/// Checks that weights of `bytes` bytes fit into memory. They count twice against the shell's limit (`ulimit`): once
/// packed, and once as the mapping of their file, which takes none of the machine's memory.
///
/// # Errors
/// [`Error::Memory`] with both figures.
pub fn check_weights(name: &str, bytes: u64) -> Result<()> {
    let on_machine = [machine_free_bytes(), cgroup_free_bytes()]
        .into_iter()
        .flatten()
        .min();
    let shortage = [(on_machine, bytes), (rlimit_free_bytes(), 2 * bytes)]
        .into_iter()
        .find_map(|(free, needed)| {
            free.filter(|&free| free < needed + RESERVE)
                .zip(Some(needed))
        });
    match shortage {
        None => Ok(()),
        Some((free, needed)) => Err(Error::Memory(format!(
            "{name} takes about {} of memory, and {} are free; close other programs, raise the limit (`ulimit -v`), or take a \
             smaller model",
            format_bytes(needed + RESERVE),
            format_bytes(free)
        ))),
    }
}

/// Bytes as `12 MB` (rounded up) or `1.5 GB`, in powers of ten.
pub fn format_bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.0} MB", (bytes as f64 / 1e6).ceil()),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A vector of `count` copies of `value`.
///
/// # Errors
/// [`Error::Memory`] if it cannot be allocated, where `vec!` would abort.
pub fn try_vec<T: Clone>(value: T, count: usize) -> Result<Vec<T>> {
    let mut values = try_with_capacity(count)?;
    values.resize(count, value);
    Ok(values)
}

/// An empty vector with room for `count` values.
///
/// # Errors
/// As [`try_vec`].
pub fn try_with_capacity<T>(count: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| {
        let bytes = count.saturating_mul(size_of::<T>()) as u64;
        Error::Memory(format!(
            "the system has no {} left; give a smaller photo, or run less at once",
            format_bytes(bytes)
        ))
    })?;
    Ok(values)
}

/// A semaphore counted in bytes: photos are admitted as long as their total memory stays within a limit.
#[derive(Debug, Clone)]
pub struct MemoryGate(Arc<MemoryGateState>);

#[derive(Debug)]
struct MemoryGateState {
    limit: u64,
    taken: Mutex<u64>,
    changed: Condvar,
}

/// Bytes reserved at a [`MemoryGate`]; dropping it releases them.
#[derive(Debug)]
pub struct MemoryPermit {
    gate: Option<Arc<MemoryGateState>>,
    bytes: u64,
}

impl MemoryGate {
    /// A gate that admits `limit` bytes at a time.
    pub fn new(limit: u64) -> Self {
        MemoryGate(Arc::new(MemoryGateState {
            limit,
            taken: Mutex::new(0),
            changed: Condvar::new(),
        }))
    }

    /// The limit in bytes of all permits together.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Waits until `bytes` bytes are available and reserves them; calls `wait` first if it has to wait.
    ///
    /// # Errors
    /// [`Error::Memory`] if `bytes` exceeds the limit, so that waiting would never end.
    pub fn acquire(&self, bytes: u64, wait: impl FnOnce()) -> Result<MemoryPermit> {
        check(bytes, self.0.limit)?;
        let lock = || self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |taken: u64| taken + bytes <= self.0.limit;
        if !fits(*lock()) {
            wait();
        }
        let full = self.0.changed.wait_while(lock(), |taken| !fits(*taken));
        *full.unwrap_or_else(PoisonError::into_inner) += bytes;
        Ok(MemoryPermit {
            gate: Some(self.0.clone()),
            bytes,
        })
    }
}

impl MemoryPermit {
    /// A permit of 0 bytes that belongs to no gate.
    pub fn uncounted() -> Self {
        MemoryPermit {
            gate: None,
            bytes: 0,
        }
    }

    /// The reserved bytes; 0 for an uncounted permit.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            *gate.taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
            gate.changed.notify_all();
        }
    }
}

/// Checks that `bytes` stay within `limit`.
///
/// # Errors
/// [`Error::Memory`] with both figures.
pub fn check(bytes: u64, limit: u64) -> Result<()> {
    match bytes <= limit {
        true => Ok(()),
        false => Err(Error::Memory(over_limit_reason(bytes, limit))),
    }
}

/// The reason why something of `bytes` exceeds `limit`, as a part of a sentence about it.
pub fn over_limit_reason(bytes: u64, limit: u64) -> String {
    format!(
        "needs about {} of memory, and photos may take {} (--max-memory, else four fifths of what is free); make it smaller",
        format_bytes(bytes),
        format_bytes(limit)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_are_let_in_than_fit() {
        let gate = MemoryGate::new(100);
        let never = || panic!("there is room");
        let first = gate.acquire(60, never).unwrap();
        let second = gate.acquire(40, never).unwrap();
        assert!(
            gate.acquire(101, never)
                .unwrap_err()
                .to_string()
                .contains("--max-memory")
        );
        let waited = AtomicBool::new(false);
        thread::scope(|scope| {
            let third = scope.spawn(|| {
                gate.acquire(50, || waited.store(true, Ordering::SeqCst))
                    .unwrap()
            });
            while !waited.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            assert!(!third.is_finished());
            drop(second);
            drop(first);
            assert_eq!(third.join().unwrap().bytes(), 50);
        });
        drop(gate.acquire(100, never).unwrap());
    }

    #[test]
    fn what_cannot_be_had_is_an_error() {
        assert!(try_vec(0u8, usize::MAX >> 1).is_err());
        assert_eq!(try_vec(7u16, 3).unwrap(), [7; 3]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_free_is_less_than_all() {
        let free = free_bytes().unwrap();
        assert!(default_limit() < free && free < 1 << 50);
    }
}
