//! AVIF, HEIC and camera raw, decoded by an external program: it is searched on `PATH` and gets a copy of the bytes
//! under a fixed name in a scratch folder; the PNG or TIFF that it writes is decoded here.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use image::ImageFormat;
use image::metadata::Orientation;

use super::format::ForeignFormat;
use crate::io::inputs::footprint::Footprint;
use crate::io::inputs::raster::{Alpha, SourceRaster};
use crate::io::inputs::sniff::{self, FileKind};
use crate::io::inputs::{codec, tiff};
use crate::system::child_process::ChildProcess;
use crate::system::files::temporary::scratch_folder;
use crate::system::interrupt;

/// Time limit of a converter for one photo.
const CONVERSION_TIMEOUT: Duration = Duration::from_secs(180);

/// A program that decodes a foreign format, and its arguments.
#[derive(Debug, Clone, Copy)]
struct Converter {
    /// The name of the executable, without the suffix of the system.
    program: &'static str,
    /// Its arguments; `IN` and `OUT` are placeholders for the files. Without `OUT`, its standard output is read.
    arguments: &'static [&'static str],
    /// The extension of `OUT`.
    extension: &'static str,
    /// Whether it applies the container's rotation and mirroring, and keeps its alpha.
    keeps_transform_and_alpha: bool,
}

const HEIF_DEC: Converter = Converter {
    program: "heif-dec",
    arguments: &["IN", "OUT"],
    extension: "png",
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
    extension: "png",
    keeps_transform_and_alpha: false,
};

const HEIF: &[Converter] = &[HEIF_DEC, HEIF_CONVERT, FFMPEG];

const AVIF: &[Converter] = &[HEIF_DEC, HEIF_CONVERT, AVIFDEC, FFMPEG];

/// Raw developers, LibRaw's `dcraw_emu` first: they apply the camera's white balance and write upright 8-bit sRGB.
const RAW: &[Converter] = &[
    Converter {
        program: "dcraw_emu",
        arguments: &["-w", "-T", "-Z", "OUT", "IN"],
        extension: "tiff",
        keeps_transform_and_alpha: true,
    },
    Converter {
        program: "dcraw",
        arguments: &["-w", "-T", "-c", "IN"],
        extension: "tiff",
        keeps_transform_and_alpha: true,
    },
    Converter {
        program: "darktable-cli",
        arguments: &["IN", "OUT"],
        extension: "png",
        keeps_transform_and_alpha: true,
    },
    Converter {
        program: "rawtherapee-cli",
        arguments: &["-n", "-o", "OUT", "-Y", "-c", "IN"],
        extension: "png",
        keeps_transform_and_alpha: true,
    },
];

/// The converters of a format, the best first.
fn converters(format: ForeignFormat) -> &'static [Converter] {
    match format {
        ForeignFormat::Avif => AVIF,
        ForeignFormat::CameraRaw(_) => RAW,
        _ => HEIF,
    }
}

/// The converters that are installed, the best first.
///
/// # Errors
/// If there is none: what to install, as a part of a sentence about files of this format.
pub(super) fn find_converters(format: ForeignFormat) -> Result<Vec<InstalledConverter>, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found: Vec<InstalledConverter> = converters(format)
        .iter()
        .filter_map(|&converter| {
            let program = on_path(&path, converter.program)?;
            Some(InstalledConverter { program, converter })
        })
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let (command, package) = match format {
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
        format.name()
    ))
}

/// A converter that is installed on this machine.
#[derive(Debug)]
pub(super) struct InstalledConverter {
    /// The path of its executable.
    program: PathBuf,
    converter: Converter,
}

/// The executable `program` in the folders of `path` (the variable `PATH`), of which only absolute ones are searched.
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

