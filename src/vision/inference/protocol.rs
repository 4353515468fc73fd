//! The published test-time protocols for segmentation: the sizes to which a photo is resized, whether it is also
//! mirrored, and the windows that the backbone gets (mmsegmentation 0.27 with the configurations of the published
//! heads).
//!
//! [`views`] lays out the views of a photo, [`score_views`] computes the scores of every window, and
//! [`postprocess::views`](crate::vision::postprocess::views) turns them into labels. Only scores over patch grids are
//! kept, never at the sizes of the views: 4 bytes x classes x patches of all windows, 1.6 MB for a photo of 4:3 under
//! `slide` and 200 MB under `ms`, with 150 classes.

use image::RgbImage;
use image::imageops::flip_horizontal;

use crate::error::{Error, Result};
use crate::model::head::{Protocol, Scores};
use crate::vision::inference::slide::window_starts;
use crate::vision::preprocess::{PreparedImage, Preprocessor, Resample, resize};

/// A window of a view, in pixels of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelWindow {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Number of columns.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
}

/// One view of the photo: resized, perhaps mirrored, and cut into windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolView {
    /// Width and height to which the photo is resized, in pixels.
    pub size: (u32, u32),
    /// Whether it is mirrored left to right.
    pub mirrored: bool,
    /// The windows, row by row; all are of one size, and the last of a row or column is pulled back to end with the
    /// view.
    pub windows: Vec<PixelWindow>,
}

/// A view with the scores of its windows, each over the patch grid of its padded window.
#[derive(Debug, Clone)]
pub struct ScoredView {
    /// The view that was scored.
    pub view: ProtocolView,
    /// Scores of each window, in the order of the view's windows.
    pub scores: Vec<Scores>,
    /// Side of a patch, in pixels.
    pub patch_size: usize,
}

/// The test-time configuration of a protocol.
struct ProtocolConfig {
    /// Short side of the photo at ratio 1, in pixels.
    short_side: f64,
    /// Factors of the short side, one view each.
    ratios: &'static [f64],
    /// Whether each view is also mirrored.
    mirrored: bool,
    /// Side and stride of the windows, in pixels; `None` for one window over the whole view.
    windows: Option<(u32, u32)>,
}

fn protocol_config(protocol: Protocol) -> Option<ProtocolConfig> {
    let plain = ProtocolConfig {
        short_side: 512.0,
        ratios: &[1.0],
        mirrored: false,
        windows: None,
    };
    match protocol {
        Protocol::Plain | Protocol::Flip => None,
        Protocol::Whole => Some(plain),
        Protocol::Slide => Some(ProtocolConfig {
            windows: Some((512, 341)),
            ..plain
        }),
        Protocol::Ms => Some(ProtocolConfig {
            short_side: 640.0,
            ratios: &[1.0, 1.32, 1.73, 2.28, 3.0],
            mirrored: true,
            windows: Some((LARGEST_WINDOW, 320)),
        }),
    }
}

/// The side of the largest window of any protocol, in pixels.
pub const LARGEST_WINDOW: u32 = 640;

/// The views of a photo of `photo` = (width, height) under `protocol`.
///
/// # Errors
/// [`Error::Usage`] if the protocol is not for segmentation; [`Error::Model`] for a strip so long that a side of a view
/// would exceed 32768 pixels.
pub fn views(protocol: Protocol, photo: (u32, u32)) -> Result<Vec<ProtocolView>> {
    let Some(config) = protocol_config(protocol) else {
        let why = format!(
            "the protocol {} is for depth, not for segmentation",
            protocol.name()
        );
        return Err(Error::Usage(why));
    };
    let mut views = Vec::new();
    for ratio in config.ratios {
        // The base size is cut to whole pixels before the photo's scale is known, as mmsegmentation does it.
        let short = (config.short_side * ratio).floor();
        let scale = short / f64::from(photo.0.min(photo.1));
        let side = |side: u32| (f64::from(side) * scale + 0.5).floor().max(1.0);
        let (width, height) = (side(photo.0), side(photo.1));
        if width.max(height) > MAX_SIDE {
            return Err(Error::Model(format!(
                "a strip of {}x{} becomes {width}x{height} under the protocol {}; sides up to {MAX_SIDE} are allowed \
                 (--protocol none makes strips smaller)",
                photo.0,
                photo.1,
                protocol.name()
            )));
        }
        let size = (width as u32, height as u32);
        for mirrored in [false, true] {
            if !mirrored || config.mirrored {
                views.push(ProtocolView {
                    size,
                    mirrored,
                    windows: view_windows(size, config.windows),
                });
            }
        }
    }
    Ok(views)
}

