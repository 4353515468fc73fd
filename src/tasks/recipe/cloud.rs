//! A cloud of coloured points, a pixel a point.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checks::check_range;
use crate::io::output::CloudFormat;
use crate::vision::postprocess::{Axes, Thinning};

/// A cloud of points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CloudRecipe {
    /// Of the file.
    pub format: CloudFormat,
    /// The file of the only photo, if not the usual one beside the picture; a matter of one run.
    #[serde(skip)]
    pub path: Option<PathBuf>,
    /// Horizontal field of view of the camera in degrees; from EXIF if nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fov: Option<f64>,
    /// Directions of the axes; those of the format if nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axes: Option<Axes>,
    /// Points that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_points: Option<usize>,
    /// Points at edges of depth that are dropped, as a share of the depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_edges: Option<f32>,
}

/// The axes of a format if nothing is said about them.
pub fn default_axes(format: CloudFormat) -> Axes {
    match format {
        CloudFormat::Glb => Axes::OpenGl,
        CloudFormat::Ply => Axes::OpenCv,
    }
}

impl CloudRecipe {
    /// Refuses numbers that mean nothing.
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

    /// The directions of its axes.
    pub fn axes(&self) -> Axes {
        self.axes.unwrap_or(default_axes(self.format))
    }

    /// Which pixels become no points.
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
