//! Options of `dino depth`, and the [`DepthRecipe`] that they become.

use std::num::NonZeroU32;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use dino::tasks::recipe::{DepthFileFormat, DepthRecipe, RangeRule};
use dino::vision::render::Colormap;

use super::values::{opacity, pixel};
use super::{CloudArgs, PredictArgs, RefitArgs, TextArgs, VideoArgs};

/// Measure how far away everything in a photo is
///
/// Gives a picture of depth along the viewing axis, with a scale, and the numbers on request.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct DepthArgs {
    #[command(flatten)]
    pub predict: PredictArgs,
    #[command(flatten)]
    pub refit: RefitArgs,
    #[command(flatten)]
    pub look: DepthLookArgs,
    #[command(flatten)]
    pub text: TextArgs,
    #[command(flatten)]
    pub numbers: NumbersArgs,
    #[command(flatten)]
    pub cloud: CloudArgs,
    #[command(flatten)]
    pub video: VideoArgs,
}

/// How the picture looks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Picture")]
pub struct DepthLookArgs {
    /// Colours; what is near gets the bright or warm end
    #[arg(long, value_name = "NAME", default_value = Colormap::names().next(),
          value_parser = PossibleValuesParser::new(Colormap::names()))]
    pub colormap: String,
    /// Depths that the colours span: auto (2nd to 98th percentile of the photo), global (the same of all photos
    /// together), head (all that the head can say), or MIN,MAX
    #[arg(
        long,
        value_name = "RANGE",
        default_value = "auto",
        allow_hyphen_values = true
    )]
    pub range: RangeRule,
    /// Give what is far the bright or warm end
    #[arg(long)]
    pub invert: bool,
    /// Leave the scale out; the picture has the photo's size
    #[arg(long)]
    pub no_scale: bool,
    /// Photo and picture side by side
    #[arg(long, conflicts_with = "overlay")]
    pub side_by_side: bool,
    /// Picture over the photo, with this opacity from 0 to 1
    #[arg(long, value_name = "A", value_parser = opacity)]
    pub overlay: Option<f32>,
}

/// Numbers besides the picture.
#[derive(Debug, Args)]
#[command(next_help_heading = "Numbers")]
pub struct NumbersArgs {
    /// Write the depths at the photo's size too, as any of npy, png16 (millimetres, or as --depth-scale says), pfm,
    /// exr, tiff; of clips, frame by frame, and as ffv1 (lossless video)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FORMATS")]
    pub save: Vec<SaveFormat>,
    /// Steps of a metre in --save png16: 1000 for millimetres (NAME.depth.mm.png), 256 as KITTI has them or 5000 as TUM
    /// (NAME.depth.u16.png) [default: 1000]
    #[arg(long, value_name = "N", requires = "save", value_parser = steps)]
    pub depth_scale: Option<NonZeroU32>,
    /// Make metres of relative inverse depth, as da2-small and its like give it: 1 / (A * value + B), 1000 at most; of a
    /// head in metres, make A times as many
    ///
    /// Nobody but who measured something in the photo knows A and B; `dino calibrate depth` fits them to photos whose depth
    /// is known. All that is written is in metres then. Given, it takes the place of what was fitted.
    #[arg(long, value_name = "A", value_parser = factor)]
    pub scale: Option<f64>,
    /// B of --scale [default: 0]
    #[arg(long, value_name = "B", requires = "scale", allow_negative_numbers = true, value_parser = finite)]
    pub shift: Option<f64>,
    /// Leave out what `dino calibrate depth` fitted: depths as the head has them
    #[arg(long)]
    pub no_calibration: bool,
    /// Print the depth at this pixel of the photo instead of the written paths; may be given often
    #[arg(long, value_name = "X,Y", value_parser = pixel, action = clap::ArgAction::Append)]
    pub at: Vec<(u32, u32)>,
    /// Write how far off depths may be too, as a standard deviation: NAME.depth.std.png, and as --save says
    ///
    /// It is the spread of the head's bins around the depth, times a factor that was fitted so that 68 % of the pixels of
    /// photos kept out of training lie within one (`dino heads info`), near and far: it grows with the distance, as errors
    /// do. A head without such a calibration gives the plain spread, which may be far wider than its errors, and says so.
    #[arg(long)]
    pub uncertainty: bool,
}

/// Values of `--save`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SaveFormat {
    /// NumPy, float32
    Npy,
    /// 16-bit PNG in millimetres, or as --depth-scale says
    Png16,
    /// Portable float map
    Pfm,
    /// OpenEXR, float32
    Exr,
    /// TIFF, float32
    Tiff,
    /// Of clips: lossless video in Matroska, 16 bits in millimetres, or as --depth-scale says
    Ffv1,
}

impl From<SaveFormat> for DepthFileFormat {
    fn from(format: SaveFormat) -> Self {
        match format {
            SaveFormat::Npy => DepthFileFormat::Npy,
            SaveFormat::Png16 => DepthFileFormat::Png16,
            SaveFormat::Pfm => DepthFileFormat::Pfm,
            SaveFormat::Exr => DepthFileFormat::Exr,
            SaveFormat::Tiff => DepthFileFormat::Tiff,
            SaveFormat::Ffv1 => DepthFileFormat::Ffv1,
        }
    }
}

impl DepthArgs {
    /// The depth task that these options describe.
    pub fn recipe(&self) -> DepthRecipe {
        let (look, numbers) = (&self.look, &self.numbers);
        DepthRecipe {
            head: self.predict.recipe(),
            colormap: Colormap::named(&look.colormap).unwrap_or_default(),
            range: look.range,
            invert: look.invert,
            no_scale: look.no_scale,
            side_by_side: look.side_by_side,
            overlay: look.overlay,
            font: self.text.font.clone(),
            save: numbers.save.iter().map(|&format| format.into()).collect(),
            depth_scale: numbers.depth_scale,
            scale: numbers.scale,
            shift: numbers.shift,
            no_calibration: numbers.no_calibration,
            uncertainty: numbers.uncertainty,
            pointcloud: self.cloud.recipe(),
            at: numbers.at.clone(),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  dino depth room.jpg                        dino-out/room.depth.png, with a scale in metres
  dino depth room.jpg --at 320,240           how far away is that pixel?
  dino depth -r holiday/ --range global --save npy,png16
  dino depth room.jpg --pointcloud room.ply --fov 65
  dino depth room.jpg --head da2-small --scale 0.02 --shift 0.1 --save png16
  dino depth -r photos/ --pointcloud glb --max-points 100000 --drop-edges";

fn finite(text: &str) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok();
    number
        .filter(|number| number.abs() <= 1e12)
        .ok_or_else(|| "expected a number, such as 0.05".into())
}

fn factor(text: &str) -> Result<f64, String> {
    finite(text)
        .ok()
        .filter(|number| *number >= 1e-12)
        .ok_or_else(|| "expected a number from 1e-12 to 1e12, such as 0.02: above 0, for larger values are nearer".into())
}

fn steps(text: &str) -> Result<NonZeroU32, String> {
    let whole = text.trim().parse::<NonZeroU32>().ok();
    whole
        .filter(|scale| scale.get() <= 1_000_000)
        .ok_or_else(|| "expected a whole number from 1 to 1000000, such as 1000 or 256".into())
}
