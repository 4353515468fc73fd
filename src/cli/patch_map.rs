//! Options of pictures that show one number per patch (`dino attention`, `dino similar`).

use clap::Args;
use clap::builder::PossibleValuesParser;
use dino::tasks::patch_map::PatchMapStyle;
use dino::vision::render::Colormap;

use super::pca::UpscaleChoice;
use super::values::opacity;

/// How the picture looks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Picture")]
pub struct PatchMapArgs {
    /// Colours; what is high gets the bright or warm end
    #[arg(long, value_name = "NAME", default_value = Colormap::names().next(),
          value_parser = PossibleValuesParser::new(Colormap::names()))]
    pub colormap: String,
    /// Between patch centres: bilinear, or nearest to see the patches
    #[arg(long, value_enum, default_value = "bilinear", value_name = "HOW")]
    pub upscale: UpscaleChoice,
    /// Photo and picture side by side
    #[arg(long, conflicts_with = "overlay")]
    pub side_by_side: bool,
    /// Picture over the photo, with this opacity from 0 to 1
    #[arg(long, value_name = "A", value_parser = opacity)]
    pub overlay: Option<f32>,
    /// Leave the scale out; the picture has the photo's size
    #[arg(long)]
    pub no_scale: bool,
}

impl PatchMapArgs {
    /// The style of pictures that these options describe.
    pub fn look(&self) -> PatchMapStyle {
        PatchMapStyle {
            colormap: Colormap::named(&self.colormap).unwrap_or_default(),
            upscale: self.upscale.into(),
            side_by_side: self.side_by_side,
            overlay: self.overlay,
            no_scale: self.no_scale,
        }
    }
}
