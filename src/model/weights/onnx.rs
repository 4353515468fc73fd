//! The few messages of ONNX that hold weights, and the named tensors of an exported graph.
//!
//! PyTorch's exporter keeps the names of biases and norms but renames the weights of linear layers
//! (`onnx::MatMul_1966`, stored transposed) and splits the position embedding. Their names are restored from the graph:
//! a MatMul is followed to the Add of its bias, and the two parts of the position embedding are recognised by the nodes
//! that read them and by their shapes. Field numbers are those of onnx.proto3.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use prost::Message;

use crate::error::{Error, Result};

/// A model; only its graph is read.
#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
}

/// Nodes and constants.
#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
}

/// One operation.
#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "4")]
    op_type: String,
}

/// A constant tensor.
#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    float_data: Vec<f32>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
    #[prost(int32, tag = "14")]
    data_location: i32,
}

/// Whether bytes can begin an ONNX file: its first field is the format's version, a small number.
pub fn is_onnx_header(start: &[u8]) -> bool {
    matches!(
        start,
        [
            0x08,
            1..=64,
            0x12 | 0x1a | 0x22 | 0x2a | 0x32 | 0x3a | 0x42,
            ..
        ]
    )
}

/// The named tensors of the ONNX file `bytes`; `path` is for messages. Names are as exported, with those of the linear
/// layers' weights and of the position embedding restored; constants that belong to no layer are left out.
pub fn read(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let bad = |why: String| {
        Error::file(
            path,
            format!("{why}; expected an ONNX export of a DINOv2 backbone"),
        )
    };
    let model = ModelProto::decode(bytes)
        .map_err(|error| bad(format!("is no whole ONNX file ({error})")))?;
    let graph = model.graph.ok_or_else(|| bad("has no graph".to_owned()))?;
    let mut constants = HashMap::new();
    for constant in &graph.initializer {
        if let Some(tensor) =
            tensor(constant).map_err(|why| bad(format!("`{}` {why}", constant.name)))?
        {
            constants.insert(constant.name.as_str(), tensor);
        }
    }
    let mut named: BTreeMap<String, Tensor> = constants
        .iter()
        .filter(|(name, _)| !name.contains("::"))
        .map(|(name, tensor)| ((*name).to_owned(), tensor.clone()))
        .collect();

    let adds: HashMap<&str, &NodeProto> = graph
        .node
        .iter()
        .filter(|node| node.op_type == "Add")
        .flat_map(|node| node.input.iter().map(move |input| (input.as_str(), node)))
        .collect();
    for node in graph.node.iter().filter(|node| node.op_type == "MatMul") {
        let ([_, weight], [output]) = (node.input.as_slice(), node.output.as_slice()) else {
            continue;
        };
        let (Some(weight), Some(add)) = (constants.get(weight.as_str()), adds.get(output.as_str()))
        else {
            continue;
        };
        let bias = add
            .input
            .iter()
            .find_map(|input| input.strip_suffix(".bias"));
        if let Some(layer) = bias.filter(|_| weight.rank() == 2) {
            named.insert(format!("{layer}.weight"), weight.t()?.contiguous()?);
        }
    }
    restore_pos_embed(&graph, &constants, &mut named)?;
    Ok(named)
}

/// Joins the position of the cls token, `[1, 1, D]` into a Concat, and those of the patches, `[1, n^2, D]` into the
/// Reshape before their interpolation, under the name beside that of the cls token.
fn restore_pos_embed(
    graph: &GraphProto,
    constants: &HashMap<&str, Tensor>,
    named: &mut BTreeMap<String, Tensor>,
) -> Result<()> {
    let Some((cls, dim)) = named.iter().find_map(|(name, tensor)| {
        let prefix = name.strip_suffix("cls_token")?;
        Some((prefix.to_owned(), *tensor.dims().last()?))
    }) else {
        return Ok(());
    };
    let whole = format!("{cls}position_embeddings");
    let feeding = |op: &str, fits: &dyn Fn(usize) -> bool| {
        let mut found = graph
            .node
            .iter()
            .filter(|node| node.op_type == op)
            .flat_map(|node| &node.input)
            .filter(|input| !named.contains_key(*input))
            .filter_map(|input| constants.get(input.as_str()))
            .filter(
                |tensor| matches!(tensor.dims(), [1, rows, width] if *width == dim && fits(*rows)),
            );
        // Two candidates would leave a choice to chance: then there is none, and the missing tensor is reported.
        found.next().filter(|_| found.next().is_none())
    };
    let patches = feeding("Reshape", &|rows| rows > 1 && rows.isqrt().pow(2) == rows);
    if let (Some(first), Some(patches), false) = (
        feeding("Concat", &|rows| rows == 1),
        patches,
        named.contains_key(&whole),
    ) {
        let joined = Tensor::cat(&[first, patches], 1)?;
        named.insert(whole, joined);
    }
    Ok(())
}

