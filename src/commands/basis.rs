//! `--basis` and `--save-basis` of `dino pca`: a fit in a file.

use dino::backbone::LayerRequest;
use dino::console::Console;
use dino::output::{Destination, Plan, deliver};
use dino::pca::Projection;
use dino::pca::file::{BasisInfo, from_bytes, to_bytes};
use dino::weights::Store;
use dino::{Error, Result};

use crate::cli::{Fit, PcaArgs};
use crate::commands::model::{self, Model};

/// Refuses `--save-basis` before any work where it could not be done.
pub fn check_target(args: &PcaArgs, plan: &mut Plan) -> Result<()> {
    let Some(path) = &args.fit.save_basis else {
        return Ok(());
    };
    if args.fit.fit == Fit::Each && plan.jobs.len() > 1 {
        let why =
            "--save-basis: --fit each makes a fit for every photo; give one photo, or --fit all";
        return Err(Error::Usage(why.into()));
    }
    model::protect_installed(&mut plan.outputs, &Store::open()?);
    plan.add_flag("--save-basis", path, args.output.force)
}

/// Reads the file of `--basis`, which must have been fitted with the same weights.
pub fn read(args: &PcaArgs, model: &Model) -> Result<Option<(LayerRequest, Projection)>> {
    let Some(path) = &args.fit.basis else {
        return Ok(None);
    };
    let bytes = dino::pipe::read_whole(path)?;
    let (info, projection) = from_bytes(&bytes).map_err(|why| Error::file(path, why))?;
    if info.fingerprint != model.record.fingerprint {
        return Err(Error::file(
            path,
            format!(
                "was fitted with {}, whose features have other directions than those of {}; use --model {}",
                info.model, model.record.name, info.model
            ),
        ));
    }
    let config = model.backbone.config();
    if info.block >= config.depth || projection.basis.dim() != config.dim {
        return Err(Error::file(
            path,
            "does not fit the model that it names; make it again with --save-basis",
        ));
    }
    Ok(Some((
        LayerRequest {
            block: info.block,
            norm: info.norm,
        },
        projection,
    )))
}

/// Writes the file of `--save-basis`, if that is asked for.
pub fn save(
    args: &PcaArgs,
    model: &Model,
    layer: LayerRequest,
    projection: &Projection,
    console: &Console,
) -> Result<()> {
    let Some(path) = &args.fit.save_basis else {
        return Ok(());
    };
    let record = &model.record;
    let info = BasisInfo::new(
        &record.name,
        &record.fingerprint,
        layer.block,
        layer.norm,
        projection,
    );
    let bytes = to_bytes(&info, projection)?;
    let destination = Destination::of_flag(path)?;
    deliver(console, &destination, true, |writer| {
        writer.write_all(&bytes)
    })
}
