//! Named pipes as inputs, and SIGTERM, SIGINT and SIGKILL while the program waits for one or for a package client.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::program::{command, files_below, sample, store_with_focus};
#[cfg(target_os = "linux")]
use crate::results::as_text;

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &id])
        .status();
    assert!(sent.unwrap().success());
}

/// Waits for the end of `child`, which must come soon.
fn end_of(mut child: Child) -> (Option<i32>, String) {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn start(folder: &Path, args: &[&str]) -> Child {
    let mut command = command(args);
    command
        .current_dir(folder)
        .env("DINO_HOME", store_with_focus())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn fifo(folder: &Path) -> &'static str {
    let made = Command::new("mkfifo")
        .arg(folder.join("pipe.safetensors"))
        .status();
    assert!(made.unwrap().success());
    "pipe.safetensors"
}

/// Waits until the file exists.
fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{}",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn one_request_ends_a_wait_for_a_pipe() {
    for name in ["TERM", "INT"] {
        let folder = tempdir().unwrap();
        let pipe = fifo(folder.path());
        for args in [
            &["pca", pipe, "--size", "56"][..],
            &["pca", "-", "--size", "56"],
            &["depth", "room.jpg", "--head", pipe],
            &["models", "import", "-"],
        ] {
            fs::copy(sample("room.jpg"), folder.path().join("room.jpg")).unwrap();
            let mut child = start(folder.path(), args);
            let stdin = child.stdin.take();
            std::thread::sleep(Duration::from_millis(700));
            signal(&child, name);
            let (code, said) = end_of(child);
            assert_eq!(code, Some(130), "{name} {args:?}: {said}");
            drop(stdin);
        }
    }
}

#[test]
fn what_comes_out_of_a_pipe_is_there_as_often_as_it_is_wanted() {
    let folder = tempdir().unwrap();
    let pipe = fifo(folder.path());
    for args in [
        &["depth", pipe, "--at", "5,5"][..],
        &["similar", pipe, "--at", "5,5"],
    ] {
        let child = start(folder.path(), &[args, &["--size", "56"]].concat());
        fs::write(
            folder.path().join(pipe),
            fs::read(sample("room.jpg")).unwrap(),
        )
        .unwrap();
        let (code, said) = end_of(child);
        assert_eq!(code, Some(0), "{args:?}: {said}");
    }
}

#[test]
fn a_photo_at_hand_is_finished_while_the_next_is_waited_for() {
    let folder = tempdir().unwrap();
    let pipe = fifo(folder.path());
    fs::copy(sample("room.jpg"), folder.path().join("room.jpg")).unwrap();
    let child = start(
        folder.path(),
        &["depth", "room.jpg", pipe, "--slide", "--size", "1500"],
    );
    // Its windows take seconds; the pipe is waited for meanwhile.
    std::thread::sleep(Duration::from_millis(1500));
    signal(&child, "TERM");
    let (code, said) = end_of(child);
    assert_eq!(code, Some(130), "{said}");
    assert_eq!(
        files_below(&folder.path().join("dino-out")),
        ["room.depth.png"],
        "{said}"
    );
    image::open(folder.path().join("dino-out/room.depth.png")).unwrap();
}

#[test]
fn heads_and_weights_come_out_of_a_pipe_as_out_of_a_file() {
    let folder = tempdir().unwrap();
    let pipe = fifo(folder.path());
    for (args, why) in [
        (["heads", "import", pipe], "pipe.safetensors: "),
        (["models", "import", pipe], "pipe.safetensors: "),
    ] {
        let child = start(folder.path(), &args);
        fs::write(folder.path().join(pipe), "no tensors").unwrap();
        let (code, said) = end_of(child);
        assert_eq!(code, Some(1), "{args:?}: {said}");
        assert!(said.contains(why), "{args:?}: {said}");
    }
    let home = tempdir().unwrap();
    let real = store_with_focus().join("models/vits14-focus.safetensors");
    let mut import = command(&["models", "import", pipe, "--as", "piped"]);
    import
        .current_dir(folder.path())
        .env("DINO_HOME", home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = import.spawn().unwrap();
    fs::write(folder.path().join(pipe), fs::read(&real).unwrap()).unwrap();
    let (code, said) = end_of(child);
    assert_eq!(code, Some(0), "{said}");
    let there = fs::read(home.path().join("models/piped.safetensors")).unwrap();
    assert_eq!(there, fs::read(&real).unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn a_package_client_ends_with_the_program() {
    use std::os::unix::fs::PermissionsExt;
    for name in ["TERM", "KILL"] {
        let folder = tempdir().unwrap();
        let at = folder.path();
        let (bin, id) = (at.join("bin"), at.join("id"));
        fs::create_dir(&bin).unwrap();
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho $$ > {}.new; mv {}.new {}\nexec sleep 600\n",
            as_text(&id),
            as_text(&id),
            as_text(&id)
        );
        fs::write(bin.join("pip"), script).unwrap();
        fs::set_permissions(bin.join("pip"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", as_text(&bin));
        let mut command = command(&["models", "pull", "vits14-focus"]);
        command
            .env("DINO_HOME", at.join("home"))
            .env("PATH", path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        wait_for(&id);
        signal(&child, name);
        let (code, said) = end_of(child);
        assert_eq!(
            code,
            if name == "TERM" { Some(130) } else { None },
            "{said}"
        );
        let pip = fs::read_to_string(&id).unwrap();
        let stat = format!("/proc/{}/stat", pip.trim());
        let start = Instant::now();
        // One that nobody has waited for yet is there in name only.
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{name}: it lives on"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
