//! The checkpoint of an unfinished training, from which it continues as if it had never been stopped.
//!
//! One safetensors file: f32 tensors `network.i`, `average.i` and `best.i` (weights in the order of
//! [`HeadInTraining::parameters`]), `first.i` and `second.i` (moments of AdamW), `mean` and `deviation`; and under
//! `dino.training` in the metadata JSON with the digest of the training, the optimiser's steps and the history.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::learn::train::head_in_training::{HeadInTraining, Standardisation};
use crate::learn::train::history::TrainHistory;
use crate::learn::train::optim::AdamW;
use crate::system::files::write_atomic;

/// Key of the JSON in the metadata of the file.
const KEY: &str = "dino.training";

/// The state of a training between two epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainState {
    /// The weights that are trained.
    pub network: HeadInTraining,
    /// The state of the optimiser.
    pub adam: AdamW,
    /// The exponential moving average of the weights, where one is kept.
    pub average: Option<HeadInTraining>,
    /// The weights of the best epoch so far; none before the first.
    pub best: Option<HeadInTraining>,
    /// Mean and standard deviation of the inputs, measured before the first step.
    pub standardisation: Standardisation,
    /// Finished epochs with their metrics.
    pub history: TrainHistory,
}

/// The JSON in the metadata of the file.
#[derive(Serialize, Deserialize)]
#[serde(expecting = "the header of a checkpoint")]
struct CheckpointHeader {
    /// Digest of everything that the result depends on.
    digest: String,
    steps: usize,
    history: TrainHistory,
}

impl TrainState {
    /// The weights to validate and to keep: the moving average, where there is one.
    pub fn latest(&self) -> &HeadInTraining {
        self.average.as_ref().unwrap_or(&self.network)
    }

    /// Writes the state of the training with this `digest`.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path, digest: &str) -> Result<()> {
        let mut tensors: Vec<(String, Vec<u8>)> = Vec::new();
        let mut add = |name: String, values: &[f32]| {
            tensors.push((name, values.iter().flat_map(|v| v.to_le_bytes()).collect()));
        };
        let networks = [
            ("network", Some(&self.network)),
            ("average", self.average.as_ref()),
            ("best", self.best.as_ref()),
        ];
        for (prefix, network) in networks {
            for (index, values) in network.iter().flat_map(|n| n.parameters()).enumerate() {
                add(format!("{prefix}.{index}"), values);
            }
        }
        for (prefix, all) in [("first", &self.adam.first), ("second", &self.adam.second)] {
            for (index, values) in all.iter().enumerate() {
                add(format!("{prefix}.{index}"), values);
            }
        }
        add("mean".into(), &self.standardisation.mean);
        add("deviation".into(), &self.standardisation.deviation);
        let text = CheckpointHeader {
            digest: digest.to_owned(),
            steps: self.adam.steps,
            history: self.history.clone(),
        };
        let bytes = (|| -> Result<Vec<u8>, String> {
            let views = tensors
                .iter()
                .map(|(name, bytes)| {
                    Ok((
                        name,
                        TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?,
                    ))
                })
                .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
                .map_err(|e| e.to_string())?;
            let json = serde_json::to_string(&text).map_err(|e| e.to_string())?;
            safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), json)])))
                .map_err(|e| e.to_string())
        })()
        .map_err(|why| Error::file(path, why))?;
        write_atomic(path, |writer| writer.write_all(&bytes))
    }

    /// Reads the state of the training with this `digest`, whose shapes are those of `fresh`; none where there is no
    /// file.
    ///
    /// # Errors
    /// Where the file cannot be read, is no checkpoint of this training (it would be overwritten), or has numbers that
    /// are not finite.
    pub fn read(path: &Path, digest: &str, fresh: &TrainState) -> Result<Option<TrainState>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(path, &error)),
        };
        let state = parse(&bytes, digest, fresh).ok_or_else(|| {
            Error::file(
                path,
                "is no checkpoint of this training: its options, data or model are others, or it was begun by another version \
                 of dino; go on as it was begun, or --force begins anew and replaces it",
            )
        })?;
        match state.is_finite() {
            true => Ok(Some(state)),
            false => Err(Error::file(
                path,
                "is damaged: it has numbers that are not finite; --force begins anew and replaces it",
            )),
        }
    }
}

/// The state in the bytes of a file; none where it is of another training or of no training.
fn parse(bytes: &[u8], digest: &str, fresh: &TrainState) -> Option<TrainState> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let text: CheckpointHeader =
        serde_json::from_str(header.metadata().as_ref()?.get(KEY)?).ok()?;
    if text.digest != digest {
        return None;
    }
    let file = SafeTensors::deserialize(bytes).ok()?;
    let values = |name: String, length: usize| -> Option<Vec<f32>> {
        let view = file.tensor(&name).ok()?;
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        (values.len() == length).then_some(values)
    };
    let network = |prefix: &str| -> Option<HeadInTraining> {
        let mut network = fresh.network.clone();
        for (index, parameter) in network.parameters_mut().into_iter().enumerate() {
            *parameter = values(format!("{prefix}.{index}"), parameter.len())?;
        }
        Some(network)
    };
    let moments = |prefix: &str, like: &[Vec<f32>]| -> Option<Vec<Vec<f32>>> {
        like.iter()
            .enumerate()
            .map(|(index, one)| values(format!("{prefix}.{index}"), one.len()))
            .collect()
    };
    Some(TrainState {
        network: network("network")?,
        adam: AdamW {
            decay: fresh.adam.decay,
            steps: text.steps,
            first: moments("first", &fresh.adam.first)?,
            second: moments("second", &fresh.adam.second)?,
        },
        average: network("average"),
        best: network("best"),
        standardisation: Standardisation {
            mean: values(
                "mean".into(),
                fresh.network.parameters()[0].len() / fresh.width(),
            )?,
            deviation: values(
                "deviation".into(),
                fresh.network.parameters()[0].len() / fresh.width(),
            )?,
        },
        history: text.history,
    })
}

impl TrainState {
    /// Whether all weights, moments and the standardisation are finite.
    fn is_finite(&self) -> bool {
        let networks = [
            Some(&self.network),
            self.average.as_ref(),
            self.best.as_ref(),
        ];
        let weights = networks
            .into_iter()
            .flatten()
            .flat_map(|network| network.parameters());
        let moments = self.adam.first.iter().chain(&self.adam.second);
        let standard = [&self.standardisation.mean, &self.standardisation.deviation];
        weights
            .chain(moments)
            .chain(standard)
            .all(|values| values.iter().all(|value| value.is_finite()))
    }

    /// Outputs of the first layer.
    fn width(&self) -> usize {
        self.network.parameters()[1].len()
    }
}
