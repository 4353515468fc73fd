//! Runs the built binary as a user would.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The output of a run.
pub struct Run {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    /// The exit code, or -1 if a signal ended the program.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Lines on stdout.
    pub fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Fails the test and prints stderr unless the exit code is `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        let stdout =
            String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(2000)]).into_owned();
        assert_eq!(
            self.code(),
            code,
            "\n--- stdout\n{stdout}\n--- stderr\n{}",
            self.stderr
        );
        self
    }

    /// Fails the test unless stderr holds `text`.
    #[track_caller]
    pub fn expect_stderr(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "{text:?} is not in\n{}",
            self.stderr
        );
        self
    }
}

/// The path of a photo of `samples/`.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("samples")
        .join(name)
}

/// A temporary folder with copies of samples: pairs of a name in the folder and a sample.
pub fn folder_of(photos: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, of) in photos {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(sample(of), path).unwrap();
    }
    folder
}

/// The bytes of a file in a temporary folder.
pub fn read(folder: &TempDir, name: &str) -> Vec<u8> {
    fs::read(folder.path().join(name)).unwrap()
}

/// The program, not run yet, without environment variables that change its output.
pub fn command<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dino"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env_remove("RAYON_NUM_THREADS")
        .env_remove("NO_COLOR")
        .env_remove("DINO_MODEL")
        // Nothing is fetched that no test asks for.
        .env("DINO_WEIGHTS", "focus")
        // What is tested is this build, whatever is installed.
        .env("DINO_CUDA", "0");
    command
}

/// Runs `dino` with `args`.
pub fn dino<S: AsRef<OsStr>>(args: &[S]) -> Run {
    finish(&mut command(args), b"")
}

/// Runs `dino` in `folder` with a store that holds the real backbone.
pub fn dino_with_model<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Run {
    finish(
        command(args)
            .current_dir(folder)
            .env("DINO_HOME", store_with_focus()),
        b"",
    )
}

/// A store that holds `vits14-focus`, pulled once with the machine's package client and shared by all tests and
/// later runs. Tests must not change it.
pub fn store_with_focus() -> &'static Path {
    static STORE: OnceLock<PathBuf> = OnceLock::new();
    STORE.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("store-with-focus");
        fs::create_dir_all(&home).unwrap();
        let lock = File::create(home.join("test-lock")).unwrap();
        lock.lock().unwrap();
        let run = finish(
            command(&["models", "pull", "vits14-focus"]).env("DINO_HOME", &home),
            b"",
        );
        assert_eq!(
            run.code(),
            0,
            "vits14-focus could not be pulled (pip and its index are needed): {}",
            run.stderr
        );
        home
    })
}

/// Runs a prepared command with `input` on its stdin.
pub fn finish(command: &mut Command, input: &[u8]) -> Run {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not want it all closes the pipe.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Run {
        status: output.status,
        stdout: output.stdout,
        stderr,
    }
}

/// All files below `folder`, relative to it, sorted; `/` between their parts.
pub fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(&current).unwrap() {
            let path = entry.unwrap().path();
            // What is noted of the outputs is none.
            let name = path.file_name().unwrap();
            if name == "manifest.jsonl" || name == "manifest.fits" {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(
                    path.strip_prefix(folder)
                        .unwrap()
                        .to_string_lossy()
                        .replace('\\', "/"),
                );
            }
        }
    }
    files.sort();
    files
}