/// Longest side of a view, in pixels; windows of a longer one would not fit into memory.
const MAX_SIDE: f64 = 32768.0;

fn view_windows((width, height): (u32, u32), rule: Option<(u32, u32)>) -> Vec<PixelWindow> {
    let (side, stride) = rule.unwrap_or((width.max(height), 1));
    let starts = |length: u32| window_starts(length as usize, side as usize, stride as usize);
    let lefts = starts(width);
    let mut all = Vec::new();
    for top in starts(height) {
        all.extend(lefts.iter().map(|&left| PixelWindow {
            left: left as u32,
            top: top as u32,
            width: side.min(width),
            height: side.min(height),
        }));
    }
    all
}

/// Scores all windows of the `views` of `photo`. `scores` gets up to `batch` prepared windows of one size, for patches
/// of `patch_size` pixels, and returns the scores of each.
///
/// # Errors
/// What `scores` returns, and those of resizing.
pub fn score_views(
    photo: &RgbImage,
    views: Vec<ProtocolView>,
    patch_size: usize,
    batch: usize,
    mut scores: impl FnMut(&[PreparedImage]) -> Result<Vec<Scores>>,
) -> Result<Vec<ScoredView>> {
    let preprocessor = Preprocessor::published(patch_size);
    let mut all = Vec::with_capacity(views.len());
    let mut last: Option<RgbImage> = None;
    for view in views {
        let (width, height) = view.size;
        let resized = match last.take().filter(|image| image.dimensions() == view.size) {
            Some(image) => image,
            None => resize::resize_rgb(photo, width, height, Resample::Bilinear)?,
        };
        let image = match view.mirrored {
            true => flip_horizontal(&resized),
            false => resized.clone(),
        };
        let mut window_scores = Vec::with_capacity(view.windows.len());
        for windows in view.windows.chunks(batch.max(1)) {
            let prepare = |w: &PixelWindow| {
                let cut = image::imageops::crop_imm(&image, w.left, w.top, w.width, w.height);
                preprocessor.prepare(&cut.to_image())
            };
            let pixels = windows.iter().map(prepare).collect::<Result<Vec<_>>>()?;
            window_scores.extend(scores(&pixels)?);
        }
        last = Some(resized);
        all.push(ScoredView {
            view,
            scores: window_scores,
            patch_size,
        });
    }
    Ok(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn slide_is_two_windows_of_a_photo_of_4_to_3() {
        let all = views(Protocol::Slide, (640, 480)).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].size, (683, 512));
        let lefts: Vec<u32> = all[0].windows.iter().map(|w| w.left).collect();
        assert_eq!(lefts, [0, 171]);
        assert!(
            all[0]
                .windows
                .iter()
                .all(|w| (w.width, w.height) == (512, 512))
        );
    }

    #[test]
    fn ms_is_five_sizes_both_ways_round() {
        let all = views(Protocol::Ms, (500, 400)).unwrap();
        assert_eq!(all.len(), 10);
        let shorts: Vec<u32> = all.iter().step_by(2).map(|view| view.size.1).collect();
        assert_eq!(shorts, [640, 844, 1107, 1459, 1920]);
        assert!(all[0].size == all[1].size && all[1].mirrored && !all[0].mirrored);
        // mmseg: ceil((1920 - 640) / 320) + 1 rows.
        let tops: std::collections::BTreeSet<u32> = all[8].windows.iter().map(|w| w.top).collect();
        assert_eq!(tops.len(), 5);
    }

    #[test]
    fn whole_is_one_window_and_strips_are_refused() {
        let all = views(Protocol::Whole, (100, 300)).unwrap();
        assert_eq!(all[0].windows.len(), 1);
        assert_eq!(all[0].windows[0].height, 1536);
        assert!(views(Protocol::Whole, (1, 30_000)).is_err());
        assert!(views(Protocol::Flip, (100, 100)).is_err());
    }
}
