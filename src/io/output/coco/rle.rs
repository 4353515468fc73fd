//! Masks as COCO's run lengths: pixels are counted down the columns, column after column, and the counts are packed
//! into a printable string, as in pycocotools' `maskApi.c`.

use crate::vision::postprocess::contours::NO_LABEL;

/// For each of `labels` labels its runs, as start and end (exclusive) of pixel indices in column-major order.
pub(super) fn column_runs(
    width: usize,
    height: usize,
    label_at: impl Fn(usize) -> u32,
    labels: usize,
) -> Vec<Vec<(usize, usize)>> {
    let mut runs = vec![Vec::new(); labels];
    let (mut open, mut start) = (NO_LABEL, 0);
    let mut close = |label: u32, start: usize, end: usize| {
        if label != NO_LABEL && start < end {
            runs[label as usize].push((start, end));
        }
    };
    for x in 0..width {
        for y in 0..height {
            let label = label_at(y * width + x);
            if label != open {
                let place = x * height + y;
                close(open, start, place);
                (open, start) = (label, place);
            }
        }
    }
    close(open, start, width * height);
    runs
}

/// The lengths of runs outside and inside the mask in turn, beginning outside; `total` is the number of pixels.
pub(super) fn counts(runs: &[(usize, usize)], total: usize) -> Vec<i64> {
    let mut counts = Vec::with_capacity(2 * runs.len() + 1);
    let mut end = 0;
    for &(start, stop) in runs {
        counts.extend([(start - end) as i64, (stop - start) as i64]);
        end = stop;
    }
    if end < total {
        counts.push((total - end) as i64);
    }
    counts
}

/// COCO's string: each count, from the fourth on as the difference to the one two before it, in groups of five bits,
/// the lowest first; a sixth bit says that another group follows.
pub(super) fn encode_counts(counts: &[i64]) -> String {
    let mut text = String::with_capacity(2 * counts.len());
    for (i, &count) in counts.iter().enumerate() {
        let mut rest = if i > 2 { count - counts[i - 2] } else { count };
        loop {
            let group = rest & 0x1f;
            rest >>= 5;
            // The top bit of the last group is the sign.
            let done = rest == if group & 0x10 == 0 { 0 } else { -1 };
            let more = if done { 0 } else { 0x20 };
            text.push(char::from((group | more) as u8 + 48));
            if done {
                break;
            }
        }
    }
    text
}

/// x, y, width and height of the bounding box of `runs`.
pub(super) fn bounds(runs: &[(usize, usize)], height: usize) -> [usize; 4] {
    let (mut top, mut bottom) = (height, 0);
    for &(start, end) in runs {
        // A run that crosses columns covers the last row of one and the first row of the next.
        let whole = start / height != (end - 1) / height;
        top = top.min(if whole { 0 } else { start % height });
        bottom = bottom.max(if whole {
            height
        } else {
            (end - 1) % height + 1
        });
    }
    match (runs.first(), runs.last()) {
        (Some(&(start, _)), Some(&(_, end))) => {
            let (left, right) = (start / height, (end - 1) / height + 1);
            [left, top, right - left, bottom - top]
        }
        _ => [0; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_and_falling_ones_are_packed_as_pycocotools_does() {
        assert_eq!(
            encode_counts(&[0, 5, 100_000, 3, 2, 40_000, 7]),
            "05PeQ3NR[nLmQW15"
        );
    }

    #[test]
    fn a_label_that_covers_everything_is_one_run() {
        let runs = column_runs(3, 2, |_| 0, 1);
        assert_eq!(runs[0], [(0, 6)]);
        assert_eq!(counts(&runs[0], 6), [0, 6]);
        assert_eq!(bounds(&runs[0], 2), [0, 0, 3, 2]);
    }
}
