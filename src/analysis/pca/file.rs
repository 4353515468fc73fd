//! A [`Projection`] as the bytes of one self-describing safetensors file, tied to the model it was fitted with.
//!
//! Tensors in f64: `mean` `[D]`, `components` `[k, D]`, `variances` `[k]`, `total_variance` `[1]`, the same four with
//! the prefix `foreground.` where there is a split, and `ranges` `[shown, 2]`; [`BasisInfo`] as JSON in the metadata.

use serde::{Deserialize, Serialize};

use crate::analysis::fit_file::{self, FitFile, FitFileKind, NamedTensor};
use crate::analysis::pca::{Basis, ForegroundSplit, Projection};
use crate::error::Result;

/// The file's JSON, under the key `dino.pca`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BasisInfo {
    /// Version of the format; this version of dino reads and writes 1.
    pub format: u32,
    /// Name of the backbone.
    pub model: String,
    /// Fingerprint of the backbone's tensors; the features of another one have other directions.
    pub fingerprint: String,
    /// 0-based block whose tokens were fitted.
    pub block: usize,
    /// Whether the final LayerNorm was applied to them.
    pub norm: bool,
    shown: Vec<usize>,
    whiten: bool,
    foreground: Option<ForegroundThreshold>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "a threshold of the foreground")]
struct ForegroundThreshold {
    threshold: f64,
    above: bool,
}

/// The largest mean that a file may have; features are far below it.
const MAX_FEATURE: f64 = 1e6;

const FILE_KIND: FitFileKind = FitFileKind {
    key: "dino.pca",
    name: "a PCA basis",
    flag: "--save-basis",
};

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
            shown: projection.component_indices.clone(),
            whiten: projection.whiten,
            foreground: projection
                .foreground
                .as_ref()
                .map(|split| ForegroundThreshold {
                    threshold: split.threshold,
                    above: split.above,
                }),
        }
    }
}

/// Serialises `projection`.
///
/// # Errors
/// [`Error::Model`](crate::Error::Model) if it has numbers that are not finite.
pub fn to_bytes(info: &BasisInfo, projection: &Projection) -> Result<Vec<u8>> {
    let mut tensors = basis_tensors("", &projection.basis);
    if let Some(split) = &projection.foreground {
        tensors.extend(basis_tensors("foreground.", &split.basis));
    }
    let ranges: Vec<f64> = projection
        .ranges
        .iter()
        .flat_map(|&(low, high)| [f64::from(low), f64::from(high)])
        .collect();
    tensors.push(NamedTensor::new(
        "ranges",
        vec![projection.ranges.len(), 2],
        &ranges,
    ));
    fit_file::to_bytes(FILE_KIND, info, &tensors)
}

/// The tensors of `basis`, with `prefix` before their names.
fn basis_tensors(prefix: &str, basis: &Basis) -> Vec<NamedTensor> {
    let (k, dim) = (basis.variances.len(), basis.dim());
    let named = |name: &str, shape, values: &[f64]| {
        NamedTensor::new(format!("{prefix}{name}"), shape, values)
    };
    vec![
        named("mean", vec![dim], &basis.mean),
        named("components", vec![k, dim], &basis.components),
        named("variances", vec![k], &basis.variances),
        named("total_variance", vec![1], &[basis.total_variance]),
    ]
}

/// Reads a file of [`to_bytes`].
///
/// # Errors
/// A message without the file's name: not such a file, another format, or impossible numbers.
pub fn from_bytes(bytes: &[u8]) -> Result<(BasisInfo, Projection), String> {
    let (info, file): (BasisInfo, _) = FitFile::open(FILE_KIND, bytes)?;
    if info.format != 1 {
        return Err(format!(
            "a PCA basis of format {}; this version of dino reads format 1",
            info.format
        ));
    }
    let basis = read_basis(&file, "")?;
    let foreground = match &info.foreground {
        Some(split) => Some(ForegroundSplit {
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
    let ranges = file.read("ranges", 2)?;
    if ranges.len() != 2 * info.shown.len() || info.shown.is_empty() {
        return Err(format!(
            "it shows {} components, but has {} numbers of range",
            info.shown.len(),
            ranges.len()
        ));
    }
    let mut projection = Projection::new(foreground, basis, info.shown.clone(), info.whiten)
        .map_err(|e| e.to_string())?;
    let sound = ranges.chunks_exact(2).all(|range| {
        (range[0] as f32).is_finite() && (range[1] as f32).is_finite() && range[0] <= range[1]
    });
    if !sound {
        return Err("its ranges are none: expected rising numbers".into());
    }
    projection.ranges = ranges
        .chunks_exact(2)
        .map(|r| (r[0] as f32, r[1] as f32))
        .collect();
    Ok((info, projection))
}

/// Reads the tensors of [`basis_tensors`].
fn read_basis(file: &FitFile<'_>, prefix: &str) -> Result<Basis, String> {
    let mean = file.read(&format!("{prefix}mean"), 1)?;
    let components = file.read(&format!("{prefix}components"), 2)?;
    let variances = file.read(&format!("{prefix}variances"), 1)?;
    let total = file.read(&format!("{prefix}total_variance"), 1)?;
    if mean.is_empty() || components.len() != variances.len() * mean.len() || total.len() != 1 {
        return Err(format!(
            "its tensors do not fit together: {prefix}mean has {}, {prefix}components {} and {prefix}variances {} numbers",
            mean.len(),
            components.len(),
            variances.len()
        ));
    }
    // Components have length 1, means an ordinary size, and no variance exceeds the total.
    let is_direction = |row: &[f64]| {
        let length: f64 = row.iter().map(|v| v * v).sum();
        (length - 1.0).abs() < 1e-3
    };
    let whole = total[0];
    let slack = 1e-6 * whole.abs() + 1e-9;
    let sound = components.chunks_exact(mean.len()).all(is_direction)
        && mean.iter().all(|v| v.abs() <= MAX_FEATURE)
        && (0.0..=MAX_FEATURE * MAX_FEATURE).contains(&whole)
        && variances
            .iter()
            .all(|v| (-slack..=whole + slack).contains(v));
    if !sound {
        return Err(format!(
            "its {prefix}mean, {prefix}components, {prefix}variances or {prefix}total_variance are of no fit: they have \
             impossible numbers"
        ));
    }
    Ok(Basis {
        mean,
        components,
        variances,
        total_variance: total[0],
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::analysis::pca::Moments;

    fn projection() -> Projection {
        let mut moments = Moments::new(4);
        moments.add(&(0..80).map(|i| ((i * 37) % 23) as f32).collect::<Vec<_>>());
        let basis = Basis::fit(&moments, 3).unwrap();
        let split = ForegroundSplit {
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
        for number in [f64::NAN, f64::INFINITY] {
            let mut endless = projection.clone();
            endless.basis.mean[0] = number;
            let error = to_bytes(&info, &endless).unwrap_err().to_string();
            assert!(error.contains("not finite"), "{error}");
            let mut bytes = good.clone();
            let at = bytes.len() - 8;
            bytes[at..].copy_from_slice(&number.to_le_bytes());
            assert!(from_bytes(&bytes).unwrap_err().contains("finite"));
        }
        let mut huge = projection;
        huge.basis.components[0] = 1e300;
        let error = from_bytes(&to_bytes(&info, &huge).unwrap()).unwrap_err();
        assert!(error.contains("impossible numbers"), "{error}");
    }
}
