//! Options of `dino track`: the clip and the mask, how patches are matched, and how the film is drawn.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use dino::model::input::SizeRule;

use super::values::opacity;
use super::{PhotoArgs, RunArgs, VideoArgs};

/// Follow what a mask marks in a clip's first frame, through the clip, without training
///
/// Every patch takes the labels of the patches that look most like it in the first frame and in those just before, near
/// the same place. Gives a film of colours over the clip, and the exact ids as lossless video.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct TrackArgs {
    /// The clip: a video file, or with --video an animated picture or a folder of numbered frames
    #[arg(value_name = "CLIP", value_hint = ValueHint::AnyPath)]
    pub clip: OsString,
    /// What is followed: an image of ids of the first frame's size, 0 where there is nothing (PNG, TIFF, NPY and what
    /// `dino segment --save ids` writes); of black and white, the white
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub mask: PathBuf,
    /// Where results go: a folder, or a file such as out.mp4 [default: dino-out]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Output")]
    pub output: Option<OsString>,
    /// Replace what is there
    #[arg(long, help_heading = "Output")]
    pub force: bool,
    /// Print one JSON object in place of the written paths
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    #[command(flatten)]
    pub run: RunArgs,
    /// What the backbone sees: the short side in pixels, native, or WIDTHxHEIGHT; small things want more
    #[arg(
        long,
        default_value = "518",
        value_name = "SIZE",
        help_heading = "Model"
    )]
    pub size: SizeRule,
    /// Block whose patch tokens are compared, from 0; -1 is the last [default: at two thirds of the depth, such as 7 of 12]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Model"
    )]
    pub layer: Option<i64>,
    /// Frames just before that are asked, beside the first
    #[arg(long, default_value = "7", value_name = "N", value_parser = clap::value_parser!(u32).range(0..=64), help_heading = "Tracking")]
    pub context: u32,
    /// How far things move from frame to frame at most, in patches
    #[arg(long, default_value = "12", value_name = "R", value_parser = radius, help_heading = "Tracking")]
    pub radius: f32,
    /// Patches that are asked, the most alike
    #[arg(long, default_value = "5", value_name = "K", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Tracking")]
    pub matches: u32,
    /// How much the more alike count more: small is much
    #[arg(long, default_value = "0.1", value_name = "T", value_parser = temperature, help_heading = "Tracking")]
    pub temperature: f32,
    /// Opacity of the colours over the clip, from 0 to 1
    #[arg(long, default_value = "0.55", value_name = "A", value_parser = opacity, help_heading = "Picture")]
    pub alpha: f32,
    /// Lines along borders
    #[arg(long, help_heading = "Picture")]
    pub outline: bool,
    /// Leave borders as the patches give them
    #[arg(long, help_heading = "Picture")]
    pub no_refine: bool,
    #[command(flatten)]
    pub photo: PhotoArgs,
    #[command(flatten)]
    pub video: VideoArgs,
}

const EXAMPLES: &str = "\
Examples:
  dino track clip.mp4 --mask first.png          dino-out/clip.track.mp4 and clip.track.ids.mkv
  dino track frames/ --video --fps 24 --mask frames-0001.png --size 896";

fn radius(text: &str) -> Result<f32, String> {
    let number = text.trim().parse::<f32>().ok();
    number
        .filter(|number| (1.0..=1000.0).contains(number))
        .ok_or_else(|| "expected a number from 1 to 1000, such as 12".into())
}

fn temperature(text: &str) -> Result<f32, String> {
    let number = text.trim().parse::<f32>().ok();
    number
        .filter(|number| (0.001..=10.0).contains(number))
        .ok_or_else(|| "expected a number from 0.001 to 10, such as 0.1".into())
}
