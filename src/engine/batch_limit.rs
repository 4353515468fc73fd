//! The number of items that a device computes at once, halved whenever its memory did not suffice.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::model::device::is_out_of_memory;
use crate::terminal::console::Console;

/// The largest number of items (photos, windows) that run on one device at once; it shrinks, and never grows.
#[derive(Debug)]
pub struct BatchLimit {
    max_items: AtomicUsize,
    device: String,
    item_noun: &'static str,
    console: Console,
}

impl BatchLimit {
    /// At most `most` items, called `item_noun` in messages (`photos`), on the device of this name; `console` gets a
    /// note each time that the limit is halved.
    pub fn new(
        most: usize,
        item_noun: &'static str,
        device: impl Into<String>,
        console: &Console,
    ) -> Self {
        BatchLimit {
            max_items: AtomicUsize::new(most.max(1)),
            device: device.into(),
            item_noun,
            console: console.clone(),
        }
    }

    /// The limit now; at least 1.
    pub fn max_items(&self) -> usize {
        self.max_items.load(Ordering::Relaxed)
    }

    /// Calls `run` on consecutive ranges of `0..count`, each as long as the limit allows, and concatenates the results.
    /// A range that runs out of memory is tried again with half the limit, which stays halved.
    ///
    /// # Errors
    /// That of `run`; out of memory only if one item alone does not fit.
    pub fn run_chunked<T>(
        &self,
        count: usize,
        mut run: impl FnMut(Range<usize>) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let mut results = Vec::with_capacity(count);
        let mut start = 0;
        while start < count {
            let part = start..count.min(start + self.max_items());
            let (end, size) = (part.end, part.len());
            match run(part) {
                Ok(some) => {
                    results.extend(some);
                    start = end;
                }
                Err(error) if size > 1 && is_out_of_memory(&error) => self.halve(size),
                Err(error) => return Err(error),
            }
        }
        Ok(results)
    }

    /// Sets the limit to half of `failed`, the number of items that ran out of memory, and prints a note.
    fn halve(&self, failed: usize) {
        let half = (failed / 2).max(1);
        self.max_items.fetch_min(half, Ordering::Relaxed);
        self.console.note(format_args!(
            "out of memory on {} with {failed} {} at once: going on with {half} (--batch-size {half} says so from the start)",
            self.device, self.item_noun
        ));
    }
}

/// Turns the out-of-memory error of `device` for a single photo into advice; other errors stay as they are.
pub fn explain_out_of_memory(error: Error, device: &str) -> Error {
    match error {
        // Errors about host memory give their own advice.
        Error::Tensor(_) if is_out_of_memory(&error) => Error::Memory(format!(
            "{device} has too little memory left for this photo alone: give a smaller --size, close what else uses the \
             device, or compute with --device cpu"
        )),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn out_of_memory() -> Error {
        let text = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
        Error::Tensor(candle_core::Error::Msg(text.into()))
    }

    /// Doubles what it is given, `fits` at a time.
    fn double(
        at_once: &BatchLimit,
        count: usize,
        fits: usize,
        sizes: &mut Vec<usize>,
    ) -> Result<Vec<usize>> {
        at_once.run_chunked(count, |part| {
            sizes.push(part.len());
            match part.len() <= fits {
                true => Ok(part.map(|one| 2 * one).collect()),
                false => Err(out_of_memory()),
            }
        })
    }

    #[test]
    fn halves_until_it_fits_and_stays_there() {
        let console = Console::new(false, false).recorder();
        let at_once = BatchLimit::new(usize::MAX, "photos", "cuda:0", &console);
        let mut sizes = Vec::new();
        let doubled = double(&at_once, 10, 3, &mut sizes).unwrap();
        assert_eq!(doubled, (0..10).map(|one| 2 * one).collect::<Vec<_>>());
        assert_eq!(sizes, [10, 5, 2, 2, 2, 2, 2]);
        sizes.clear();
        double(&at_once, 5, 3, &mut sizes).unwrap();
        assert_eq!(sizes, [2, 2, 1]);
        assert_eq!(
            console.recorded_notes(),
            [
                "out of memory on cuda:0 with 10 photos at once: going on with 5 (--batch-size 5 says so from the start)",
                "out of memory on cuda:0 with 5 photos at once: going on with 2 (--batch-size 2 says so from the start)",
            ]
        );
    }

    #[test]
    fn one_alone_fails_with_advice() {
        let console = Console::new(false, false).recorder();
        let at_once = BatchLimit::new(4, "photos", "cuda:1", &console);
        let mut sizes = Vec::new();
        let error = double(&at_once, 4, 0, &mut sizes).unwrap_err();
        assert_eq!(sizes, [4, 2, 1]);
        let text = explain_out_of_memory(error, "cuda:1").to_string();
        for words in ["cuda:1", "--size", "--device cpu"] {
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn other_failures_change_nothing() {
        let console = Console::new(false, false).recorder();
        let at_once = BatchLimit::new(4, "windows", "cuda:0", &console);
        let failed = at_once.run_chunked(4, |_| Err::<Vec<()>, _>(Error::Model("damaged".into())));
        assert_eq!(
            explain_out_of_memory(failed.unwrap_err(), "cuda:0").to_string(),
            "damaged"
        );
        assert_eq!(
            (at_once.max_items(), console.recorded_notes().len()),
            (4, 0)
        );
    }
}
