//! File names that are too long, not Unicode, or hold line breaks and terminal codes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use super::{dino, folder, photo};
use crate::program::{command, finish};

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

/// A file name that is not Unicode, and its form in JSON.
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
