//! Outputs to named pipes, stdout and the files that the shell has opened.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::{dino, folder, in_shell, pca, picture};

/// Makes a named pipe.
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

/// Starts a thread that reads a named pipe to its end.
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
