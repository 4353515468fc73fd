//! Options that commands with a head share: the head, the size of the input, windows and averaging.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dino::model::input::{SizeRule, Unpad};
use dino::tasks::recipe::{self, HeadRecipe};

use super::{InputArgs, OutputArgs, RunArgs, StoredArgs};

/// Photos in, a head over them, files out.
#[derive(Debug, Args)]
pub struct PredictArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub stored: StoredArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub head: HeadArgs,
    /// See a large photo through overlapping windows of the size that the head was trained for, not shrunk to it:
    /// finer, and as much slower as there are windows
    ///
    /// The photo is seen at its own size, or at the one that --size gives (up to 65536 patches, about 13 megapixels;
    /// larger ones are shrunk to that). Where windows overlap, their scores are averaged before anything else is done
    /// with them: evenly for classes, fading towards a window's edges for depths. Each window is judged by itself, and
    /// what only the whole photo shows is lost: to a depth head, a window looks like a closer view.
    #[arg(long, help_heading = "Model")]
    pub slide: bool,
    /// How far a window of --slide moves, as a share of its side
    #[arg(long, value_name = "SHARE", default_value = "0.667", value_parser = share, requires = "slide", help_heading = "Model")]
    pub stride: f64,
}

/// The head, and how it is used on a photo.
#[derive(Debug, Args)]
pub struct HeadArgs {
    /// The head: a name (`dino heads list`) or a .safetensors file [default: $DINO_HEAD_DEPTH or
    /// $DINO_HEAD_SEGMENT, else what `dino config` set, else the best of Meta's that is installed
    /// or can be fetched, else the best inside the program]
    #[arg(id = "head", long, value_name = "HEAD", help_heading = "Model")]
    pub name: Option<OsString>,
    /// What the backbone sees: the short side in pixels, native, or WIDTHxHEIGHT [default: what the head was trained for]
    #[arg(long, value_name = "SIZE", help_heading = "Model")]
    pub size: Option<SizeRule>,
    /// Average with the mirrored photo: a little better, half as fast
    #[arg(
        long,
        value_enum,
        default_value = "none",
        value_name = "HOW",
        help_heading = "Model"
    )]
    pub tta: TtaChoice,
    /// Run the head as its publishers did [default: what the head says; `dino heads info` shows it]
    ///
    /// Segmentation protocols come with their own sizes and windows, so --size, --slide, --tta and --refine mean none.
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Model")]
    pub protocol: Option<ProtocolChoice>,
    /// How a map over the padded input is brought to the photo: crop cuts the padding off; squeeze, as in the published
    /// scripts, shrinks it in with the rest; cubic, of depths, cuts it off and resizes bicubically [default: what the head
    /// says]
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        hide_possible_values = true,
        help_heading = "Model"
    )]
    pub unpad: Option<UnpadChoice>,
    /// Fit borders to the photo's own edges
    #[arg(long, overrides_with = "no_refine", help_heading = "Model")]
    pub refine: bool,
    /// Leave borders as the patches give them
    #[arg(long, overrides_with = "refine", help_heading = "Model")]
    pub no_refine: bool,
}

impl HeadArgs {
    /// Whether borders are fitted to the photo's edges; none where the head's default holds.
    pub fn refine(&self) -> Option<bool> {
        match (self.refine, self.no_refine) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }

    /// The head and its input as a recipe, without windows.
    pub fn recipe(&self) -> HeadRecipe {
        HeadRecipe {
            name: self.name.as_ref().map(PathBuf::from),
            size: self.size,
            flip: self.tta == TtaChoice::Flip,
            protocol: self.protocol.map(Into::into),
            unpad: self.unpad.map(Into::into),
            refine: self.refine(),
            slide: None,
        }
    }
}

impl PredictArgs {
    /// The head and its input as a recipe, with the windows of `--slide`.
    pub fn recipe(&self) -> HeadRecipe {
        HeadRecipe {
            slide: self.slide.then_some(self.stride),
            ..self.head.recipe()
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.1..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0.1 to 1, such as 0.5".into()),
    }
}

/// Values of `--tta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TtaChoice {
    /// The photo alone
    None,
    /// The photo and its mirror image
    Flip,
}

/// Values of `--protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProtocolChoice {
    /// No protocol: --size, --slide, --tta and --refine say how
    None,
    /// Depth: the photo at its own size
    Plain,
    /// Depth: the same, averaged with the mirrored photo
    Flip,
    /// Segmentation: the short side at 512, all at once
    Whole,
    /// Segmentation: the short side at 512, in windows of 512
    Slide,
    /// Segmentation: five sizes from 640 to 1920, mirrored too, in windows of 640: 50 times as slow
    Ms,
    /// What the head's figure in the paper was measured with
    Paper,
}

impl From<ProtocolChoice> for recipe::ProtocolRule {
    fn from(choice: ProtocolChoice) -> Self {
        match choice {
            ProtocolChoice::None => recipe::ProtocolRule::None,
            ProtocolChoice::Plain => recipe::ProtocolRule::Plain,
            ProtocolChoice::Flip => recipe::ProtocolRule::Flip,
            ProtocolChoice::Whole => recipe::ProtocolRule::Whole,
            ProtocolChoice::Slide => recipe::ProtocolRule::Slide,
            ProtocolChoice::Ms => recipe::ProtocolRule::Ms,
            ProtocolChoice::Paper => recipe::ProtocolRule::Paper,
        }
    }
}

/// Values of `--unpad`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UnpadChoice {
    /// Cut the padding off
    Crop,
    /// Squeeze the padding in
    Squeeze,
    /// Cut the padding off, and resize bicubically
    Cubic,
}

impl From<UnpadChoice> for Unpad {
    fn from(choice: UnpadChoice) -> Self {
        match choice {
            UnpadChoice::Crop => Unpad::Crop,
            UnpadChoice::Squeeze => Unpad::Squeeze,
            UnpadChoice::Cubic => Unpad::Cubic,
        }
    }
}
