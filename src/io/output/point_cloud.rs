//! The formats of point clouds: the enum [`CloudFormat`] dispatches to their encoders.
//!
//! To add a format, add an arm to [`CloudFormat`] with its extension and its encoder.

use std::io::{self, Write};

use crate::io::output::{write_glb, write_ply};
use crate::vision::postprocess::cloud::PointCloud;

/// The formats of point clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloudFormat {
    /// Binary PLY.
    Ply,
    /// Binary glTF 2.0.
    Glb,
}

impl CloudFormat {
    /// The extension of such a file.
    pub fn extension(self) -> &'static str {
        match self {
            CloudFormat::Ply => "ply",
            CloudFormat::Glb => "glb",
        }
    }

    /// Writes `cloud` with `comments` in its header.
    ///
    /// # Errors
    /// As [`write_ply`] and [`write_glb`].
    pub fn write(
        self,
        writer: impl Write,
        cloud: &PointCloud<'_>,
        comments: &[String],
    ) -> io::Result<()> {
        match self {
            CloudFormat::Ply => write_ply(writer, cloud, comments),
            CloudFormat::Glb => write_glb(writer, cloud, comments),
        }
    }
}
