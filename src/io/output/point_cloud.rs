//! A point cloud in the format that was asked for.

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
    /// The ending of the files' names.
    pub fn extension(self) -> &'static str {
        match self {
            CloudFormat::Ply => "ply",
            CloudFormat::Glb => "glb",
        }
    }

    /// Writes `cloud`, and in its header `comments`.
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
