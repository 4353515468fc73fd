//! Where outputs go when they are no plain new files: links, pipes, devices, what the shell has opened, names that are
//! too long or no text; and what the program says of them. Devices are made in folders of the tests' own.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Run, command, dino_with_model, finish, store_with_focus};

/// A folder with the photo `a.png`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    photo(&folder.path().join("a.png"));
    folder
}

fn photo(path: &Path) {
    let photo = RgbImage::from_fn(90, 60, |x, y| Rgb([(2 * x) as u8, (3 * y) as u8, 90]));
    photo
        .save_with_format(path, image::ImageFormat::Png)
        .unwrap();
}

fn dino<S: AsRef<OsStr>>(folder: &TempDir, args: &[S]) -> Run {
    dino_with_model(folder.path(), args)
}

fn pca(folder: &TempDir, args: &[&str]) -> Run {
    dino(folder, &[&["pca", "--size", "56"], args].concat())
}

/// Runs a line of `shell` in which `$DINO` is the program.
fn in_shell(shell: &str, folder: &TempDir, line: &str) -> Run {
    let mut command = Command::new(shell);
    command
        .args(["-c", line])
        .current_dir(folder.path())
        .env("DINO", env!("CARGO_BIN_EXE_dino"))
        .env("DINO_HOME", store_with_focus());
    finish(&mut command, b"")
}

fn picture(bytes: &[u8]) -> RgbImage {
    image::load_from_memory(bytes).unwrap().into_rgb8()
}

fn pipe(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    path
}

/// Reads everything that comes through a named pipe.
fn reader(path: &Path) -> thread::JoinHandle<Vec<u8>> {
    let path = path.to_owned();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    })
}

#[test]
fn a_named_pipe_gets_the_picture_and_its_reader_the_end() {
    let folder = folder();
    let path = pipe(&folder, "pipe");
    let bytes = {
        let bytes = reader(&path);
        // It was "there already" and is not skipped.
        let run = pca(&folder, &["a.png", "-o", "pipe"]).expect_code(0);
        assert_eq!(run.lines(), ["pipe"]);
        bytes.join().unwrap()
    };
    assert_eq!(picture(&bytes).dimensions(), (90, 60));
    let basis = pipe(&folder, "basis");
    let bytes = reader(&basis);
    pca(&folder, &["a.png", "--save-basis", "basis"]).expect_code(0);
    assert!(safetensors::SafeTensors::deserialize(&bytes.join().unwrap()).is_ok());
    for path in [path, basis] {
        assert!(fs::symlink_metadata(path).unwrap().file_type().is_fifo());
    }
}

#[test]
fn data_for_a_closed_stdout_is_an_error() {
    let folder = folder();
    let run = |line: &str| in_shell("sh", &folder, &format!("$DINO pca --size 56 a.png {line}"));
    for line in ["-o - >&-", "--json >&-", "--save-basis /dev/stdout >&-"] {
        run(line)
            .expect_code(1)
            .expect_stderr("<stdout>: is closed");
    }
    // The names of files are no data, and who gives /dev/null knows what becomes of it.
    for line in [
        ">&-",
        "--force -o - >/dev/null",
        "--force -o - 1<>/dev/null",
    ] {
        run(line).expect_code(0);
    }
    assert!(folder.path().join("dino-out/a.pca.png").is_file());
}

#[test]
fn who_waits_for_a_pipe_ends_at_the_first_request() {
    let folder = folder();
    pipe(&folder, "pipe");
    for line in [
        "timeout -k 30 2 $DINO heads export indoor pipe",
        "exec 3<>pipe; timeout -k 30 2 $DINO pca - <&3",
        "exec 3<>pipe; timeout -k 30 2 $DINO pca /dev/fd/3",
    ] {
        // 137 if it had to be killed.
        in_shell("sh", &folder, line).expect_code(124);
    }
}

#[test]
fn a_point_cloud_has_a_place_of_its_own() {
    let folder = folder();
    for (output, cloud) in [
        ("x.png", "x.ply"),
        ("out", "out/a.depth.ply"),
        ("-", "y.ply"),
        ("/dev/null", "z.ply"),
    ] {
        let args = ["depth", "--size", "56", "a.png", "-o", output];
        dino(&folder, &[&args[..], &["--pointcloud", cloud]].concat()).expect_code(0);
        let bytes = fs::read(folder.path().join(cloud)).unwrap();
        assert!(bytes.starts_with(b"ply"), "{cloud}");
    }
}

