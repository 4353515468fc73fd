//! A fit in a file.

use std::path::Path;

use crate::analysis::pca::Projection;
use crate::analysis::pca::file::{BasisInfo, from_bytes, to_bytes};
use crate::error::{Error, Result};
use crate::io::output::{Destination, deliver};
use crate::model::backbone::LayerRequest;
use crate::tasks::known::{KnownModel, Origin};
use crate::terminal::console::Console;

/// A fit and the layer that it is of.
pub struct SavedBasis {
    pub origin: Origin,
    pub layer: LayerRequest,
    pub projection: Projection,
}

/// Reads the file at `path`, which must have been fitted with the weights of `model`.
pub fn read(path: &Path, model: &KnownModel) -> Result<SavedBasis> {
    let bytes = crate::system::files::pipe::read_whole(path)?;
    let (info, projection) = from_bytes(&bytes).map_err(|why| Error::file(path, why))?;
    let origin = Origin {
        model: info.model,
        fingerprint: info.fingerprint,
    };
    model.check_origin(path, &origin)?;
    if info.block >= model.config.depth || projection.basis.dim() != model.config.dim {
        return Err(Error::file(
            path,
            "does not fit the model that it names; make it again with --save-basis",
        ));
    }
    Ok(SavedBasis {
        origin,
        layer: LayerRequest {
            block: info.block,
            norm: info.norm,
        },
        projection,
    })
}

/// A fit as a file holds it.
pub fn to_bytes_of(
    model: &KnownModel,
    layer: LayerRequest,
    projection: &Projection,
) -> Result<Vec<u8>> {
    let fingerprint = model.fingerprint.as_deref().unwrap_or_default();
    let info = BasisInfo::new(
        &model.name,
        fingerprint,
        layer.block,
        layer.norm,
        projection,
    );
    to_bytes(&info, projection)
}

/// Writes the file at `path`.
pub fn save(
    path: &Path,
    model: &KnownModel,
    layer: LayerRequest,
    projection: &Projection,
    words: &Console,
) -> Result<()> {
    let bytes = to_bytes_of(model, layer, projection)?;
    let destination = Destination::of_flag(path)?;
    deliver(words, &destination, true, |writer| writer.write_all(&bytes))
}
