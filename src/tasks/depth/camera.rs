//! The pinhole camera of a photo, from `--fov` or from the focal length in its EXIF data.

use super::photo_depth::PhotoDepth;
use crate::io::inputs::focal_length_35mm;
use crate::terminal::console::Console;
use crate::vision::postprocess::Pinhole;

/// Focal length, in mm on 35 mm film, of photos without one in EXIF: about that of a phone.
const DEFAULT_FOCAL_MM: f64 = 28.0;

/// Looks up the camera of each photo of a run.
pub struct CameraLookup {
    /// The horizontal field of view in degrees of all photos; `None` to use each photo's EXIF data.
    pub fov: Option<f64>,
}

impl CameraLookup {
    /// The camera of one photo. Where no focal length is known it is that of 28 mm, with one note a run.
    pub fn find(&self, measured: &PhotoDepth<'_>, console: &Console) -> Pinhole {
        let size = measured.geometry.photo;
        if let Some(degrees) = self.fov {
            return Pinhole::from_fov(degrees, size);
        }
        let missing = match focal_length_35mm(&measured.job.source) {
            Ok(mm) => return Pinhole::from_focal_35mm(mm, size),
            Err(missing) => missing,
        };
        let camera = Pinhole::from_focal_35mm(DEFAULT_FOCAL_MM, size);
        console.note_once(
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
