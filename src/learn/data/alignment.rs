//! Alignment of labels with their photos. Photos are used upright, after their EXIF orientation; a label whose shape is
//! that of the stored photo is turned in the same way, and one of neither shape is refused unless labels are stretched.
//!
//! In: a mask or depth label and the shape of its photo. Out: the label as it lies on the upright photo, at its own
//! resolution.

use std::path::Path;

use image::metadata::Orientation;

use crate::error::{Error, Result};
use crate::learn::data::labels::{DepthLabel, Mask};
use crate::terminal::warnings::Warnings;

/// Relative tolerance between the aspect ratios of a label and its photo.
const TOLERANCE: f64 = 0.02;

/// The shape of a photo that its label must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhotoShape {
    /// Width and height of the upright photo, pixels.
    pub upright: (u32, u32),
    /// The EXIF orientation that turns its stored pixels upright.
    pub orientation: Orientation,
}

/// How labels are brought onto their photos.
#[derive(Debug, Clone)]
pub struct LabelAlignment {
    /// Whether labels of another aspect ratio are stretched over their photos (`--stretch-labels`); else they are
    /// refused.
    pub stretch: bool,
    /// Receives warnings about labels that are turned, or that might have to be.
    pub warnings: Warnings,
}

impl LabelAlignment {
    /// The mask as it lies on its upright photo.
    ///
    /// # Errors
    /// Where its shape is neither that of the upright nor of the stored photo, unless labels are stretched.
    pub fn align_mask(&self, mask: Mask, path: &Path, photo: PhotoShape) -> Result<Mask> {
        let size = (mask.width, mask.height);
        Ok(match self.needs_turn(size, path, photo)? {
            false => mask,
            true => {
                let (ids, (width, height)) = turn_upright(&mask.ids, size, photo.orientation);
                Mask { width, height, ids }
            }
        })
    }

    /// The depth label as it lies on its upright photo.
    ///
    /// # Errors
    /// As [`LabelAlignment::align_mask`].
    pub fn align_depth(
        &self,
        depth: DepthLabel,
        path: &Path,
        photo: PhotoShape,
    ) -> Result<DepthLabel> {
        let size = (depth.width, depth.height);
        Ok(match self.needs_turn(size, path, photo)? {
            false => depth,
            true => {
                let (metres, (width, height)) =
                    turn_upright(&depth.metres, size, photo.orientation);
                DepthLabel {
                    width,
                    height,
                    metres,
                }
            }
        })
    }

    /// Whether a label of `size` (width, height) has to be turned as its photo is.
    fn needs_turn(&self, size: (usize, usize), path: &Path, photo: PhotoShape) -> Result<bool> {
        let name = path.display().to_string();
        let (width, height) = (photo.upright.0 as usize, photo.upright.1 as usize);
        let is_turned = swaps_sides(photo.orientation);
        let fits = has_shape(size, (width, height));
        let fits_stored = is_turned && has_shape(size, (height, width));
        // A nearly square shape fits both ways; then the exact size decides.
        let stored = size != (width, height) && fits_stored && (!fits || size == (height, width));
        if stored {
            self.warnings.add(
                "labels that lie as their photos are stored",
                &name,
                format_args!(
                    "is {} x {} as the photo is stored, which is {width} x {height} upright; the label is turned with it",
                    size.0, size.1
                ),
            );
            return Ok(true);
        }
        if !fits && !self.stretch {
            return Err(Error::file(
                path,
                format!(
                    "is {} x {}, but its photo is {width} x {height}, which is another shape; --stretch-labels lays it \
                     over the photo all the same",
                    size.0, size.1
                ),
            ));
        }
        let tells_nothing = match is_turned {
            true => width == height,
            false => photo.orientation != Orientation::NoTransforms,
        };
        if tells_nothing {
            self.warnings.add(
                "labels of photos that are turned or mirrored",
                &name,
                format_args!(
                    "its photo is stored turned or mirrored (orientation {}), and sizes do not tell whether the label is, \
                     too; it is taken to lie upright",
                    photo.orientation.to_exif()
                ),
            );
        }
        Ok(false)
    }
}

/// Whether an orientation exchanges width and height.
fn swaps_sides(orientation: Orientation) -> bool {
    orientation.to_exif() >= 5
}

/// Whether two sizes have the same aspect ratio, within [`TOLERANCE`] or rounding to whole pixels.
fn has_shape(label: (usize, usize), photo: (usize, usize)) -> bool {
    if label.0 == 0 || label.1 == 0 || photo.0 == 0 || photo.1 == 0 {
        return false;
    }
    let sides = (label.0 as f64, label.1 as f64);
    let wanted = photo.0 as f64 / photo.1 as f64;
    let ratio = sides.0 / sides.1 / wanted;
    let near = (1.0 / (1.0 + TOLERANCE)..=1.0 + TOLERANCE).contains(&ratio);
    // In small images one pixel is more than the tolerance.
    let rounded =
        (sides.1 * wanted - sides.0).abs() <= 1.0 || (sides.0 / wanted - sides.1).abs() <= 1.0;
    near || rounded
}

