//! The camera that took a photo.

use super::photo_depth::PhotoDepth;
use crate::io::inputs::focal_length_35mm;
use crate::terminal::console::Console;
use crate::vision::postprocess::Pinhole;

/// Focal length in mm on 35 mm film that is assumed of a camera that noted none: about that of a phone.
const DEFAULT_FOCAL_MM: f64 = 28.0;

/// Finds the camera of each photo of a run.
pub struct CameraLookup {
    /// The horizontal field of view in degrees, if all have this one; else each has what its EXIF block says.
    pub fov: Option<f64>,
}

impl CameraLookup {
    /// The camera of one photo.
    pub fn find(&self, measured: &PhotoDepth<'_>, words: &Console) -> Pinhole {
        let size = measured.geometry.photo;
        if let Some(degrees) = self.fov {
            return Pinhole::from_fov(degrees, size);
        }
        let missing = match focal_length_35mm(&measured.job.source) {
            Ok(mm) => return Pinhole::from_focal_35mm(mm, size),
            Err(missing) => missing,
        };
        let camera = Pinhole::from_focal_35mm(DEFAULT_FOCAL_MM, size);
        words.note_once(
            "no focal length",
            format_args!(
                "{}: no focal length is known: {missing}; assuming {DEFAULT_FOCAL_MM} mm on 35 mm film ({:.0} degrees wide), \
                 here and where it is missing from others; --fov sets it",
                measured.job.source.name(),
                camera.fov()
            ),
        );
        camera
    }
}
