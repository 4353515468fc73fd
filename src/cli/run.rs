//! Options of `dino run`: tasks by options or from a recipe file, over the same photos.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use dino::analysis::cluster::ClusterCount;
use dino::tasks::recipe::{
    ClustersRecipe, DepthRecipe, FeaturesRecipe, HeadRecipe, PcaRecipe, Recipe, SegmentRecipe,
};

use super::{InputArgs, OutputArgs, RefitArgs, RunArgs, StoredArgs, VideoArgs};

/// Do several tasks over the same photos, which are decoded once, and seen once by all tasks that see them alike
///
/// Tasks are named by options or in a recipe file, and written as their own commands write them. Photos come before the
/// tasks, or behind `--`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct RunTasksArgs {
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
    pub tasks: TaskArgs,
    #[command(flatten)]
    pub video: VideoArgs,
}

/// What is made of the photos.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tasks")]
pub struct TaskArgs {
    /// Depths, as `dino depth`, with this head or the usual one; may be given for several heads
    #[arg(long, value_name = "HEAD", num_args = 0..=1, default_missing_value = "", action = clap::ArgAction::Append)]
    pub depth: Vec<String>,
    /// Classes, as `dino segment`, with this head or the usual one; may be given for several heads
    #[arg(long, value_name = "HEAD", num_args = 0..=1, default_missing_value = "", action = clap::ArgAction::Append)]
    pub segment: Vec<String>,
    /// Components, as `dino pca`
    #[arg(long)]
    pub pca: bool,
    /// Parts without a head, as `dino segment --clusters`
    #[arg(long, value_name = "K", action = clap::ArgAction::Append)]
    pub clusters: Vec<ClusterCount>,
    /// Features, stored in this dataset as `dino features` does; may be given for several
    #[arg(long, value_name = "DATASET", value_hint = ValueHint::AnyPath, action = clap::ArgAction::Append)]
    pub save_features: Vec<PathBuf>,
    /// Tasks from this file (TOML), beside those that are named
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub recipe: Option<PathBuf>,
    /// An option of the tasks of a kind, as it is called there: depth.range=global, segment.outline=true,
    /// pca.side-by-side=true, depth.save=npy,png16; may be given often
    #[arg(long, value_name = "TASK.OPTION=VALUE", action = clap::ArgAction::Append)]
    pub set: Vec<String>,
    /// Leave out what `dino calibrate depth` fitted: depths as the heads have them
    #[arg(long)]
    pub no_calibration: bool,
    /// Print the recipe that is in force, as --recipe reads it, and do nothing
    #[arg(long)]
    pub print_recipe: bool,
}

impl TaskArgs {
    /// Adds the tasks that are named to those of `recipe`, and sets their options.
    ///
    /// # Errors
    /// A sentence about the option that is wrong.
    pub fn add_to(&self, mut recipe: Recipe) -> Result<Recipe, String> {
        let head = |name: &String| HeadRecipe {
            name: (!name.is_empty()).then(|| PathBuf::from(name)),
            ..HeadRecipe::default()
        };
        recipe
            .depth
            .extend(self.depth.iter().map(|name| DepthRecipe {
                head: head(name),
                ..DepthRecipe::default()
            }));
        recipe
            .segment
            .extend(self.segment.iter().map(|name| SegmentRecipe {
                head: head(name),
                ..SegmentRecipe::default()
            }));
        recipe.pca.extend(self.pca.then(PcaRecipe::default));
        recipe
            .clusters
            .extend(self.clusters.iter().map(|&clusters| ClustersRecipe {
                clusters,
                ..ClustersRecipe::default()
            }));
        recipe
            .features
            .extend(self.save_features.iter().map(|output| FeaturesRecipe {
                output: output.clone(),
                ..FeaturesRecipe::default()
            }));
        let depths = recipe.depth.iter_mut().filter(|_| self.no_calibration);
        depths.for_each(|depth| depth.no_calibration = true);
        for text in &self.set {
            recipe
                .set_option(text)
                .map_err(|why| format!("--set {text}: {why}"))?;
        }
        Ok(recipe)
    }
}

const EXAMPLES: &str = "\
Examples:
  dino run -r holiday/ --depth --segment --pca
  dino run street/ --segment street --segment everyday --depth --set depth.colormap=turbo
  dino run photo.jpg --depth --set depth.save=npy --print-recipe > nightly.toml
  dino run -r camera/ --recipe nightly.toml -o out/ --json";
