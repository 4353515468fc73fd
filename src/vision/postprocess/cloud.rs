//! A depth map as a cloud of coloured points: the selection of pixels, and the points' coordinates in the unit of the
//! map (metres, for the formats that have a unit).

use std::fmt;

use image::RgbImage;
use rayon::prelude::*;

use crate::vision::postprocess::camera::Pinhole;

/// Directions of a cloud's axes, relative to the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axes {
    /// x to the right, y down, z forward: OpenCV, COLMAP, Open3D's cameras.
    #[default]
    OpenCv,
    /// x to the right, y up, z backwards: OpenGL, Blender's cameras, glTF.
    OpenGl,
}

impl Axes {
    /// The value of `--axes`.
    pub fn name(self) -> &'static str {
        match self {
            Axes::OpenCv => "opencv",
            Axes::OpenGl => "opengl",
        }
    }

    /// Converts a point from camera coordinates (right, down, forward) to these axes.
    #[inline]
    pub fn orient(self, [x, y, z]: [f32; 3]) -> [f32; 3] {
        match self {
            Axes::OpenCv => [x, y, z],
            Axes::OpenGl => [x, -y, -z],
        }
    }
}

impl fmt::Display for Axes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axes::OpenCv => "opencv: x right, y down, z forward",
            Axes::OpenGl => "opengl: x right, y up, z backwards",
        })
    }
}

/// Limits by which pixels are dropped, beside those without a depth (not finite, or not above 0). The default drops
/// none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Thinning {
    /// Drops pixels beside a jump in depth larger than this share of the nearer depth, above 0; see
    /// [`PointCloud::new`].
    pub max_jump: Option<f32>,
    /// Keeps at most this many pixels, spread evenly over the photo.
    pub max_points: Option<usize>,
}

/// How many pixels of a photo became points, and why others did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PointCounts {
    /// All pixels of the photo.
    pub pixels: usize,
    /// Pixels whose depth is not finite, or not above 0.
    pub without_depth: usize,
    /// Pixels dropped by [`Thinning::max_jump`].
    pub at_edges: usize,
    /// Pixels dropped by [`Thinning::max_points`].
    pub over_limit: usize,
}

impl PointCounts {
    /// Pixels that became points.
    pub fn points(&self) -> usize {
        self.pixels - self.without_depth - self.at_edges - self.over_limit
    }
}

/// The points of a photo, each on the ray through the middle of its pixel, row by row.
#[derive(Debug)]
pub struct PointCloud<'a> {
    photo: &'a RgbImage,
    depth: &'a [f32],
    camera: Pinhole,
    axes: Axes,
    kept: Vec<bool>,
    /// How many pixels were kept and dropped.
    pub counts: PointCounts,
}

/// Long side of a photo, in pixels, up to which depths of adjacent pixels are compared; in a larger one the distance
/// grows in proportion, since upsampling spreads the same border over more pixels.
const REFERENCE_SIDE: f32 = 640.0;

impl<'a> PointCloud<'a> {
    /// The points of `photo` at `depth` `[height, width]` along the optical axis of `camera`.
    ///
    /// A pixel lies at an edge where its depth and that of a neighbour to the left, right, above or below differ by
    /// more than [`Thinning::max_jump`] times the smaller of the two: upsampled depths there lie between an object and
    /// its background, on neither. Neighbours are one pixel away, in photos with a long side above 640 pixels
    /// proportionally more.
    pub fn new(
        photo: &'a RgbImage,
        depth: &'a [f32],
        camera: Pinhole,
        axes: Axes,
        thinning: Thinning,
    ) -> Self {
        let width = photo.width() as usize;
        let valid = |depth: f32| depth.is_finite() && depth > 0.0;
        let mut kept: Vec<bool> = depth.par_iter().map(|&depth| valid(depth)).collect();
        let mut counts = PointCounts {
            pixels: depth.len(),
            ..PointCounts::default()
        };
        let count = |kept: &[bool]| kept.iter().filter(|&&is| is).count();
        let with_depth = count(&kept);
        counts.without_depth = depth.len() - with_depth;
        if let Some(jump) = thinning.max_jump {
            drop_edges(&mut kept, depth, width, jump);
            counts.at_edges = with_depth - count(&kept);
        }
        let smooth = with_depth - counts.at_edges;
        if let Some(most) = thinning.max_points.filter(|&most| most < smooth) {
            thin_evenly(&mut kept, width, most);
            counts.over_limit = smooth - count(&kept);
        }
        Self {
            photo,
            depth,
            camera,
            axes,
            kept,
            counts,
        }
    }

