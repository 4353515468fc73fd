//! PyTorch checkpoints (`.pth`, `.pt`, `.bin`): a zip with a pickle and raw numbers, or the older form without a zip (see
//! `legacy`).
//!
//! The pickle is read by `pickle`, which runs nothing; what it says about tensors is held against the zip before
//! memory is taken.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use candle_core::pickle::Object;
use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use crate::error::{Error, Result};
use crate::model::weights::{pickle, torch_legacy};

/// Longest pickle read; that of the largest backbone with its optimiser takes a fiftieth.
const MAX_PICKLE: u64 = 64 << 20;
/// Under which key checkpoints keep the weights, in order of preference.
const STATE_DICT_KEYS: &[&str] = &[
    "teacher",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "backbone",
];

type Zip = ZipArchive<BufReader<File>>;

/// A tensor as the pickle describes it.
pub(super) struct TensorDescriptor {
    /// Of its numbers.
    pub dtype: DType,
    /// Its sides.
    pub shape: Vec<usize>,
    /// The key of the numbers.
    pub storage: String,
    /// Its first number among them.
    pub offset: usize,
}

impl TensorDescriptor {
    /// Where its bytes lie among those of its numbers: the first, and how many.
    ///
    /// # Errors
    /// If no memory could hold them.
    pub fn bytes(&self) -> Result<(usize, usize), String> {
        let too_big = || format!("{:?} is beyond any tensor", self.shape);
        let size = self.dtype.size_in_bytes();
        let mut sides = self.shape.iter();
        let count = sides.try_fold(1usize, |product, side| product.checked_mul(*side));
        let bytes = count.and_then(|count| count.checked_mul(size));
        let skip = self.offset.checked_mul(size).ok_or_else(too_big)?;
        Ok((skip, bytes.ok_or_else(too_big)?))
    }
}

