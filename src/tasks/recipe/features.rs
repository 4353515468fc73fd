//! Options of `dino features`: which tokens are stored, and how.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checks::{check_exclusive, check_range};
use super::text;
use crate::io::features::{DEFAULT_PART_BYTES, Precision};
use crate::model::input::SizeRule;

/// The features that are stored in a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FeaturesRecipe {
    /// The dataset: a folder, whose extension decides the format of its parts.
    pub output: PathBuf,
    /// The size of photos in the backbone's input; the short side at 518 by default, or the size that `head` was
    /// trained for.
    #[serde(with = "text::option", skip_serializing_if = "Option::is_none")]
    pub size: Option<SizeRule>,
    /// The blocks, from 0, or from -1 at the end; by default the last, or those of `head` or `basis`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<i64>,
    /// Whether tokens are stored without the backbone's final norm.
    pub no_norm: bool,
    /// A head that the features are for: its blocks, norm and input size are used.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub head: Option<PathBuf>,
    /// Kinds of tokens; by default cls and patch tokens, or none of them where `at` is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<TokenKind>,
    /// The stored number type.
    pub dtype: Precision,
    /// The side, from 1 to 1024, of the square grid that patch tokens are averaged to; no pooling by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<u32>,
    /// A saved PCA basis that patch tokens are projected on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<PathBuf>,
    /// A list of pixels at which features are sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<PathBuf>,
    /// Bytes of values in a part; not kept in recipe files.
    #[serde(skip, default = "part_size")]
    pub part_size: u64,
}

fn part_size() -> u64 {
    DEFAULT_PART_BYTES
}

/// A kind of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// The cls token, one a photo.
    Cls,
    /// Patch tokens, one a patch.
    Patches,
    /// Register tokens, of models that have them.
    Registers,
}

impl FeaturesRecipe {
    /// Whether tokens of this kind are stored.
    pub fn has_tokens(&self, kind: TokenKind) -> bool {
        match (self.what.is_empty(), self.at.is_some()) {
            (false, _) => self.what.contains(&kind),
            (true, false) => kind != TokenKind::Registers,
            (true, true) => false,
        }
    }

    /// Refuses values outside their ranges, and settings that contradict each other.
    pub(super) fn check(&self) -> Result<(), String> {
        check_range("pool", self.pool.unwrap_or(1), 1..=1024)?;
        for (name, given) in [
            ("blocks", !self.blocks.is_empty()),
            ("no-norm", self.no_norm),
            ("basis", self.basis.is_some()),
            ("pool", self.pool.is_some()),
        ] {
            check_exclusive(
                &[("for", self.head.is_some()), (name, given)],
                "do not go together: a head reads what it was trained on",
            )?;
        }
        for (name, given) in [
            ("blocks", !self.blocks.is_empty()),
            ("no-norm", self.no_norm),
        ] {
            check_exclusive(
                &[("basis", self.basis.is_some()), (name, given)],
                "do not go together: a saved fit has its own layer",
            )?;
        }
        let has_patches = self.has_tokens(TokenKind::Patches);
        for (name, given) in [
            ("pool", self.pool.is_some()),
            ("basis", self.basis.is_some()),
        ] {
            let is_of_points = name == "basis" && self.at.is_some();
            if given && !has_patches && !is_of_points {
                return Err(format!(
                    "`{name}` is for patch tokens, which `what` leaves out"
                ));
            }
        }
        let is_for_patches = self.head.is_none() || has_patches && self.has_tokens(TokenKind::Cls);
        match is_for_patches {
            true => Ok(()),
            false => {
                Err("`for` stores what a head reads: cls and patch tokens; leave `what` out".into())
            }
        }
    }
}

impl Default for FeaturesRecipe {
    fn default() -> Self {
        FeaturesRecipe {
            output: PathBuf::new(),
            size: None,
            blocks: Vec::new(),
            no_norm: false,
            head: None,
            what: Vec::new(),
            dtype: Precision::F16,
            pool: None,
            basis: None,
            at: None,
            part_size: DEFAULT_PART_BYTES,
        }
    }
}