    /// Width and height of the photo, in pixels.
    pub fn size(&self) -> (usize, usize) {
        let (width, height) = self.photo.dimensions();
        (width as usize, height as usize)
    }

    /// The axes of the coordinates.
    pub fn axes(&self) -> Axes {
        self.axes
    }

    /// The coordinates of each point along [`PointCloud::axes`], and its colour in 8-bit sRGB.
    pub fn points(&self) -> impl Iterator<Item = ([f32; 3], [u8; 3])> {
        let width = self.size().0.max(1);
        let kept = self.kept.iter().zip(self.depth).zip(self.photo.pixels());
        kept.enumerate().filter(|(_, ((kept, _), _))| **kept).map(
            move |(at, ((_, &depth), pixel))| {
                let place = ((at % width) as f32 + 0.5, (at / width) as f32 + 0.5);
                (
                    self.axes.orient(self.camera.unproject(place, depth)),
                    pixel.0,
                )
            },
        )
    }
}

/// Drops the pixels at edges of `depth`, where a neighbour differs by more than `jump` of the nearer depth.
fn drop_edges(kept: &mut [bool], depth: &[f32], width: usize, jump: f32) {
    if width == 0 {
        return;
    }
    let height = depth.len() / width;
    let step = (width.max(height) as f32 / REFERENCE_SIDE).round().max(1.0) as usize;
    let valid = |depth: f32| depth.is_finite() && depth > 0.0;
    kept.par_chunks_mut(width)
        .enumerate()
        .for_each(|(y, kept)| {
            let row = |y: usize| &depth[y * width..][..width];
            let own = row(y);
            let above = y.checked_sub(step).map(row);
            let below = (y + step < height).then(|| row(y + step));
            for (x, kept) in kept.iter_mut().enumerate() {
                let neighbours = [
                    x.checked_sub(step).map(|x| own[x]),
                    own.get(x + step).copied(),
                    above.map(|row| row[x]),
                    below.map(|row| row[x]),
                ];
                let jumps =
                    |other: f32| valid(other) && (own[x] - other).abs() > jump * own[x].min(other);
                *kept = *kept && !neighbours.into_iter().flatten().any(jumps);
            }
        });
}

