//! The camera that took a photo.

use std::cell::Cell;

use dino::console::Console;
use dino::inputs::focal_length_35mm;
use dino::postprocess::Pinhole;

use super::files::Measured;

/// Focal length in mm on 35 mm film that is assumed of a camera that noted none: about that of a phone.
const USUAL_FOCAL: f64 = 28.0;

/// Finds the camera of each photo of a run.
pub struct Cameras<'a> {
    /// `--fov`.
    fov: Option<f64>,
    console: &'a Console,
    /// Whether the focal length that is assumed was told.
    told: Cell<bool>,
}

impl<'a> Cameras<'a> {
    /// All with the horizontal field of view `fov` in degrees, or else each as its EXIF block says.
    pub fn new(fov: Option<f64>, console: &'a Console) -> Self {
        Self {
            fov,
            console,
            told: Cell::new(false),
        }
    }

    /// The camera of one photo.
    pub fn of(&self, measured: &Measured<'_>) -> Pinhole {
        let size = measured.geometry.photo;
        if let Some(degrees) = self.fov {
            return Pinhole::from_fov(degrees, size);
        }
        let missing = match focal_length_35mm(&measured.job.source) {
            Ok(mm) => return Pinhole::from_focal_35mm(mm, size),
            Err(missing) => missing,
        };
        let camera = Pinhole::from_focal_35mm(USUAL_FOCAL, size);
        if !self.told.replace(true) {
            self.console.note(format_args!(
                "{}: no focal length is known: {missing}; assuming {USUAL_FOCAL} mm on 35 mm film ({:.0} degrees wide), \
                 here and where it is missing from others; --fov sets it",
                measured.job.source.name(),
                camera.fov()
            ));
        }
        camera
    }
}