#[test]
fn a_head_is_found_whatever_its_files_name() {
    let folder = folder();
    let name = OsStr::from_bytes(b"caf\xe9.safetensors");
    let word = OsStr::new;
    dino(
        &folder,
        &[word("heads"), word("export"), word("indoor"), name],
    )
    .expect_code(0);
    dino(&folder, &[word("heads"), word("info"), name]).expect_code(0);
    let args = ["depth", "--size", "56", "a.png", "--head"].map(OsStr::new);
    dino(&folder, &[&args[..], &[name]].concat()).expect_code(0);
}

#[test]
fn a_link_stays_and_its_target_is_written() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("store/new")).unwrap();
    fs::write(at("store/old.png"), "old").unwrap();
    fs::set_permissions(at("store/old.png"), fs::Permissions::from_mode(0o604)).unwrap();
    symlink("store/old.png", at("link.png")).unwrap();
    symlink("store/new/basis", at("dangling")).unwrap();
    pca(
        &folder,
        &[
            "a.png",
            "-o",
            "link.png",
            "--force",
            "--save-basis",
            "dangling",
        ],
    )
    .expect_code(0);
    assert_eq!(
        picture(&fs::read(at("store/old.png")).unwrap()).dimensions(),
        (90, 60)
    );
    let mode = fs::metadata(at("store/old.png"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o604);
    assert!(at("store/new/basis").is_file());
    for link in ["link.png", "dangling"] {
        assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink());
    }
    // Masks are a folder, and one may be a link.
    fs::create_dir(at("elsewhere")).unwrap();
    fs::create_dir(at("out")).unwrap();
    symlink("../elsewhere", at("out/a.clusters.masks")).unwrap();
    let args = [
        "segment",
        "a.png",
        "--clusters",
        "2",
        "--size",
        "56",
        "--save",
        "masks",
        "-o",
        "out",
        "--force",
    ];
    dino(&folder, &args).expect_code(0);
    assert!(
        fs::symlink_metadata(at("out/a.clusters.masks"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read_dir(at("elsewhere")).unwrap().count(), 2);
}

#[test]
fn standard_output_has_a_name_too() {
    let folder = folder();
    let plain = pca(&folder, &["a.png", "-o", "-"]).expect_code(0);
    assert_eq!(picture(&plain.stdout).dimensions(), (90, 60));
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let run = pca(&folder, &["a.png", "-o", name]).expect_code(0);
        assert!(run.stdout == plain.stdout, "{name}");
    }
    // To a file, and behind what is there.
    in_shell(
        "sh",
        &folder,
        "\"$DINO\" pca --size 56 a.png -o /dev/stdout > out",
    )
    .expect_code(0);
    assert!(fs::read(folder.path().join("out")).unwrap() == plain.stdout);
    let line =
        "echo before > out; \"$DINO\" pca --size 56 a.png -o /dev/stdout >> out; echo after >> out";
    in_shell("sh", &folder, line).expect_code(0);
    let all = [b"before\n", plain.stdout.as_slice(), b"after\n"].concat();
    assert!(fs::read(folder.path().join("out")).unwrap() == all);
    assert!(fs::metadata("/dev/stdout").is_ok());
    // Closed, what is written there would be lost, and that is said.
    in_shell(
        "sh",
        &folder,
        "\"$DINO\" pca --size 56 a.png -o /dev/stdout >&-",
    )
    .expect_code(1)
    .expect_stderr("is closed");
    assert!(
        fs::metadata("/dev/null")
            .unwrap()
            .file_type()
            .is_char_device()
    );
    // Paths are no part of it, and two outputs have no room there.
    let cloud = ["depth", "--size", "56", "a.png", "--pointcloud=/dev/stdout"];
    let run = dino(&folder, &cloud).expect_code(0);
    assert!(run.stdout.starts_with(b"ply\nformat binary"));
    for more in [["--json"].as_slice(), &["-o", "-"], &["--at", "1,1"]] {
        dino(&folder, &[&cloud, more].concat())
            .expect_code(2)
            .expect_stderr("stdout");
    }
}

