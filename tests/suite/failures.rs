//! The record of failures: a photo that would fail again is not tried again, other failures are.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Run, dino_with_model, sample};

const AS_BEFORE: &str = "(as before; --retry-failed tries again)";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(sample("room.jpg"), folder.path().join("a.jpg")).unwrap();
    fs::copy(sample("dogs.jpg"), folder.path().join("b.jpg")).unwrap();
    fs::write(folder.path().join("c.jpg"), "no photo").unwrap();
    folder
}

fn run(folder: &TempDir, args: &[&str]) -> Run {
    dino_with_model(folder.path(), &[args, &["--device", "null"]].concat())
}

fn record(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("manifest.jsonl")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn failed(folder: &Path) -> Vec<Value> {
    let lines = record(folder).into_iter();
    lines.filter(|line| line["state"] == "failed").collect()
}

#[test]
fn a_photo_that_is_none_is_noted_and_reported_again_without_being_tried() {
    let folder = folder();
    let out = folder.path().join("dino-out");
    for task in [&["depth"][..], &["attention"], &["pca", "--fit", "each"]] {
        let args = [task, &["a.jpg", "c.jpg", "--json", "-o"]].concat();
        let args = [&args[..], &[task[0]]].concat();
        let out = folder.path().join(task[0]);
        run(&folder, &args).expect_code(1);
        let noted = failed(&out);
        assert_eq!(noted.len(), 1);
        assert_eq!(noted[0]["format"], 2);
        assert_eq!(noted[0]["task"], task[0]);
        assert_eq!(noted[0]["photo"]["bytes"], 8);
        assert_eq!(noted[0]["error"]["kind"], "not an image");
        assert!(noted[0]["recipe"].is_string());
        assert!(noted[0]["input"].as_str().unwrap().ends_with("/c.jpg"));

        let again = run(&folder, &args).expect_code(1).expect_stderr(AS_BEFORE);
        let line: Value = serde_json::from_str(again.lines().last().unwrap()).unwrap();
        assert_eq!(line["status"], "failed");
        assert!(line["error"].as_str().unwrap().contains(AS_BEFORE));
        assert_eq!(failed(&out).len(), 1, "noted once");
        for more in ["--retry-failed", "--force"] {
            let tried = run(&folder, &[&args[..], &[more]].concat()).expect_code(1);
            assert!(!tried.stderr.contains(AS_BEFORE), "{}", tried.stderr);
        }
        // Other limits, and other ways to decode.
        let other = run(&folder, &[&args[..], &["--max-megapixels", "100"]].concat());
        assert!(!other.stderr.contains(AS_BEFORE), "{}", other.stderr);
    }
    assert!(!out.exists());
}

#[test]
fn an_edited_photo_is_tried_and_forgotten_as_a_failure() {
    let folder = folder();
    let args = ["depth", "c.jpg", "a.jpg"];
    run(&folder, &args).expect_code(1);
    fs::copy(sample("flower.jpg"), folder.path().join("c.jpg")).unwrap();
    run(&folder, &args).expect_code(0);
    run(&folder, &args)
        .expect_code(0)
        .expect_stderr("2 already there, skipped");
    // A photo that becomes none: its picture is that of what it was.
    fs::write(folder.path().join("c.jpg"), "no photo again").unwrap();
    run(&folder, &args).expect_code(1);
    let again = run(&folder, &args).expect_code(1).expect_stderr(AS_BEFORE);
    assert!(!again.stderr.contains("made again"), "{}", again.stderr);
}

#[test]
fn each_kind_has_its_word_and_only_the_photos_own_faults_last() {
    let folder = folder();
    let at = folder.path();
    let whole = fs::read(sample("room.jpg")).unwrap();
    fs::write(at.join("d.jpg"), &whole[..whole.len() / 2]).unwrap();
    fs::write(
        at.join("e.psd"),
        b"8BPS\0\x01\0\0\0\0\0\0\0\x03\0\0\0\x04\0\0\0\x04",
    )
    .unwrap();
    let photos = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.psd", "gone.jpg"];
    let limited = [&["depth"][..], &photos, &["--max-megapixels", "0.1"]].concat();
    run(&folder, &limited).expect_code(1);
    let kinds = |out: &str| {
        let lines = failed(&at.join(out)).into_iter();
        let kinds = lines.map(|line| {
            let input = line["input"].as_str().unwrap().to_owned();
            let name = input.rsplit('/').next().unwrap().to_owned();
            (name, line["error"]["kind"].as_str().unwrap().to_owned())
        });
        let mut kinds: Vec<_> = kinds.collect();
        kinds.sort();
        kinds
    };
    let expected = [
        ("a.jpg", "too large"),
        ("b.jpg", "too large"),
        ("c.jpg", "not an image"),
        ("d.jpg", "too large"),
        ("e.psd", "unsupported"),
        ("gone.jpg", "missing"),
    ];
    let expected = expected.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    assert_eq!(kinds("dino-out"), expected);
    let again = run(&folder, &limited).expect_code(1);
    assert_eq!(
        again.stderr.matches(AS_BEFORE).count(),
        5,
        "{}",
        again.stderr
    );
    // Within the limit, they are photos.
    let usual = [&["depth"][..], &photos].concat();
    let usual = run(&folder, &usual).expect_code(1);
    assert_eq!(usual.lines().len(), 2, "{}", usual.stderr);
    assert_eq!(kinds("dino-out").last().unwrap().1, "missing");

    let errors = run_plain(&folder, &["manifest", "errors", "dino-out", "--json"]).expect_code(0);
    let groups: Vec<Value> = errors
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(groups.len(), 4, "{groups:?}");
    let of = |kind: &str| groups.iter().find(|group| group["kind"] == kind).unwrap();
    assert_eq!(of("decode")["count"], 1);
    assert_eq!(of("decode")["tried_again"], false);
    assert_eq!(of("missing")["tried_again"], true);
    assert!(
        of("decode")["example"]["input"]
            .as_str()
            .unwrap()
            .ends_with("d.jpg")
    );
    let told = run_plain(&folder, &["manifest", "errors", "dino-out"]).expect_code(0);
    assert_eq!(told.lines().len(), 4);
    told.expect_stderr("4 failed");
}

fn run_plain(folder: &TempDir, args: &[&str]) -> Run {
    dino_with_model(folder.path(), args)
}

#[test]
fn what_stood_in_the_way_is_tried_again() {
    let folder = folder();
    let out = folder.path().join("dino-out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("a.depth.png"), "mine").unwrap();
    run(&folder, &["depth", "a.jpg"]).expect_code(1);
    assert_eq!(failed(&out)[0]["error"]["kind"], "output");
    fs::remove_file(out.join("a.depth.png")).unwrap();
    run(&folder, &["depth", "a.jpg"]).expect_code(0);
}

#[test]
fn a_photo_that_is_none_does_not_force_a_joint_fit_again() {
    for task in [
        &["pca"][..],
        &["segment", "--clusters", "2"],
        &["depth", "--range", "global"],
    ] {
        let folder = folder();
        let args = [task, &["a.jpg", "b.jpg", "c.jpg"]].concat();
        let first = run(&folder, &args).expect_code(1);
        assert_eq!(first.lines().len(), 2, "{}", first.stderr);
        let again = run(&folder, &args)
            .expect_code(1)
            .expect_stderr(AS_BEFORE)
            .expect_stderr("2 already there, skipped");
        assert!(again.lines().is_empty() && !again.stderr.contains("to do"));
        // One that can be read now takes part.
        fs::copy(sample("flower.jpg"), folder.path().join("c.jpg")).unwrap();
        let mended = run(&folder, &args).expect_code(0);
        assert_eq!(mended.lines().len(), 3, "{task:?}: {}", mended.stderr);
    }
}

#[test]
fn what_was_made_is_described() {
    let folder = folder();
    let at = folder.path();
    let args = ["run", "a.jpg", "--depth", "--segment", "street", "--pca"];
    let set = ["--set", "depth.invert=true", "--set", "pca.fit=each"];
    run(&folder, &[&args[..], &set].concat()).expect_code(0);
    let done: Vec<Value> = record(&at.join("dino-out"));
    let of = |task: &str| {
        let mut lines = done.iter().filter(|line| line["state"] == "done");
        lines.find(|line| line["task"] == task).unwrap()["facts"].clone()
    };
    let depth = of("depth");
    assert_eq!(
        depth["model"],
        json!({"name": "null", "fingerprint": "null"})
    );
    assert_eq!(depth["head"]["digest"].as_str().unwrap().len(), 64);
    assert_eq!(depth["parameters"], json!({"invert": true}));
    assert_eq!(depth["unit"], "m");
    let (min, max) = (
        depth["min"].as_f64().unwrap(),
        depth["max"].as_f64().unwrap(),
    );
    assert!(0.0 < min && min <= max && max < 100.0, "{depth}");
    assert!(depth["seconds"].as_f64().unwrap() > 0.0);
    let segment = of("segment");
    assert_eq!(segment["head"]["name"], "street");
    assert!(segment["classes"].as_u64().unwrap() >= 1);
    assert!(segment["min"].is_null());
    let pca = of("pca");
    assert!(pca["head"].is_null() && pca["seconds"].as_f64().unwrap() > 0.0);
    for task in [&["attention"][..], &["similar", "--at", "9,9"]] {
        run(&folder, &[task, &["a.jpg", "-o", "alone"]].concat()).expect_code(0);
        let lines = record(&at.join("alone"));
        let facts = &lines.last().unwrap()["facts"];
        assert!(facts["seconds"].as_f64().unwrap() > 0.0, "{facts}");
        assert!(facts["parameters"]["layer"].is_number(), "{facts}");
    }
}

#[test]
fn without_a_record_nothing_is_noted_and_what_is_there_ends_the_run() {
    let folder = folder();
    let out = folder.path().join("dino-out");
    let args = ["depth", "a.jpg", "c.jpg", "--no-manifest"];
    run(&folder, &args).expect_code(1);
    assert!(out.join("a.depth.png").exists());
    assert!(!out.join("manifest.jsonl").exists());
    run(&folder, &args)
        .expect_code(2)
        .expect_stderr("with --no-manifest nothing tells what it was made of; --force replaces it");
    run(&folder, &[&args[..], &["--force"]].concat()).expect_code(1);
    run(&folder, &["pca", "a.jpg", "--keep-fit", "--no-manifest"])
        .expect_code(2)
        .expect_stderr("--no-manifest does not read");
    // A record that is there is not touched.
    run(&folder, &["depth", "b.jpg"]).expect_code(0);
    let before = fs::read(out.join("manifest.jsonl")).unwrap();
    run(&folder, &["depth", "b.jpg", "--no-manifest", "--force"]).expect_code(0);
    assert!(fs::read(out.join("manifest.jsonl")).unwrap() == before);
}

#[test]
fn a_record_that_is_torn_read_only_or_gone_is_no_silent_loss() {
    let folder = folder();
    let out = folder.path().join("dino-out");
    run(&folder, &["depth", "a.jpg", "c.jpg"]).expect_code(1);
    let path = out.join("manifest.jsonl");
    let whole = fs::read(&path).unwrap();
    // Torn within the line of the failure: it is tried again.
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let again = run(&folder, &["depth", "a.jpg", "c.jpg"]).expect_code(1);
    assert!(!again.stderr.contains(AS_BEFORE));
    again.expect_stderr("1 already there, skipped");
    run(&folder, &["depth", "a.jpg", "c.jpg"]).expect_stderr(AS_BEFORE);

    fs::remove_dir_all(&out).unwrap();
    let afresh = run(&folder, &["depth", "a.jpg", "c.jpg"]).expect_code(1);
    assert_eq!(afresh.lines().len(), 1);
    assert!(!afresh.stderr.contains(AS_BEFORE));
}

/// An output of which the record has only the line `begun`, because the disk was full, is recognised by the next run.
#[cfg(target_os = "linux")]
#[test]
fn a_record_on_a_full_disk_ends_with_what_was_begun() {
    use crate::program::{command, finish, store_with_focus};
    let folder = folder();
    let out = folder.path().join("dino-out");
    let depth = |limit: Option<u64>| {
        let program = command(&["depth", "a.jpg", "--device", "null"]);
        let mut command = std::process::Command::new("sh");
        let limit = limit.map_or(String::new(), |blocks| {
            format!("trap '' XFSZ; ulimit -f {blocks}; ")
        });
        command
            .args(["-c", &format!("{limit}exec \"$@\""), "sh"])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(folder.path())
            .env("DINO_HOME", store_with_focus());
        finish(&mut command, b"")
    };
    depth(None).expect_code(0);
    let path = out.join("manifest.jsonl");
    let begun = fs::read_to_string(&path).unwrap();
    let begun = begun.lines().next().unwrap().to_owned() + "\n";
    // The output is there, its last line is not.
    fs::write(&path, &begun).unwrap();
    depth(None)
        .expect_code(0)
        .expect_stderr("1 already there, skipped");
    // No file may grow: neither picture nor record are written, and that is said.
    fs::remove_file(out.join("a.depth.png")).unwrap();
    fs::write(&path, "").unwrap();
    let full = depth(Some(0));
    assert_eq!(full.code(), 1, "{}", full.stderr);
    full.expect_stderr("manifest.jsonl: ");
    assert!(!out.join("a.depth.png").exists());
    depth(None).expect_code(0);
}
