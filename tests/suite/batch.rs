//! The manners of a run over photos, whatever the command: names, skipping, failures, interruption.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{ImageFormat, RgbImage};
use tempfile::TempDir;

use crate::program::{Run, command, files_below, finish, store_with_focus};
use crate::results::names_in_dino_out;

/// A folder to work in, with these photos in it.
fn photos(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        photo(&folder.path().join(name));
    }
    folder
}

/// Writes a photo of 90 x 60 pixels in the format that the name asks for.
fn photo(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let format = ImageFormat::from_path(path).unwrap_or(ImageFormat::Png);
    picture().save_with_format(path, format).unwrap();
}

fn picture() -> RgbImage {
    RgbImage::from_fn(90, 60, |x, y| {
        let inside = (x as i32 - 30).pow(2) + (y as i32 - 30).pow(2) < 400;
        image::Rgb([
            if inside { 220 } else { x as u8 },
            (3 * y) as u8,
            ((x * y) % 97) as u8,
        ])
    })
}

/// `dino pca` on small inputs, not run yet.
fn pca_command<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Command {
    let mut command = command(&["pca", "--offline", "--size", "56"]);
    command
        .args(args)
        .current_dir(folder)
        .env("DINO_HOME", store_with_focus());
    command
}

fn pca<S: AsRef<OsStr>>(folder: &TempDir, args: &[S]) -> Run {
    finish(&mut pca_command(folder.path(), args), b"")
}

