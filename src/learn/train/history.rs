//! What happened, epoch by epoch: the lines on the screen and the JSON log.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::system::files::write_atomic;

/// One epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Learning rate at its end.
    pub rate: f64,
    /// Validation figures by name; none without validation.
    pub metrics: Vec<(String, f64)>,
    /// Seconds it took, validation included.
    pub seconds: f64,
}

/// All epochs so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainHistory {
    /// In order.
    pub epochs: Vec<Epoch>,
    /// The best epoch so far, from 1; the last without validation.
    pub best: usize,
}

impl Epoch {
    /// The figure called `name`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| *value)
    }

    /// `epoch 3/10  loss 0.2345  rmse 0.812  delta1 0.59  (12.3 s)`
    pub fn line(&self, of: usize) -> String {
        let figures: String = self
            .metrics
            .iter()
            .take(4)
            .map(|(name, value)| format!("  {name} {value:.4}"))
            .collect();
        format!(
            "epoch {:>2}/{of}  loss {:.4}{figures}  ({:.1} s)",
            self.epoch, self.loss, self.seconds
        )
    }
}

/// Writes the log of a training, or of one for each fold.
///
/// # Errors
/// If the file cannot be written.
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
                let figures: Map<String, Value> = one
                    .metrics
                    .iter()
                    .map(|(name, value)| (name.clone(), (*value).into()))
                    .collect();
                json!({
                    "epoch": one.epoch,
                    "loss": one.loss,
                    "rate": one.rate,
                    "validation": figures,
                    "seconds": (one.seconds * 100.0).round() / 100.0,
                })
            })
            .collect();
        json!({ "best_epoch": self.best, "epochs": epochs })
    }
}
