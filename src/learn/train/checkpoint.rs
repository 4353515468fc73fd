//! Everything that an unfinished training needs to go on as if it had not been stopped, in one safetensors file.

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

const KEY: &str = "dino.training";

/// The state between two epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainState {
    /// The weights.
    pub network: HeadInTraining,
    /// The optimiser's memory.
    pub adam: AdamW,
    /// The moving average of the weights, where one is kept.
    pub average: Option<HeadInTraining>,
    /// The weights of the best epoch so far.
    pub best: Option<HeadInTraining>,
    /// How inputs are standardised.
    pub standardisation: Standardisation,
    /// Epochs done, with their figures.
    pub history: TrainHistory,
}

#[derive(Serialize, Deserialize)]
struct CheckpointHeader {
    /// Of everything that the result depends on.
    digest: String,
    steps: usize,
    history: TrainHistory,
}

impl TrainState {
    /// The weights as they are now: the moving average, where one is kept.
    pub fn latest(&self) -> &HeadInTraining {
        self.average.as_ref().unwrap_or(&self.network)
    }

    /// Writes the state for a training with this `digest`.
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

    /// Reads the state of a training like `fresh`; none if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, or holds another training's state, or none: it would be written over.
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
    /// Whether all weights, and what they are standardised by, are numbers.
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
