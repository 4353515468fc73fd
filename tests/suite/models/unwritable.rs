//! Stores that cannot be written: their models are used, and errors about new ones name a remedy.
//!
//! A folder without write permission stops everybody but root; a file system that is mounted read-only stops root too,
//! and so does /proc.

use std::fs;
use std::path::Path;

use super::fixtures::{self, NAME};
use super::{dino, models, out, run};
use crate::program::{command, finish};

/// A store with the model of the fixtures.
fn filled() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, fixtures::safetensors(fixtures::canonical())).unwrap();
    let done = models(home.path(), ["import".as_ref(), file.as_os_str()]);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    home
}

#[cfg(target_os = "linux")]
mod read_only {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::models::server::{Reply, Server};
    use crate::program::{Run, sample, store_with_focus};

    /// Runs `command` after the shell's `mount`, in which `$0` is `home`, in a mount namespace of its own; `None` where
    /// this user may not have one.
    fn run_mounted(home: &Path, mount: &str, command: &Command) -> Option<Run> {
        let mut wrapped = Command::new("unshare");
        wrapped
            .args(["--map-root-user", "--mount", "sh", "-ec"])
            .arg(format!("{mount}; echo mounted >&2; exec \"$@\""))
            .arg(home)
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        let done = wrapped.output().ok()?;
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        Some(Run {
            status: done.status,
            stdout: done.stdout,
            stderr: stderr.strip_prefix("mounted\n")?.to_owned(),
        })
    }

    /// Runs the program with `home` read-only: by a mount, else by permissions. `None` where neither binds, as for a
    /// root without the right to mount; then the test says so.
    fn dino_read_only(home: &Path, args: &[&str]) -> Option<Run> {
        let mut command = dino(home);
        command.args(args);
        const MOUNT: &str = "mount --bind \"$0\" \"$0\"; mount -o remount,bind,ro \"$0\"";
        if let Some(done) = run_mounted(home, MOUNT, &command) {
            return Some(done);
        }
        let set = |mode: u32| {
            for folder in [home.to_owned(), home.join("models")] {
                let _ = fs::set_permissions(folder, fs::Permissions::from_mode(mode));
            }
        };
        set(0o555);
        let binds = fs::write(home.join("models/probe"), "").is_err();
        let done = binds.then(|| run(&mut command));
        set(0o755);
        if done.is_none() {
            eprintln!("not tested: this user may neither mount nor be kept from writing");
        }
        done
    }

    #[test]
    fn a_full_disk_names_the_way_out() {
        let home = tempfile::tempdir().unwrap();
        let body = std::sync::Arc::new(fixtures::safetensors(fixtures::canonical()));
        let size = body.len();
        let server =
            Server::start(move |request, _| Reply::file(request, &body).with("ETag", "\"1\""));
        // Room for none of it; for the download but not for what is made of it.
        for room in [1 << 20, size + (1 << 20)] {
            let mut command = dino(home.path());
            command
                .args(["models", "pull", NAME])
                .env("HF_ENDPOINT", server.url());
            let mount = format!("mount -t tmpfs -o size={room} tmpfs \"$0\"");
            let Some(done) = run_mounted(home.path(), &mount, &command) else {
                eprintln!("not tested: this user may not mount");
                return;
            };
            assert_eq!(done.code(), 1, "{}", done.stderr);
            let said = "no space left on device; make room, or set DINO_HOME to a folder on another disk\n";
            assert!(done.stderr.ends_with(said), "{}", done.stderr);
        }
    }

