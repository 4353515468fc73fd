//! PyTorch checkpoints (`.pth`, `.pt`, `.bin`): a zip with a pickle and raw numbers, or the older format without a zip,
//! which `torch_legacy` reads.
//!
//! The pickle is read by `pickle`, which runs nothing, and `torch_state_dict` finds the tensors in it; the sizes that
//! it states are checked against the zip before memory is taken.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use candle_core::{Device, Tensor};
use zip::ZipArchive;

use crate::error::{Error, Result};
use crate::model::weights::torch_state_dict::{TensorDescriptor, parse_descriptor, state_dict};
use crate::model::weights::{pickle, torch_legacy};

/// Longest pickle that is read, in bytes; that of the largest backbone with its optimiser takes a fiftieth.
const MAX_PICKLE: u64 = 64 << 20;

type Zip = ZipArchive<BufReader<File>>;

/// Reads the tensors of the state dict in `path` whose names `wanted` accepts.
///
/// # Errors
/// If the file cannot be read, is no checkpoint of PyTorch, or is damaged.
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