/// Decodes `bytes` of `format` by the first installed converter that succeeds; `check` may refuse the [`Footprint`] of
/// what it wrote.
///
/// # Errors
/// If no converter is installed, all fail (the first failure), or the file is a sequence of pictures; as a part of a
/// sentence about the file.
pub(super) fn decode(
    format: ForeignFormat,
    bytes: &[u8],
    max_memory: u64,
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<SourceRaster, String> {
    let container = HeifProperties::of(bytes);
    if container.is_sequence {
        return Err(format!(
            "is a sequence of pictures in {}; take them out of it first: ffmpeg -i IN frame-%05d.png",
            format.name()
        ));
    }
    let mut first_failure = None;
    for InstalledConverter { program, converter } in find_converters(format)? {
        let attempt = if converter.keeps_transform_and_alpha || !container.has_transform_or_alpha {
            run_converter(format, bytes, &program, converter, max_memory, &check)
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

/// Properties of a HEIF file (ISO/IEC 23008-12) that not every converter honours.
struct HeifProperties {
    /// Whether the container rotates or mirrors its picture, or has an alpha picture beside it.
    has_transform_or_alpha: bool,
    /// Whether the colours are multiplied by alpha.
    is_premultiplied: bool,
    /// Whether the file holds a sequence of pictures.
    is_sequence: bool,
}

impl HeifProperties {
    /// Searches the boxes at the start of the file; all false for other files.
    fn of(bytes: &[u8]) -> Self {
        let is_heif = bytes.get(4..8) == Some(b"ftyp");
        // The boxes precede the pictures, in the first kilobytes.
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

/// Runs one converter on a copy of `bytes` in a scratch folder, and decodes what it writes.
///
/// # Errors
/// What went wrong, as a part of a sentence about the file.
fn run_converter(
    format: ForeignFormat,
    bytes: &[u8],
    program: &Path,
    converter: Converter,
    max_memory: u64,
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<SourceRaster, String> {
    let failed =
        |error: std::io::Error| format!("cannot be handed to {}: {error}", program.display());
    let folder = scratch_folder().map_err(failed)?;
    let input = folder.join(format!("photo.{}", input_extension(format)));
    let output = folder.join(format!("photo.{}", converter.extension));
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
    let log_path = folder.join("complaint");
    let log = File::create(&log_path).map_err(failed)?;
    let status =
        run_until_exit(command.stdin(Stdio::null()).stdout(stdout).stderr(log)).map_err(failed)?;
    let written = std::fs::read(&output)
        .ok()
        .filter(|bytes| !bytes.is_empty());
    let Some(written) = written.filter(|_| status.is_some_and(|status| status.success())) else {
        if folder
            .join(format!("photo-2.{}", converter.extension))
            .exists()
        {
            return Err(
                "holds several pictures; take them out of it first: heif-dec IN.heic OUT.png"
                    .into(),
            );
        }
        let log = std::fs::read(&log_path).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        let why = match status {
            None => format!("took longer than {} s", CONVERSION_TIMEOUT.as_secs()),
            Some(_) => last.unwrap_or("it wrote no picture").trim().to_owned(),
        };
        return Err(format!(
            "{} could not decode this {}: {why}",
            program.display(),
            format.name()
        ));
    };
    let mut raster = match sniff::identify_bytes(&written) {
        FileKind::Image(ImageFormat::Tiff) => tiff::decode(&written, 0, None, check)?.raster,
        FileKind::Image(written_as) => {
            codec::decode(&written, written_as, None, max_memory, check)?
        }
        _ => return Err(format!("{} wrote no picture of it", program.display())),
    };
    // The converter's picture is already upright.
    raster.orientation = Orientation::NoTransforms;
    Ok(raster)
}

/// Runs a program until it exits; `None` if it exceeds [`CONVERSION_TIMEOUT`] or the user interrupts.
fn run_until_exit(command: &mut Command) -> std::io::Result<Option<std::process::ExitStatus>> {
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

/// The extension under which a converter recognises a file of `format`.
fn input_extension(format: ForeignFormat) -> &'static str {
    match format {
        ForeignFormat::Avif => "avif",
        ForeignFormat::CameraRaw("Fujifilm raw") => "raf",
        ForeignFormat::CameraRaw("Panasonic raw") => "rw2",
        ForeignFormat::CameraRaw("Olympus raw") => "orf",
        ForeignFormat::CameraRaw("Canon raw") => "cr3",
        ForeignFormat::CameraRaw(_) => "raw",
        _ => "heic",
    }
}