    #[test]
    fn a_shared_store_is_used_as_it_is() {
        let home = filled();
        let before = fs::read_dir(home.path().join("models")).unwrap().count();
        for args in [
            &["models", "list"][..],
            &["models", "info", NAME, "--verify"],
            &["models", "pull", NAME],
            &[
                "models",
                "import",
                home.path().join("file").to_str().unwrap(),
            ],
            &["heads", "list"],
            &["info"],
        ] {
            let Some(done) = dino_read_only(home.path(), args) else {
                return;
            };
            assert_eq!(done.code(), 0, "{args:?}: {}", done.stderr);
        }
        assert_eq!(
            fs::read_dir(home.path().join("models")).unwrap().count(),
            before
        );
        // What is not there cannot come: the way out is told before anything is fetched.
        for args in [
            &["models", "pull", "dino-vits8"][..],
            &["models", "pull", "vits14-focus"],
            &["models", "rm", NAME],
            &["heads", "pull", "nyu-linear-vits14"],
            &["heads", "default", "depth", "indoor"],
        ] {
            let Some(done) = dino_read_only(home.path(), args) else {
                return;
            };
            assert_eq!(done.code(), 1, "{args:?}: {}", done.stderr);
            assert!(
                done.stderr.contains("DINO_HOME"),
                "{args:?}: {}",
                done.stderr
            );
        }
    }

