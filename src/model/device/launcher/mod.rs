//! The GPU build of this program, run in its place where there is an NVIDIA driver.
//!
//! A program with CUDA does not start where the driver's library is missing, so the ordinary build has no CUDA. First
//! of all it searches `dino-cuda` beside itself and in the store's `bin`, and where both that and the driver's library
//! exist, it replaces itself by that program. `DINO_CUDA=0` turns this off.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::model::weights::Store;
use crate::system::environment::EnvVariables;

mod trial;

/// The variable that turns the launcher off with `0`.
pub const CUDA_VARIABLE: &str = "DINO_CUDA";

/// The version for `--version`, marked `(cuda)` in a build with CUDA.
pub const VERSION: &str = match cfg!(feature = "cuda") {
    true => concat!(env!("CARGO_PKG_VERSION"), " (cuda)"),
    false => env!("CARGO_PKG_VERSION"),
};

/// The name of the GPU build, without the system's ending.
const PROGRAM: &str = "dino-cuda";

/// Name of the driver's library; `None` on systems without an NVIDIA driver.
const DRIVER: Option<&str> = if cfg!(target_os = "linux") {
    Some("libcuda.so.1")
} else if cfg!(windows) {
    Some("nvcuda.dll")
} else {
    None
};

/// A file that exists where the driver is loaded.
const DRIVER_VERSION_FILE: &str = "/proc/driver/nvidia/version";

/// Commands that compute nothing: for these it is not worth reading CUDA's libraries.
const WITHOUT_DEVICE: [&str; 6] = ["heads", "models", "config", "completions", "man", "help"];

/// Why no GPU build runs in place of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
enum GpuBuildAbsence {
    /// `DINO_CUDA=0`.
    Disabled,
    /// There is none in any of these folders.
    NoProgram(Vec<PathBuf>),
    /// The driver's library cannot be opened.
    NoDriver,
    /// The program at this path does not run, for this reason.
    Unusable(PathBuf, String),
    /// The program at this path runs, but this command needs no GPU.
    NotRequested(PathBuf),
    /// `DINO_CUDA` has an invalid value; the message.
    InvalidSetting(String),
}

impl GpuBuildAbsence {
    /// The absence in words. `has_driver`: the driver's library can be opened; `is_loaded`: the driver is loaded.
    fn explain(&self, has_driver: bool, is_loaded: bool) -> String {
        let library = DRIVER.unwrap_or("libcuda.so.1");
        match self {
            GpuBuildAbsence::Disabled => {
                format!("{CUDA_VARIABLE}=0 keeps to this build, which has no CUDA")
            }
            GpuBuildAbsence::NoDriver if is_loaded => format!(
                "an NVIDIA driver is loaded, but its library {library} cannot be opened; install it, or start a container \
                 with its GPUs"
            ),
            GpuBuildAbsence::NoDriver => {
                format!("{library}, the library of NVIDIA's driver, is not found")
            }
            GpuBuildAbsence::NoProgram(folders) => {
                let places: Vec<String> = folders
                    .iter()
                    .map(|folder| folder.display().to_string())
                    .collect();
                let driver = match (has_driver, is_loaded) {
                    (true, _) => "an NVIDIA driver is there, but ".to_owned(),
                    (false, true) => {
                        format!("an NVIDIA driver is loaded, but {library} is not found, and ")
                    }
                    (false, false) => {
                        format!("{library}, the library of NVIDIA's driver, is not found, and ")
                    }
                };
                format!(
                    "{driver}this build has no CUDA; build with `cargo build --release --features cuda`, and put that program \
                     as {PROGRAM} into {}",
                    places.join(" or ")
                )
            }
            GpuBuildAbsence::Unusable(program, why) => {
                format!("{} is not used: {why}", program.display())
            }
            GpuBuildAbsence::NotRequested(program) => format!(
                "{} is there and runs, but this command asks for no GPU",
                program.display()
            ),
            GpuBuildAbsence::InvalidSetting(why) => why.clone(),
        }
    }
}

/// Why this run has no GPU build, determined once.
static ABSENCE: OnceLock<GpuBuildAbsence> = OnceLock::new();