/// A constant's numbers; `None` for integers, which are shapes and axes.
fn tensor(constant: &TensorProto) -> Result<Option<Tensor>, String> {
    let dtype = match constant.data_type {
        1 => DType::F32,
        10 => DType::F16,
        11 => DType::F64,
        16 => DType::BF16,
        _ => return Ok(None),
    };
    if constant.data_location != 0 {
        return Err("is stored in another file".to_owned());
    }
    let shape: Option<Vec<usize>> = constant
        .dims
        .iter()
        .map(|side| usize::try_from(*side).ok())
        .collect();
    let shape = shape.ok_or("has a negative side")?;
    let count = shape
        .iter()
        .try_fold(1usize, |product, side| product.checked_mul(*side));
    let fits = |length: usize| {
        count.is_some_and(|count| count.checked_mul(dtype.size_in_bytes()) == Some(length))
    };
    let tensor = if dtype == DType::F32
        && !constant.float_data.is_empty()
        && fits(4 * constant.float_data.len())
    {
        Tensor::from_slice(&constant.float_data, shape, &Device::Cpu)
    } else if fits(constant.raw_data.len()) {
        Tensor::from_raw_buffer(&constant.raw_data, dtype, &shape, &Device::Cpu)
    } else {
        return Err(format!(
            "is {shape:?} but has {} bytes",
            constant.raw_data.len()
        ));
    };
    tensor.map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn node(op_type: &str, input: &[&str], output: &str) -> NodeProto {
        let input = input.iter().map(|name| (*name).to_owned()).collect();
        NodeProto {
            input,
            output: vec![output.to_owned()],
            op_type: op_type.to_owned(),
        }
    }

    fn constant(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
        let raw_data = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        TensorProto {
            dims: dims.to_vec(),
            data_type: 1,
            name: name.to_owned(),
            raw_data,
            ..Default::default()
        }
    }

    #[test]
    fn lost_names_are_found_again() {
        let graph = GraphProto {
            node: vec![
                node("MatMul", &["x", "onnx::MatMul_7"], "y"),
                node("Add", &["b.encoder.layer.0.mlp.fc1.bias", "y"], "z"),
                node("Concat", &["onnx::Concat_1", "r"], "p"),
                node("Reshape", &["onnx::Reshape_2", "s"], "r"),
            ],
            initializer: vec![
                constant("b.embeddings.cls_token", &[1, 1, 2], &[0., 0.]),
                constant("b.encoder.layer.0.mlp.fc1.bias", &[3], &[0.; 3]),
                constant("onnx::MatMul_7", &[2, 3], &[1., 2., 3., 4., 5., 6.]),
                constant("onnx::Concat_1", &[1, 1, 2], &[9., 9.]),
                constant("onnx::Reshape_2", &[1, 4, 2], &[1.; 8]),
            ],
        };
        let bytes = ModelProto { graph: Some(graph) }.encode_to_vec();
        let tensors = read(Path::new("x.onnx"), &bytes).unwrap();
        let weight: Vec<Vec<f32>> = tensors["b.encoder.layer.0.mlp.fc1.weight"]
            .to_vec2()
            .unwrap();
        assert_eq!(weight, [[1., 4.], [2., 5.], [3., 6.]]);
        assert_eq!(
            tensors["b.embeddings.position_embeddings"].dims(),
            [1, 5, 2]
        );
    }

    #[test]
    fn damaged_files_are_errors() {
        let short = GraphProto {
            initializer: vec![constant("a", &[5], &[1.])],
            ..Default::default()
        };
        let short = ModelProto { graph: Some(short) }.encode_to_vec();
        assert!(
            read(Path::new("x.onnx"), &short)
                .unwrap_err()
                .to_string()
                .contains("`a` is [5] but has 4 bytes")
        );
        assert!(
            read(Path::new("x.onnx"), &short[..short.len() - 1])
                .unwrap_err()
                .to_string()
                .contains("no whole ONNX")
        );
        assert!(
            read(Path::new("x.onnx"), b"")
                .unwrap_err()
                .to_string()
                .contains("no graph")
        );
    }
}
