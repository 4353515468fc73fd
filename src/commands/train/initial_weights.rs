//! `--from`: the initial weights of a training are those of another head that reads the same features.

use dino::learn::train::feature_pool::InputLayout;
use dino::model::head::linear::{Dense, LinearHead};
use dino::model::head::meta::{Class, HeadMeta, HeadTask};
use dino::model::head::{Head, HeadNetwork, file};
use dino::model::head_zoo::HeadStore;
use dino::model::weights::{Store, digest};
use dino::{Error, Result};

use crate::cli::TrainArgs;
use crate::commands::model::ModelReplicas;

/// Initial weights of a training.
pub struct InitialWeights {
    /// The hidden layer, if any, and the output layer with one row per class that is learnt.
    pub layers: (Option<Dense>, Dense),
    /// SHA-256 of the head's file.
    pub digest: String,
}

impl InitialWeights {
    /// The weights of the head that `--from` names, for a training of `task`; none without the option.
    ///
    /// # Errors
    /// If there is no such head, or it reads other features or predicts something else.
    pub fn load(
        args: &TrainArgs,
        model: &ModelReplicas,
        (inputs, blocks): (&InputLayout, &[usize]),
        task: &HeadTask,
    ) -> Result<Option<Self>> {
        let Some(name) = &args.from else {
            return Ok(None);
        };
        let head = HeadStore::at(Store::open()?.root()).get(name)?.head;
        let refused = |why: String| {
            Error::Usage(format!(
                "--from {}: {why}; leave --from out to start from nothing",
                name.to_string_lossy()
            ))
        };
        if head.meta.fingerprint != model.record.fingerprint {
            return Err(refused(format!(
                "the head reads the backbone {}, and this training {}",
                head.meta.backbone, model.record.name
            )));
        }
        if let Some(other) = find_feature_mismatch(&head.meta, args, (inputs, blocks)) {
            return Err(refused(format!("the head {other}")));
        }
        let bytes = file::to_bytes(&head).map_err(&refused)?;
        let Head { meta, network } = head;
        let HeadNetwork::Linear(LinearHead { hidden, output, .. }) = network else {
            return Err(refused("the head is no linear one".into()));
        };
        let width = hidden.as_ref().map_or(0, Dense::outputs);
        if width != args.hidden {
            return Err(refused(format!(
                "its hidden layer is {width} wide, and this training's {}",
                args.hidden
            )));
        }
        let output = match (&meta.task, task) {
            (HeadTask::Segment { classes: known }, HeadTask::Segment { classes }) => {
                remap_classes(&output, known, classes)
            }
            (known, wanted) if known == wanted => output,
            _ => return Err(refused("the head predicts something else".into())),
        };
        Ok(Some(InitialWeights {
            layers: (hidden, output),
            digest: digest::sha256(&bytes),
        }))
    }
}

/// The first difference between the features that the head of `meta` reads and those of this training, in words.
fn find_feature_mismatch(
    meta: &HeadMeta,
    args: &TrainArgs,
    (inputs, blocks): (&InputLayout, &[usize]),
) -> Option<String> {
    let of = |what: &str, own: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
        let (own, wanted) = (format!("{own:?}"), format!("{wanted:?}"));
        (own != wanted).then(|| format!("has {what} {own}, and this training {wanted}"))
    };
    of("--blocks", &meta.blocks, &blocks)
        .or_else(|| of("--norm", &meta.norm, &args.norm))
        .or_else(|| of("--context", &meta.context, &inputs.context))
        .or_else(|| of("--coarse", &meta.input.coarse, &args.coarse))
        .or_else(|| of("--globals", &meta.globals, &inputs.globals))
        .or_else(|| of("--size", &meta.input.size, &args.size.size.to_string()))
}

/// The output layer for `classes`, from that for the `known` ones by name; an unknown class starts as the mean of all.
fn remap_classes(layer: &Dense, known: &[Class], classes: &[Class]) -> Dense {
    let width = layer.inputs;
    let rows: Vec<&[f32]> = layer.weight.chunks_exact(width).collect();
    let count = rows.len() as f32;
    let mean_row: Vec<f32> = (0..width)
        .map(|at| rows.iter().map(|row| row[at]).sum::<f32>() / count)
        .collect();
    let mean_bias = layer.bias.iter().sum::<f32>() / count;
    let mut out = Dense {
        inputs: width,
        weight: Vec::with_capacity(width * classes.len()),
        bias: Vec::with_capacity(classes.len()),
    };
    for class in classes {
        let same = known.iter().position(|other| other.name == class.name);
        out.weight
            .extend_from_slice(same.map_or(&mean_row, |at| rows[at]));
        out.bias.push(same.map_or(mean_bias, |at| layer.bias[at]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> Class {
        Class {
            name: name.to_owned(),
            color: [0; 3],
        }
    }

    #[test]
    fn classes_are_found_by_their_names() {
        let layer = Dense {
            inputs: 2,
            weight: vec![1.0, 2.0, 3.0, 6.0],
            bias: vec![10.0, 20.0],
        };
        let known = [class("sky"), class("road")];
        let wanted = [class("road"), class("water"), class("sky")];
        let found = remap_classes(&layer, &known, &wanted);
        assert_eq!(found.weight, [3.0, 6.0, 2.0, 4.0, 1.0, 2.0]);
        assert_eq!(found.bias, [20.0, 15.0, 10.0]);
    }
}