/// The values of a stored image of `size` (width, height) turned upright, and their size then.
fn turn_upright<T: Copy>(
    values: &[T],
    size: (usize, usize),
    orientation: Orientation,
) -> (Vec<T>, (usize, usize)) {
    let (columns, rows) = size;
    let (width, height) = match swaps_sides(orientation) {
        true => (rows, columns),
        false => size,
    };
    // The place in the stored image of the upright pixel (u, v), after the figures of the EXIF standard.
    let (w, h) = (columns.saturating_sub(1), rows.saturating_sub(1));
    let stored = |u: usize, v: usize| match orientation {
        Orientation::NoTransforms => (u, v),
        Orientation::FlipHorizontal => (w - u, v),
        Orientation::Rotate180 => (w - u, h - v),
        Orientation::FlipVertical => (u, h - v),
        Orientation::Rotate90FlipH => (v, u),
        Orientation::Rotate90 => (v, h - u),
        Orientation::Rotate270FlipH => (w - v, h - u),
        Orientation::Rotate270 => (w - v, u),
    };
    let places = (0..height).flat_map(|v| (0..width).map(move |u| (u, v)));
    let upright = places.map(|(u, v)| {
        let (x, y) = stored(u, v);
        values[y * columns + x]
    });
    (upright.collect(), (width, height))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use image::{DynamicImage, GrayImage};

    use super::*;

    fn fitting(stretch: bool) -> LabelAlignment {
        LabelAlignment {
            stretch,
            warnings: Warnings::silent(),
        }
    }

    fn mask(width: usize, height: usize) -> Mask {
        Mask {
            width,
            height,
            ids: (0..width * height).map(|at| at as u16).collect(),
        }
    }

    fn said(fitting: &LabelAlignment) -> Vec<&'static str> {
        fitting
            .warnings
            .counts()
            .iter()
            .map(|count| count.kind)
            .collect()
    }

    #[test]
    fn labels_turn_as_photos_do() {
        for number in 1..=8 {
            let orientation = Orientation::from_exif(number).unwrap();
            let stored = mask(5, 3);
            let bytes = stored.ids.iter().map(|&id| id as u8).collect();
            let mut photo = DynamicImage::ImageLuma8(GrayImage::from_raw(5, 3, bytes).unwrap());
            photo.apply_orientation(orientation);
            let upright = (photo.width(), photo.height());
            let shape = PhotoShape {
                upright,
                orientation,
            };
            let fitting = fitting(false);
            let found = fitting
                .align_mask(stored.clone(), Path::new("a.png"), shape)
                .unwrap();
            let expected: Vec<u16> = photo.to_luma8().iter().map(|&id| u16::from(id)).collect();
            match number {
                // Sizes do not show whether the label was turned.
                2..=4 => assert_eq!((found, said(&fitting).len()), (stored.clone(), 1)),
                _ => assert_eq!(
                    (found.ids, (found.width as u32, found.height as u32)),
                    (expected.clone(), upright)
                ),
            }
            assert_eq!(
                turn_upright(&stored.ids, (5, 3), orientation).0,
                expected,
                "{number}"
            );
        }
    }

    #[test]
    fn smaller_labels_of_one_shape_fit() {
        let shape = |upright, number| PhotoShape {
            upright,
            orientation: Orientation::from_exif(number).unwrap(),
        };
        let fit = |size: (usize, usize), photo: PhotoShape| {
            let fitting = fitting(false);
            let found = fitting.align_mask(mask(size.0, size.1), Path::new("a.png"), photo);
            found.map(|found| ((found.width, found.height), said(&fitting).len()))
        };
        assert_eq!(
            fit((320, 240), shape((640, 480), 1)).unwrap(),
            ((320, 240), 0)
        );
        assert_eq!(fit((13, 9), shape((640, 427), 1)).unwrap(), ((13, 9), 0));
        // Half as large as the stored photo.
        assert_eq!(
            fit((320, 240), shape((480, 640), 6)).unwrap(),
            ((240, 320), 1)
        );
        assert_eq!(
            fit((240, 320), shape((480, 640), 6)).unwrap(),
            ((240, 320), 0)
        );
        // Nearly square: the exact size decides.
        assert_eq!(fit((100, 99), shape((99, 100), 8)).unwrap(), ((99, 100), 1));
        assert_eq!(fit((99, 100), shape((99, 100), 8)).unwrap(), ((99, 100), 0));
        assert_eq!(fit((64, 64), shape((64, 64), 8)).unwrap(), ((64, 64), 1));
        let error = fit((480, 640), shape((640, 480), 1))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("480 x 640")
                && error.contains("640 x 480")
                && error.contains("--stretch-labels")
        );
        assert!(fit((640, 494), shape((640, 480), 1)).is_err());
        let stretched =
            fitting(true).align_mask(mask(48, 64), Path::new("a.png"), shape((640, 480), 1));
        assert_eq!(stretched.unwrap().width, 48);
    }
}
