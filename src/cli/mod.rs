//! The command line as types: one file per command, and one per group of options that commands share.
//!
//! clap is used below this module only (but for `clap_complete::Shell` in `commands/shell.rs`). A command's options are
//! a struct `NameArgs`; groups such as [`InputArgs`], [`OutputArgs`] and [`RunArgs`] are flattened into it, in the
//! order of `--help`. Doc comments on options are the help texts. Methods such as [`DepthArgs::recipe`] turn options
//! into the library's plain values, so that commands see no strings and no clap. A new command is added to [`Command`];
//! `short_help` lists what its `-h` shows.

mod attention;
mod backbone;
mod bench;
mod cache;
mod calibrate;
mod clap_error;
mod classify;
mod cloud;
mod command_line;
mod config;
mod depth;
mod eval;
mod features;
mod heads;
mod input;
mod labels;
mod manifest;
mod models;
mod output;
mod patch_map;
mod pca;
mod predict;
mod run;
mod segment;
mod selfcheck;
mod setup;
mod shell;
mod short_help;
mod similar;
mod track;
mod train;
mod values;
mod video;

pub use attention::AttentionArgs;
pub use backbone::{PatchTokenArgs, RunArgs, SizeArgs};
pub use bench::BenchArgs;
pub use cache::{CacheCommand, CacheFolderArgs};
pub use calibrate::{CalibrateCommand, CalibrateDepthArgs};
pub use clap_error::print_clap_error;
pub use classify::ClassifyArgs;
pub use cloud::CloudArgs;
pub use command_line::{Cli, Command};
pub use config::{ConfigArgs, KEYS as CONFIG_KEYS};
pub use depth::DepthArgs;
pub use eval::{
    AlignChoice, EvalArgs, EvalCommand, EvalDepthArgs, EvalInputArgs, EvalSegmentArgs, PartChoice,
};
pub use features::{FeaturesArgs, StoredArgs};
pub use heads::HeadsCommand;
pub use input::{InputArgs, PhotoArgs};
pub use labels::{DepthLabelArgs, IgnoreArgs, LabelShapeArgs};
pub use manifest::{ManifestCommand, MissingArgs};
pub use models::ModelsCommand;
pub use output::{OutputArgs, RefitArgs, TextArgs};
pub use patch_map::PatchMapArgs;
pub use pca::PcaArgs;
pub use predict::{HeadArgs, PredictArgs, ProtocolChoice, TtaChoice};
pub use run::RunTasksArgs;
pub use segment::SegmentArgs;
pub use selfcheck::SelfcheckArgs;
pub use setup::{DepthHeadChoice, SetupArgs};
pub use shell::{completions, man_page};
pub use similar::{CosineRange, SimilarArgs};
pub use track::TrackArgs;
pub use train::{TrainArgs, TrainCommand, TrainDepthArgs, TrainSegmentArgs};
pub use video::VideoArgs;