#[test]
fn a_photo_becomes_a_picture_of_its_size_and_its_path_is_printed() {
    let folder = photos(&["photo.jpg"]);
    let run = pca(&folder, &["photo.jpg"]).expect_code(0);
    assert_eq!(run.lines(), ["dino-out/photo.pca.png"]);
    let picture = image::open(folder.path().join("dino-out/photo.pca.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (90, 60));
    // The note by which a later run knows its own pictures, once.
    let bytes = fs::read(folder.path().join("dino-out/photo.pca.png")).unwrap();
    let mark = b"tEXtSoftware\0dino ";
    assert_eq!(
        bytes
            .windows(mark.len())
            .filter(|window| window == mark)
            .count(),
        1
    );
}

#[test]
fn the_output_mirrors_the_input_tree() {
    let folder = photos(&["in/a.jpg", "in/sub/b.png", "in/sub/deeper/c.webp"]);
    fs::write(
        folder.path().join("in/notes.txt"),
        "no image, no word about it",
    )
    .unwrap();
    let run = pca(&folder, &["-r", "in"]).expect_code(0);
    assert_eq!(
        names_in_dino_out(&folder),
        ["a.pca.png", "sub/b.pca.png", "sub/deeper/c.pca.png"]
    );
    assert!(!run.stderr.contains("notes.txt"));
    let flat = pca(&folder, &["in", "-o", "flat"]).expect_code(0);
    assert_eq!(flat.lines(), ["flat/a.pca.png"]);
}

#[test]
fn colliding_names_are_kept_apart() {
    let folder = photos(&["in/a.jpg", "in/a.png", "in/b.jpg", "x/c.jpg", "y/c.jpg"]);
    pca(&folder, &["in", "x/c.jpg", "y/c.jpg"]).expect_code(0);
    assert_eq!(
        names_in_dino_out(&folder),
        [
            "a.jpg.pca.png",
            "a.png.pca.png",
            "b.pca.png",
            "x/c.jpg.pca.png",
            "y/c.jpg.pca.png"
        ]
    );
}

#[test]
fn existing_outputs_are_skipped_and_counted_unless_forced() {
    let folder = photos(&["a.jpg", "b.jpg"]);
    pca(&folder, &["a.jpg", "b.jpg"]).expect_code(0);
    let kept = folder.path().join("dino-out/a.pca.png");
    let own = fs::read(&kept).unwrap();
    let run = pca(&folder, &["a.jpg", "b.jpg"])
        .expect_code(0)
        .expect_stderr("2 already there, skipped");
    assert!(run.stdout.is_empty());
    assert_eq!(fs::read(&kept).unwrap(), own);

    fs::write(&kept, "mine").unwrap();
    let run = pca(&folder, &["a.jpg", "b.jpg"])
        .expect_code(1)
        .expect_stderr("a.pca.png: is there already, and either dino did not make it or it was changed since; --force");
    assert!(run.stdout.is_empty());
    assert_eq!(fs::read(&kept).unwrap(), b"mine");

    let run = pca(&folder, &["a.jpg", "b.jpg", "--force"]).expect_code(0);
    assert_eq!(run.lines().len(), 2);
    image::open(&kept).unwrap();
}

#[test]
fn its_own_pictures_are_not_its_photos() {
    let folder = photos(&["in/a.jpg"]);
    for _ in 0..2 {
        pca(&folder, &["in", "-o", "in"]).expect_code(0);
    }
    assert_eq!(
        files_below(&folder.path().join("in")),
        ["a.jpg", "a.pca.png"]
    );
}

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

#[test]
fn one_photo_can_go_to_a_file_or_to_stdout() {
    let folder = photos(&["a.jpg", "b.jpg"]);
    for (name, format) in [
        ("x.png", ImageFormat::Png),
        ("x.jpg", ImageFormat::Jpeg),
        ("sub/x.webp", ImageFormat::WebP),
    ] {
        let run = pca(&folder, &["a.jpg", "-o", name]).expect_code(0);
        assert_eq!(run.lines(), [name]);
        let bytes = fs::read(folder.path().join(name)).unwrap();
        assert_eq!(image::guess_format(&bytes).unwrap(), format);
        assert_eq!(image::load_from_memory(&bytes).unwrap().width(), 90);
    }
    let run = pca(&folder, &["a.jpg", "-o", "-"]).expect_code(0);
    assert_eq!(
        image::load_from_memory_with_format(&run.stdout, ImageFormat::Png)
            .unwrap()
            .width(),
        90
    );
    for target in ["y.png", "-"] {
        pca(&folder, &["a.jpg", "b.jpg", "-o", target])
            .expect_code(2)
            .expect_stderr("there are 2");
    }
    pca(&folder, &["a.jpg", "-o", "y.gif"])
        .expect_code(2)
        .expect_stderr(".png, .jpg, .jpeg or .webp");
    pca(&folder, &["a.jpg", "-o", "-", "--json"])
        .expect_code(2)
        .expect_stderr("both want stdout");
}

#[test]
fn a_photo_can_come_from_stdin() {
    let folder = photos(&["a.jpg"]);
    let bytes = fs::read(folder.path().join("a.jpg")).unwrap();
    let run = finish(&mut pca_command(folder.path(), &["-"]), &bytes).expect_code(0);
    assert_eq!(run.lines(), ["dino-out/stdin.pca.png"]);
    let piped = finish(&mut pca_command(folder.path(), &["-", "-o", "-"]), &bytes).expect_code(0);
    assert_eq!(
        piped.stdout,
        fs::read(folder.path().join("dino-out/stdin.pca.png")).unwrap()
    );
    finish(
        &mut pca_command(folder.path(), &["-", "--force"]),
        b"no image",
    )
    .expect_code(1)
    .expect_stderr("<stdin>: is not an image");
}

#[test]
fn an_input_is_never_replaced() {
    let folder = photos(&["a.jpg", "a.pca.png"]);
    let before = fs::read(folder.path().join("a.pca.png")).unwrap();
    let args = ["a.jpg", "a.pca.png", "-o", ".", "--force"];
    pca(&folder, &args)
        .expect_code(2)
        .expect_stderr("a.pca.png is an input");
    pca(&folder, &["a.jpg", "-o", "./a.jpg", "--force"])
        .expect_code(2)
        .expect_stderr("is an input");
    assert_eq!(fs::read(folder.path().join("a.pca.png")).unwrap(), before);
}

#[test]
fn odd_names_are_just_names() {
    let names = [
        "with space.jpg",
        "it's \"quoted\".jpg",
        "näive 日本.jpg",
        "-dash.jpg",
        "a*b?.jpg",
        "dots.v1.2.jpg",
    ];
    let folder = photos(&names);
    let mut args: Vec<&str> = vec!["--"];
    args.extend(names);
    let run = pca(&folder, &args).expect_code(0);
    let expected: Vec<String> = names
        .iter()
        .map(|name| format!("dino-out/{}", name.replace(".jpg", ".pca.png")))
        .collect();
    assert_eq!(run.lines(), expected);
    expected
        .iter()
        .for_each(|name| assert!(folder.path().join(name).is_file(), "{name}"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_unicode_comes_out_byte_for_byte() {
    use std::os::unix::ffi::OsStrExt;
    let folder = photos(&["a.jpg"]);
    let name = OsStr::from_bytes(b"caf\xe9.jpg");
    fs::rename(folder.path().join("a.jpg"), folder.path().join(name)).unwrap();
    let run = pca(&folder, &[name]).expect_code(0);
    assert_eq!(run.stdout, b"dino-out/caf\xe9.pca.png\n");
    assert!(
        folder
            .path()
            .join(OsStr::from_bytes(b"dino-out/caf\xe9.pca.png"))
            .is_file()
    );
    let whole = pca(&folder, &[".", "--force"]).expect_code(0);
    assert_eq!(whole.stdout, run.stdout);
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

/// A file system of one page, for as long as it lives.
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

#[cfg(unix)]
mod signals {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Stdio};

    use super::*;

    /// Starts a run over many photos and waits until the first picture is there.
    fn start(folder: &TempDir) -> (Child, BufReader<std::process::ChildStdout>) {
        let mut command = pca_command(folder.path(), &["in", "--fit", "each", "--size", "224"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with("dino-out/"), "{line}");
        (child, stdout)
    }

    fn many_photos() -> TempDir {
        let folder = photos(&["in/0.jpg"]);
        for i in 1..200 {
            fs::copy(
                folder.path().join("in/0.jpg"),
                folder.path().join(format!("in/{i}.jpg")),
            )
            .unwrap();
        }
        folder
    }

    fn signal(child: &Child, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(child.id().to_string())
            .status();
        assert!(sent.unwrap().success());
    }

    /// What is there is complete, and not everything is there.
    fn check_outputs(folder: &TempDir) {
        let outputs = names_in_dino_out(folder);
        assert!(
            !outputs.is_empty() && outputs.len() < 200,
            "{} outputs",
            outputs.len()
        );
        for name in outputs {
            assert!(name.ends_with(".pca.png"), "{name} was left behind");
            image::open(folder.path().join("dino-out").join(name)).unwrap();
        }
    }

    #[test]
    fn an_interruption_ends_between_two_photos() {
        for name in ["INT", "TERM"] {
            let folder = many_photos();
            let (child, stdout) = start(&folder);
            signal(&child, name);
            let rest = stdout.lines().count();
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(130), "{name}: {stderr}");
            assert!(
                stderr.contains("stopping after what is under way"),
                "{stderr}"
            );
            let of_all = stderr.matches(" of 200 images").count();
            assert!(stderr.contains("stopped at ") && of_all == 1, "{stderr}");
            assert_eq!(
                names_in_dino_out(&folder).len(),
                rest + 1,
                "every picture was announced"
            );
            check_outputs(&folder);
        }
    }

    #[test]
    fn a_second_interruption_ends_at_once() {
        let folder = many_photos();
        let (child, _stdout) = start(&folder);
        signal(&child, "INT");
        signal(&child, "INT");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        check_outputs(&folder);
    }

    #[test]
    fn a_reader_that_goes_away_ends_the_run() {
        let folder = many_photos();
        let (child, stdout) = start(&folder);
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(141), "{stderr}");
        assert!(!stderr.contains("panic"), "{stderr}");
        check_outputs(&folder);
    }
}

#[test]
fn quiet_is_quiet_and_nothing_is_coloured_in_a_pipe() {
    let folder = photos(&["a.jpg", "b.jpg"]);
    fs::write(folder.path().join("c.jpg"), "").unwrap();
    let args: Vec<OsString> = ["-q", "a.jpg", "b.jpg", "c.jpg"].map(Into::into).into();
    let run = pca(&folder, &args).expect_code(1);
    assert_eq!(
        run.stderr,
        "error: c.jpg: is empty\nerror: 1 of 3 inputs failed\n"
    );
    let run = pca(&folder, &["-v", "a.jpg", "--force"]).expect_code(0);
    assert!(
        run.stderr.contains("decode") && run.stderr.contains("backbone"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains('\x1b'));
}

#[test]
fn json_is_one_object_a_photo() {
    let folder = photos(&["a.jpg", "b.jpg"]);
    let run = pca(&folder, &["a.jpg", "b.jpg", "--json"]).expect_code(0);
    let objects: Vec<serde_json::Value> = run
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 2);
    assert!(objects.iter().all(serde_json::Value::is_object));
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

#[test]
fn odd_layouts_give_a_picture_of_their_size() {
    let folder = photos(&[]);
    let save =
        |name: &str, image: image::DynamicImage| image.save(folder.path().join(name)).unwrap();
    let rgb = |width, height| {
        let picture = picture();
        image::DynamicImage::from(RgbImage::from_fn(width, height, |x, y| {
            *picture.get_pixel(x % 90, y % 60)
        }))
    };
    save(
        "grey16.png",
        image::DynamicImage::ImageLuma16(rgb(50, 40).into_luma16()),
    );
    save(
        "alpha.png",
        image::DynamicImage::ImageRgba8(rgb(50, 40).into_rgba8()),
    );
    fs::copy(
        "tests/fixtures/cmyk-adobe.jpg",
        folder.path().join("cmyk.jpg"),
    )
    .unwrap();
    let sizes = [
        ("grey16", (50, 40)),
        ("alpha", (50, 40)),
        ("cmyk", (32, 32)),
    ];
    pca(&folder, &[".", "--size", "28"]).expect_code(0);
    for (name, size) in sizes {
        let picture = image::open(folder.path().join(format!("dino-out/{name}.pca.png"))).unwrap();
        assert_eq!((picture.width(), picture.height()), size, "{name}");
    }
}
