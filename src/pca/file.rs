//! A [`Projection`] as the bytes of one self-describing safetensors file, tied to the model it was fitted with.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pca::{Basis, Foreground, Projection};

/// The file's JSON, under the key `dino.pca` of the safetensors metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BasisInfo {
    /// Version of this format.
    pub format: u32,
    /// The model's name.
    pub model: String,
    /// The model's tensor fingerprint; another model's features have other directions.
    pub fingerprint: String,
    /// The block the tokens came from.
    pub block: usize,
    /// Whether the final norm was applied.
    pub norm: bool,
    shown: Vec<usize>,
    whiten: bool,
    foreground: Option<Threshold>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Threshold {
    threshold: f64,
    above: bool,
}

const KEY: &str = "dino.pca";

impl BasisInfo {
    /// Describes `projection`, fitted on `block` of `model`.
    pub fn new(
        model: &str,
        fingerprint: &str,
        block: usize,
        norm: bool,
        projection: &Projection,
    ) -> Self {
        Self {
            format: 1,
            model: model.to_owned(),
            fingerprint: fingerprint.to_owned(),
            block,
            norm,
            shown: projection.shown.clone(),
            whiten: projection.whiten,
            foreground: projection.foreground.as_ref().map(|split| Threshold {
                threshold: split.threshold,
                above: split.above,
            }),
        }
    }
}

/// Serialises `projection`.
pub fn to_bytes(info: &BasisInfo, projection: &Projection) -> Result<Vec<u8>> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, shape: Vec<usize>, values: &[f64]| {
        tensors.push((
            name.to_owned(),
            shape,
            values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ));
    };
    add_basis(&mut add, "", &projection.basis);
    if let Some(split) = &projection.foreground {
        add_basis(&mut add, "foreground.", &split.basis);
    }
    let ranges: Vec<f64> = projection
        .ranges
        .iter()
        .flat_map(|&(low, high)| [f64::from(low), f64::from(high)])
        .collect();
    add("ranges", vec![projection.ranges.len(), 2], &ranges);
    let failed = |e: &dyn std::fmt::Display| {
        Error::Model(format!("the PCA basis could not be serialised: {e}"))
    };
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F64, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| failed(&e))?;
    let metadata = HashMap::from([(
        KEY.to_owned(),
        serde_json::to_string(info).map_err(|e| failed(&e))?,
    )]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| failed(&e))
}

fn add_basis(add: &mut impl FnMut(&str, Vec<usize>, &[f64]), prefix: &str, basis: &Basis) {
    let (k, dim) = (basis.variances.len(), basis.dim());
    add(&format!("{prefix}mean"), vec![dim], &basis.mean);
    add(
        &format!("{prefix}components"),
        vec![k, dim],
        &basis.components,
    );
    add(&format!("{prefix}variances"), vec![k], &basis.variances);
    add(
        &format!("{prefix}total_variance"),
        vec![1],
        &[basis.total_variance],
    );
}

/// Reads what [`to_bytes`] wrote. The errors say what is wrong with the file, without its name.
pub fn from_bytes(bytes: &[u8]) -> Result<(BasisInfo, Projection), String> {
    let not_ours = "not a PCA basis; expected a file written by --save-basis";
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("{not_ours} ({e})"))?;
    let json = header
        .metadata()
        .as_ref()
        .and_then(|m| m.get(KEY))
        .ok_or(not_ours)?;
    let info: BasisInfo = serde_json::from_str(json).map_err(|e| format!("{not_ours} ({e})"))?;
    if info.format != 1 {
        return Err(format!(
            "a PCA basis of format {}; this version of dino reads format 1",
            info.format
        ));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("{not_ours} ({e})"))?;
    let basis = read_basis(&file, "")?;
    let foreground = match &info.foreground {
        Some(split) => Some(Foreground {
            basis: read_basis(&file, "foreground.")?,
            threshold: split.threshold,
            above: split.above,
        }),
        None => None,
    };
    if foreground
        .as_ref()
        .is_some_and(|split| split.basis.dim() != basis.dim() || split.basis.variances.is_empty())
    {
        return Err("its foreground split has another width than its components".into());
    }
    let ranges = read(&file, "ranges", 2)?;
    if ranges.len() != 2 * info.shown.len() || info.shown.is_empty() {
        return Err(format!(
            "it shows {} components, but has {} numbers of range",
            info.shown.len(),
            ranges.len()
        ));
    }
    let mut projection = Projection::new(foreground, basis, info.shown.clone(), info.whiten)
        .map_err(|e| e.to_string())?;
    projection.ranges = ranges
        .chunks_exact(2)
        .map(|r| (r[0] as f32, r[1] as f32))
        .collect();
    Ok((info, projection))
}

