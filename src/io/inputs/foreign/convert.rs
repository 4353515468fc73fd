//! Photos that only another program can decode: it is found on `PATH`, given a copy of the bytes under a harmless name,
//! and what it writes is read as a PNG or TIFF.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use image::ImageFormat;
use image::metadata::Orientation;

use super::ForeignFormat;
use crate::io::inputs::footprint::Footprint;
use crate::io::inputs::raster::{Alpha, SourceRaster};
use crate::io::inputs::{codec, sniff, tiff};
use crate::system::child_process::ChildProcess;
use crate::system::files::temporary::scratch_folder;
use crate::system::interrupt;

/// A photo that takes longer is given up.
const CONVERSION_TIMEOUT: Duration = Duration::from_secs(180);

/// A program that decodes what this one cannot.
#[derive(Debug, Clone, Copy)]
struct Converter {
    program: &'static str,
    /// Its arguments; `IN` and `OUT` stand for the files. Without an `OUT` it writes to its stdout.
    arguments: &'static [&'static str],
    /// The ending of `OUT`.
    ending: &'static str,
    /// Whether it turns and mirrors as the container says, and keeps its alpha.
    keeps_transform_and_alpha: bool,
}

const HEIF_DEC: Converter = Converter {
    program: "heif-dec",
    arguments: &["IN", "OUT"],
    ending: "png",
    keeps_transform_and_alpha: true,
};

const HEIF_CONVERT: Converter = Converter {
    program: "heif-convert",
    ..HEIF_DEC
};

const AVIFDEC: Converter = Converter {
    program: "avifdec",
    keeps_transform_and_alpha: false,
    ..HEIF_DEC
};

const FFMPEG: Converter = Converter {
    program: "ffmpeg",
    arguments: &[
        "-v",
        "error",
        "-nostdin",
        "-i",
        "IN",
        "-frames:v",
        "1",
        "-update",
        "1",
        "OUT",
    ],
    ending: "png",
    keeps_transform_and_alpha: false,
};

const HEIF: &[Converter] = &[HEIF_DEC, HEIF_CONVERT, FFMPEG];

const AVIF: &[Converter] = &[HEIF_DEC, HEIF_CONVERT, AVIFDEC, FFMPEG];

/// LibRaw's and dcraw's developers: the camera's white balance, sRGB, 8 bits, upright.
const RAW: &[Converter] = &[
    Converter {
        program: "dcraw_emu",
        arguments: &["-w", "-T", "-Z", "OUT", "IN"],
        ending: "tiff",
        keeps_transform_and_alpha: true,
    },
    Converter {
        program: "dcraw",
        arguments: &["-w", "-T", "-c", "IN"],
        ending: "tiff",
        keeps_transform_and_alpha: true,
    },
    Converter {
        program: "darktable-cli",
        arguments: &["IN", "OUT"],
        ending: "png",
        keeps_transform_and_alpha: true,
    },
    Converter {
        program: "rawtherapee-cli",
        arguments: &["-n", "-o", "OUT", "-Y", "-c", "IN"],
        ending: "png",
        keeps_transform_and_alpha: true,
    },
];

fn converters(of: ForeignFormat) -> &'static [Converter] {
    match of {
        ForeignFormat::Avif => AVIF,
        ForeignFormat::CameraRaw(_) => RAW,
        _ => HEIF,
    }
}

/// The converters that are installed, the best first.
///
/// # Errors
/// What to install where there is none, as a part of a sentence about the files.
pub(super) fn find_converters(of: ForeignFormat) -> Result<Vec<InstalledConverter>, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found: Vec<InstalledConverter> = converters(of)
        .iter()
        .filter_map(|&converter| {
            let program = on_path(&path, converter.program)?;
            Some(InstalledConverter { program, converter })
        })
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let (command, package) = match of {
        ForeignFormat::Avif => (
            "heif-dec IN.avif OUT.png",
            "heif-dec (libheif), avifdec (libavif) or ffmpeg",
        ),
        ForeignFormat::CameraRaw(_) => (
            "dcraw_emu -w -T IN",
            "dcraw_emu (LibRaw), dcraw, darktable-cli or rawtherapee-cli",
        ),
        _ => (
            "heif-dec IN.heic OUT.png",
            "heif-dec or heif-convert (libheif) or ffmpeg 7",
        ),
    };
    Err(format!(
        "{} is decoded by another program, and none is on PATH; install {package}, or convert first: {command}",
        of.name()
    ))
}

/// A converter, and where it is.
#[derive(Debug)]
pub(super) struct InstalledConverter {
    program: PathBuf,
    converter: Converter,
}

/// A program of this name in the folders of `path`; never in the working folder, unless it is named in full.
fn on_path(path: &OsString, program: &str) -> Option<PathBuf> {
    env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(format!("{program}{}", env::consts::EXE_SUFFIX)))
        .find(|file| is_executable(file))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

