//! Sliding-window inference for large photos, as in the notebooks of DINOv2: each window is scored by itself, at the
//! size that the head was trained for, and scores are averaged where windows overlap. The result is [`Scores`] over the
//! patch grid of the whole photo, so that postprocessing is the same as without windows.
//!
//! Windows lie on whole patches; the last of a row or column is pulled back to end with the photo. Scores are averaged
//! before any softmax or other non-linearity. Only the features of one batch of windows are in memory at a time.

use crate::error::Result;
use crate::model::head::Scores;
use crate::model::input::{Geometry, PatchGrid, SizeRule};
use crate::vision::preprocess::{PreparedImage, Preprocessor};

/// Most patches of a photo under [`Slide`]; a larger one is resized down to it. With patches of 14 pixels that is 12.8
/// megapixels: 150 MB of input, and 67 MB of scores for 256 bins.
pub const MAX_PATCHES: usize = 1 << 16;

/// Size and overlap of the windows that a photo is cut into.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slide {
    /// Size of a window: that of the inputs that the head was trained with.
    pub window_size: SizeRule,
    /// Size to which the whole photo is resized first. `None` keeps the photo's own size, or resizes a photo smaller
    /// than a window to [`Slide::window_size`].
    pub size: Option<SizeRule>,
    /// Distance between neighbouring windows as a share of a window's side; above 0, at most 1.
    pub stride: f64,
    /// Whether the weight of a window falls linearly towards its edges, instead of being the same everywhere as in the
    /// notebooks. Depth needs it: each window has a scale of its own, and steps between them would show as seams.
    pub taper: bool,
}

/// A window, in patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchWindow {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Number of rows and columns.
    pub size: PatchGrid,
}

impl Slide {
    /// The geometry of the whole input for a photo of `photo` = (width, height), before it is cut into windows.
    pub fn layout(&self, photo: (u32, u32), preprocessor: &Preprocessor) -> Geometry {
        let Preprocessor {
            patch_size,
            padding,
            ..
        } = *preprocessor;
        let bounded = |size| {
            Geometry::with_patch_limit(photo, size, patch_size, padding, MAX_PATCHES)
                .with_unpad(preprocessor.unpad)
        };
        let covers = match self.window_size {
            SizeRule::ShortSide(side) | SizeRule::Fit(side) => photo.0.min(photo.1) >= side,
            SizeRule::Exact { width, height } => photo.0 >= width && photo.1 >= height,
            SizeRule::Native => true,
        };
        match self.size {
            Some(size) => bounded(size),
            None if covers => bounded(SizeRule::Native),
            None => bounded(self.window_size),
        }
    }

    /// The windows over the patch grid `grid`, row by row.
    pub fn windows(&self, grid: PatchGrid, patch_size: usize) -> Vec<PatchWindow> {
        let patches = |side: u32| (side as usize).div_ceil(patch_size);
        let most = match self.window_size {
            SizeRule::ShortSide(side) | SizeRule::Fit(side) => PatchGrid {
                rows: patches(side),
                cols: patches(side),
            },
            SizeRule::Exact { width, height } => PatchGrid {
                rows: patches(height),
                cols: patches(width),
            },
            SizeRule::Native => grid,
        };
        let size = PatchGrid {
            rows: most.rows.min(grid.rows),
            cols: most.cols.min(grid.cols),
        };
        let lefts = self.window_starts(grid.cols, size.cols);
        self.window_starts(grid.rows, size.rows)
            .into_iter()
            .flat_map(|top| {
                let across = lefts.iter();
                across.map(move |&left| PatchWindow { top, left, size })
            })
            .collect()
    }

    /// The starts of windows of `window` patches on an axis of `cells` patches.
    fn window_starts(&self, cells: usize, window: usize) -> Vec<usize> {
        let stride = ((self.stride * window as f64).round() as usize).clamp(1, window);
        window_starts(cells, window, stride)
    }
}

/// The starts of windows of length `window`, `stride` apart, on an axis of `length`; the last ends with the axis.
pub(crate) fn window_starts(length: usize, window: usize, stride: usize) -> Vec<usize> {
    let last = length.saturating_sub(window);
    (0..=last.div_ceil(stride))
        .map(|i| (i * stride).min(last))
        .collect()
}

impl PatchWindow {
    /// Crops the window out of the prepared photo, as an input without padding.
    pub fn crop(&self, photo: &PreparedImage) -> PreparedImage {
        let p = photo.geometry.patch_size;
        let (photo_width, photo_height) = photo.geometry.padded;
        let (width, height) = (self.size.cols * p, self.size.rows * p);
        let mut pixels = Vec::with_capacity(3 * width * height);
        for plane in photo
            .pixels
            .chunks_exact(photo_width as usize * photo_height as usize)
        {
            let rows = plane.chunks_exact(photo_width as usize);
            for row in rows.skip(self.top * p).take(height) {
                pixels.extend_from_slice(&row[self.left * p..][..width]);
            }
        }
        let size = (width as u32, height as u32);
        PreparedImage {
            pixels,
            geometry: Geometry::new(size, SizeRule::Native, p),
        }
    }

