//! PyTorch checkpoints of before 1.6, and of `torch.save(..., _use_new_zipfile_serialization=False)`: a magic number, a
//! version, facts about the machine, the object and the keys of its numbers, each a pickle; then, key by key, how many
//! numbers there are and the numbers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use candle_core::pickle::Object;
use candle_core::{Device, Tensor};

use crate::error::{Error, Result as OurResult};
use crate::model::weights::pickle::unpickle;
use crate::model::weights::torch_state_dict::{parse_descriptor, state_dict};

/// The pickled magic number; too long an integer for the pickle machine.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
/// The pickled version, 1001.
const VERSION: &[u8] = b"\x80\x02M\xe9\x03.";
/// Longest stretch of the file that is read as pickles, in bytes; they lie in front of the numbers.
const MAX_PICKLES: usize = 64 << 20;

/// Whether a file that starts with these bytes is such a checkpoint.
pub fn is_legacy_header(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// Whether the file at `path` is such a checkpoint.
///
/// # Errors
/// If it cannot be read.
pub fn is_legacy_file(path: &Path) -> OurResult<bool> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start))
        .map_err(|error| Error::io(path, &error))?;
    Ok(is_legacy_header(&start))
}

/// Reads the tensors of the state dict in `bytes` whose names `wanted` accepts.
///
/// # Errors
/// What is wrong, as a part of a sentence about the file.
pub fn read(
    bytes: &[u8],
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Tensor>, String> {
    let cut = || "ends too early; fetch it again".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(cut)?;
    let rest = rest
        .strip_prefix(VERSION)
        .ok_or("is of an unknown version of PyTorch's old format")?;
    let mut text = &rest[..rest.len().min(MAX_PICKLES)];
    let whole = text.len();
    let facts = unpickle(&mut text)?;
    if is_big_endian(&facts) {
        return Err(
            "was written on a big-endian machine; expected little-endian numbers".to_owned(),
        );
    }
    let object = unpickle(&mut text)?;
    let keys = unpickle(&mut text)?;
    let mut kinds = BTreeMap::new();
    storages(&object, &mut kinds);
    let mut data = &rest[whole - text.len()..];
    // The numbers of each storage, by its key.
    let mut found: BTreeMap<String, &[u8]> = BTreeMap::new();
    let Object::List(keys) = keys else {
        return Err("lists no numbers; the file is damaged".to_owned());
    };
    for key in keys {
        let key = key.unicode().map_err(|_| "names its numbers oddly")?;
        let kind = kinds.get(&key).map_or("", String::as_str);
        let width = width(kind).ok_or_else(|| format!("holds {kind}, which is unknown"))?;
        let (count, after) = data.split_first_chunk().ok_or_else(cut)?;
        let length = usize::try_from(i64::from_le_bytes(*count))
            .ok()
            .and_then(|count| count.checked_mul(width))
            .filter(|&length| length <= after.len())
            .ok_or_else(cut)?;
        let (numbers, after) = after.split_at(length);
        found.insert(key, numbers);
        data = after;
    }
    let mut tensors = BTreeMap::new();
    for (name, object) in state_dict(object, 0)?
        .into_iter()
        .filter(|(name, _)| wanted(name))
    {
        let tensor = parse_descriptor(object).and_then(|described| {
            let (skip, length) = described.bytes()?;
            let numbers = found
                .get(&described.storage)
                .and_then(|numbers| numbers.get(skip..skip.checked_add(length)?))
                .ok_or("its numbers are missing from the file")?;
            Tensor::from_raw_buffer(numbers, described.dtype, &described.shape, &Device::Cpu)
                .map_err(|error| error.to_string())
        });
        tensors.insert(
            name.clone(),
            tensor.map_err(|why| format!("`{name}`: {why}"))?,
        );
    }
    Ok(tensors)
}

fn is_big_endian(facts: &Object) -> bool {
    let Object::Dict(entries) = facts else {
        return false;
    };
    entries.iter().any(|(key, value)| {
        matches!((key, value), (Object::Unicode(key), Object::Bool(false)) if key == "little_endian")
    })
}

/// Collects the class of every storage that `object` refers to, by key.
fn storages(object: &Object, kinds: &mut BTreeMap<String, String>) {
    match object {
        Object::PersistentLoad(id) => {
            if let Object::Tuple(parts) = &**id
                && let [
                    _,
                    Object::Class { class_name, .. },
                    Object::Unicode(key),
                    ..,
                ] = parts.as_slice()
            {
                kinds.insert(key.clone(), class_name.clone());
            }
        }
        Object::Tuple(items) | Object::List(items) => {
            items.iter().for_each(|item| storages(item, kinds));
        }
        Object::Dict(entries) => entries.iter().for_each(|(key, value)| {
            storages(key, kinds);
            storages(value, kinds);
        }),
        Object::Reduce { callable, args } | Object::Build { callable, args } => {
            storages(callable, kinds);
            storages(args, kinds);
        }
        _ => {}
    }
}

/// Bytes of one number in a storage of this class.
fn width(kind: &str) -> Option<usize> {
    Some(match kind {
        "DoubleStorage" | "LongStorage" => 8,
        "FloatStorage" | "IntStorage" => 4,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "CharStorage" | "ByteStorage" | "BoolStorage" => 1,
        _ => return None,
    })
}