/// Replaces this process by the GPU build with the same arguments, and then does not return. Otherwise returns a
/// sentence for the user if a GPU build exists but does not run, and `None` if there is none or the command needs none.
///
/// To be called before any thread is started or anything is read.
///
/// # Errors
/// [`Error::Usage`] if `DINO_CUDA` is neither `0` nor `1`.
pub fn launch() -> Result<Option<String>> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let variables = EnvVariables::from_process();
    let is_on = is_on(&variables)?;
    if cfg!(feature = "cuda") || needs_no_gpu(&arguments) {
        return Ok(None);
    }
    let absence = match find(is_on, &variables) {
        Ok(program) => {
            let why = match trial::check(&program) {
                Ok(()) => become_program(&program, &arguments),
                Err(why) => why,
            };
            GpuBuildAbsence::Unusable(program, why)
        }
        Err(absence) => absence,
    };
    let absence = ABSENCE.get_or_init(|| absence);
    let is_there = matches!(absence, GpuBuildAbsence::Unusable(..));
    Ok(is_there.then(|| absence.explain(true, true)))
}

/// Why no GPU build runs in place of this program, and what would change that.
pub fn absence_reason() -> String {
    let absence = ABSENCE.get_or_init(|| {
        let variables = EnvVariables::from_process();
        let is_on = match is_on(&variables) {
            Ok(is_on) => is_on,
            Err(error) => return GpuBuildAbsence::InvalidSetting(error.to_string()),
        };
        match find(is_on, &variables) {
            Ok(program) => match trial::check(&program) {
                Ok(()) => GpuBuildAbsence::NotRequested(program),
                Err(why) => GpuBuildAbsence::Unusable(program, why),
            },
            Err(absence) => absence,
        }
    });
    absence.explain(has_driver(), Path::new(DRIVER_VERSION_FILE).exists())
}

/// Whether `DINO_CUDA` leaves the launcher on, which it is without the variable.
fn is_on(variables: &EnvVariables) -> Result<bool> {
    match variables.text(CUDA_VARIABLE)? {
        None | Some("1") => Ok(true),
        Some("0") => Ok(false),
        Some(other) => Err(Error::Usage(format!(
            "{CUDA_VARIABLE} is `{other}`; expected 0 to leave {PROGRAM} alone, or 1 or nothing to run it where there is an \
             NVIDIA driver"
        ))),
    }
}

/// Whether the command line is for a command that computes nothing, or for the processor.
fn needs_no_gpu(arguments: &[OsString]) -> bool {
    let without = ["-h", "--help", "-V", "--version"];
    // Arguments behind `--` are files.
    let end = arguments.iter().position(|it| it == "--");
    let options = &arguments[..end.unwrap_or(arguments.len())];
    let command = options
        .iter()
        .find(|it| !it.to_string_lossy().starts_with('-'));
    command.is_none_or(|it| WITHOUT_DEVICE.iter().any(|name| it == name))
        || options.iter().any(|it| without.iter().any(|no| it == no))
        || last_device(options).is_some_and(|device| device == "cpu")
}

/// The value of the last `--device`, which overrides those before it.
fn last_device(options: &[OsString]) -> Option<OsString> {
    let after = options.iter().skip(1).map(Some).chain([None]);
    let named = options.iter().zip(after).filter_map(|(option, next)| {
        let text = option.to_string_lossy();
        match text.strip_prefix("--device") {
            Some("") => next.cloned(),
            Some(rest) => rest.strip_prefix('=').map(OsString::from),
            None => None,
        }
    });
    named.last()
}

/// Path of the GPU build, if it exists and the driver's library too.
fn find(is_on: bool, variables: &EnvVariables) -> Result<PathBuf, GpuBuildAbsence> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let store = Store::from_variables(variables).ok();
    let bin = store.map(|(store, _)| store.root().join("bin"));
    let folders: Vec<PathBuf> = beside.into_iter().chain(bin).collect();
    find_in(is_on, folders, own.as_deref(), &has_driver)
}

fn find_in(
    is_on: bool,
    folders: Vec<PathBuf>,
    own: Option<&Path>,
    has_driver: &dyn Fn() -> bool,
) -> Result<PathBuf, GpuBuildAbsence> {
    if !is_on {
        return Err(GpuBuildAbsence::Disabled);
    }
    let name = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    let own = own.and_then(|own| fs::canonicalize(own).ok());
    let programs = folders.iter().map(|folder| folder.join(&name));
    // A program that is a link to this one would start itself for ever.
    let is_other = |program: &PathBuf| {
        fs::symlink_metadata(program).is_ok() && {
            let place = fs::canonicalize(program).ok();
            place.is_none() || place != own
        }
    };
    match programs.into_iter().find(is_other) {
        None => Err(GpuBuildAbsence::NoProgram(folders)),
        // Opening the library is slow, and most machines have no such program.
        Some(_) if !has_driver() => Err(GpuBuildAbsence::NoDriver),
        Some(program) if program.is_dir() => {
            Err(GpuBuildAbsence::Unusable(program, "it is a folder".into()))
        }
        Some(program) if !program.exists() => Err(GpuBuildAbsence::Unusable(
            program,
            "it is a link that leads nowhere".into(),
        )),
        Some(program) => Ok(program),
    }
}