fn read_basis(file: &SafeTensors<'_>, prefix: &str) -> Result<Basis, String> {
    let mean = read(file, &format!("{prefix}mean"), 1)?;
    let components = read(file, &format!("{prefix}components"), 2)?;
    let variances = read(file, &format!("{prefix}variances"), 1)?;
    let total = read(file, &format!("{prefix}total_variance"), 1)?;
    if mean.is_empty() || components.len() != variances.len() * mean.len() || total.len() != 1 {
        return Err(format!(
            "its tensors do not fit together: {prefix}mean has {}, {prefix}components {} and {prefix}variances {} numbers",
            mean.len(),
            components.len(),
            variances.len()
        ));
    }
    Ok(Basis {
        mean,
        components,
        variances,
        total_variance: total[0],
    })
}

fn read(file: &SafeTensors<'_>, name: &str, rank: usize) -> Result<Vec<f64>, String> {
    let view = file
        .tensor(name)
        .map_err(|_| format!("it has no tensor {name}"))?;
    if view.dtype() != Dtype::F64 || view.shape().len() != rank {
        return Err(format!(
            "its tensor {name} is {:?} {:?}, expected F64 of rank {rank}",
            view.dtype(),
            view.shape()
        ));
    }
    let values: Vec<f64> = view
        .data()
        .chunks_exact(8)
        .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
        .collect();
    if values.iter().any(|v| !v.is_finite()) {
        return Err(format!("its tensor {name} has numbers that are not finite"));
    }
    Ok(values)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::pca::Moments;

    fn projection() -> Projection {
        let mut moments = Moments::new(4);
        moments.add(&(0..80).map(|i| ((i * 37) % 23) as f32).collect::<Vec<_>>());
        let basis = Basis::fit(&moments, 3).unwrap();
        let split = Foreground {
            basis: Basis::fit(&moments, 1).unwrap(),
            threshold: 0.25,
            above: false,
        };
        let mut projection = Projection::new(Some(split), basis, vec![0, 2, 1], true).unwrap();
        projection.ranges = vec![(-1.0, 1.0), (-2.0, 2.5), (0.0, 3.0)];
        projection
    }

    #[test]
    fn round_trip() {
        let projection = projection();
        let info = BasisInfo::new("vits14", "abc", 11, true, &projection);
        let (read_info, read) = from_bytes(&to_bytes(&info, &projection).unwrap()).unwrap();
        assert_eq!((read_info, read), (info, projection));
    }

    #[test]
    fn damaged_files_are_refused_in_words() {
        let projection = projection();
        let info = BasisInfo::new("vits14", "abc", 11, true, &projection);
        let good = to_bytes(&info, &projection).unwrap();
        for cut in [0, 7, 8, 100, good.len() - 1] {
            assert!(from_bytes(&good[..cut]).is_err(), "cut at {cut}");
        }
        let mut lying = info.clone();
        lying.shown = vec![7, 8, 9];
        assert!(from_bytes(&to_bytes(&lying, &projection).unwrap()).is_err());
        let mut endless = projection;
        endless.basis.mean[0] = f64::NAN;
        assert!(
            from_bytes(&to_bytes(&info, &endless).unwrap())
                .unwrap_err()
                .contains("finite")
        );
    }
}
