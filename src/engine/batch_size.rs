//! The batch size: the number that the user asked for, or as many photos as the device has memory for.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// The largest automatic batch: larger ones are hardly faster.
const MAX_AUTO_BATCH: usize = 128;

/// Percent of a device's free memory that batches are planned with; the rest is for heads, workspaces of kernels and
/// fragmentation.
const PLANNED_PERCENT: u64 = 70;

/// Automatic batches above this size are multiples of it.
const BATCH_STEP: usize = 8;

/// The number of photos of one padded size that are computed as one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchSize {
    /// 1 on a CPU; on a GPU that reports its free memory, as many as fit, up to 128.
    #[default]
    Auto,
    /// This number, as far as the device has memory for it.
    Fixed(NonZeroUsize),
}

impl FromStr for BatchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(BatchSize::Auto),
            _ => text
                .parse()
                .map(BatchSize::Fixed)
                .map_err(|_| "expected auto, or a number from 1".into()),
        }
    }
}

/// As [`BatchSize::from_str`] reads it.
impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchSize::Auto => f.write_str("auto"),
            BatchSize::Fixed(count) => write!(f, "{count}"),
        }
    }
}

impl BatchSize {
    /// The fixed number; 1 for [`BatchSize::Auto`].
    pub fn or_one(self) -> usize {
        match self {
            BatchSize::Auto => 1,
            BatchSize::Fixed(count) => count.get(),
        }
    }

    /// The batch size for photos that each take `bytes` of device memory, of which `free` bytes are free. Auto is 1 if
    /// either is unknown (`bytes` is none where photos are not computed together).
    pub fn resolve(self, free: Option<u64>, bytes: Option<u64>) -> usize {
        match (self, free, bytes) {
            (BatchSize::Auto, Some(free), Some(bytes)) => {
                auto_batch_size(free, bytes, MAX_AUTO_BATCH)
            }
            _ => self.or_one(),
        }
    }
}

/// How many photos of `bytes_per_photo` fit into 70 % of `free_bytes`: between 1 and `most`, and above 8 a multiple
/// of 8.
pub fn auto_batch_size(free_bytes: u64, bytes_per_photo: u64, most: usize) -> usize {
    let planned = free_bytes / 100 * PLANNED_PERCENT;
    let count = usize::try_from(planned / bytes_per_photo.max(1)).unwrap_or(usize::MAX);
    let count = count.min(most).max(1);
    match count {
        ..=BATCH_STEP => count,
        _ => count - count % BATCH_STEP,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_they_are_written() {
        for text in ["auto", "1", "64"] {
            assert_eq!(text.parse::<BatchSize>().unwrap().to_string(), text);
        }
        for text in ["0", "-1", "", "Auto", "1.5", "none"] {
            let error = text.parse::<BatchSize>().unwrap_err();
            assert!(error.contains("auto, or a number"), "{text}: {error}");
        }
        assert_eq!(BatchSize::default(), BatchSize::Auto);
    }

    #[test]
    fn a_batch_takes_seven_tenths_of_what_is_free() {
        assert_eq!(auto_batch_size(1000, 100, 128), 7);
        assert_eq!(auto_batch_size(1000, 350, 128), 2);
        assert_eq!(auto_batch_size(1000, 351, 128), 1);
    }

    #[test]
    fn batches_are_round_and_bounded() {
        for (fits, batch) in [(8, 8), (9, 8), (15, 8), (16, 16), (127, 120), (500, 128)] {
            assert_eq!(auto_batch_size(fits * 1000, 700, 128), batch, "{fits}");
        }
        assert_eq!(auto_batch_size(0, 100, 128), 1);
        assert_eq!(auto_batch_size(u64::MAX, 0, 20), 16);
    }

    #[test]
    fn auto_is_one_where_nothing_is_known() {
        let fixed: BatchSize = "5".parse().unwrap();
        assert_eq!(fixed.resolve(Some(1000), Some(1)), 5);
        assert_eq!(BatchSize::Auto.resolve(Some(1000), Some(100)), 7);
        assert_eq!(BatchSize::Auto.resolve(None, Some(100)), 1);
        assert_eq!(BatchSize::Auto.resolve(Some(1000), None), 1);
    }
}