/// Has a photo decoded, by the first program that manages.
///
/// # Errors
/// Which program failed and how, as a part of a sentence about the file.
pub(super) fn decode(
    of: ForeignFormat,
    bytes: &[u8],
    max_memory: u64,
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<SourceRaster, String> {
    let container = HeifProperties::of(bytes);
    if container.is_sequence {
        return Err(format!(
            "is a sequence of pictures in {}; take them out of it first: ffmpeg -i IN frame-%05d.png",
            of.name()
        ));
    }
    let mut first_failure = None;
    for InstalledConverter { program, converter } in find_converters(of)? {
        let attempt = if converter.keeps_transform_and_alpha || !container.has_transform_or_alpha {
            run_converter(of, bytes, &program, converter, max_memory, &check)
        } else {
            Err(format!(
                "is turned, mirrored or transparent by its container, which {} passes over; install heif-dec (libheif)",
                converter.program
            ))
        };
        match attempt {
            Ok(mut raster) => {
                if container.is_premultiplied && raster.alpha == Alpha::Straight {
                    raster.alpha = Alpha::Premultiplied;
                }
                return Ok(raster);
            }
            Err(why) => {
                first_failure.get_or_insert(why);
            }
        }
    }
    Err(first_failure.unwrap_or_default())
}

/// What the boxes of a HEIF file say that not every program heeds.
struct HeifProperties {
    /// Whether it turns or mirrors its picture, or has an alpha picture beside it.
    has_transform_or_alpha: bool,
    is_premultiplied: bool,
    is_sequence: bool,
}

impl HeifProperties {
    fn of(bytes: &[u8]) -> Self {
        let is_heif = bytes.get(4..8) == Some(b"ftyp");
        // The boxes stand before the pictures, in the first kilobytes.
        let head = &bytes[..bytes.len().min(1 << 16)];
        let has = |name: &[u8]| is_heif && head.windows(name.len()).any(|window| window == name);
        HeifProperties {
            has_transform_or_alpha: has(b"irot")
                || has(b"imir")
                || has(b"auxid:1")
                || has(b"auxiliary:alpha"),
            is_premultiplied: has(b"prem"),
            is_sequence: matches!(
                bytes.get(8..12),
                Some(b"avis" | b"msf1" | b"hevc" | b"hevx")
            ),
        }
    }
}

fn run_converter(
    of: ForeignFormat,
    bytes: &[u8],
    program: &Path,
    converter: Converter,
    max_memory: u64,
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<SourceRaster, String> {
    let failed =
        |error: std::io::Error| format!("cannot be handed to {}: {error}", program.display());
    let folder = scratch_folder().map_err(failed)?;
    let input = folder.join(format!("photo.{}", input_ending(of)));
    let output = folder.join(format!("photo.{}", converter.ending));
    std::fs::write(&input, bytes).map_err(failed)?;
    let mut command = Command::new(program);
    command.current_dir(&*folder);
    command.args(converter.arguments.iter().map(|&argument| match argument {
        "IN" => input.clone().into_os_string(),
        "OUT" => output.clone().into_os_string(),
        other => other.into(),
    }));
    let stdout = match converter.arguments.contains(&"OUT") {
        true => Stdio::null(),
        false => File::create(&output).map_err(failed)?.into(),
    };
    let complaint = folder.join("complaint");
    let log = File::create(&complaint).map_err(failed)?;
    let status = run(command.stdin(Stdio::null()).stdout(stdout).stderr(log)).map_err(failed)?;
    let written = std::fs::read(&output)
        .ok()
        .filter(|bytes| !bytes.is_empty());
    let Some(written) = written.filter(|_| status.is_some_and(|status| status.success())) else {
        if folder
            .join(format!("photo-2.{}", converter.ending))
            .exists()
        {
            return Err(
                "holds several pictures; take them out of it first: heif-dec IN.heic OUT.png"
                    .into(),
            );
        }
        let said = std::fs::read(&complaint).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        let why = match status {
            None => format!("took longer than {} s", CONVERSION_TIMEOUT.as_secs()),
            Some(_) => last.unwrap_or("it wrote no picture").trim().to_owned(),
        };
        return Err(format!(
            "{} could not decode this {}: {why}",
            program.display(),
            of.name()
        ));
    };
    let mut raster = match sniff::identify_bytes(&written) {
        sniff::FileKind::Image(ImageFormat::Tiff) => tiff::decode(&written, 0, None, check)?.raster,
        sniff::FileKind::Image(format) => codec::decode(&written, format, None, max_memory, check)?,
        _ => return Err(format!("{} wrote no picture of it", program.display())),
    };
    // What had to be turned was.
    raster.orientation = Orientation::NoTransforms;
    Ok(raster)
}

/// Runs a program until it ends; none where it takes too long or the user has had enough.
fn run(command: &mut Command) -> std::io::Result<Option<std::process::ExitStatus>> {
    let mut running = ChildProcess::start(command)?;
    let start = Instant::now();
    loop {
        if let Some(status) = running.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > CONVERSION_TIMEOUT || interrupt::check().is_err() {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn input_ending(of: ForeignFormat) -> &'static str {
    match of {
        ForeignFormat::Avif => "avif",
        ForeignFormat::CameraRaw("Fujifilm raw") => "raf",
        ForeignFormat::CameraRaw("Panasonic raw") => "rw2",
        ForeignFormat::CameraRaw("Olympus raw") => "orf",
        ForeignFormat::CameraRaw("Canon raw") => "cr3",
        ForeignFormat::CameraRaw(_) => "raw",
        _ => "heic",
    }
}
