//! [`DatasetMeta`]: the model, layers, input and precision that all rows of a dataset share.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::backbone::LayerRequest;
use crate::system::files::Digest;

/// How all rows of a dataset were computed; the content of `_dataset.json`. Rows that differ in any of it are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetMeta {
    /// Version of this description, [`DatasetMeta::FORMAT`].
    pub format: u32,
    /// Name of the backbone.
    pub model: String,
    /// Name of the variant whose architecture the backbone has, such as `vits14`.
    pub variant: String,
    /// Fingerprint of the backbone's weights.
    pub fingerprint: String,
    /// Width of a token (D).
    pub dim: usize,
    /// Number type in which the backbone computed, such as `f32`.
    pub computed: String,
    /// Blocks whose tokens are stored (L), with whether the backbone's final norm was applied, in the order of storage.
    pub layers: Vec<StoredLayer>,
    /// How photos were resized, padded and normalised; compared as JSON.
    pub input: Value,
    /// Size of the coarse scale, in percent of the full side, if its tokens are stored too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse: Option<u32>,
    /// Whether the cls token is stored.
    pub cls: bool,
    /// Whether patch tokens are stored.
    pub patches: bool,
    /// Number of stored register tokens (R); 0 for none.
    pub registers: usize,
    /// Side in tokens of the square grid to which patch tokens were pooled; `None` if they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<u32>,
    /// Digest of the PCA basis onto which patch tokens were projected, and the number of its components, which is the
    /// width of a stored patch token; `None` for unprojected tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<(String, usize)>,
    /// Digest of the list of pixels at which features are stored; `None` without such a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<String>,
    /// Number type of the stored features.
    pub precision: Precision,
}

/// A block whose tokens are stored, as [`LayerRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a layer")]
pub struct StoredLayer {
    /// 0-based index of the block.
    pub block: usize,
    /// Whether the backbone's final LayerNorm was applied to its tokens.
    pub norm: bool,
}

impl From<LayerRequest> for StoredLayer {
    fn from(LayerRequest { block, norm }: LayerRequest) -> Self {
        StoredLayer { block, norm }
    }
}

impl From<StoredLayer> for LayerRequest {
    fn from(StoredLayer { block, norm }: StoredLayer) -> Self {
        LayerRequest { block, norm }
    }
}

/// The number type of stored features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
}

impl Precision {
    /// Bytes of a number.
    pub fn size_in_bytes(self) -> usize {
        match self {
            Precision::F16 => 2,
            Precision::F32 => 4,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F16 => "f16",
            Precision::F32 => "f32",
        })
    }
}

impl DatasetMeta {
    /// The version of this description that this program writes, and the newest that it reads.
    pub const FORMAT: u32 = 1;

    /// Width of a stored patch token: D, or the number of components of the basis.
    pub fn patch_width(&self) -> usize {
        self.basis
            .as_ref()
            .map_or(self.dim, |(_, components)| *components)
    }

    /// 0-based indices of the blocks whose tokens are stored.
    pub fn blocks(&self) -> Vec<usize> {
        self.layers.iter().map(|layer| layer.block).collect()
    }

    /// Identifies the dataset in each row: the first 16 hex digits of the digest of this description.
    pub(super) fn dataset_id(&self) -> String {
        let mut digest = Digest::of_json(&self.to_json()).to_string();
        digest.truncate(DATASET_ID_DIGITS);
        digest
    }

    /// The JSON of `_dataset.json` and of the metadata of parts.
    pub(super) fn to_json(&self) -> Value {
        // Serialisation cannot fail, since all map keys are strings.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Reads what [`DatasetMeta::to_json`] wrote.
    ///
    /// # Errors
    /// The reason, as the end of a sentence that begins with the file's path.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| format!("is no description of a dataset ({error})"))?;
        let format = value.get("format").and_then(Value::as_u64);
        match format {
            Some(format) if format > u64::from(Self::FORMAT) => Err(format!(
                "was written by a newer dino (format {format}, where this one knows {}); update dino",
                Self::FORMAT
            )),
            _ => serde_json::from_value(value)
                .map_err(|error| format!("is no description of a dataset ({error})")),
        }
    }
}

/// Hex digits of [`DatasetMeta::dataset_id`].
const DATASET_ID_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::features::tests::meta;

    #[test]
    fn a_newer_description_is_refused_and_another_is_no_description() {
        let mut newer = meta();
        newer.format = DatasetMeta::FORMAT + 1;
        let told = DatasetMeta::parse(&newer.to_json().to_string());
        assert!(told.is_err_and(|why| why.contains("newer dino")));
        assert!(DatasetMeta::parse("{}").is_err());
        let read = DatasetMeta::parse(&meta().to_json().to_string());
        assert_eq!(read, Ok(meta()));
        assert_ne!(meta().dataset_id(), newer.dataset_id());
    }
}