    #[test]
    fn photos_are_seen_with_a_shared_store_and_features_need_another_place() {
        let folder = tempfile::tempdir().unwrap();
        // The real model by links: the store itself is shared with other tests.
        let home = folder.path().join("home");
        fs::create_dir_all(home.join("models")).unwrap();
        for name in ["vits14-focus.json", "vits14-focus.safetensors"] {
            let model = store_with_focus().join("models").join(name);
            std::os::unix::fs::symlink(model, home.join("models").join(name)).unwrap();
        }
        let home = home.as_path();
        let photo = sample("room.jpg");
        let out_folder = folder.path().join("out");
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let args = [
            "depth",
            &text(&photo),
            "--size",
            "112",
            "-o",
            &text(&out_folder),
        ];
        let Some(done) = dino_read_only(home, &args) else {
            return;
        };
        assert_eq!(done.code(), 0, "{}", done.stderr);
        // The picture, and what is noted of it.
        assert_eq!(fs::read_dir(&out_folder).unwrap().count(), 2);

        let data = folder.path().join("data");
        for name in ["images", "labels"] {
            fs::create_dir_all(data.join(name)).unwrap();
        }
        fs::write(data.join("classes.json"), r#"["a", "b"]"#).unwrap();
        for index in 0..6 {
            fs::copy(&photo, data.join(format!("images/{index}.jpg"))).unwrap();
            let size = image::image_dimensions(&photo).unwrap();
            let label =
                image::GrayImage::from_fn(size.0, size.1, |x, _| image::Luma([u8::from(x > 20)]));
            label
                .save(data.join(format!("labels/{index}.png")))
                .unwrap();
        }
        let head = folder.path().join("head.safetensors");
        let args = [
            "train",
            "segment",
            &text(&data),
            "--size",
            "112",
            "-o",
            &text(&head),
        ];
        let Some(done) = dino_read_only(home, &args) else {
            return;
        };
        assert_eq!(done.code(), 1, "{}", done.stderr);
        let said = "features are kept there, and --cache FOLDER names another place";
        assert_eq!(done.stderr.matches(said).count(), 1, "{}", done.stderr);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_home_that_is_not_there_and_cannot_be_made_names_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, fixtures::safetensors(fixtures::canonical())).unwrap();
    // Nothing can be made there, not even by root.
    let home = Path::new("/proc/nobody");
    let mut list = dino(home);
    // The user's own home, with no word about the store.
    list.env_remove("DINO_HOME")
        .env_remove("XDG_DATA_HOME")
        .env("HOME", home);
    let done = run(list.args(["models", "list"]));
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert!(out(&done).contains("vits14-focus"));
    let mut import = dino(home);
    import
        .env_remove("DINO_HOME")
        .env_remove("XDG_DATA_HOME")
        .env("HOME", home);
    let done = run(import.args(["models", "import"]).arg(&file));
    assert_eq!(done.code(), 1);
    assert!(
        done.stderr
            .ends_with("; set DINO_HOME to a folder that can be written\n"),
        "{}",
        done.stderr
    );
}

/// With `--offline` the error is about the missing download, not about the store.
#[cfg(target_os = "linux")]
#[test]
fn offline_is_said_before_a_store_that_cannot_be_written() {
    for (args, import) in [
        (&["models", "pull", NAME][..], "dino models import FILE"),
        (
            &["models", "pull", "vits14-focus"],
            "dino models import img",
        ),
        (
            &["heads", "pull", "nyu-dpt", "--no-backbone"],
            "dino heads import FILE",
        ),
        (
            &["heads", "pull", "facebook/dpt-dinov2-small-nyu"],
            "dino heads import FILE",
        ),
    ] {
        let done = run(dino(Path::new("/proc/nobody")).args(args).arg("--offline"));
        assert_eq!(done.code(), 1, "{args:?}: {}", done.stderr);
        assert!(
            done.stderr.contains("--offline forbids fetching it; ")
                && done.stderr.contains(import)
                && done.stderr.matches(" import ").count() == 1,
            "{args:?}: {}",
            done.stderr
        );
    }
    // Each file of a pull names the command that takes it.
    let done = run(dino(Path::new("/proc/nobody")).args(["heads", "pull", "nyu-dpt", "--offline"]));
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert!(
        lines.len() == 2
            && lines[0].contains("`dino heads import FILE --as nyu-dpt-vits14`")
            && lines[1].contains("_pretrain.pth")
            && lines[1].contains("`dino models import FILE`"),
        "{lines:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_not_called_damaged() {
    let home = filled();
    let tensors = home.path().join(format!("models/{NAME}.safetensors"));
    fs::remove_file(&tensors).unwrap();
    let said = || models(home.path(), ["info", NAME]).expect_code(1).stderr;
    assert!(said().contains("is missing; `dino models rm"), "{}", said());
    // Unreadable for root too: a link that leads to itself.
    std::os::unix::fs::symlink(&tensors, &tensors).unwrap();
    let said = said();
    assert!(
        said.contains(".safetensors: ") && !said.contains("models rm"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn a_home_that_is_a_file_is_said_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("file");
    fs::write(&home, "").unwrap();
    let why = "not a directory; set DINO_HOME to a folder that can be read";
    let info = run(dino(&home).arg("info")).expect_code(0);
    let text = out(&info);
    let line = text.lines().find(|line| line.starts_with("models"));
    assert!(line.is_some_and(|line| line.ends_with(why)), "{text}");
    let info = run(dino(&home).args(["info", "--json"])).expect_code(0);
    let info: serde_json::Value = serde_json::from_str(&out(&info)).unwrap();
    assert!(info["models_error"].as_str().unwrap().ends_with(why));
    for args in [["models", "list"], ["heads", "list"]] {
        let done = run(dino(&home).args(args));
        assert_eq!(done.code(), 1, "{args:?}");
        assert!(
            done.stderr.trim_end().ends_with(why),
            "{args:?}: {}",
            done.stderr
        );
    }
}

#[cfg(unix)]
#[test]
fn what_comes_through_a_pipe_needs_a_folder_for_temporary_files() {
    let home = tempfile::tempdir().unwrap();
    let mut import = dino(home.path());
    import
        .args(["models", "import", "-"])
        .env("TMPDIR", home.path().join("none"));
    let done = finish(&mut import, b"bytes").expect_code(1);
    assert!(
        done.stderr
            .ends_with("; set TMPDIR to a folder that can be written\n"),
        "{}",
        done.stderr
    );
}

#[test]
fn the_program_runs_where_no_home_is_known() {
    let mut info = command(&["info"]);
    for name in [
        "HOME",
        "DINO_HOME",
        "HF_HOME",
        "XDG_DATA_HOME",
        "XDG_CACHE_HOME",
    ] {
        info.env_remove(name);
    }
    let done = finish(&mut info, b"");
    assert_eq!(done.code(), 0, "{}", done.stderr);
}
