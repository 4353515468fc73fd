//! What holds for all rows of a dataset.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::backbone::LayerRequest;
use crate::manifest::Digest;

/// What holds for all rows of a dataset; rows of another one do not belong into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetMeta {
    /// Version of this description.
    pub format: u32,
    /// What the backbone is called.
    pub model: String,
    /// The row of the table whose shape it has.
    pub variant: String,
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

    /// Width of a stored patch token: D, or the components of the basis.
    pub fn patch_width(&self) -> usize {
        self.basis.as_ref().map_or(self.dim, |(_, shown)| *shown)
    }

    /// The blocks whose tokens are stored.
    pub fn blocks(&self) -> Vec<usize> {
        self.layers.iter().map(|layer| layer.block).collect()
    }

    /// What tells datasets apart: the start of a digest of all that is said here.
    pub(super) fn mark(&self) -> String {
        let mut digest = Digest::of_json(&self.to_json()).to_string();
        digest.truncate(MARK);
        digest
    }

    /// As parts have it in them.
    pub(super) fn to_json(&self) -> Value {
        // Nothing in here can fail to be JSON: no maps with other keys than text.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Reads what [`DatasetMeta::to_json`] wrote.
    ///
    /// # Errors
    /// Why it is not understood, as what is said of a file.
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

    /// The first difference of a dataset to what is `wanted`, as what is said of it; none if they are the same.
    pub fn difference(&self, wanted: &DatasetMeta) -> Option<String> {
        let is = self;
        if is.model != wanted.model {
            return Some(format!("was made with {}, not {}", is.model, wanted.model));
        }
        if is.fingerprint != wanted.fingerprint || is.dim != wanted.dim {
            return Some(format!("was made with other weights of {}", is.model));
        }
        if is.computed != wanted.computed {
            return Some(format!(
                "was computed in {}, not in {}",
                is.computed, wanted.computed
            ));
        }
        if is.blocks() != wanted.blocks() {
            return Some(format!(
                "has the tokens of {}, not of {}",
                blocks(&is.blocks()),
                blocks(&wanted.blocks())
            ));
        }
        if is.layers != wanted.layers {
            let norms = |meta: &DatasetMeta| match meta.layers.iter().all(|layer| layer.norm) {
                true => "normed",
                false if meta.layers.iter().any(|layer| layer.norm) => "normed in part",
                false => "not normed",
            };
            return Some(format!(
                "has tokens that are {}, where they are to be {}",
                norms(is),
                norms(wanted)
            ));
        }
        if let Some((key, is, wanted)) = difference("", &is.input, &wanted.input) {
            return Some(format!(
                "was made of photos that were prepared otherwise: `{key}` is {is}, not {wanted}"
            ));
        }
        let percent = |share: Option<u32>| match share {
            Some(share) => format!("a coarser look at {share} %"),
            None => "no coarser look".into(),
        };
        let has = |what: &str, has: bool| match has {
            true => what.to_owned(),
            false => format!("no {what}"),
        };
        let pool = |pool: Option<u32>| match pool {
            Some(side) => format!("patch tokens pooled to {side} x {side}"),
            None => "patch tokens that are not pooled".into(),
        };
        let basis = |basis: &Option<(String, usize)>| match basis {
            Some((digest, shown)) => format!(
                "{shown} components of the basis {}",
                digest.get(..8).unwrap_or(digest)
            ),
            None => "patch tokens themselves".into(),
        };
        let points = |points: &Option<String>| match points {
            Some(digest) => format!(
                "features at the pixels of list {}",
                digest.get(..8).unwrap_or(digest)
            ),
            None => "no features at single pixels".into(),
        };
        let parts = [
            (percent(is.coarse), percent(wanted.coarse)),
            (has("cls tokens", is.cls), has("cls tokens", wanted.cls)),
            (
                has("patch tokens", is.patches),
                has("patch tokens", wanted.patches),
            ),
            (
                format!("{} register tokens", is.registers),
                format!("{} register tokens", wanted.registers),
            ),
            (pool(is.pool), pool(wanted.pool)),
            (basis(&is.basis), basis(&wanted.basis)),
            (points(&is.points), points(&wanted.points)),
            (
                format!("numbers in {}", is.precision),
                format!("numbers in {}", wanted.precision),
            ),
        ];
        let differing = parts.into_iter().find(|(is, wanted)| is != wanted);
        if let Some((is, wanted)) = differing {
            return Some(format!("has {is}, where {wanted} are asked for"));
        }
        (is != wanted).then(|| "was made otherwise".into())
    }
}

/// Hex digits of a mark.
const MARK: usize = 16;

fn blocks(blocks: &[usize]) -> String {
    let all: Vec<String> = blocks.iter().map(usize::to_string).collect();
    match all.len() {
        1 => format!("block {}", all[0]),
        _ => format!("blocks {}", all.join(", ")),
    }
}

/// The first place in which two values differ, and what they have there.
fn difference(key: &str, is: &Value, wanted: &Value) -> Option<(String, Value, Value)> {
    if let (Value::Object(is), Value::Object(wanted)) = (is, wanted) {
        let mut keys: Vec<&String> = is.keys().collect();
        keys.extend(wanted.keys().filter(|key| !is.contains_key(*key)));
        return keys.into_iter().find_map(|name| {
            let of = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or_default();
            let key = match key {
                "" => name.clone(),
                _ => format!("{key}.{name}"),
            };
            difference(&key, &of(is), &of(wanted))
        });
    }
    (is != wanted).then(|| {
        let key = if key.is_empty() { "input" } else { key };
        (key.to_owned(), is.clone(), wanted.clone())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::features::tests::meta;

    #[test]
    fn the_first_difference_is_told_in_words() {
        let is = meta();
        let told = |change: &dyn Fn(&mut DatasetMeta)| {
            let mut wanted = meta();
            change(&mut wanted);
            is.difference(&wanted).unwrap_or_default()
        };
        assert_eq!(told(&|_| ()), "");
        assert_eq!(
            told(&|m| m.model = "vits14".into()),
            "was made with tiny, not vits14"
        );
        assert_eq!(
            told(&|m| m.fingerprint = "b".into()),
            "was made with other weights of tiny"
        );
        assert_eq!(
            told(&|m| m.layers.truncate(1)),
            "has the tokens of blocks 8, 11, not of block 8"
        );
        assert_eq!(
            told(&|m| m.layers[1].norm = false),
            "has tokens that are normed in part, where they are to be not normed"
        );
        assert_eq!(
            told(&|m| m.input = json!({"size": {"shorter": 224}})),
            "was made of photos that were prepared otherwise: `size.shorter` is 518, not 224"
        );
        assert_eq!(
            told(&|m| m.precision = Precision::F32),
            "has numbers in f16, where numbers in f32 are asked for"
        );
        assert_eq!(
            told(&|m| m.patches = false),
            "has patch tokens, where no patch tokens are asked for"
        );
        assert_eq!(told(&|m| m.format = 0), "was made otherwise");
    }

    #[test]
    fn a_newer_description_is_refused_and_another_is_no_description() {
        let mut newer = meta();
        newer.format = DatasetMeta::FORMAT + 1;
        let told = DatasetMeta::parse(&newer.to_json().to_string());
        assert!(told.is_err_and(|why| why.contains("newer dino")));
        assert!(DatasetMeta::parse("{}").is_err());
        let read = DatasetMeta::parse(&meta().to_json().to_string());
        assert_eq!(read, Ok(meta()));
        assert_ne!(meta().mark(), newer.mark());
    }
}
