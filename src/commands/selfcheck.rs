//! `dino selfcheck`: published reference numbers are computed again, and devices compared with the CPU.

use std::path::Path;

use candle_core::{DType, Device};
use dino::io::inputs::{PhotoDecoder, Source};
use dino::model::device::{self, DtypeChoice};
use dino::model::head_zoo::{HeadStore, fetch};
use dino::model::weights::Store;
use dino::model::weights::config::UserConfig;
use dino::system::http::NetworkAccess;
use dino::tasks::selfcheck::{
    EXAMPLE_PHOTO, REFERENCES, ReferenceKind, ReferenceValues, compare_device,
    compute_example_depths, compute_tokens,
};
use dino::terminal::console::Console;
use dino::{Error, Result};
use image::RgbImage;

use crate::cli::{RunArgs, SelfcheckArgs};
use crate::commands::model;

/// Runs the command.
pub fn run(args: &SelfcheckArgs, console: &Console) -> Result<u8> {
    let mut args = args.clone();
    let all = [DtypeChoice::F32, DtypeChoice::F16, DtypeChoice::Bf16];
    let own = [args.run.dtype];
    let compared = match args.run.dtype {
        DtypeChoice::Auto => &all[..],
        _ => &own[..],
    };
    if args.run.dtype == DtypeChoice::Auto {
        // The reference numbers are of f32.
        args.run.dtype = DtypeChoice::F32;
    }
    let args = &args;
    // Wrong options are errors of usage, not failed checks.
    model::refuse_null(&args.run)?;
    let device = model::open_device(&args.run, console)?;
    args.run.dtype.resolve(&device)?;
    let store = Store::open()?;
    let heads = HeadStore::at(store.root());
    let mut code = 0;
    let mut checked = 0;
    for known in &REFERENCES {
        let found = match known.kind {
            ReferenceKind::Tokens if store.get(known.name)?.is_some() => {
                compute_reference_tokens(args, known, console)
            }
            ReferenceKind::ExampleDepths if heads.path(known.name)?.exists() => {
                compute_depths(args, known, &heads, console)
            }
            _ => continue,
        };
        checked += 1;
        match found {
            Ok(found) => {
                let agrees = known.agrees(&found);
                let verdict = if agrees { "ok" } else { "OFF" };
                let numbers = |numbers: &[f32]| {
                    let texts: Vec<String> = numbers.iter().map(|n| format!("{n:.5}")).collect();
                    texts.join(" ")
                };
                console.out(&format!(
                    "{}: {verdict}, {:.1e} off at most ({:.0e} allowed)",
                    known.name,
                    known.difference(&found),
                    known.tolerance
                ))?;
                console.out(&format!(
                    "  expected {} ({})",
                    numbers(&known.expected),
                    known.source
                ))?;
                console.out(&format!("  found    {}", numbers(&found)))?;
                if !agrees {
                    code = 1;
                }
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                console.error(&error);
                code = 1;
            }
        }
    }
    if !device.is_cpu() {
        checked += 1;
        for &dtype in compared {
            if !compare_with_cpu(&device, dtype.resolve(&device)?, console)? {
                code = 1;
            }
        }
    }
    if checked == 0 {
        let names: Vec<&str> = REFERENCES.iter().map(|known| known.name).collect();
        console.note(format_args!(
            "nothing to check: known numbers are of {}, none of which is installed",
            names.join(" and ")
        ));
    }
    Ok(code)
}

/// Checks the reference numbers of weights that were `fetched` just now. A head that fails is warned of, and never a
/// default again.
///
/// # Errors
/// If a backbone fails.
pub fn verify_fetched(fetched: &[String], args: &RunArgs, console: &Console) -> Result<()> {
    let store = Store::open()?;
    let heads = HeadStore::at(store.root());
    for known in REFERENCES
        .iter()
        .filter(|known| fetched.iter().any(|name| name == known.name))
    {
        let mut args = SelfcheckArgs {
            run: args.clone(),
            example: None,
        };
        args.run.dtype = DtypeChoice::F32;
        args.run.model = None;
        let found = match known.kind {
            ReferenceKind::Tokens => compute_reference_tokens(&args, known, console),
            ReferenceKind::ExampleDepths => compute_depths(&args, known, &heads, console),
        };
        match found {
            Ok(found) if known.agrees(&found) => console.note(format_args!(
                "{} gives its known numbers, within {:.0e}",
                known.name,
                known.difference(&found)
            )),
            Ok(found) => {
                let off = known.difference(&found);
                let why = format!(
                    "{} does not give its known numbers here: {off:.1e} off where {:.0e} is allowed",
                    known.name, known.tolerance
                );
                if known.kind == ReferenceKind::Tokens {
                    return Err(Error::Model(format!(
                        "{why}; `dino models rm {}`",
                        known.name
                    )));
                }
                let mut config = UserConfig::read(store.root())?;
                config.avoid.insert(known.name.to_owned());
                config.write(store.root())?;
                console.warn(format_args!(
                    "{why}; it is not made a default (`dino selfcheck` shows the numbers)"
                ));
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                console.warn(format_args!("{} could not be checked: {error}", known.name))
            }
        }
    }
    Ok(())
}

/// Prints how far `device` in `dtype` is off the CPU; returns whether that is within tolerance.
fn compare_with_cpu(device: &Device, dtype: DType, console: &Console) -> Result<bool> {
    let mut agree = true;
    for agreement in compare_device(device, dtype)? {
        let verdict = if agreement.agrees() { "ok" } else { "OFF" };
        console.out(&format!(
            "{} in {}, {}: {verdict}, {:.1e} off the CPU ({:.0e} allowed)",
            device::name(device),
            dtype.as_str(),
            agreement.name,
            agreement.difference,
            agreement.tolerance
        ))?;
        agree &= agreement.agrees();
    }
    Ok(agree)
}

fn compute_reference_tokens(
    args: &SelfcheckArgs,
    known: &ReferenceValues,
    console: &Console,
) -> Result<[f32; 9]> {
    let model = model::load_named(&args.run, known.name, console)?;
    compute_tokens(model.backbone())
}

fn compute_depths(
    args: &SelfcheckArgs,
    known: &ReferenceValues,
    heads: &HeadStore,
    console: &Console,
) -> Result<[f32; 9]> {
    let head = heads.get(known.name)?.head;
    let photo = load_example(args, console)?;
    let model = model::load_for_head(&args.run, &head, console)?;
    let head = head.to_device(model.backbone().device())?;
    compute_example_depths(model.backbone(), &head, &photo)
}

/// The example photo: the file that is named, else downloaded from the publisher.
fn load_example(args: &SelfcheckArgs, console: &Console) -> Result<RgbImage> {
    let read = |path: &Path| Ok(PhotoDecoder::plain().decode(&Source::from_path(path))?.rgb);
    if let Some(path) = &args.example {
        return read(path);
    }
    let access = NetworkAccess::from_offline_flag(args.run.offline)?;
    access.check("the example photo", "name it with --example")?;
    // The store may be read-only, so the photo goes to a temporary folder.
    let folder = tempfile::tempdir().map_err(|error| Error::io(std::env::temp_dir(), &error))?;
    let path = folder.path().join("example.jpg");
    let host = fetch::host(access)?.with_import_command("dino selfcheck --example FILE");
    match host.download_file(EXAMPLE_PHOTO, &path, &mut model::event_handler(console))? {
        true => read(&path),
        false => Err(Error::Download(format!(
            "{}/{EXAMPLE_PHOTO}: there is no such file (404); name the photo with --example",
            host.endpoint
        ))),
    }
}
