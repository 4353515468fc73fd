//! A [`Codebook`] as the bytes of one self-describing safetensors file, tied to the model whose features it was fitted
//! to.
//!
//! Tensors: `centres` `[k, D]` and `variance` `[1]`, in f64; [`CodebookInfo`] as JSON in the metadata.

use serde::{Deserialize, Serialize};

use crate::analysis::cluster::codebook::{Codebook, MAX_CLUSTERS, MIN_VARIANCE};
use crate::analysis::fit_file::{self, FitFile, FitFileKind, NamedTensor};
use crate::error::Result;

/// The file's JSON, under the key `dino.clusters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodebookInfo {
    /// Version of the format; this version of dino reads and writes 1.
    pub format: u32,
    /// Name of the backbone.
    pub model: String,
    /// Fingerprint of the backbone's tensors; the features of another one have other directions.
    pub fingerprint: String,
    /// 0-based block whose tokens were clustered.
    pub block: usize,
    /// Whether the final LayerNorm was applied to them.
    pub norm: bool,
}

const FILE_KIND: FitFileKind = FitFileKind {
    key: "dino.clusters",
    name: "a codebook of clusters",
    flag: "--save-codebook",
};

/// Serialises `codebook`.
///
/// # Errors
/// [`Error::Model`](crate::Error::Model) if it has numbers that are not finite.
pub fn to_bytes(info: &CodebookInfo, codebook: &Codebook) -> Result<Vec<u8>> {
    let centres: Vec<f64> = codebook.centres.iter().map(|&v| f64::from(v)).collect();
    let tensors = [
        NamedTensor::new("centres", vec![codebook.k, codebook.dim()], &centres),
        NamedTensor::new("variance", vec![1], &[f64::from(codebook.variance)]),
    ];
    fit_file::to_bytes(FILE_KIND, info, &tensors)
}

/// Reads a file of [`to_bytes`].
///
/// # Errors
/// A message without the file's name: not such a file, another format, or impossible numbers.
pub fn from_bytes(bytes: &[u8]) -> Result<(CodebookInfo, Codebook), String> {
    let (info, file): (CodebookInfo, _) = FitFile::open(FILE_KIND, bytes)?;
    if info.format != 1 {
        return Err(format!(
            "a codebook of format {}; this version of dino reads format 1",
            info.format
        ));
    }
    let shape = file.shape("centres")?;
    let centres = file.read("centres", 2)?;
    let variance = file.read("variance", 1)?;
    if !(1..=MAX_CLUSTERS).contains(&shape[0]) || centres.is_empty() {
        return Err(format!(
            "its centres are {shape:?}, expected 1 to {MAX_CLUSTERS} rows"
        ));
    }
    if variance.len() != 1 || !(MIN_VARIANCE..=4.0).contains(&(variance[0] as f32)) {
        return Err(format!(
            "its variance is {variance:?}, expected one number above 0 and at most 4"
        ));
    }
    let codebook = Codebook {
        centres: centres.iter().map(|&v| v as f32).collect(),
        k: shape[0],
        variance: variance[0] as f32,
    };
    match codebook.centres.iter().all(|v| v.abs() <= 2.0) {
        true => Ok((info, codebook)),
        false => Err("its centres are no means of vectors of length 1".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn example() -> (CodebookInfo, Codebook) {
        let info = CodebookInfo {
            format: 1,
            model: "vits14".into(),
            fingerprint: "abc".into(),
            block: 11,
            norm: true,
        };
        let codebook = Codebook {
            centres: vec![0.5, 0.25, -0.125, 0.1, 0.2, 0.3],
            k: 2,
            variance: 0.7,
        };
        (info, codebook)
    }

    #[test]
    fn round_trip() {
        let (info, codebook) = example();
        let bytes = to_bytes(&info, &codebook).unwrap();
        assert_eq!(from_bytes(&bytes).unwrap(), (info, codebook));
    }

    #[test]
    fn damaged_and_lying_files_are_refused_in_words() {
        let (info, codebook) = example();
        let good = to_bytes(&info, &codebook).unwrap();
        for cut in [0, 7, 8, 100, good.len() - 1] {
            assert!(from_bytes(&good[..cut]).is_err(), "cut at {cut}");
        }
        let refused = |change: &dyn Fn(&mut CodebookInfo, &mut Codebook)| {
            let (mut info, mut codebook) = example();
            change(&mut info, &mut codebook);
            from_bytes(&to_bytes(&info, &codebook).unwrap()).unwrap_err()
        };
        assert!(refused(&|info, _| info.format = 2).contains("format 2"));
        let mut endless = codebook;
        endless.centres[1] = f32::NAN;
        assert!(to_bytes(&info, &endless).is_err());
        assert!(refused(&|_, book| book.centres[1] = 1e30).contains("length 1"));
        for variance in [-1.0, 0.0, 5.0] {
            assert!(refused(&|_, book| book.variance = variance).contains("variance"));
        }
        let basis = br#"not safetensors at all"#;
        assert!(from_bytes(basis).unwrap_err().contains("--save-codebook"));
    }
}
