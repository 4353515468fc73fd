//! Options of `dino depth --pointcloud`: a cloud of coloured points, one a pixel.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checks::check_range;
use crate::io::output::CloudFormat;
use crate::vision::postprocess::{Axes, Thinning};

/// The point cloud of a photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CloudRecipe {
    /// The file's format.
    pub format: CloudFormat,
    /// A path for the cloud of a single photo, instead of that beside the picture; not kept in recipe files.
    #[serde(skip)]
    pub path: Option<PathBuf>,
    /// Horizontal field of view of the camera in degrees, from 1 to 179; from EXIF by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fov: Option<f64>,
    /// Directions of the axes; by default those of [`default_axes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axes: Option<Axes>,
    /// The most points that are kept; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_points: Option<usize>,
    /// Points beside a jump in depth of more than this share of the nearer depth, between 0 and 1, are dropped; none by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_edges: Option<f32>,
}

/// The axes of a format without `--axes`: OpenGL's (y up) for GLB, OpenCV's (y down) for PLY.
pub fn default_axes(format: CloudFormat) -> Axes {
    match format {
        CloudFormat::Glb => Axes::OpenGl,
        CloudFormat::Ply => Axes::OpenCv,
    }
}

impl CloudRecipe {
    /// Refuses values outside their ranges.
    pub(super) fn check(&self) -> Result<(), String> {
        check_range("fov", self.fov.unwrap_or(90.0), 1.0..=179.0)?;
        check_range("max-points", self.max_points.unwrap_or(1), 1..=usize::MAX)?;
        match self
            .drop_edges
            .is_none_or(|share| share > 0.0 && share < 1.0)
        {
            true => Ok(()),
            false => Err("`drop-edges`: expected a share between 0 and 1".into()),
        }
    }

    /// The directions of the axes, chosen or by default.
    pub fn axes(&self) -> Axes {
        self.axes.unwrap_or(default_axes(self.format))
    }

    /// The rules by which pixels are left out of the cloud.
    pub fn thinning(&self) -> Thinning {
        Thinning {
            max_jump: self.drop_edges,
            max_points: self.max_points,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glb_has_its_own_axes() {
        let cloud = |format, axes| CloudRecipe {
            format,
            path: None,
            fov: None,
            axes,
            max_points: None,
            drop_edges: None,
        };
        assert_eq!(cloud(CloudFormat::Ply, None).axes(), Axes::OpenCv);
        assert_eq!(cloud(CloudFormat::Glb, None).axes(), Axes::OpenGl);
        let gl = Some(Axes::OpenGl);
        assert_eq!(cloud(CloudFormat::Ply, gl).axes(), Axes::OpenGl);
    }
}
