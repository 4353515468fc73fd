//! The state dict in an unpickled PyTorch object: its named tensors, each as type, shape and location of its numbers.
//!
//! Both containers, the zip of [`torch`](crate::model::weights::torch) and the older one of `torch_legacy`, hold the
//! same objects; only where the numbers lie differs.

use candle_core::DType;
use candle_core::pickle::Object;

/// Keys under which training checkpoints keep the weights, in order of preference.
const STATE_DICT_KEYS: &[&str] = &[
    "teacher",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "backbone",
];

/// A tensor as the pickle describes it.
pub(super) struct TensorDescriptor {
    /// Type of its numbers.
    pub dtype: DType,
    /// Its shape; the numbers are contiguous.
    pub shape: Vec<usize>,
    /// Key of the storage with its numbers.
    pub storage: String,
    /// Index of its first number in the storage.
    pub offset: usize,
}

impl TensorDescriptor {
    /// Its bytes in the storage: the first, and how many.
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

/// The named tensors in `object`, or in the dictionaries of [`STATE_DICT_KEYS`] in it; `depth` counts those passed so
/// far.
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

/// Whether `callable` is one of PyTorch's functions that rebuild a tensor.
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
