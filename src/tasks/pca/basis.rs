//! A fit in a file.

use std::path::Path;

use crate::analysis::pca::Projection;
use crate::analysis::pca::file::{BasisInfo, from_bytes, to_bytes};
use crate::error::{Error, Result};
use crate::io::output::{Destination, write_output};
use crate::model::backbone::LayerRequest;
use crate::tasks::backbone_info::{BackboneInfo, FitOrigin};
use crate::terminal::console::Console;

/// A fit and the layer that it is of.
pub struct SavedBasis {
    pub origin: FitOrigin,
    pub layer: LayerRequest,
    pub projection: Projection,
}

/// Reads the file at `path`, which must have been fitted with the weights of `model`.
pub fn read(path: &Path, model: &BackboneInfo) -> Result<SavedBasis> {
    let bytes = crate::system::files::pipe::read_whole(path)?;
    let (info, projection) = from_bytes(&bytes).map_err(|why| Error::file(path, why))?;
    let origin = FitOrigin {
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
pub fn encode_basis(
    model: &BackboneInfo,
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
pub fn save_basis(
    path: &Path,
    model: &BackboneInfo,
    layer: LayerRequest,
    projection: &Projection,
    words: &Console,
) -> Result<()> {
    let bytes = encode_basis(model, layer, projection)?;
    let destination = Destination::of_flag(path)?;
    write_output(words, &destination, true, |writer| writer.write_all(&bytes))
}
