//! The history of a training, epoch by epoch, which is printed, logged as JSON and kept in the checkpoint.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::system::files::write_atomic;

/// The results of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean training loss over the samples of the epoch.
    pub loss: f64,
    /// Learning rate of its last step.
    pub rate: f64,
    /// Validation metrics by name, the most telling first; empty without validation. `figures` in checkpoints.
    #[serde(rename = "figures")]
    pub metrics: Vec<(String, f64)>,
    /// Seconds that it took, validation included.
    pub seconds: f64,
}

/// All epochs so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "the history of a training")]
pub struct TrainHistory {
    /// One entry for each finished epoch, in their order.
    pub epochs: Vec<Epoch>,
    /// Number of the best epoch so far, from 1; without validation the last one. 0 before the first.
    pub best: usize,
}

impl Epoch {
    /// The value of the validation metric `name`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| *value)
    }

    /// The line for the screen, with the first four metrics: `epoch  3/10  loss 0.2345  rmse 0.8120  (12.3 s)`.
    pub fn line(&self, of: usize) -> String {
        let metrics: String = self
            .metrics
            .iter()
            .take(4)
            .map(|(name, value)| format!("  {name} {value:.4}"))
            .collect();
        format!(
            "epoch {:>2}/{of}  loss {:.4}{metrics}  ({:.1} s)",
            self.epoch, self.loss, self.seconds
        )
    }
}

/// Writes the JSON log of a training (`{"best_epoch", "epochs"}`), or of one for each fold (`{"folds": […]}`).
///
/// # Errors
/// Where the file cannot be written.
pub fn write(folds: &[TrainHistory], path: &Path) -> Result<()> {
    let object = match folds {
        [one] => one.to_json(),
        _ => json!({ "folds": folds.iter().map(TrainHistory::to_json).collect::<Vec<_>>() }),
    };
    write_atomic(path, |writer| {
        serde_json::to_writer_pretty(&mut *writer, &object)?;
        writer.write_all(b"\n")
    })
}

impl TrainHistory {
    fn to_json(&self) -> Value {
        let epochs: Vec<Value> = self
            .epochs
            .iter()
            .map(|one| {
                let metrics: Map<String, Value> = one
                    .metrics
                    .iter()
                    .map(|(name, value)| (name.clone(), (*value).into()))
                    .collect();
                json!({
                    "epoch": one.epoch,
                    "loss": one.loss,
                    "rate": one.rate,
                    "validation": metrics,
                    "seconds": (one.seconds * 100.0).round() / 100.0,
                })
            })
            .collect();
        json!({ "best_epoch": self.best, "epochs": epochs })
    }
}