/// Keeps `most` of the kept pixels, spread evenly over the photo and always the same ones: those of the lowest ranks in
/// Roberts' R2 sequence (2018), whose lowest ranks are evenly spread for every number of points.
fn thin_evenly(kept: &mut [bool], width: usize, most: usize) {
    // The fractions 1 / g and 1 / g^2 of 2^64, for the real root g of g^3 = g + 1.
    let (across, down) = (0xc13f_a9a9_02a6_328f_u64, 0x91e1_0da5_c79e_7b1c_u64);
    let rank = |at: usize| {
        let (x, y) = ((at % width) as u64, (at / width) as u64);
        across
            .wrapping_mul(x + 1)
            .wrapping_add(down.wrapping_mul(y + 1))
    };
    let ranks = |kept: &[bool]| -> Vec<u64> {
        let kept = kept.par_iter().enumerate().filter(|(_, kept)| **kept);
        kept.map(|(at, _)| rank(at)).collect()
    };
    let mut ranks = ranks(kept);
    if most >= ranks.len() {
        return;
    }
    let limit = *ranks.select_nth_unstable(most).1;
    kept.par_iter_mut()
        .enumerate()
        .for_each(|(at, kept)| *kept = *kept && rank(at) < limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud<'a>(photo: &'a RgbImage, depth: &'a [f32], thinning: Thinning) -> PointCloud<'a> {
        let camera = Pinhole::from_fov(90.0, photo.dimensions());
        PointCloud::new(photo, depth, camera, Axes::OpenCv, thinning)
    }

    #[test]
    fn only_depths_give_points() {
        let photo = RgbImage::new(7, 1);
        let depth = [
            1.0,
            f32::NAN,
            f32::INFINITY,
            0.0,
            -1.0,
            f32::NEG_INFINITY,
            2.0,
        ];
        let cloud = cloud(&photo, &depth, Thinning::default());
        let depths: Vec<f32> = cloud.points().map(|([_, _, z], _)| z).collect();
        assert_eq!(depths, [1.0, 2.0]);
        assert_eq!((cloud.counts.without_depth, cloud.counts.points()), (5, 2));
    }

    #[test]
    fn both_sides_of_a_jump_are_dropped() {
        let photo = RgbImage::new(6, 2);
        // 4 % up, then 6 % down, and a neighbour without a depth, which is no jump.
        let row = [1.0, 1.0, 1.04, 0.98, 0.98, f32::NAN];
        let depth = [row, row].concat();
        let thinning = Thinning {
            max_jump: Some(0.05),
            max_points: None,
        };
        let cloud = cloud(&photo, &depth, thinning);
        assert_eq!(
            cloud.kept,
            [[true, true, false, false, true, false]; 2].concat()
        );
        assert_eq!((cloud.counts.at_edges, cloud.counts.points()), (4, 6));
    }

    #[test]
    fn a_ramp_is_an_edge_whatever_the_size_of_the_photo() {
        // From 1 m to 2 m over a fiftieth of the width.
        let share = |side: usize| {
            let depth = |x: usize| 1.0 + ((x as f32 / side as f32 - 0.5) * 50.0).clamp(0.0, 1.0);
            let depth: Vec<f32> = (0..side).map(depth).collect();
            let photo = RgbImage::new(side as u32, 1);
            let thinning = Thinning {
                max_jump: Some(0.05),
                max_points: None,
            };
            cloud(&photo, &depth, thinning).counts.at_edges as f32 / side as f32
        };
        // From a third of a step before it to a depth of 1.64 m.
        for side in [640, 1280, 3200] {
            let share = share(side);
            assert!((share / 0.0134 - 1.0).abs() < 0.1, "{side}: {share}");
        }
    }

    #[test]
    fn a_few_points_are_spread_evenly() {
        let (width, height) = (64, 48);
        let photo = RgbImage::new(width, height);
        let depth = vec![1.0; (width * height) as usize];
        for most in [1, 48, 100, 500, 3071, 3072, 9999] {
            let thinning = Thinning {
                max_jump: None,
                max_points: Some(most),
            };
            let cloud = cloud(&photo, &depth, thinning);
            let points = cloud.counts.points();
            assert_eq!(points, most.min(3072));
            assert_eq!(cloud.points().count(), points);
            // Every sixteenth of the photo has its share.
            let mut tiles = [0usize; 16];
            for (at, _) in cloud.kept.iter().enumerate().filter(|(_, kept)| **kept) {
                tiles[at / 64 / 12 * 4 + at % 64 / 16] += 1;
            }
            let even = points as f32 / 16.0;
            let off = |&tile: &usize| (tile as f32 - even).abs();
            assert!(
                tiles.iter().all(|t| off(t) <= 2.0 + 0.1 * even),
                "{tiles:?}"
            );
        }
    }

    #[test]
    fn axes_turn_about_x() {
        assert_eq!(Axes::OpenCv.orient([1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(Axes::OpenGl.orient([1.0, 2.0, 3.0]), [1.0, -2.0, -3.0]);
    }
}
