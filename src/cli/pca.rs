//! Options of `dino pca`, and the [`PcaRecipe`] that they become.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use dino::analysis::pca::ForegroundRule;
use dino::tasks::recipe::{LayerRecipe, PcaRecipe};
use dino::vision::render::Upscale;

use super::values::opacity;
use super::{InputArgs, OutputArgs, PatchTokenArgs, RefitArgs, RunArgs, StoredArgs, VideoArgs};

/// Colour the parts of photos by the principal components of their patch features
///
/// All photos of a run are fitted together, so one colour means one thing in all of them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PcaArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub stored: StoredArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub refit: RefitArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub tokens: PatchTokenArgs,
    #[command(flatten)]
    pub fit: PcaFitArgs,
    #[command(flatten)]
    pub look: PcaLookArgs,
    #[command(flatten)]
    pub video: VideoArgs,
}

/// How the components are found.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fit")]
pub struct PcaFitArgs {
    /// One fit for all photos, or a new one for each
    #[arg(long, value_enum, default_value = "all", value_name = "WHAT")]
    pub fit: FitChoice,
    /// Components to show as red, green and blue, from 1; fewer than three give grey
    #[arg(long, value_delimiter = ',', default_value = "1,2,3", value_name = "A,B,C", value_parser = component)]
    pub components: Vec<usize>,
    /// Divide each component by its standard deviation
    #[arg(long)]
    pub whiten: bool,
    /// Patches that count: none (no split), auto, or those above a score on the first component
    #[arg(
        long,
        default_value = "none",
        value_name = "RULE",
        allow_negative_numbers = true
    )]
    pub foreground: ForegroundRule,
    /// Use a fit saved by --save-basis
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["fit", "components", "whiten", "foreground", "save_basis", "layer", "no_norm"])]
    pub basis: Option<PathBuf>,
    /// Save the fit, to colour other photos the same way
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub save_basis: Option<PathBuf>,
}

/// How the picture looks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Picture")]
pub struct PcaLookArgs {
    /// Between patch centres: bilinear, or nearest to see the patches
    #[arg(long, value_enum, default_value = "bilinear", value_name = "HOW")]
    pub upscale: UpscaleChoice,
    /// Fit the components to the photo's own edges, as labels are
    ///
    /// The photo is then resized to whole patches, and not padded to them, so that no column or row at the border is half
    /// empty. --raw has the projections of the patches as they are.
    #[arg(long, conflicts_with = "upscale")]
    pub refine: bool,
    /// Photo and picture side by side
    #[arg(long, conflicts_with = "overlay")]
    pub side_by_side: bool,
    /// Picture over the photo, with this opacity from 0 to 1
    #[arg(long, value_name = "A", value_parser = opacity)]
    pub overlay: Option<f32>,
    /// Write the projections as NAME.pca.npy too: float32 [rows, columns, components], one a patch
    #[arg(long)]
    pub raw: bool,
}

/// Values of `--fit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FitChoice {
    /// One fit for all photos
    All,
    /// A new fit for each photo
    Each,
}

/// Values of `--upscale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UpscaleChoice {
    /// One flat square a patch
    Nearest,
    /// Smooth
    Bilinear,
}

impl From<UpscaleChoice> for Upscale {
    fn from(choice: UpscaleChoice) -> Self {
        match choice {
            UpscaleChoice::Nearest => Upscale::Nearest,
            UpscaleChoice::Bilinear => Upscale::Bilinear,
        }
    }
}

impl PcaArgs {
    /// The PCA task that these options describe.
    pub fn recipe(&self) -> PcaRecipe {
        let (fit, look) = (&self.fit, &self.look);
        PcaRecipe {
            layer: LayerRecipe {
                size: self.tokens.size.size,
                layer: self.tokens.layer,
                no_norm: self.tokens.no_norm,
            },
            fit_each: fit.fit == FitChoice::Each,
            components: fit.components.clone(),
            whiten: fit.whiten,
            foreground: fit.foreground,
            basis: fit.basis.clone(),
            save_basis: fit.save_basis.clone(),
            upscale: look.upscale.into(),
            refine: look.refine,
            side_by_side: look.side_by_side,
            overlay: look.overlay,
            raw: look.raw,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  dino pca photo.jpg --side-by-side
  dino pca photo.jpg --refine
  dino pca -r holiday/ --foreground auto --save-basis holiday.safetensors
  dino pca next-year/ --basis holiday.safetensors";

/// The number of a component, counted from 1.
fn component(text: &str) -> Result<usize, String> {
    match text.trim().parse::<usize>() {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err("expected numbers from 1, such as 1,2,3".into()),
    }
}