    /// The same window of the mirrored photo, whose patch grid is `grid`.
    pub fn mirrored(&self, grid: PatchGrid) -> Self {
        Self {
            left: grid.cols - self.left - self.size.cols,
            ..*self
        }
    }
}

/// The weighted mean of overlapping windows' scores, accumulated window by window.
#[derive(Debug, Clone)]
struct WindowAverage {
    grid: PatchGrid,
    k: usize,
    fade: bool,
    /// Weighted sums of scores, `[rows * cols, k]`.
    sums: Vec<f32>,
    /// Sums of weights, `[rows * cols]`.
    weights: Vec<f32>,
}

impl WindowAverage {
    /// Over `grid`, with `k` scores a patch.
    fn new(grid: PatchGrid, k: usize, fade: bool) -> Self {
        Self {
            grid,
            k,
            fade,
            sums: vec![0.0; grid.len() * k],
            weights: vec![0.0; grid.len()],
        }
    }

    /// Adds the scores of `window`.
    fn add(&mut self, window: &PatchWindow, scores: &Scores) {
        assert_eq!((scores.k, scores.grid), (self.k, window.size));
        let PatchGrid { rows, cols } = window.size;
        // The weight along one axis, which rises from the edges to the middle.
        let along = |i: usize, n: usize| match self.fade {
            true => (i + 1).min(n - i) as f32,
            false => 1.0,
        };
        for (i, patch) in scores.values.chunks_exact(self.k).enumerate() {
            let (y, x) = (i / cols, i % cols);
            let weight = along(y, rows) * along(x, cols);
            let at = (window.top + y) * self.grid.cols + window.left + x;
            let sums = &mut self.sums[at * self.k..][..self.k];
            sums.iter_mut()
                .zip(patch)
                .for_each(|(sum, v)| *sum += weight * v);
            self.weights[at] += weight;
        }
    }

    /// The mean, once every patch is covered by a window.
    fn into_mean(mut self) -> Scores {
        for (sums, &weight) in self.sums.chunks_exact_mut(self.k).zip(&self.weights) {
            sums.iter_mut().for_each(|sum| *sum /= weight);
        }
        Scores {
            values: self.sums,
            k: self.k,
            grid: self.grid,
        }
    }
}

/// The scores of an input, and those of its mirror image where it was scored too (not mirrored back).
pub type ScoresWithMirror = (Scores, Option<Scores>);

