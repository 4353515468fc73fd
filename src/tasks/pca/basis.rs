//! The file of a fit (`--basis`, `--save-basis`, `--keep-fit`).

use std::path::Path;

use crate::analysis::pca::Projection;
use crate::analysis::pca::file::{BasisInfo, from_bytes, to_bytes};
use crate::error::{Error, Result};
use crate::io::output::{Destination, write_output};
use crate::model::backbone::LayerRequest;
use crate::system::files::pipe::read_whole;
use crate::tasks::backbone_info::{BackboneInfo, FitOrigin};
use crate::tasks::deferred_tokens::SavedFit;
use crate::terminal::console::Console;

/// Reads the fit at `path`, and the layer that it is of.
///
/// # Errors
/// Names a file that is no basis, or was fitted with other weights than those of `model`.
pub fn read_basis(
    path: &Path,
    model: &BackboneInfo,
) -> Result<(LayerRequest, SavedFit<Projection>)> {
    let bytes = read_whole(path)?;
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
    let layer = LayerRequest {
        block: info.block,
        norm: info.norm,
    };
    let saved = SavedFit {
        fit: projection,
        origin,
        path: path.to_owned(),
    };
    Ok((layer, saved))
}

/// A fit of the tokens of `layer`, as a file holds it.
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

/// Writes the fit to `path`, and prints the path.
pub fn save_basis(
    path: &Path,
    model: &BackboneInfo,
    layer: LayerRequest,
    projection: &Projection,
    console: &Console,
) -> Result<()> {
    let bytes = encode_basis(model, layer, projection)?;
    let destination = Destination::of_flag(path)?;
    write_output(console, &destination, true, |writer| {
        writer.write_all(&bytes)
    })
}
