//! Names and shapes of the tensors of a DPT head, and which of the two published decoders they are.
//!
//! Names are the published ones without `decode_head.`; a checkpoint of Depth Anything V2 is renamed to them when it is
//! converted. Widths are read off the tensors.

use std::collections::BTreeMap;

use candle_core::Tensor;

/// Number of blocks that a DPT head reads.
pub(super) const STAGES: usize = 4;

/// A published decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DptVariant {
    /// That of DINOv2.
    Dinov2,
    /// That of Depth Anything V2.
    DepthAnything,
}

/// The decoder that `weights` belong to, and the width of the tokens that it reads (D).
///
/// # Errors
/// A message without a file's name, if `weights` are not exactly the tensors of a decoder.
pub(super) fn check_weights(
    weights: &BTreeMap<String, Tensor>,
) -> Result<(DptVariant, usize), String> {
    let dims = |name: &str| {
        let tensor = weights.get(name);
        tensor
            .map(Tensor::dims)
            .ok_or_else(|| format!("has no tensor {name}"))
    };
    let wrong = |name: &str, found: &[usize], expected: &[usize]| {
        format!("has {name} of {found:?}, expected {expected:?}")
    };
    let readout = "reassemble_blocks.readout_projects.0.0.weight";
    let variant = match weights.contains_key(readout) {
        true => DptVariant::Dinov2,
        false => DptVariant::DepthAnything,
    };
    let first = "reassemble_blocks.projects.0.conv.weight";
    let &[_, dim, ..] = dims(first)? else {
        return Err(format!("has {first} of {:?}", dims(first)?));
    };
    let features = *dims("convs.0.conv.weight")?.first().unwrap_or(&0);
    let channels = (0..STAGES)
        .map(|i| {
            let name = format!("reassemble_blocks.projects.{i}.conv.weight");
            Ok(*dims(&name)?.first().unwrap_or(&0))
        })
        .collect::<Result<Vec<usize>, String>>()?;
    let middle = *dims("conv_depth.head.0.weight")?.first().unwrap_or(&0);
    let last = *dims("conv_depth.head.2.weight")?.first().unwrap_or(&0);
    let mut known = 0;
    for (name, shape) in tensor_shapes(variant, dim, &channels, features, (middle, last)) {
        let found = dims(&name)?;
        if found != shape || shape.contains(&0) {
            return Err(wrong(&name, found, &shape));
        }
        known += 1;
    }
    if weights.len() != known {
        return Err(format!("has {} tensors, expected {known}", weights.len()));
    }
    Ok((variant, dim))
}

/// Names and shapes of the tensors of a decoder: tokens of width `dim`, the `channels` of the four stages, `features`
/// channels after them, and the last convolutions' `middle` and `last` channels.
fn tensor_shapes(
    variant: DptVariant,
    dim: usize,
    channels: &[usize],
    features: usize,
    (middle, last): (usize, usize),
) -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    let mut add = |name: String, shape: &[usize], bias: Option<usize>| {
        all.push((format!("{name}.weight"), shape.to_vec()));
        all.extend(bias.map(|width| (format!("{name}.bias"), vec![width])));
    };
    let is_dinov2 = variant == DptVariant::Dinov2;
    for (i, &c) in channels.iter().enumerate() {
        let block = "reassemble_blocks";
        if is_dinov2 {
            add(
                format!("{block}.readout_projects.{i}.0"),
                &[dim, 2 * dim],
                Some(dim),
            );
        }
        add(
            format!("{block}.projects.{i}.conv"),
            &[c, dim, 1, 1],
            Some(c),
        );
        let side = [4, 2, 0, 3][i];
        if side > 0 {
            add(
                format!("{block}.resize_layers.{i}"),
                &[c, c, side, side],
                Some(c),
            );
        }
        add(format!("convs.{i}.conv"), &[features, c, 3, 3], None);
        let fusion = format!("fusion_blocks.{i}");
        add(
            format!("{fusion}.project.conv"),
            &[features, features, 1, 1],
            Some(features),
        );
        for unit in 1..=2 {
            for conv in 1..=2 {
                // The coarsest stage has no skip connection.
                if i > 0 || unit == 2 {
                    add(
                        format!("{fusion}.res_conv_unit{unit}.conv{conv}.conv"),
                        &[features, features, 3, 3],
                        (!is_dinov2).then_some(features),
                    );
                }
            }
        }
    }
    if is_dinov2 {
        add(
            "project.conv".into(),
            &[features, features, 3, 3],
            Some(features),
        );
    }
    add(
        "conv_depth.head.0".into(),
        &[middle, features, 3, 3],
        Some(middle),
    );
    add(
        "conv_depth.head.2".into(),
        &[last, middle, 3, 3],
        Some(last),
    );
    add("conv_depth.head.4".into(), &[1, last, 1, 1], Some(1));
    all
}
