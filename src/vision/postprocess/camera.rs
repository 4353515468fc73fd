//! The pinhole camera model: from pixels and depths along the optical axis to points in space, with the focal length in
//! pixels from a field of view or a 35 mm equivalent.

/// A pinhole camera with square pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pinhole {
    /// Focal length in pixels.
    pub focal: f32,
    /// Where the optical axis crosses the photo, (x, y) in pixels from its top left corner; the middle for both
    /// constructors.
    pub principal_point: (f32, f32),
}

/// Diagonal of the 36 x 24 mm frame that "35 mm equivalent" focal lengths refer to, in mm.
const FRAME_DIAGONAL: f64 = 43.266_615;

impl Pinhole {
    /// From the horizontal field of view in degrees, between 0 and 180, of a photo of (width, height).
    pub fn from_fov(degrees: f64, (width, height): (u32, u32)) -> Self {
        let focal = 0.5 * f64::from(width) / (0.5 * degrees.to_radians()).tan();
        Self::centred(focal, (width, height))
    }

    /// From the 35 mm equivalent focal length in mm, which has the same field of view along the diagonal.
    pub fn from_focal_35mm(mm: f64, (width, height): (u32, u32)) -> Self {
        let diagonal = f64::from(width).hypot(f64::from(height));
        Self::centred(mm / FRAME_DIAGONAL * diagonal, (width, height))
    }

    fn centred(focal: f64, (width, height): (u32, u32)) -> Self {
        Self {
            focal: focal as f32,
            principal_point: (0.5 * width as f32, 0.5 * height as f32),
        }
    }

    /// Horizontal field of view in degrees.
    pub fn fov(&self) -> f64 {
        2.0 * f64::from(self.principal_point.0 / self.focal)
            .atan()
            .to_degrees()
    }

    /// The point at `depth` along the optical axis that projects to the pixel position `(x, y)`: its coordinates to the
    /// right, down and forward, in the unit of `depth`.
    pub fn unproject(&self, (x, y): (f32, f32), depth: f32) -> [f32; 3] {
        let scale = depth / self.focal;
        [
            (x - self.principal_point.0) * scale,
            (y - self.principal_point.1) * scale,
            depth,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_of_a_right_angle_lies_at_its_depth() {
        let camera = Pinhole::from_fov(90.0, (640, 480));
        assert!((camera.focal - 320.0).abs() < 1e-3);
        assert!((camera.fov() - 90.0).abs() < 1e-4);
        let [x, y, z] = camera.unproject((640.0, 240.0), 3.0);
        assert!((x - 3.0).abs() < 1e-5 && y == 0.0 && z == 3.0);
    }

    #[test]
    fn a_35_mm_equivalent_keeps_the_diagonal() {
        // On the frame itself the focal length is what it says: 50 mm over 36 mm of width.
        let camera = Pinhole::from_focal_35mm(50.0, (3600, 2400));
        assert!((camera.focal - 5000.0).abs() < 0.1, "{}", camera.focal);
        let upright = Pinhole::from_focal_35mm(50.0, (2400, 3600));
        assert_eq!(camera.focal, upright.focal);
    }
}
