//! What is to be made of photos, as plain values: what the options of the commands say, and what a recipe file holds.
//!
//! A recipe file is TOML with the names of the options: `model = "vits14-focus"`, then a table for each task, such as
//! `[[depth]]` with `head = "indoor"` and `save = ["npy"]`. What is left out is as the commands have it.

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

/// The tasks of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// The backbone; the heads' own if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Maps of depth.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depth: Vec<DepthRecipe>,
    /// Classes of pixels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segment: Vec<SegmentRecipe>,
    /// Principal components of the patch tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pca: Vec<PcaRecipe>,
    /// Parts without a head.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClustersRecipe>,
    /// Features, stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<FeaturesRecipe>,
}

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// A part of a sentence about it, with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let recipe: Recipe = toml::from_str(text)
            .map_err(|error| format!("is no recipe: {}", describe_toml_error(text, &error)))?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Refuses numbers that mean nothing, as the options of the commands do.
    ///
    /// # Errors
    /// A part of a sentence that names the setting and what was expected.
    pub fn check(&self) -> Result<(), String> {
        self.depth.iter().try_for_each(DepthRecipe::check)?;
        self.segment.iter().try_for_each(SegmentRecipe::check)?;
        self.pca.iter().try_for_each(PcaRecipe::check)?;
        self.clusters.iter().try_for_each(ClustersRecipe::check)?;
        self.features.iter().try_for_each(FeaturesRecipe::check)
    }

    /// As a file holds it, without what is a matter of one run.
    ///
    /// # Errors
    /// If a name in it is no Unicode.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|error| Error::Usage(format!("this recipe cannot be written down: {error}")))
    }

    /// How many tasks there are.
    pub fn len(&self) -> usize {
        let with_pictures = self.depth.len() + self.segment.len() + self.pca.len();
        with_pictures + self.clusters.len() + self.features.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An error of TOML in one line.
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
