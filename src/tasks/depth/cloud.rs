//! The camera that took a photo.

use crate::io::inputs::focal_length_35mm;
use crate::terminal::console::Console;
use crate::vision::postprocess::Pinhole;

use super::files::Measured;

/// Focal length in mm on 35 mm film that is assumed of a camera that noted none: about that of a phone.
const USUAL_FOCAL: f64 = 28.0;

/// Finds the camera of each photo of a run.
pub struct Cameras {
    /// The horizontal field of view in degrees, if all have this one; else each has what its EXIF block says.
    pub fov: Option<f64>,
}

impl Cameras {
    /// The camera of one photo.
    pub fn of(&self, measured: &Measured<'_>, words: &Console) -> Pinhole {
        let size = measured.geometry.photo;
        if let Some(degrees) = self.fov {
            return Pinhole::from_fov(degrees, size);
        }
        let missing = match focal_length_35mm(&measured.job.source) {
            Ok(mm) => return Pinhole::from_focal_35mm(mm, size),
            Err(missing) => missing,
        };
        let camera = Pinhole::from_focal_35mm(USUAL_FOCAL, size);
        words.note_once(
            "no focal length",
            format_args!(
                "{}: no focal length is known: {missing}; assuming {USUAL_FOCAL} mm on 35 mm film ({:.0} degrees wide), \
                 here and where it is missing from others; --fov sets it",
                measured.job.source.name(),
                camera.fov()
            ),
        );
        camera
    }
}