#[test]
fn figures_go_wherever_the_shell_has_opened_something() {
    let folder = folder();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let bench = "\"$DINO\" bench --size 28 --runs 1";
    let run = in_shell("sh", &folder, &format!("{bench} --json /dev/stdout")).expect_code(0);
    assert!(serde_json::from_slice::<Value>(&run.stdout).unwrap()[0]["tokens"].is_u64());
    // A descriptor is written where it stands, and stands behind that afterwards.
    let line = format!("exec 3>three; echo before >&3; {bench} --json /dev/fd/3; echo after >&3");
    let run = in_shell("sh", &folder, &line).expect_code(0);
    assert!(run.lines()[0].starts_with("model"));
    let text = read("three");
    let json = text
        .strip_prefix("before\n")
        .unwrap()
        .strip_suffix("after\n")
        .unwrap();
    assert!(serde_json::from_str::<Value>(json).unwrap()[0]["tokens"].is_u64());
    let run = in_shell("sh", &folder, &format!("{bench} --json /dev/stderr -q")).expect_code(0);
    assert!(
        serde_json::from_str::<Value>(&run.stderr).is_ok(),
        "{}",
        run.stderr
    );
    for (opened, why) in [
        ("3>&-", "no such descriptor was opened"),
        ("3<a.png", "open for reading alone"),
    ] {
        let run = in_shell("sh", &folder, &format!("{bench} --json /dev/fd/3 {opened}"));
        run.expect_code(1).expect_stderr(why);
    }
    let run = in_shell("sh", &folder, &format!("{bench} --json same > same"));
    run.expect_code(1)
        .expect_stderr("same: standard output goes to this file too");
    if Command::new("bash").arg("--version").output().is_ok() {
        let line = format!("{bench} --json >(cat > four) && sleep 1");
        in_shell("bash", &folder, &line).expect_code(0);
        assert!(serde_json::from_str::<Value>(&read("four")).is_ok());
    }
}

#[test]
fn devices_are_written_into_and_stay() {
    let folder = folder();
    let node = |name: &str, minor: &str| {
        let path = folder.path().join(name);
        let made = Command::new("mknod")
            .arg(&path)
            .args(["c", "1", minor])
            .output();
        let made = made.is_ok_and(|output| output.status.success());
        (made && File::options().write(true).open(&path).is_ok()).then_some(path)
    };
    let (Some(null), Some(full)) = (node("null", "3"), node("full", "7")) else {
        eprintln!("skipped: making devices needs root");
        return;
    };
    pca(&folder, &["a.png", "-o", "null", "--save-basis", "null"]).expect_code(0);
    pca(&folder, &["a.png", "-o", "full"])
        .expect_code(1)
        .expect_stderr("full: no space left on device");
    for path in [null, full] {
        assert!(
            fs::symlink_metadata(path)
                .unwrap()
                .file_type()
                .is_char_device()
        );
    }
}

/// Runs without any model, so that whatever is found is found before one is needed.
#[track_caller]
fn refused(folder: &TempDir, args: &[&str], why: &str) {
    let run = finish(
        command(args)
            .current_dir(folder.path())
            .env("DINO_HOME", folder.path().join("no store")),
        b"",
    );
    assert!([1, 2].contains(&run.code()), "{args:?}: {}", run.stderr);
    assert!(run.stderr.contains(why), "{args:?}: {}", run.stderr);
}

#[test]
fn what_cannot_be_written_is_found_before_the_network_runs() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    for sub in ["images", "depth", "masks", "dir"] {
        fs::create_dir_all(at("data").join(sub)).unwrap();
    }
    fs::create_dir(at("dir")).unwrap();
    for i in 0..12 {
        photo(&at(&format!("data/images/{i}.png")));
        let label = image::GrayImage::new(90, 60);
        label.save(at(&format!("data/depth/{i}.png"))).unwrap();
        label.save(at(&format!("data/masks/{i}.png"))).unwrap();
    }
    fs::write(at("data/classes.json"), r#"["a", "b"]"#).unwrap();
    fs::write(at("file"), "").unwrap();
    fs::write(at("locked"), "").unwrap();
    fs::set_permissions(at("locked"), fs::Permissions::from_mode(0o444)).unwrap();
    symlink("circle", at("circle")).unwrap();
    let long = "n".repeat(250);
    let no_folder = "file: not a directory";
    for (args, why) in [
        ("pca a.png -o file/x", no_folder),
        ("pca a.png --save-basis file/x", no_folder),
        ("pca a.png --save-basis dir", "dir: is a folder"),
        (
            "pca a.png --save-basis locked --force",
            "locked: is read-only",
        ),
        (
            "pca a.png --save-basis circle",
            "circle: its links lead in a circle",
        ),
        ("depth a.png -o file/x.png", no_folder),
        ("depth a.png --pointcloud file/x.ply", no_folder),
        (
            "segment a.png --clusters 2 --save-codebook file/x",
            no_folder,
        ),
        (
            "segment a.png --clusters 2 --save-codebook dir/",
            "dir/: is a folder",
        ),
        ("eval depth data --json file/x", no_folder),
        ("eval depth data --json dir", "dir: is a folder"),
        ("eval depth data -o file", no_folder),
        (
            "eval depth data --json data/depth/3.png",
            "3.png is an input",
        ),
        ("bench --json file/x", no_folder),
        ("train depth data -o file/x.safetensors", no_folder),
        ("train segment data -o file/x.safetensors", no_folder),
        (
            &format!("train depth data -o {}.safetensors", &long[..243]),
            "too long",
        ),
        ("heads export indoor file/x", no_folder),
        ("heads export indoor dir --force", "dir: is a folder"),
    ] {
        refused(&folder, &args.split(' ').collect::<Vec<_>>(), why);
    }
    assert!(fs::metadata(at("locked")).unwrap().len() == 0);
    // A list that is named like a part of the report.
    fs::write(at("data/files.csv"), "images/1.png,depth/1.png\n").unwrap();
    refused(
        &folder,
        &["eval", "depth", "data/files.csv", "-o", "data"],
        "data/files.csv is an input",
    );
    // By another name.
    fs::hard_link(at("a.png"), at("hard.png")).unwrap();
    symlink("a.png", at("soft.png")).unwrap();
    for name in ["hard.png", "soft.png"] {
        refused(
            &folder,
            &["depth", "a.png", "-o", name, "--force"],
            "is an input (a.png) and would be replaced",
        );
    }
    symlink("both.png", at("same")).unwrap();
    refused(
        &folder,
        &["pca", "a.png", "-o", "both.png", "--save-basis", "same"],
        "both.png and same are one and the same",
    );
}