impl Slide {
    /// The scores of a whole photo over its patch grid, from those of its `windows`. `scores` gets up to `batch`
    /// windows at once and returns the scores of each.
    ///
    /// # Errors
    /// What `scores` returns.
    pub fn scores(
        &self,
        photo: &PreparedImage,
        windows: &[PatchWindow],
        batch: usize,
        mut scores: impl FnMut(&[PreparedImage]) -> Result<Vec<ScoresWithMirror>>,
    ) -> Result<ScoresWithMirror> {
        let grid = photo.geometry.grid();
        let blend = |k| WindowAverage::new(grid, k, self.taper);
        let (mut whole, mut whole_mirrored) = (None, None);
        for windows in windows.chunks(batch.max(1)) {
            let pixels: Vec<PreparedImage> =
                windows.iter().map(|window| window.crop(photo)).collect();
            for (window, (own, mirrored)) in windows.iter().zip(scores(&pixels)?) {
                whole.get_or_insert_with(|| blend(own.k)).add(window, &own);
                if let Some(mirrored) = mirrored {
                    whole_mirrored
                        .get_or_insert_with(|| blend(mirrored.k))
                        .add(&window.mirrored(grid), &mirrored);
                }
            }
        }
        let whole: WindowAverage = whole.unwrap_or_else(|| blend(1));
        Ok((
            whole.into_mean(),
            whole_mirrored.map(WindowAverage::into_mean),
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::input::{Padding, Unpad};
    use crate::vision::preprocess::Resample;

    const SLIDE: Slide = Slide {
        window_size: SizeRule::ShortSide(6),
        size: None,
        stride: 2.0 / 3.0,
        taper: false,
    };

    const FADING: Slide = Slide {
        taper: true,
        ..SLIDE
    };

    fn preprocessor(patch_size: usize) -> Preprocessor {
        Preprocessor {
            size: SizeRule::Native,
            resample: Resample::Bicubic,
            patch_size,
            padding: Padding::Center,
            unpad: Unpad::Crop,
            max_patches: None,
            center_crop: None,
        }
    }

    fn prepared(photo: (u32, u32)) -> PreparedImage {
        let geometry = SLIDE.layout(photo, &preprocessor(2));
        let (width, height) = geometry.padded;
        let pixels = (0..3 * width * height).map(|i| i as f32).collect();
        PreparedImage { pixels, geometry }
    }

    /// Scores that depend on the pixels alone: the first of each patch, in two channels.
    fn of_pixels(window: &PreparedImage) -> Scores {
        let grid = window.geometry.grid();
        let width = window.geometry.padded.0 as usize;
        let patches = (0..grid.len()).map(|i| (i / grid.cols * 2) * width + i % grid.cols * 2);
        let plane = window.pixels.len() / 3;
        Scores {
            values: patches
                .flat_map(|at| [window.pixels[at], window.pixels[2 * plane + at]])
                .collect(),
            k: 2,
            grid,
        }
    }

    fn of_all(windows: &[PreparedImage]) -> Vec<ScoresWithMirror> {
        windows.iter().map(|one| (of_pixels(one), None)).collect()
    }

    #[test]
    fn windows_cover_everything_and_overlap() {
        // mmseg: ceil((10 - 3) / 2) + 1 of them, the last pulled back.
        assert_eq!(SLIDE.window_starts(10, 3), [0, 2, 4, 6, 7]);
        assert_eq!(SLIDE.window_starts(9, 3), [0, 2, 4, 6]);
        assert_eq!(SLIDE.window_starts(3, 3), [0]);
        let grid = PatchGrid { rows: 3, cols: 10 };
        let windows = SLIDE.windows(grid, 2);
        assert_eq!(windows.len(), 5);
        assert!(
            windows
                .iter()
                .all(|w| w.size == PatchGrid { rows: 3, cols: 3 })
        );
        assert_eq!(windows[1].mirrored(grid).left, 5);
    }

    #[test]
    fn one_window_is_the_photo_itself() {
        let photo = prepared((6, 6));
        let windows = SLIDE.windows(photo.geometry.grid(), 2);
        assert_eq!(windows.len(), 1);
        assert_eq!(windows[0].crop(&photo).pixels, photo.pixels);
        let (scores, mirrored) = SLIDE
            .scores(&photo, &windows, 1, |windows| Ok(of_all(windows)))
            .unwrap();
        assert_eq!(scores, of_pixels(&photo));
        assert!(mirrored.is_none());
    }

    #[test]
    fn windows_that_agree_change_nothing() {
        for size in [(31, 17), (6, 40), (40, 6), (12, 12)] {
            let photo = prepared(size);
            let windows = SLIDE.windows(photo.geometry.grid(), 2);
            assert!(windows.len() > 1);
            for slide in [SLIDE, FADING] {
                let (scores, _) = slide
                    .scores(&photo, &windows, 2, |windows| Ok(of_all(windows)))
                    .unwrap();
                let (found, expected) = (scores.values, of_pixels(&photo).values);
                let off = |(a, b): (f32, f32)| (a - b).abs() > 1e-5 * b.abs();
                assert!(!found.into_iter().zip(expected).any(off), "{size:?}");
            }
        }
    }

    #[test]
    fn windows_that_disagree_are_averaged() {
        let photo = prepared((8, 6));
        let windows = SLIDE.windows(photo.geometry.grid(), 2);
        let run = |slide: Slide| {
            let mut value = 0.0;
            let scores = slide.scores(&photo, &windows, 1, |windows| {
                let grid = windows[0].geometry.grid();
                value += 1.0;
                let scores = |value| Scores {
                    values: vec![value; grid.len()],
                    k: 1,
                    grid,
                };
                Ok(vec![(scores(value), Some(scores(10.0 * value)))])
            });
            let (scores, mirrored) = scores.unwrap();
            (scores.values, mirrored.unwrap().values)
        };
        let (scores, mirrored) = run(SLIDE);
        assert_eq!(scores[..4], [1.0, 1.5, 1.5, 2.0]);
        // The first window of the photo is the last of its mirror image.
        assert_eq!(mirrored[..4], [20.0, 15.0, 15.0, 10.0]);
        // Weights 1, 2, 1 in each window.
        assert_eq!(run(FADING).0[..4], [1.0, 4.0 / 3.0, 5.0 / 3.0, 2.0]);
    }

    #[test]
    fn photos_are_seen_at_their_own_size_within_limits() {
        let trained = SizeRule::ShortSide(518);
        let slide = Slide {
            window_size: trained,
            ..SLIDE
        };
        let seen = |photo| slide.layout(photo, &preprocessor(14));
        assert_eq!(seen((4000, 3000)).resized, (4000, 3000));
        assert_eq!(seen((320, 240)).resized, (691, 518));
        let huge = seen((20_000, 10_000));
        assert!(huge.reduced && huge.grid().len() <= MAX_PATCHES);
        assert!(huge.grid().len() > MAX_PATCHES * 9 / 10);
        let asked = Slide {
            size: Some(SizeRule::ShortSide(700)),
            ..slide
        };
        assert_eq!(
            asked.layout((4000, 3000), &preprocessor(14)).resized,
            (933, 700)
        );
        // Not limited to four squares, as a photo in one pass is.
        assert_eq!(
            asked.layout((7000, 700), &preprocessor(14)).resized,
            (7000, 700)
        );
    }
}
