//! Photos that only another program can decode: it is found on `PATH`, given a copy of the bytes under a harmless name,
//! and what it writes is read as a PNG or TIFF.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use image::ImageFormat;
use image::metadata::Orientation;

use super::Foreign;
use crate::inputs::raster::Raster;
use crate::inputs::{codec, sniff, tiff};
use crate::interrupt;

/// A photo that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(180);

/// A program that decodes what this one cannot.
#[derive(Debug, Clone, Copy)]
struct Converter {
    program: &'static str,
    /// Its arguments; `IN` and `OUT` stand for the files.
    arguments: &'static [&'static str],
    /// The ending of `OUT`.
    ending: &'static str,
}

const HEIF: &[Converter] = &[
    Converter {
        program: "heif-dec",
        arguments: &["IN", "OUT"],
        ending: "png",
    },
    Converter {
        program: "heif-convert",
        arguments: &["IN", "OUT"],
        ending: "png",
    },
    FFMPEG,
];

const AVIF: &[Converter] = &[
    Converter {
        program: "avifdec",
        arguments: &["IN", "OUT"],
        ending: "png",
    },
    Converter {
        program: "heif-dec",
        arguments: &["IN", "OUT"],
        ending: "png",
    },
    Converter {
        program: "heif-convert",
        arguments: &["IN", "OUT"],
        ending: "png",
    },
    FFMPEG,
];

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
};

/// LibRaw's and dcraw's developers: the camera's white balance, sRGB, 8 bits, upright.
const RAW: &[Converter] = &[
    Converter {
        program: "dcraw_emu",
        arguments: &["-w", "-T", "-Z", "OUT", "IN"],
        ending: "tiff",
    },
    Converter {
        program: "dcraw",
        arguments: &["-w", "-T", "-O", "OUT", "IN"],
        ending: "tiff",
    },
    Converter {
        program: "darktable-cli",
        arguments: &["IN", "OUT"],
        ending: "png",
    },
    Converter {
        program: "rawtherapee-cli",
        arguments: &["-n", "-o", "OUT", "-Y", "-c", "IN"],
        ending: "png",
    },
];

fn converters(of: Foreign) -> &'static [Converter] {
    match of {
        Foreign::Avif => AVIF,
        Foreign::CameraRaw(_) => RAW,
        _ => HEIF,
    }
}

/// A converter that is installed, and where.
pub(super) fn find(
    of: Foreign,
) -> Result<(PathBuf, &'static [&'static str], &'static str), String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = converters(of).iter().find_map(|converter| {
        let program = on_path(&path, converter.program)?;
        Some((program, converter.arguments, converter.ending))
    });
    found.ok_or_else(|| {
        let (command, package) = match of {
            Foreign::Avif => ("avifdec IN.avif OUT.png", "avifdec (libavif), heif-dec (libheif) or ffmpeg"),
            Foreign::CameraRaw(_) => (
                "dcraw_emu -w -T IN",
                "dcraw_emu (LibRaw), dcraw, darktable-cli or rawtherapee-cli",
            ),
            _ => ("heif-dec IN.heic OUT.png", "heif-dec or heif-convert (libheif) or ffmpeg 7"),
        };
        format!(
            "{} is decoded by another program, and none is on PATH; install {package}, or convert first: {command}",
            of.name()
        )
    })
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

/// Has a photo decoded.
pub(super) fn decode(
    of: Foreign,
    bytes: &[u8],
    max_pixels: u64,
    check: impl Fn(u32, u32) -> Result<(), String>,
) -> Result<Raster, String> {
    let (program, arguments, ending) = find(of)?;
    let failed =
        |error: std::io::Error| format!("cannot be handed to {}: {error}", program.display());
    let folder = tempfile::Builder::new()
        .prefix("dino-")
        .tempdir()
        .map_err(failed)?;
    let input = folder.path().join(format!("photo.{}", input_ending(of)));
    let output = folder.path().join(format!("photo.{ending}"));
    std::fs::write(&input, bytes).map_err(failed)?;
    let mut command = Command::new(&program);
    command.current_dir(folder.path());
    command.args(arguments.iter().map(|&argument| match argument {
        "IN" => input.clone().into_os_string(),
        "OUT" => output.clone().into_os_string(),
        other => other.into(),
    }));
    let complaint = folder.path().join("complaint");
    let log = std::fs::File::create(&complaint).map_err(failed)?;
    let status = run(command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log))
    .map_err(failed)?;
    let written = std::fs::read(&output)
        .ok()
        .filter(|bytes| !bytes.is_empty());
    let Some(written) = written.filter(|_| status.is_some_and(|status| status.success())) else {
        let said = std::fs::read(&complaint).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        let why = match status {
            None => format!("took longer than {} s", PATIENCE.as_secs()),
            Some(_) => last.unwrap_or("it wrote no picture").trim().to_owned(),
        };
        return Err(format!(
            "{} could not decode this {}: {why}",
            program.display(),
            of.name()
        ));
    };
    let mut raster = match sniff::identify_bytes(&written) {
        sniff::Kind::Image(ImageFormat::Tiff) => tiff::decode(&written, 0, None, check)?.raster,
        sniff::Kind::Image(format) => codec::decode(&written, format, None, max_pixels, check)?,
        _ => return Err(format!("{} wrote no picture of it", program.display())),
    };
    // These programs turn photos upright themselves.
    raster.orientation = Orientation::NoTransforms;
    Ok(raster)
}

/// Runs a program until it ends; none where it takes too long or the user has had enough.
fn run(command: &mut Command) -> std::io::Result<Option<std::process::ExitStatus>> {
    let mut child = command.spawn()?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > PATIENCE || interrupt::check().is_err() {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn input_ending(of: Foreign) -> &'static str {
    match of {
        Foreign::Avif => "avif",
        Foreign::CameraRaw("Fujifilm raw") => "raf",
        Foreign::CameraRaw("Panasonic raw") => "rw2",
        Foreign::CameraRaw("Olympus raw") => "orf",
        Foreign::CameraRaw("Canon raw") => "cr3",
        Foreign::CameraRaw(_) => "raw",
        _ => "heic",
    }
}