#[test]
fn names_that_leave_no_room_are_cut_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        format!("{}.png", "n".repeat(251)),
        format!("{}2.png", "n".repeat(250)),
        format!("{}.png", "日".repeat(83)),
    ];
    names
        .iter()
        .for_each(|name| photo(&folder.path().join(name)));
    let mut args = vec![
        "segment",
        "--size",
        "56",
        "--clusters",
        "2",
        "--save",
        "masks,npy",
        "--json",
    ];
    args.extend(names.iter().map(String::as_str));
    let run = dino(&folder, &args)
        .expect_code(0)
        .expect_stderr("too long a name for what is appended to it; its files are called ")
        .expect_stderr("so it is with 2 more");
    let mut pictures = Vec::new();
    for (line, name) in run.lines().iter().zip(&names) {
        let found: Value = serde_json::from_str(line).unwrap();
        assert_eq!(found["input"], **name);
        let files = &found["files"];
        for path in [&found["picture"], &files["ids.npy"], &files["masks"]] {
            assert!(
                folder.path().join(path.as_str().unwrap()).exists(),
                "{line}"
            );
        }
        let picture = found["picture"].as_str().unwrap().to_owned();
        assert!(picture.len() > 200 && picture.contains('~'), "{picture}");
        pictures.push(picture);
    }
    pictures.sort();
    pictures.dedup();
    assert_eq!(pictures.len(), 3);
    // The same again, and with more of it: all of it is there.
    dino(&folder, &args)
        .expect_code(0)
        .expect_stderr("3 already there, skipped");
    args.push("--confidence");
    dino(&folder, &args).expect_code(0);
    let files = fs::read_dir(folder.path().join("dino-out"))
        .unwrap()
        .count();
    // And what is noted of them.
    assert_eq!(
        files,
        3 * 4 + 1 + usize::from(folder.path().join("dino-out/manifest.fits").exists())
    );
}

/// A name that is no text, and what JSON says of it.
fn odd() -> (OsString, &'static str, &'static str) {
    let name = OsStr::from_bytes(b"caf\xe9\n\x1b[2J.png").to_owned();
    (name, "caf\u{fffd}\n\u{1b}[2J.png", "caf%E9%0A%1B%5B2J.png")
}

