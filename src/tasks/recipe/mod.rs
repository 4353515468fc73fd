//! The options of all tasks of a run as plain values: from the command line, or from a recipe file.
//!
//! A recipe file is TOML with the names of the options: `model = "vits14-focus"`, then a table for each task, such as
//! `[[depth]]` with `head = "indoor"` and `save = ["npy"]`. Settings that are left out have the commands' defaults.
//! `set_option` sets one by `TASK.OPTION=VALUE`, `text` reads and writes values as the options take them, and `checks`
//! has the checks that the recipes share.

mod checks;
mod cloud;
mod depth;
mod features;
mod head;
mod pca;
mod segment;
mod set_option;
pub mod text;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use cloud::{CloudRecipe, default_axes};
pub use depth::{DepthFileFormat, DepthRecipe, RangeRule};
pub use features::{FeaturesRecipe, TokenKind};
pub use head::{HeadRecipe, ProtocolRule};
pub use pca::{LayerRecipe, PcaRecipe};
pub use segment::{ClustersRecipe, LabelFileFormat, LabelRecipe, SegmentRecipe};

/// The tasks of a run with their options.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// The backbone's name; by default the one that the heads were trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Depth tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depth: Vec<DepthRecipe>,
    /// Tasks that label pixels with a head's classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segment: Vec<SegmentRecipe>,
    /// Tasks that show principal components of patch tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pca: Vec<PcaRecipe>,
    /// Tasks that label pixels with clusters of patch tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClustersRecipe>,
    /// Tasks that store features.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<FeaturesRecipe>,
}

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// A message with the line number but without the file's name, which the caller adds.
    pub fn parse(text: &str) -> Result<Self, String> {
        let recipe: Recipe = toml::from_str(text)
            .map_err(|error| format!("is no recipe: {}", describe_toml_error(text, &error)))?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Refuses values outside their ranges and settings that contradict each other, as the commands do.
    ///
    /// # Errors
    /// A message that names the setting and what was expected.
    pub fn check(&self) -> Result<(), String> {
        self.depth.iter().try_for_each(DepthRecipe::check)?;
        self.segment.iter().try_for_each(SegmentRecipe::check)?;
        self.pca.iter().try_for_each(PcaRecipe::check)?;
        self.clusters.iter().try_for_each(ClustersRecipe::check)?;
        self.features.iter().try_for_each(FeaturesRecipe::check)
    }

    /// The text of a recipe file, without settings that are of one run only.
    ///
    /// # Errors
    /// If a path in it is not Unicode.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|error| Error::Usage(format!("this recipe cannot be written down: {error}")))
    }

    /// The number of tasks.
    pub fn len(&self) -> usize {
        let with_pictures = self.depth.len() + self.segment.len() + self.pca.len();
        with_pictures + self.clusters.len() + self.features.len()
    }

    /// Whether there are no tasks.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A TOML error in one line, with the number of the line in `text`.
fn describe_toml_error(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| {
        let before = text.get(..span.start).unwrap_or(text);
        format!("line {}: ", 1 + before.matches('\n').count())
    });
    let message = error.message().replace('\n', ", ");
    format!("{}{message}", line.unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut recipe = Recipe {
            model: Some("vits14".into()),
            ..Recipe::default()
        };
        recipe.depth.push(DepthRecipe {
            range: RangeRule::Fixed(crate::vision::render::ValueRange {
                low: 0.5,
                high: 6.0,
            }),
            save: vec![DepthFileFormat::Npy, DepthFileFormat::Png16],
            ..DepthRecipe::default()
        });
        recipe.segment.push(SegmentRecipe::default());
        recipe.segment.push(SegmentRecipe::default());
        recipe.pca.push(PcaRecipe::default());
        recipe.clusters.push(ClustersRecipe::default());
        let text = recipe.to_toml().unwrap();
        assert_eq!(Recipe::parse(&text).unwrap(), recipe, "{text}");
    }

    #[test]
    fn what_is_left_out_is_usual_and_what_is_unknown_is_refused() {
        let recipe = Recipe::parse("[[depth]]\nsize = 518\nrange = \"0.5,6\"\n").unwrap();
        assert_eq!(recipe.depth[0].head.size, "518".parse().ok());
        assert_eq!(recipe.depth[0].colormap, DepthRecipe::default().colormap);
        for (wrong, why) in [
            ("[[depth]]\ncolourmap = \"x\"", "colourmap"),
            ("[[depth]]\ncolormap = \"nosuch\"", "nosuch"),
            ("[[depth]]\nrange = \"6,0.5\"", "two rising numbers"),
            ("[[depht]]", "depht"),
            ("[[segment]]\nalpha = 3", "0 to 1"),
            ("[[clusters]]\nclusters = 1", "2 to"),
        ] {
            let error = Recipe::parse(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
