//! What holds for all rows of a dataset.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backbone::LayerRequest;

/// What holds for all rows of a dataset; rows of another one do not belong into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetMeta {
    /// Version of this description.
    pub format: u32,
    /// What the backbone is called.
    pub model: String,
    /// Of its weights.
    pub fingerprint: String,
    /// Width of a token (D).
    pub dim: usize,
    /// Number type of the backbone while it ran, such as `f32`.
    pub computed: String,
    /// Blocks whose tokens are stored (L), with whether the backbone's final norm was applied, in the order of storage.
    pub layers: Vec<Layer>,
    /// How photos were prepared; compared as it is.
    pub input: Value,
    /// Which share of the sides, in percent, a second, coarser look had, whose tokens are stored too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse: Option<u32>,
    /// Whether the cls token is stored.
    pub cls: bool,
    /// Whether patch tokens are stored.
    pub patches: bool,
    /// How many register tokens are stored (R), 0 for none.
    pub registers: usize,
    /// The columns and rows that patch tokens were pooled to, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<u32>,
    /// Digest of the basis that patch tokens were projected on, if they were, and how many components it has: their width
    /// then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<(String, usize)>,
    /// Digest of the list of pixels at which features are stored, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<String>,
    /// Of stored numbers.
    pub precision: Precision,
}

/// A block, and whether the backbone's final norm was applied to its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// 0-based index of the block.
    pub block: usize,
    /// Whether the norm was applied.
    pub norm: bool,
}

impl From<LayerRequest> for Layer {
    fn from(LayerRequest { block, norm }: LayerRequest) -> Self {
        Layer { block, norm }
    }
}

impl From<Layer> for LayerRequest {
    fn from(Layer { block, norm }: Layer) -> Self {
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
    pub fn bytes(self) -> usize {
        match self {
            Precision::F16 => 2,
            Precision::F32 => 4,
        }
    }
}

impl DatasetMeta {
    /// Width of a stored patch token: D, or the components of the basis.
    pub fn patch_width(&self) -> usize {
        self.basis.as_ref().map_or(self.dim, |(_, shown)| *shown)
    }
}
