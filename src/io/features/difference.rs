//! How the descriptions of two datasets differ, in words for error messages.

use serde_json::{Map, Value};

use crate::io::features::DatasetMeta;

impl DatasetMeta {
    /// The first difference from `wanted`, as the end of a sentence about this dataset (`was made with …, not …`);
    /// `None` if they are the same.
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
        if let Some((key, is, wanted)) = first_difference("", &is.input, &wanted.input) {
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
            Some((digest, components)) => format!(
                "{components} components of the basis {}",
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

fn blocks(blocks: &[usize]) -> String {
    let all: Vec<String> = blocks.iter().map(usize::to_string).collect();
    match all.len() {
        1 => format!("block {}", all[0]),
        _ => format!("blocks {}", all.join(", ")),
    }
}

/// The first key (dotted path) at which two JSON values differ, with both values.
fn first_difference(key: &str, is: &Value, wanted: &Value) -> Option<(String, Value, Value)> {
    if let (Value::Object(is), Value::Object(wanted)) = (is, wanted) {
        let mut keys: Vec<&String> = is.keys().collect();
        keys.extend(wanted.keys().filter(|key| !is.contains_key(*key)));
        return keys.into_iter().find_map(|name| {
            let of = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or_default();
            let key = match key {
                "" => name.clone(),
                _ => format!("{key}.{name}"),
            };
            first_difference(&key, &of(is), &of(wanted))
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
    use crate::io::features::Precision;
    use crate::io::features::tests::meta;

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
}
