//! The number of compute threads: `--threads`, and the environment variables of rayon and candle.

use std::num::NonZeroUsize;

use crate::error::{Error, Result};

/// Sets the number of threads of rayon's global pool and of candle's matrix products.
///
/// To be called first in `main`, before any other thread exists: it sets environment variables, which candle reads at
/// its first use.
///
/// # Errors
/// [`Error::Usage`] if `threads` exceeds 256 and the number of processors, or if the pool exists already or cannot be
/// started.
#[allow(unsafe_code)] // Setting the environment.
pub fn set_threads(threads: NonZeroUsize) -> Result<()> {
    check_threads("--threads", threads.get())?;
    for variable in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        // SAFETY: no other thread runs yet that could read the environment, which is what the caller promises.
        unsafe { std::env::set_var(variable, threads.to_string()) };
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .build_global()
        .map_err(|error| Error::Usage(format!("--threads {threads}: {error}")))
}

/// Limit of the number of threads on machines with fewer processors; more would only wait for each other.
const MOST_THREADS: usize = 256;

/// Checks that `threads` is at most 256, or the number of processors if that is larger; `by` is the setting's name.
fn check_threads(by: &str, threads: usize) -> Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let most = MOST_THREADS.max(processors);
    match threads <= most {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "{by} {threads}: expected 1 to {most}; there are {processors} processors here"
        ))),
    }
}

/// Checks `RAYON_NUM_THREADS` and `CANDLE_NUM_THREADS` against the same limit as [`set_threads`].
///
/// # Errors
/// [`Error::Usage`] that names the variable, if it is not a number or too large.
pub fn check_environment() -> Result<()> {
    for variable in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        let value = std::env::var(variable).unwrap_or_default();
        if value.is_empty() {
            continue;
        }
        match value.trim().parse::<usize>() {
            // For rayon, 0 means one thread per processor.
            Ok(threads) => check_threads(variable, threads)?,
            Err(_) => {
                return Err(Error::Usage(format!(
                    "{variable} is `{value}`; expected a number of threads, or nothing"
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_bounded() {
        assert!(check_threads("--threads", 8).is_ok());
        let error = check_threads("--threads", 9999).map_err(|error| error.to_string());
        let error = error.err().unwrap_or_default();
        assert!(
            error.starts_with("--threads 9999: expected 1 to "),
            "{error}"
        );
    }
}