/// Whether the driver's library can be opened, so that a program that needs it starts.
#[allow(unsafe_code)] // Opening a library runs code of it.
fn has_driver() -> bool {
    // SAFETY: what the driver's library does when it is opened is what it does in every program with CUDA.
    DRIVER.is_some_and(|name| unsafe { libloading::Library::new(name) }.is_ok())
}

/// Replaces this process by `program`; returns only the reason of a failure.
#[cfg(unix)]
fn become_program(program: &Path, arguments: &[OsString]) -> String {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    crate::system::closed_stdout::pass_on_closed_stdout();
    let error = command.args(arguments).exec();
    format!("it cannot be run ({error})")
}

/// Runs `program` and exits with its code; returns only the reason of a failure.
#[cfg(not(unix))]
fn become_program(program: &Path, arguments: &[OsString]) -> String {
    let unable = |error: std::io::Error| format!("it cannot be run ({error})");
    let mut child = match Command::new(program).args(arguments).spawn() {
        Ok(child) => child,
        Err(error) => return unable(error),
    };
    // Ctrl-C reaches both; the other program decides what follows.
    let _ = ctrlc::set_handler(|| ());
    match child.wait() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => unable(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn put_program(folder: &Path) -> PathBuf {
        let program = folder.join(format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX));
        fs::write(&program, "").unwrap();
        program
    }

    #[test]
    fn the_gpu_build_is_found_where_the_driver_is_too() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = || vec![first.path().to_owned(), second.path().to_owned()];
        let find = |driver: bool| find_in(true, folders(), None, &|| driver);
        let unasked = || panic!("the library is opened without need");
        let nothing = find_in(true, folders(), None, &unasked);
        assert_eq!(nothing, Err(GpuBuildAbsence::NoProgram(folders())));
        let later = put_program(second.path());
        assert_eq!(find(false), Err(GpuBuildAbsence::NoDriver));
        assert_eq!(find(true), Ok(later.clone()));
        let sooner = put_program(first.path());
        assert_eq!(find(true), Ok(sooner.clone()));
        let own = find_in(true, folders(), Some(&sooner), &|| true);
        assert_eq!(own, Ok(later));
        let off = find_in(false, folders(), None, &unasked);
        assert_eq!(off, Err(GpuBuildAbsence::Disabled));
    }

    #[test]
    fn the_variable_takes_0_and_1() {
        let is_on = |value: &str| is_on(&EnvVariables::from_pairs([(CUDA_VARIABLE, value)]));
        for (value, expected) in [("", true), ("1", true), ("0", false), (" 0\n", false)] {
            assert_eq!(is_on(value).unwrap(), expected, "{value:?}");
        }
        let error = is_on("no").unwrap_err().to_string();
        assert!(
            error.starts_with("DINO_CUDA is `no`; expected 0"),
            "{error}"
        );
    }

    #[test]
    fn what_computes_nothing_needs_no_gpu() {
        for line in [
            "",
            "--version",
            "models list",
            "-v heads pull nyu-dpt",
            "depth --help",
            "pca a.jpg --device cpu",
            "pca --device=cpu a.jpg",
            "pca --device cuda a.jpg --device=cpu",
        ] {
            assert!(needs_no_gpu(&words(line)), "{line}");
        }
        for line in [
            "depth a.jpg",
            "info",
            "-q pca models",
            "pca --device cuda a.jpg",
            "pca --device cpu --device cuda a.jpg",
            "pca -- --help",
        ] {
            assert!(!needs_no_gpu(&words(line)), "{line}");
        }
    }

    #[test]
    fn an_absence_says_what_would_end_it() {
        let folders = vec![PathBuf::from("/opt/dino")];
        let told = GpuBuildAbsence::NoProgram(folders.clone()).explain(true, true);
        assert!(
            told.starts_with("an NVIDIA driver is there, but")
                && told.contains("--features cuda")
                && told.ends_with("as dino-cuda into /opt/dino"),
            "{told}"
        );
        let told = GpuBuildAbsence::NoProgram(folders).explain(false, false);
        assert!(
            told.contains("is not found, and this build has no CUDA"),
            "{told}"
        );
        assert!(
            GpuBuildAbsence::NoDriver
                .explain(false, true)
                .contains("is loaded, but")
        );
        assert!(
            GpuBuildAbsence::Disabled
                .explain(true, true)
                .contains("DINO_CUDA=0")
        );
    }
}
