//! A trial of the GPU build: whether it starts on this machine, has CUDA, and is of this program's version.

use std::fmt::Display;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::system::child_process::ChildProcess;

/// How long `--version` of the GPU build may take; its libraries may have to be read from a slow disk.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs `program --version` and checks the answer. Once the program has replaced this process, a failure could not be
/// explained.
///
/// # Errors
/// The reason why it cannot be used, as a part of a sentence.
pub(super) fn check(program: &Path) -> Result<(), String> {
    check_within(program, VERSION_TIMEOUT)
}

fn check_within(program: &Path, patience: Duration) -> Result<(), String> {
    let unable = |why: &dyn Display| format!("it cannot be run ({why})");
    let system = |error: io::Error| unable(&error);
    // A file and not a pipe, which a grandchild might hold open.
    let mut said = tempfile::tempfile().map_err(|error| {
        let folder = std::env::temp_dir();
        format!(
            "to try it takes a temporary file, and {} holds none ({error}); set TMPDIR",
            folder.display()
        )
    })?;
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(said.try_clone().map_err(system)?)
        .stderr(said.try_clone().map_err(system)?);
    let mut running = ChildProcess::start(&mut command).map_err(system)?;
    let start = Instant::now();
    let status = loop {
        match running.try_wait().map_err(system)? {
            Some(status) => break status,
            None if start.elapsed() > patience => {
                let why = format!("it did not say its version within {} s", patience.as_secs());
                return Err(unable(&why));
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let mut text = Vec::new();
    said.rewind()
        .and_then(|()| said.take(1 << 16).read_to_end(&mut text))
        .map_err(system)?;
    let text = String::from_utf8_lossy(&text);
    if !status.success() {
        let line = text.lines().rfind(|line| !line.trim().is_empty());
        return Err(match line {
            Some(line) => unable(&loader_reason(line)),
            None => unable(&status),
        });
    }
    check_version(&text)
}

/// The reason in a message of the system's loader, without its prefix.
fn loader_reason(line: &str) -> &str {
    let starts = [
        "error while loading shared libraries: ",
        "symbol lookup error: ",
    ];
    let end = |start: &str| Some(line.find(start)? + start.len());
    let at = starts.iter().find_map(|start| end(start));
    line[at.unwrap_or(0)..].trim()
}

/// Checks the output of `--version`: this program's version and a build with CUDA.
fn check_version(said: &str) -> Result<(), String> {
    let own = env!("CARGO_PKG_VERSION");
    let version = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("dino "));
    match version.map(|version| (version, version.strip_suffix(" (cuda)"))) {
        Some((_, Some(version))) if version == own => Ok(()),
        Some((_, Some(version))) => Err(format!(
            "it is version {version}, and this program {own}; build both from the same source"
        )),
        Some(_) => Err(
            "it is a build without CUDA; build it with `cargo build --release --features cuda`"
                .into(),
        ),
        None => Err("its --version is not that of a dino; build it anew".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_gpu_build_of_this_version_is_run() {
        let own = env!("CARGO_PKG_VERSION");
        assert_eq!(check_version(&format!("dino {own} (cuda)\n")), Ok(()));
        for (said, why) in [
            ("dino 0.0.1 (cuda)", "it is version 0.0.1"),
            (&format!("dino {own}"), "a build without CUDA"),
            ("hello", "not that of a dino"),
        ] {
            let error = check_version(said).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_does_not_start_is_told_in_the_systems_words() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("dino-cuda");
        fs::write(&program, "").unwrap();
        let check = || check_within(&program, Duration::from_millis(300)).unwrap_err();
        assert!(check().contains("ermission denied"), "{}", check());
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let missing = "dino-cuda: error while loading shared libraries: libcublas.so.13: cannot open shared object file";
        for (script, why) in [
            (
                format!("echo '{missing}' >&2; exit 127"),
                "(libcublas.so.13: cannot open shared object file)",
            ),
            ("exit 3".into(), "3"),
            ("sleep 60".into(), "did not say its version"),
        ] {
            // By another program: one that a test beside this one starts would hold the file open while it is run.
            let text = folder.path().join("script");
            fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
            let copied = Command::new("cp").args([&text, &program]).status();
            assert!(copied.unwrap().success());
            assert!(check().contains(why), "{script}: {}", check());
        }
    }
}
