//! The file of a codebook (`--codebook`, `--save-codebook`, `--keep-fit`), and the names of its clusters.

use std::path::Path;

use crate::analysis::cluster::Codebook;
use crate::analysis::cluster::file::{CodebookInfo, from_bytes, to_bytes};
use crate::error::{Error, Result};
use crate::io::output::{Destination, write_output};
use crate::model::backbone::LayerRequest;
use crate::model::head::Class;
use crate::system::files::pipe::read_whole;
use crate::tasks::backbone_info::{BackboneInfo, FitOrigin};
use crate::tasks::deferred_tokens::SavedFit;
use crate::tasks::segment::LabelRenderer;
use crate::terminal::console::Console;
use crate::vision::render::palette;

/// Reads the codebook at `path`, and the layer that it is of.
///
/// # Errors
/// Names a file that is no codebook, or was fitted with other weights than those of `model`.
pub(super) fn read_codebook(
    path: &Path,
    model: &BackboneInfo,
) -> Result<(LayerRequest, SavedFit<Codebook>)> {
    let bytes = read_whole(path)?;
    let (info, codebook) = from_bytes(&bytes).map_err(|why| Error::file(path, why))?;
    let origin = FitOrigin {
        model: info.model,
        fingerprint: info.fingerprint,
    };
    model.check_origin(path, &origin)?;
    if info.block >= model.config.depth || codebook.dim() != model.config.dim {
        return Err(Error::file(
            path,
            "does not fit the model that it names; make it again with --save-codebook",
        ));
    }
    let layer = LayerRequest {
        block: info.block,
        norm: info.norm,
    };
    let saved = SavedFit {
        fit: codebook,
        origin,
        path: path.to_owned(),
    };
    Ok((layer, saved))
}

/// A codebook of the tokens of `layer`, as a file holds it.
pub(super) fn encode_codebook(
    model: &BackboneInfo,
    layer: LayerRequest,
    codebook: &Codebook,
) -> Result<Vec<u8>> {
    let info = CodebookInfo {
        format: 1,
        model: model.name.clone(),
        fingerprint: model.fingerprint.clone().unwrap_or_default(),
        block: layer.block,
        norm: layer.norm,
    };
    to_bytes(&info, codebook)
}

/// Writes the codebook to `path`, and prints the path.
pub(super) fn save_codebook(
    path: &Path,
    model: &BackboneInfo,
    layer: LayerRequest,
    codebook: &Codebook,
    console: &Console,
) -> Result<()> {
    let bytes = encode_codebook(model, layer, codebook)?;
    let destination = Destination::of_flag(path)?;
    write_output(console, &destination, true, |writer| {
        writer.write_all(&bytes)
    })
}

/// Sets the classes of `renderer`: one a cluster, named by its number from 1, with distinct colours.
pub(super) fn name_clusters(
    renderer: &mut LabelRenderer,
    codebook: &Codebook,
    model: &BackboneInfo,
    console: &Console,
) -> Result<()> {
    let colors = palette::distinct_colors(codebook.k);
    let classes: Vec<Class> = (1..)
        .zip(colors)
        .map(|(number, color): (usize, _)| Class {
            name: number.to_string(),
            color,
        })
        .collect();
    let of = format!("a codebook of {} clusters", codebook.k);
    let made_by = vec![
        ("model", model.name.clone()),
        ("clusters", codebook.k.to_string()),
    ];
    renderer.set_classes(classes, &of, made_by, console)
}