#[test]
fn every_command_names_what_is_no_text_in_json_by_one_rule() {
    let folder = tempfile::tempdir().unwrap();
    let (name, text, bytes) = odd();
    photo(&folder.path().join(&name));
    let commands: [&[&str]; 4] = [
        &["pca", "--raw"],
        &["depth", "--save", "npy"],
        &["segment", "--save", "ids"],
        &["segment", "--clusters", "2", "--save", "masks"],
    ];
    for command in commands {
        let mut args: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
        args.extend([
            &*name,
            "--size".as_ref(),
            "56".as_ref(),
            "--json".as_ref(),
            "-v".as_ref(),
        ]);
        let run = dino(&folder, &args).expect_code(0);
        let found: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(
            (&found["input"], &found["input_bytes"]),
            (&text.into(), &bytes.into())
        );
        let picture = found["picture_bytes"].as_str().unwrap();
        assert!(
            picture.starts_with("dino-out/caf%E9%0A%1B%5B2J."),
            "{picture}"
        );
        assert!(
            !run.stderr.contains('\u{1b}') && run.stderr.contains(r"\n\x1b[2J"),
            "{}",
            run.stderr
        );
    }
    let mut args: Vec<&OsStr> = ["depth", "--size", "56", "--at", "1,1"]
        .map(OsStr::new)
        .to_vec();
    args.push(&name);
    let run = dino(&folder, &args).expect_code(0);
    assert!(
        run.stdout
            .starts_with(&[name.as_bytes(), b"\t1,1\t"].concat())
    );
}

#[test]
fn training_and_judging_bear_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let (name, _, bytes) = odd();
    let data = folder.path().join(OsStr::from_bytes(b"d\xe9\n"));
    for sub in ["images", "depth"] {
        fs::create_dir_all(data.join(sub)).unwrap();
    }
    for i in 0..8 {
        let mut file = OsString::from(i.to_string());
        file.push(&name);
        photo(&data.join("images").join(&file));
        let depth = image::ImageBuffer::from_fn(90, 60, |x, _| image::Luma([1000 + 20 * x as u16]));
        depth
            .save_with_format(data.join("depth").join(&file), image::ImageFormat::Png)
            .unwrap();
    }
    let mut args: Vec<&OsStr> = [
        "train",
        "depth",
        "-o",
        "x.safetensors",
        "--size",
        "56",
        "--cache",
        "cache",
        "--epochs",
        "1",
    ]
    .map(OsStr::new)
    .to_vec();
    args.push(data.as_os_str());
    let run = dino(&folder, &args).expect_code(0);
    assert!(!run.stderr.contains('\u{1b}'), "{}", run.stderr);
    let info = dino(&folder, &["heads", "info", "./x.safetensors", "--json"]).expect_code(0);
    let info: Value = serde_json::from_slice(&info.stdout).unwrap();
    let command = info["meta"]["training"]["command"].as_str().unwrap();
    assert!(command.contains(r"/d\xe9\n'"), "{command}");
    let mut args: Vec<&OsStr> = [
        "eval",
        "depth",
        "--head",
        "x.safetensors",
        "--part",
        "all",
        "--json",
        "/dev/stdout",
        "-o",
        "report",
    ]
    .map(OsStr::new)
    .to_vec();
    args.push(data.as_os_str());
    let run = dino(&folder, &args).expect_code(0);
    // Figures alone, though a report is written too.
    assert_eq!(
        serde_json::from_slice::<Value>(&run.stdout).unwrap()["images"],
        8
    );
    let csv = fs::read_to_string(folder.path().join("report/files.csv")).unwrap();
    assert!(
        csv.lines().next().unwrap().ends_with(",file_bytes"),
        "{csv}"
    );
    assert!(csv.contains(&format!("/d%E9%0A/images/0{bytes}")), "{csv}");
    let worst = fs::read_dir(folder.path().join("report")).unwrap();
    assert_eq!(worst.count(), 1 + 5);
}

#[test]
fn a_name_neither_breaks_a_line_nor_drives_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let name = "a\nerror: \u{1b}[2Jall good.png";
    fs::write(folder.path().join(name), "no picture").unwrap();
    let run = dino(&folder, &["pca", name]).expect_code(1);
    let shown = r"a\nerror: \x1b[2Jall good.png";
    assert!(run.stderr.contains(shown), "{}", run.stderr);
    let is_own = |line: &str| line.starts_with("error: a\\n") || !line.contains("all good");
    assert!(run.stderr.lines().all(is_own), "{}", run.stderr);
    let odd = ["pca", "--size", "4\u{1b}[2J\nx", "b.png"];
    for (args, code) in [
        (&odd[..], 2),
        (&["depth", "\u{1b}[2J\n"], 1),
        (&["info", "\u{1b}]0;title\u{7}"], 2),
    ] {
        let run = dino(&folder, args).expect_code(code);
        assert!(!run.stderr.contains(['\u{1b}', '\u{7}']), "{}", run.stderr);
    }
    // The store's own folder.
    let mut info = command(&["info", "--json"]);
    info.env("DINO_HOME", OsStr::from_bytes(b"/nowhere/\xff"));
    let run = finish(&mut info, b"").expect_code(0);
    let found: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(found["store_bytes"], "/nowhere/%FF");
}
