//! Broken and missing photos, folders that cannot be written, full disks and the limit of pixels.

use std::fs;
#[cfg(target_os = "linux")]
use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::process::Command;

use super::{pca, photos};
#[cfg(target_os = "linux")]
use crate::program::files_below;

#[test]
fn one_bad_file_does_not_stop_the_good_ones() {
    let folder = photos(&["in/a.jpg", "in/d.jpg"]);
    let at = |name: &str| folder.path().join("in").join(name);
    let whole = fs::read(at("a.jpg")).unwrap();
    fs::write(at("b-truncated.jpg"), &whole[..whole.len() / 2]).unwrap();
    fs::write(at("c-text.jpg"), "dear diary").unwrap();
    fs::write(at("e-empty.png"), "").unwrap();
    let run = pca(&folder, &["in"])
        .expect_code(1)
        .expect_stderr("b-truncated.jpg: truncated JPEG")
        .expect_stderr("c-text.jpg: is not an image")
        .expect_stderr("e-empty.png: is empty")
        .expect_stderr("3 of 5 inputs failed");
    assert_eq!(run.lines(), ["dino-out/a.pca.png", "dino-out/d.pca.png"]);
}

#[test]
fn a_missing_file_is_a_failure_beside_others_and_alone() {
    let folder = photos(&["a.jpg"]);
    let run = pca(&folder, &["a.jpg", "missing.jpg"]).expect_code(1);
    assert_eq!(
        run.expect_stderr("missing.jpg: no such file").lines(),
        ["dino-out/a.pca.png"]
    );
    pca(&folder, &["missing.jpg"])
        .expect_code(1)
        .expect_stderr("missing.jpg: no such file");
}

#[test]
fn a_named_file_that_is_no_image_is_an_error() {
    let folder = photos(&[]);
    fs::write(folder.path().join("notes.txt"), "dear diary").unwrap();
    pca(&folder, &["notes.txt"])
        .expect_code(1)
        .expect_stderr("notes.txt: is not an image");
    assert!(!folder.path().join("dino-out").exists());
}

#[cfg(unix)]
#[test]
fn a_link_in_circles_does_no_harm() {
    let folder = photos(&["in/sub/a.jpg"]);
    std::os::unix::fs::symlink("..", folder.path().join("in/sub/loop")).unwrap();
    let run = pca(&folder, &["-r", "in"]).expect_code(0);
    assert_eq!(run.lines(), ["dino-out/sub/a.pca.png"]);
    assert!(
        run.stderr.lines().all(|line| !line.contains("loop")),
        "{}",
        run.stderr
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_found_out_before_the_work() {
    let folder = photos(&["a.jpg"]);
    fs::write(folder.path().join("file"), "").unwrap();
    let run = pca(&folder, &["a.jpg", "-o", "file/below"])
        .expect_code(1)
        .expect_stderr("file: not a directory");
    assert!(
        !run.stderr.contains("vits14-focus"),
        "the model was loaded first:\n{}",
        run.stderr
    );
}

/// A file system of one page, mounted until this is dropped.
#[cfg(target_os = "linux")]
struct TinyDisk(PathBuf);

#[cfg(target_os = "linux")]
impl TinyDisk {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4k", "tmpfs"])
            .arg(&at)
            .output();
        mount
            .is_ok_and(|output| output.status.success())
            .then_some(TinyDisk(at))
    }
}

#[cfg(target_os = "linux")]
impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let folder = photos(&["a.jpg", "b.jpg"]);
    let Some(disk) = TinyDisk::mount(folder.path().join("disk")) else {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    };
    let run = pca(
        &folder,
        &["a.jpg", "b.jpg", "-o", "disk", "--upscale", "bilinear"],
    )
    .expect_code(1)
    .expect_stderr("disk/a.pca.png: no space left on device")
    .expect_stderr("2 of 2 inputs failed");
    assert!(run.stdout.is_empty());
    assert_eq!(files_below(&disk.0), [""; 0]);
}

#[test]
fn the_pixel_limit_is_a_flag() {
    let folder = photos(&["a.jpg"]);
    let args = ["a.jpg", "--max-megapixels", "0.005"];
    pca(&folder, &args)
        .expect_code(1)
        .expect_stderr("90 x 60")
        .expect_stderr("--max-megapixels");
}
