//! Options of the point cloud of `dino depth`: format, camera, and which pixels become points.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum, ValueHint};
use dino::io::output::CloudFormat;
use dino::system::files::ResolvedPath;
use dino::tasks::recipe::CloudRecipe;
use dino::vision::postprocess::Axes;

/// A cloud of coloured points, a pixel a point.
#[derive(Debug, Args)]
#[command(next_help_heading = "Point cloud")]
pub struct CloudArgs {
    /// Write a cloud of coloured points: NAME.depth.ply, or with glb NAME.depth.glb, or this file (- for stdout, as PLY)
    #[arg(long, value_name = "ply|glb|FILE", num_args = 0..=1, default_missing_value = "ply", value_parser = OsStringValueParser::new().try_map(parse_cloud_target),
          value_hint = ValueHint::FilePath)]
    pub pointcloud: Option<CloudTarget>,
    /// Horizontal field of view of the camera in degrees [default: from EXIF]
    #[arg(long, value_name = "DEG", value_parser = degrees, requires = "pointcloud")]
    pub fov: Option<f64>,
    /// Directions of the axes [default: opencv, and opengl in GLB, which has no others]
    #[arg(long, value_enum, value_name = "AXES", requires = "pointcloud")]
    pub axes: Option<AxesChoice>,
    /// Keep at most this many points, spread evenly over the photo and the same ones every time
    #[arg(long, value_name = "N", value_parser = points, requires = "pointcloud")]
    pub max_points: Option<usize>,
    /// Drop points in the air between a thing and what is behind it: where depth and that of a neighbouring pixel
    /// differ by more than this share of the nearer one, 0.015 if none is given (neighbours as of a photo of 640 pixels)
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_missing_value = USUAL_JUMP, value_parser = share,
          requires = "pointcloud")]
    pub drop_edges: Option<f32>,
}

/// What `--drop-edges` means alone: borders that upsampling smeared over a patch, a third of the depth away, and no floor
/// nearer than 12 m that a standing person photographs.
const USUAL_JUMP: &str = "0.015";

/// Value of `--pointcloud`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudTarget {
    /// By the ending, or the word.
    pub format: CloudFormat,
    /// The file, if not the usual one beside the picture.
    pub path: Option<PathBuf>,
}

/// Values of `--axes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AxesChoice {
    /// x right, y down, z forward
    Opencv,
    /// x right, y up, z backwards
    Opengl,
}

impl CloudArgs {
    /// The recipe of a point cloud; none without `--pointcloud`.
    pub fn recipe(&self) -> Option<CloudRecipe> {
        let target = self.pointcloud.as_ref()?;
        Some(CloudRecipe {
            format: target.format,
            path: target.path.clone(),
            fov: self.fov,
            axes: self.axes.map(|axes| match axes {
                AxesChoice::Opencv => Axes::OpenCv,
                AxesChoice::Opengl => Axes::OpenGl,
            }),
            max_points: self.max_points,
            drop_edges: self.drop_edges,
        })
    }
}

fn parse_cloud_target(text: OsString) -> Result<CloudTarget, String> {
    let named = |name: &str| {
        [CloudFormat::Ply, CloudFormat::Glb]
            .into_iter()
            .find(|format| format.extension().eq_ignore_ascii_case(name))
    };
    if let Some(format) = text.to_str().and_then(named) {
        return Ok(CloudTarget { format, path: None });
    }
    let path = PathBuf::from(text);
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending.and_then(named) {
        Some(format) => Ok(CloudTarget {
            format,
            path: Some(path),
        }),
        // A pipe or device may have any name; it gets PLY.
        None if !path.as_os_str().is_empty() && matches!(ResolvedPath::resolve_flag(&path), Ok(ResolvedPath::Stream(_))) => Ok(CloudTarget {
            format: CloudFormat::Ply,
            path: Some(path),
        }),
        None => Err(
            "expected ply, glb, a file ending in .ply or .glb, or nothing; photos come before --pointcloud"
                .into(),
        ),
    }
}

fn degrees(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (1.0..=179.0).contains(&value) => Ok(value),
        _ => Err("expected degrees from 1 to 179, such as 65".into()),
    }
}

fn points(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("expected a number of points from 1, such as 100000".into()),
    }
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err(
            "expected a share above 0 and below 1, such as 0.02 for 2 %; photos come before --drop-edges"
                .into(),
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_is_a_word_or_a_file() {
        let (ply, glb) = (CloudFormat::Ply, CloudFormat::Glb);
        for (text, format, path) in [
            ("ply", ply, None),
            ("GLB", glb, None),
            ("a/b.PLY", ply, Some("a/b.PLY")),
            ("./ply.glb", glb, Some("./ply.glb")),
        ] {
            let path = path.map(PathBuf::from);
            assert_eq!(
                parse_cloud_target(text.into()).unwrap(),
                CloudTarget { format, path }
            );
        }
        for wrong in ["photo.jpg", "", "x.gltf", "cloud/"] {
            assert!(parse_cloud_target(wrong.into()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_checked() {
        assert!(degrees("0").is_err() && degrees("65").is_ok());
        assert!(points("0").is_err() && points("1e5").is_err() && points("7").is_ok());
        for wrong in ["0", "5", "-0.1", "nan", "5%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert_eq!(share("0.1").unwrap(), 0.1);
    }
}
