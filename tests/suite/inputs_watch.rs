//! `--watch`: photos that are added to a folder while the program runs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::inputs_lists::depth_of;
use crate::program::{command, finish, sample, store_with_focus};
use crate::results::names_in_dino_out;

/// `dino depth --watch in`, running in `folder`.
struct Watch {
    child: Child,
}

impl Watch {
    fn begin(folder: &TempDir, args: &[&str]) -> Self {
        let mut command = command(&["depth", "--offline", "--size", "56", "--watch", "in"]);
        let child = command
            .args(args)
            .current_dir(folder)
            .env("DINO_HOME", store_with_focus())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Watch {
            child: child.unwrap(),
        }
    }

    /// Ends the program as Ctrl-C does; returns its exit code and stderr.
    fn end(self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(sent.success());
        let output = self.child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }
}

/// Waits until the file exists.
#[track_caller]
fn await_file(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{}",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn each_new_photo_is_done_once_and_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("in")).unwrap();
    fs::copy(sample("room.jpg"), at("in/a.jpg")).unwrap();
    let watch = Watch::begin(&folder, &[]);
    await_file(&at("dino-out/a.jpg.depth.png"));
    // Another of the same stem, renamed into place, and one that is broken.
    fs::copy(sample("coffee.png"), at("in/.a")).unwrap();
    fs::rename(at("in/.a"), at("in/a.png")).unwrap();
    await_file(&at("dino-out/a.png.depth.png"));
    let (code, said) = watch.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 done"), "{said}");
    let watch = Watch::begin(&folder, &["-o", "in/results"]);
    await_file(&at("in/results/a.png.depth.png"));
    let (code, said) = watch.end();
    assert_eq!(code, Some(0), "{said}");
    let watch = Watch::begin(&folder, &[]);
    fs::write(at("in/broken.jpg"), "words").unwrap();
    std::thread::sleep(Duration::from_secs(9));
    let (code, said) = watch.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("2 already there, skipped"), "{said}");
    assert_eq!(
        said.matches("broken.jpg: is not an image").count(),
        1,
        "{said}"
    );
    assert_eq!(
        names_in_dino_out(&folder),
        ["a.jpg.depth.png", "a.png.depth.png"]
    );
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    let depth = |args: &[&str]| depth_of(folder.path(), &[&["--watch", "in"], args].concat(), b"");
    for (args, why) in [
        (&["a.jpg"][..], "cannot be used with"),
        (&["-o", "x.png"], "name a folder"),
        (&["-o", "in"], "the watched folder itself"),
        (&["--range", "global"], "fitted to all photos"),
    ] {
        depth(args).expect_code(2).expect_stderr(why);
    }
    depth_of(folder.path(), &["--watch", "none"], b"")
        .expect_code(1)
        .expect_stderr("none: no such file");
    for (task, code, why) in [
        (&["pca"][..], 2, "fitted to all photos"),
        (
            &["similar", "--at", "1,1"],
            2,
            "works with depth, segment, pca, features and run",
        ),
    ] {
        let mut command = command(task);
        command
            .args(["--watch", "in", "--offline"])
            .current_dir(&folder)
            .env("DINO_HOME", store_with_focus());
        finish(&mut command, b"")
            .expect_code(code)
            .expect_stderr(why);
    }
}
