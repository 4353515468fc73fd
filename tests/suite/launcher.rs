//! The GPU build runs in place of this build where the library of the GPU driver is installed. In these tests the GPU
//! build is a script, and the driver's library is any other library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::program::{self, Run, finish};

/// A folder with a copy of the program, a store, and a folder of libraries.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["bin", "store/bin", "lib"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let place = Place { folder };
        // A link of the file itself: the program looks beside where a symbolic link leads.
        let (program, copy) = (Path::new(env!("CARGO_BIN_EXE_dino")), place.at("bin/dino"));
        if fs::hard_link(program, &copy).is_err() {
            cp(program, &copy);
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Installs a GPU build that prints this version, or the arguments that it is run with.
    fn with_program(self, name: &str, version: &str) -> Self {
        let script = format!(
            "#!/bin/sh\n\
             if [ \"$1\" = --version ]; then echo 'dino {version}'; exit; fi\n\
             echo \"on the GPU: $*\"; cat; exit 7\n"
        );
        let text = self.at("script");
        fs::write(&text, script).unwrap();
        cp(&text, &self.at(name));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(self.at(name), mode).unwrap();
        self
    }

    /// Installs a driver library that can be opened: a copy of one that this test uses.
    fn with_driver(self) -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let library = maps
            .split_whitespace()
            .find(|word| word.contains("/libm.so.6") || word.contains("/libm-"))
            .unwrap();
        fs::copy(library, self.at("lib/libcuda.so.1")).unwrap();
        self
    }

    /// Installs a file that is not a library, which hides a library of the machine.
    fn without_driver(self) -> Self {
        fs::write(self.at("lib/libcuda.so.1"), "no library").unwrap();
        self
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.at("bin/dino"));
        command
            .args(args)
            .env_remove("DINO_CUDA")
            .env("DINO_HOME", self.at("store"))
            .env("LD_LIBRARY_PATH", self.at("lib"));
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        finish(&mut self.command(args), b"photo")
    }
}

/// Copies with another program, because a process that a parallel test starts would keep the file open while it is run.
fn cp(from: &Path, to: &Path) {
    let status = Command::new("cp").args([from, to]).status();
    assert!(status.unwrap().success());
}

const THIS: &str = concat!(env!("CARGO_PKG_VERSION"), " (cuda)");

#[test]
fn the_gpu_build_has_arguments_streams_and_exit_code() {
    for name in ["bin/dino-cuda", "store/bin/dino-cuda"] {
        let place = Place::new().with_program(name, THIS).with_driver();
        let run = place.run(&["depth", "a b.jpg", "-"]).expect_code(7);
        assert_eq!(run.lines(), ["on the GPU: depth a b.jpg -", "photo"]);
        assert_eq!(run.stderr, "");
        let run = place.run(&["depth", "no.jpg", "--device", "cpu"]);
        run.expect_code(1).expect_stderr("no.jpg");
        let switched = finish(place.command(&["info"]).env("DINO_CUDA", "0"), b"");
        assert!(switched.expect_code(0).lines().len() > 5);
    }
}

#[test]
fn the_gpu_build_finds_a_closed_stdout_closed() {
    let place = Place::new()
        .with_program("bin/dino-cuda", THIS)
        .with_driver();
    let script = "exec \"$0\" info >&- </dev/null";
    let own = place.command(&[]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script])
        .arg(own.get_program())
        .env("LC_ALL", "C");
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    finish(&mut shell, b"").expect_stderr("Bad file descriptor");
}

#[test]
fn without_a_driver_the_gpu_build_is_not_run() {
    let place = Place::new()
        .with_program("bin/dino-cuda", THIS)
        .without_driver();
    let run = place.run(&["info", "--json"]).expect_code(0);
    let info: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let unused = info["gpu_unused"].as_str().unwrap();
    assert!(unused.contains("libcuda.so.1"), "{unused}");
    assert_eq!(
        (run.stderr.as_str(), &info["devices"][0]),
        ("", &"cpu".into())
    );
}

#[test]
fn a_gpu_build_that_does_not_fit_is_named_and_not_run() {
    let place = Place::new()
        .with_program("bin/dino-cuda", "0.0.1 (cuda)")
        .with_driver();
    let why = "bin/dino-cuda is not used: it is version 0.0.1";
    let run = place.run(&["info"]).expect_code(0).expect_stderr(why);
    let lines = run.lines();
    let line = lines.iter().find(|line| line.starts_with("gpu")).unwrap();
    assert!(line.contains(why), "{line}");
    assert_eq!(place.run(&["info", "-q"]).expect_code(0).stderr, "");
    let run = place.run(&["pca", "no.jpg", "--device", "cuda"]);
    run.expect_code(2).expect_stderr(why);
}

#[test]
fn the_driver_alone_asks_for_the_gpu_build() {
    let place = Place::new().with_driver();
    let run = place.run(&["info"]).expect_code(0);
    let text = run.lines().join("\n");
    assert!(
        text.contains("an NVIDIA driver is there, but this build has no CUDA")
            && text.contains("store/bin"),
        "{text}"
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn the_switch_is_checked() {
    let mut command = program::command(&["pca", "no.jpg"]);
    finish(command.env("DINO_CUDA", "maybe"), b"")
        .expect_code(2)
        .expect_stderr("error: DINO_CUDA is `maybe`; expected 0");
    let mut info = program::command(&["info"]);
    let run = finish(info.env("DINO_CUDA", "maybe"), b"").expect_code(0);
    assert!(
        run.lines()
            .iter()
            .any(|line| line.ends_with("maybe (DINO_CUDA)"))
    );
}