/// Reads the state dict of `path`, leaving out names that `wanted` refuses.
pub fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Tensor>> {
    let bad = |why: String| Error::file(path, why);
    if torch_legacy::is_legacy_file(path)? {
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
        return torch_legacy::read(&bytes, wanted).map_err(bad);
    }
    let file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let mut zip = Zip::new(BufReader::new(file))
        .map_err(|error| bad(format!("is no whole zip file ({error})")))?;
    let entry = pickle_entry(&zip)
        .ok_or_else(|| bad("has no data.pkl; expected a file written by torch.save".to_owned()))?;
    let root = entry.trim_end_matches("data.pkl").to_owned();
    let mut text = Vec::new();
    zip.by_name(&entry)
        .map_err(std::io::Error::from)
        .and_then(|reader| reader.take(MAX_PICKLE + 1).read_to_end(&mut text))
        .map_err(|error| bad(format!("{entry} is unreadable ({error})")))?;
    if text.len() as u64 > MAX_PICKLE {
        return Err(bad(format!(
            "its pickle is longer than {MAX_PICKLE} bytes; expected the weights of a backbone"
        )));
    }
    if let Ok(mut order) = zip.by_name(&format!("{root}byteorder")) {
        let mut word = String::new();
        if order.read_to_string(&mut word).is_ok() && word.trim() == "big" {
            return Err(bad(
                "was written on a big-endian machine; expected little-endian numbers".to_owned(),
            ));
        }
    }
    let object = pickle::unpickle(&mut text.as_slice()).map_err(bad)?;
    let entries = state_dict(object, 0).map_err(bad)?;
    let mut tensors = BTreeMap::new();
    for (name, object) in entries.into_iter().filter(|(name, _)| wanted(name)) {
        let tensor = parse_descriptor(object)
            .and_then(|described| load(&mut zip, &root, &described))
            .map_err(|why| bad(format!("`{name}`: {why}")))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// The path of the pickle inside a zip written by torch.save.
pub fn pickle_entry<R: Read + std::io::Seek>(zip: &ZipArchive<R>) -> Option<String> {
    zip.file_names()
        .flatten()
        .find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
        .map(|name| name.into_owned())
}

/// The named tensors in `object`, looking into the usual wrappers.
pub(super) fn state_dict(object: Object, depth: usize) -> Result<Vec<(String, Object)>, String> {
    let Object::Dict(entries) = object else {
        return Err(
            "holds no dictionary of tensors; expected a state dict saved with torch.save"
                .to_owned(),
        );
    };
    let named = entries
        .into_iter()
        .filter_map(|(key, value)| Some((key.unicode().ok()?, value)));
    let (tensors, others): (Vec<_>, Vec<_>) = named.partition(
        |(_, value)| matches!(value, Object::Reduce { callable, .. } if is_rebuild(callable)),
    );
    if !tensors.is_empty() {
        return Ok(tensors);
    }
    let keys: Vec<_> = others
        .iter()
        .map(|(key, _)| format!("`{key}`"))
        .take(8)
        .collect();
    let nested = STATE_DICT_KEYS.iter().find_map(|key| {
        others
            .iter()
            .position(|(other, value)| other == key && matches!(value, Object::Dict(_)))
    });
    match nested {
        Some(index) if depth < 4 => {
            let mut others = others;
            state_dict(others.swap_remove(index).1, depth + 1)
        }
        _ => Err(format!(
            "has no tensors at its top, only {}; expected a state dict, or one under {}",
            if keys.is_empty() {
                "nothing".to_owned()
            } else {
                keys.join(", ")
            },
            STATE_DICT_KEYS.join(", ")
        )),
    }
}

/// Whether a reduce makes a tensor.
fn is_rebuild(callable: &Object) -> bool {
    matches!(callable, Object::Class { module_name, class_name }
        if matches!((module_name.as_str(), class_name.as_str()),
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_parameter") | ("torch._tensor", "_rebuild_from_type_v2")))
}

/// Reads `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)`, through the wrappers of parameters and
/// subclasses.
pub(super) fn parse_descriptor(object: Object) -> Result<TensorDescriptor, String> {
    let odd = || "is described in an unknown way; expected a plain tensor".to_owned();
    let (callable, args) = object.reduce().map_err(|_| odd())?;
    let (_, class) = callable.class().map_err(|_| odd())?;
    let mut args = args.tuple().map_err(|_| odd())?.into_iter();
    let mut next = || args.next().ok_or_else(odd);
    match class.as_str() {
        "_rebuild_parameter" => return parse_descriptor(next()?),
        "_rebuild_from_type_v2" => {
            let (callable, _, args) = (next()?, next()?, next()?);
            return match is_rebuild(&callable) {
                true => parse_descriptor(Object::Reduce {
                    callable: Box::new(callable),
                    args: Box::new(args),
                }),
                false => Err(odd()),
            };
        }
        _ => {}
    }
    let (storage, offset, size, stride) = (next()?, next()?, next()?, next()?);
    let storage = storage
        .persistent_load()
        .and_then(Object::tuple)
        .map_err(|_| odd())?;
    let mut storage = storage.into_iter().skip(1);
    let (_, kind) = storage.next().ok_or_else(odd)?.class().map_err(|_| odd())?;
    let key = storage
        .next()
        .ok_or_else(odd)?
        .unicode()
        .map_err(|_| odd())?;
    let dtype = match kind.as_str() {
        "FloatStorage" => DType::F32,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "DoubleStorage" => DType::F64,
        other => return Err(format!("holds {other}; expected floating-point numbers")),
    };
    let shape = sides(size).ok_or_else(odd)?;
    let stride = sides(stride).ok_or_else(odd)?;
    let mut expected = 1usize;
    for (side, step) in shape.iter().zip(&stride).rev() {
        if *side > 1 && *step != expected {
            return Err(format!(
                "is stored with strides {stride:?}; expected a contiguous tensor (save `.contiguous()` ones)"
            ));
        }
        expected = expected.checked_mul(*side).ok_or_else(odd)?;
    }
    let offset = offset
        .int_or_long()
        .ok()
        .and_then(|offset| usize::try_from(offset).ok())
        .ok_or_else(odd)?;
    Ok(TensorDescriptor {
        dtype,
        shape,
        storage: key,
        offset,
    })
}

/// A tuple of sizes.
fn sides(object: Object) -> Option<Vec<usize>> {
    let side = |object: Object| usize::try_from(object.int_or_long().ok()?).ok();
    object.tuple().ok()?.into_iter().map(side).collect()
}

/// Reads a described tensor's numbers.
fn load(zip: &mut Zip, root: &str, tensor: &TensorDescriptor) -> Result<Tensor, String> {
    let (skip, bytes) = tensor.bytes()?;
    let name = format!("{root}data/{}", tensor.storage);
    let mut entry = zip
        .by_name(&name)
        .map_err(|_| format!("its numbers ({name}) are missing from the file"))?;
    if entry.compressed_size() != entry.size()
        || skip
            .checked_add(bytes)
            .is_none_or(|end| end as u64 > entry.size())
    {
        return Err(format!(
            "{:?} does not fit its {} stored bytes; the file is damaged",
            tensor.shape,
            entry.size()
        ));
    }
    let mut buffer = vec![0; bytes];
    std::io::copy(&mut entry.by_ref().take(skip as u64), &mut std::io::sink())
        .and_then(|_| entry.read_exact(&mut buffer))
        .map_err(|error| format!("{name} is unreadable ({error})"))?;
    Tensor::from_raw_buffer(&buffer, tensor.dtype, &tensor.shape, &Device::Cpu)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn odd_tensors_are_errors() {
        let class = |name: &str| Object::Class {
            module_name: "torch._utils".into(),
            class_name: name.into(),
        };
        let reduce = |args: Vec<Object>| Object::Reduce {
            callable: Box::new(class("_rebuild_tensor_v2")),
            args: Box::new(Object::Tuple(args)),
        };
        let storage = |kind: &str| {
            let kind = Object::Class {
                module_name: "torch".into(),
                class_name: kind.into(),
            };
            let id = vec![
                Object::Unicode("storage".into()),
                kind,
                Object::Unicode("0".into()),
                Object::Unicode("cpu".into()),
                Object::Int(4),
            ];
            Object::PersistentLoad(Box::new(Object::Tuple(id)))
        };
        let pair = |a, b| Object::Tuple(vec![Object::Int(a), Object::Int(b)]);
        let tensor = |kind, stride| reduce(vec![storage(kind), Object::Int(0), pair(2, 2), stride]);
        assert_eq!(
            parse_descriptor(tensor("FloatStorage", pair(2, 1)))
                .unwrap()
                .shape,
            [2, 2]
        );
        assert!(
            parse_descriptor(tensor("FloatStorage", pair(1, 2)))
                .err()
                .unwrap()
                .contains("contiguous")
        );
        assert!(
            parse_descriptor(tensor("LongStorage", pair(2, 1)))
                .err()
                .unwrap()
                .contains("LongStorage")
        );
        assert!(parse_descriptor(tensor("FloatStorage", pair(-1, 1))).is_err());
        assert!(parse_descriptor(reduce(vec![])).is_err());
    }
}
