//! Under pressure: numbers that are none, memory that is short, signals while somebody else is waited for, leftovers of
//! killed runs, files that must not be replaced; each with what is right in its place.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dino::model::head::linear::Dense;
use dino::model::head::meta::HeadTask;
use dino::model::head::{Head, HeadNetwork, file};
use image::RgbImage;
use serde_json::Value;
use tempfile::tempdir;

use crate::depth::depth_head;
use crate::program::{
    Run, command, dino_with_model, files_below, finish, sample, store_with_focus,
};
use crate::results::as_text;

/// A photo of this size, and its path.
fn photo(folder: &Path, name: &str, (width, height): (u32, u32)) -> String {
    let path = folder.join(name);
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([x as u8, y as u8, (x ^ y) as u8])
    })
    .save(&path)
    .unwrap();
    as_text(&path).to_owned()
}

/// A linear head whose numbers are too large to be added up.
fn far_too_large() -> Head {
    let mut head = depth_head(0.0);
    if let HeadNetwork::Linear(linear) = &mut head.network {
        linear.output.weight.fill(3e38);
    }
    head
}

fn save(head: &Head, path: &Path) {
    fs::write(path, file::to_bytes(head).unwrap()).unwrap();
}

#[test]
fn a_head_that_gives_no_numbers_is_named() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    save(&far_too_large(), &at.join("huge.safetensors"));
    let room = sample("room.jpg");
    let args = [
        "depth",
        as_text(&room),
        "--head",
        "huge.safetensors",
        "--size",
        "56",
        "--uncertainty",
    ];
    let run = dino_with_model(at, &args).expect_code(1);
    run.expect_stderr("the head made-up gave numbers that are not finite");
    assert!(!at.join("dino-out").exists());
    // Finite scores whose depths are not.
    let mut head = depth_head(0.0);
    if let (HeadNetwork::Linear(linear), HeadTask::Depth { .. }) =
        (&mut head.network, &head.meta.task)
    {
        linear.output.bias.fill(1e38);
    }
    save(&head, &at.join("far.safetensors"));
    let args = [
        "depth",
        as_text(&room),
        "--head",
        "far.safetensors",
        "--size",
        "56",
        "--uncertainty",
    ];
    dino_with_model(at, &args)
        .expect_code(1)
        .expect_stderr("the head made-up gave depths that are not finite");
    // A hidden layer whose overflow its ReLU would make a 0 of.
    let mut head = depth_head(0.0);
    if let HeadNetwork::Linear(linear) = &mut head.network {
        let (inputs, bins) = (linear.output.inputs, linear.output.bias.len());
        linear.hidden = Some(Dense {
            inputs,
            weight: vec![-3e38; 2 * inputs],
            bias: vec![0.0; 2],
        });
        linear.output.inputs = 2;
        linear.output.weight = vec![0.5; 2 * bins];
    }
    save(&head, &at.join("hidden.safetensors"));
    let args = [
        "depth",
        as_text(&room),
        "--head",
        "hidden.safetensors",
        "--size",
        "56",
    ];
    dino_with_model(at, &args)
        .expect_code(1)
        .expect_stderr("the head made-up gave numbers that are not finite");
}

#[test]
fn weights_that_are_no_numbers_are_refused_with_their_tensor() {
    // A store of its own, with one number of the real weights spoilt.
    let home = tempdir().unwrap();
    let models = home.path().join("models");
    fs::create_dir(&models).unwrap();
    let of = |folder: &Path, ending: &str| folder.join(format!("vits14-focus.{ending}"));
    let real = store_with_focus().join("models");
    fs::copy(of(&real, "json"), of(&models, "json")).unwrap();
    let mut bytes = fs::read(of(&real, "safetensors")).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(of(&models, "safetensors"), bytes).unwrap();
    let folder = tempdir().unwrap();
    for args in [
        &["pca", "room.jpg", "--size", "56"][..],
        &["depth", "room.jpg", "--size", "56"],
        &["segment", "room.jpg", "--size", "56"],
    ] {
        fs::copy(sample("room.jpg"), folder.path().join("room.jpg")).unwrap();
        let mut command = command(args);
        command
            .current_dir(folder.path())
            .env("DINO_HOME", home.path());
        let run = finish(&mut command, b"").expect_code(1);
        let run = run.expect_stderr("vits14-focus.safetensors: 1 of the ");
        run.expect_stderr("are not finite");
        assert!(!folder.path().join("dino-out").exists());
    }
}

#[test]
fn one_photo_too_large_does_not_take_the_others_with_it() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let (small, large) = (
        photo(at, "a.png", (90, 60)),
        photo(at, "b.png", (6000, 5000)),
    );
    let other = photo(at, "c.png", (60, 90));
    for command in [
        &["pca"][..],
        &["depth"],
        &["segment"],
        &["segment", "--clusters", "2"],
        &["attention"],
    ] {
        let out = format!("out-{}", command.join(""));
        let args = [
            command,
            &[
                &*small,
                &*large,
                &*other,
                "--size",
                "56",
                "-o",
                &out,
                "--max-memory",
                "60M",
            ],
        ];
        let run = dino_with_model(at, &args.concat()).expect_code(1);
        let run = run.expect_stderr("b.png: needs about ");
        assert!(
            run.stderr.contains("photos may take 63 MB"),
            "{}",
            run.stderr
        );
        assert_eq!(files_below(&at.join(&out)).len(), 2, "{command:?}");
    }
    let args = ["depth", &small, "--max-memory", "lots"];
    dino_with_model(at, &args)
        .expect_code(2)
        .expect_stderr("expected a size such as 4G");
}

#[cfg(target_os = "linux")]
#[test]
fn a_shell_s_limit_is_kept_to() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    photo(at, "a.png", (90, 60));
    photo(at, "b.png", (9000, 8000));
    photo(at, "c.png", (60, 90));
    let program = env!("CARGO_BIN_EXE_dino");
    let script =
        format!("ulimit -v 700000; exec {program} --threads 2 depth --size 56 a.png b.png c.png");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(at)
        .env("DINO_HOME", store_with_focus());
    let run = finish(&mut shell, b"").expect_code(1);
    let run = run.expect_stderr("b.png: needs about ");
    assert!(!run.stderr.contains("allocation"), "{}", run.stderr);
    assert_eq!(
        files_below(&at.join("dino-out")),
        ["a.depth.png", "c.depth.png"]
    );
    // Of a strip, the tables for resizing are the larger part.
    photo(at, "d.png", (1, 12_000_000));
    let script = format!("ulimit -v 700000; exec {program} --threads 2 pca --size 56 d.png c.png");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(at)
        .env("DINO_HOME", store_with_focus());
    let run = finish(&mut shell, b"").expect_code(1);
    assert!(!run.stderr.contains("allocation"), "{}", run.stderr);
    assert!(run.stderr.contains("d.png: "), "{}", run.stderr);
    assert!(at.join("dino-out/c.pca.png").exists(), "{}", run.stderr);
}

/// Peak of a run in bytes, by the system's books, and what it said.
#[cfg(target_os = "linux")]
fn peak_of(folder: &Path, args: &[&str]) -> (u64, Run) {
    let program = env!("CARGO_BIN_EXE_dino");
    // The shell's own child is the only one, so that its `VmHWM` is asked for in time by the program itself.
    let mut command = Command::new("sh");
    let script = "\"$@\" & child=$!; high=0; while [ -r /proc/$child/status ]; do \
                  now=$(sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$child/status 2>/dev/null); \
                  [ -n \"$now\" ] && high=$now; sleep 0.01; done; wait $child; code=$?; echo peak $high; exit $code";
    command.args(["-c", script, "sh", program]).args(args);
    command
        .current_dir(folder)
        .env("DINO_HOME", store_with_focus());
    let run = finish(&mut command, b"");
    let peak = run
        .lines()
        .iter()
        .find_map(|line| line.strip_prefix("peak ")?.parse::<u64>().ok());
    (peak.unwrap() * 1024, run)
}

/// What `-v` says that a photo takes, in bytes.
#[cfg(target_os = "linux")]
fn promised(run: &Run) -> u64 {
    let text = run.stderr.split("up to ").nth(1).unwrap();
    let mut words = text.split_whitespace();
    let number: f64 = words.next().unwrap().parse().unwrap();
    let unit = match words.next().unwrap() {
        "MB" => 1e6,
        "GB" => 1e9,
        other => panic!("{other}"),
    };
    (number * unit) as u64
}

#[cfg(target_os = "linux")]
#[test]
fn a_photo_takes_no_more_memory_than_is_said() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let large = photo(at, "large.jpg", (8000, 6000));
    let small = photo(at, "small.jpg", (90, 60));
    for command in [
        &["depth"][..],
        &["depth", "--save", "npy,pfm"],
        &["depth", "--side-by-side"],
        &["segment"],
        &["pca"],
        &["similar", "--at", "5,5"],
    ] {
        let run = |photo: &str| {
            let args = [
                command,
                &[photo, "--size", "56", "-v", "--force", "--threads", "2"],
            ]
            .concat();
            let (peak, run) = peak_of(at, &args);
            (peak, run.expect_code(0))
        };
        let (base, _) = run(&small);
        let (peak, said) = run(&large);
        let (own, most) = (peak.saturating_sub(base), promised(&said));
        assert!(own <= most + (16 << 20), "{command:?}: {own} of {most}");
        // Nor is it told to be far more than it is.
        assert!(most <= 3 * own, "{command:?}: {own} of {most}");
        // 48 megapixels of depth as floats would be 192 MB more.
        if command == ["depth"] {
            assert!(own < 48_000_000 * 9, "{own}");
        }
    }
}

#[test]
fn what_is_no_image_is_not_read_to_its_end() {
    let folder = tempdir().unwrap();
    let mut command = command(&["pca", "-", "-o", "out"]);
    command
        .current_dir(folder.path())
        .env("DINO_HOME", store_with_focus())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // As much as used to be taken in would take minutes here.
    let chunk = vec![b'y'; 1 << 20];
    let mut sent = 0u64;
    while std::io::Write::write_all(&mut stdin, &chunk).is_ok() {
        sent += 1;
        assert!(sent < 64, "it goes on reading");
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("<stdin>: is not an image"));
}

#[cfg(unix)]
mod signals {
    use super::*;

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

    /// Waits until `folder` holds `name`.
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
}

#[cfg(unix)]
#[test]
fn what_a_killed_run_left_is_swept_by_the_next() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let small = photo(at, "a.png", (90, 60));
    let out = at.join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join(".dino-a1B2c3.part"), "half a picture").unwrap();
    fs::create_dir(out.join(".dino-d4E5f6.part")).unwrap();
    fs::write(out.join(".dino-d4E5f6.part/mask.png"), "half a mask").unwrap();
    // That of a program that lives.
    let held = fs::File::create(out.join(".dino-g7H8i9.part")).unwrap();
    held.lock().unwrap();
    fs::write(out.join("notes.part"), "somebody's").unwrap();
    dino_with_model(at, &["pca", &small, "--size", "56", "-o", "out"]).expect_code(0);
    assert_eq!(
        files_below(&out),
        [".dino-g7H8i9.part", "a.pca.png", "notes.part"]
    );
    drop(held);
    // Where all is there, too.
    dino_with_model(at, &["pca", &small, "--size", "56", "-o", "out"]).expect_code(0);
    assert_eq!(files_below(&out), ["a.pca.png", "notes.part"]);
}

#[test]
fn files_that_options_name_are_replaced_by_force_alone() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let small = photo(at, "a.png", (90, 60));
    let other = photo(at, "b.png", (60, 90));
    fs::write(at.join("mine"), "precious").unwrap();
    let size = ["--size", "56"];
    let runs: [&[&str]; 3] = [
        &["pca", &small, "--save-basis", "mine"],
        &[
            "segment",
            &small,
            "--clusters",
            "2",
            "--save-codebook",
            "mine",
        ],
        &["bench", "--runs", "1", "--json", "mine"],
    ];
    for args in runs {
        let refused = dino_with_model(at, &[args, &size[..]].concat()).expect_code(2);
        refused.expect_stderr("mine is there already; --force replaces it");
        assert_eq!(fs::read(at.join("mine")).unwrap(), b"precious", "{args:?}");
    }
    for args in runs {
        let run = dino_with_model(at, &[args, &size[..], &["--force"]].concat()).expect_code(0);
        assert!(
            run.lines().contains(&"mine".to_owned()),
            "{:?}",
            run.lines()
        );
        assert_ne!(fs::read(at.join("mine")).unwrap(), b"precious", "{args:?}");
        fs::write(at.join("mine"), "precious").unwrap();
    }
    // What is read is not replaced by any force.
    let before = fs::read(at.join("b.png")).unwrap();
    let args = [
        "pca",
        &small,
        &other,
        "--save-basis",
        &other,
        "--force",
        "--size",
        "56",
    ];
    dino_with_model(at, &args)
        .expect_code(2)
        .expect_stderr("is an input");
    assert_eq!(fs::read(at.join("b.png")).unwrap(), before);
    // A head is an input too.
    save(&depth_head(0.0), &at.join("toy.safetensors"));
    let before = fs::read(at.join("toy.safetensors")).unwrap();
    for args in [
        &[
            "depth",
            "--head",
            "toy.safetensors",
            "-o",
            "toy.safetensors",
        ][..],
        &[
            "segment",
            "--head",
            "toy.safetensors",
            "--coco",
            "toy.safetensors",
        ],
        &["pca", "--basis", "mine", "--save-basis", "mine"],
    ] {
        let args = [args, &[&*small, "--force", "--size", "56"]].concat();
        let run = dino_with_model(at, &args);
        assert_ne!(run.status.code(), Some(0), "{args:?}: {}", run.stderr);
        assert_eq!(fs::read(at.join("toy.safetensors")).unwrap(), before);
        assert_eq!(fs::read(at.join("mine")).unwrap(), b"precious");
    }
}

#[test]
fn wrong_wishes_are_found_before_the_work() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    crate::train::ramps(&at.join("toy"), 8);
    let train = |more: &[&str]| {
        let args = [
            &[
                "train",
                "depth",
                "toy",
                "-o",
                "x.safetensors",
                "--size",
                "56",
            ][..],
            more,
        ];
        dino_with_model(at, &args.concat()).expect_code(2)
    };
    let run = train(&["--best-by", "rmze"]);
    let run = run.expect_stderr("--best-by rmze: there is no such figure; did you mean `rmse`?");
    assert!(!run.stderr.contains("are computed"), "{}", run.stderr);
    let run = train(&["--best-by", "rmse", "--val-split", "none"]);
    run.expect_stderr("no photo is kept out");
    fs::write(at.join("x.log.json"), "a user's").unwrap();
    train(&[]).expect_stderr("x.log.json is there already");
    let small = photo(at, "a.png", (90, 60));
    for args in [
        &["depth", &*small, "--at", "90,0"][..],
        &["similar", &*small, "--at", "0,60"],
    ] {
        let run = dino_with_model(at, args).expect_code(1);
        let run = run.expect_stderr("lies outside of the photo, which is 90 x 60 pixels");
        assert!(
            !run.stderr.contains("vits14-focus on"),
            "no model is loaded: {}",
            run.stderr
        );
    }
    for (args, variable) in [(&["--threads", "9999"][..], None), (&[], Some("9999"))] {
        let mut command = command(&[&["pca", &*small][..], args].concat());
        command.current_dir(at).env("DINO_HOME", store_with_focus());
        if let Some(value) = variable {
            command.env("RAYON_NUM_THREADS", value);
        }
        let run = finish(&mut command, b"").expect_code(2);
        run.expect_stderr("9999: expected 1 to ");
    }
}

#[test]
fn exit_codes_tell_the_command_line_from_the_world() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("empty")).unwrap();
    let small = photo(at, "a.png", (90, 60));
    let code = |args: &[&str]| {
        let run = dino_with_model(at, args);
        assert!(!run.stderr.is_empty());
        run.code()
    };
    // Alone or beside others, what is missing is missing.
    for missing in ["nosuch.jpg", "empty", "x/*.jpg"] {
        assert_eq!(code(&["pca", missing, "--size", "56"]), 1, "{missing}");
        assert_eq!(
            code(&["pca", &small, missing, "--size", "56", "--force"]),
            1,
            "{missing}"
        );
    }
    for world in [
        &["depth", &*small, "--head", "nosuch"][..],
        &["depth", &*small, "--head", "nosuch.safetensors"],
        &["depth", &*small, "--model", "nosuch", "--offline"],
        &["pca", &*small, "--basis", "nosuch", "--force"],
        &["heads", "rm", "nosuch"],
        &["models", "rm", "nosuch"],
        &["eval", "depth", "nosuch"],
        &["train", "depth", "empty", "-o", "x.safetensors"],
    ] {
        assert_eq!(code(world), 1, "{world:?}");
    }
    for line in [
        &["depth", &*small, "--nosuch"][..],
        &["depth", &*small, "--size", "none"],
        &["depth", &*small, "--depth-scale", "256", "--save", "npy"],
        &["segment", &*small, "--classes", "dgo"],
        &["models", "pull", "nosuch"],
        &["heads", "pull", "nosuch"],
        &["heads", "pull", "indoor"],
        &["heads", "rm", "indoor"],
        &["train", "depth", "empty", "-o", "x.txt"],
    ] {
        assert_eq!(code(line), 2, "{line:?}");
    }
}

#[test]
fn names_of_classes_are_asked_about() {
    let folder = tempdir().unwrap();
    let small = photo(folder.path(), "a.png", (90, 60));
    let run = dino_with_model(folder.path(), &["segment", &small, "--classes", "dgo"]);
    run.expect_code(2)
        .expect_stderr("no class `dgo`; did you mean `dog`");
}

#[test]
fn each_model_has_a_peak_of_its_own() {
    let folder = tempdir().unwrap();
    let args = [
        "bench",
        "--models",
        "vitb14,dino-vits16",
        "--size",
        "56",
        "--runs",
        "1",
        "--json",
        "-",
    ];
    let run = dino_with_model(folder.path(), &args).expect_code(0);
    let rows: Vec<Value> = serde_json::from_slice(&run.stdout).unwrap();
    let peak = |row: usize| rows[row]["peak_rss_mb"].as_f64();
    // Where the system cannot forget a peak, the second says nothing rather than the first one's.
    match (peak(0), peak(1)) {
        (Some(large), Some(small)) => assert!(small < 0.6 * large, "{small} of {large}"),
        (_, none) => assert_eq!(none, None),
    }
}

#[test]
fn spreads_are_those_that_were_calibrated() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let room = sample("room.jpg");
    let args = [
        "depth",
        as_text(&room),
        "--json",
        "--save",
        "npy",
        "--uncertainty",
        "--at",
        "100,100",
    ];
    let run = dino_with_model(at, &args).expect_code(0);
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let calibration = &report["std_calibration"];
    let share = calibration["coverage"].as_f64().unwrap();
    assert!((0.66..0.70).contains(&share), "{share}");
    assert!(calibration["uncalibrated"].as_f64().unwrap() > 0.95);
    let std = report["at"][0]["std"].as_f64().unwrap();
    assert!(std > 0.0 && std < 1.5, "{std}");
    // A head that nobody calibrated says so.
    save(&depth_head(0.0), &at.join("toy.safetensors"));
    let args = [
        "depth",
        as_text(&room),
        "--head",
        "toy.safetensors",
        "--uncertainty",
        "--force",
    ];
    dino_with_model(at, &args)
        .expect_code(0)
        .expect_stderr("was not calibrated");
}

#[test]
fn written_files_are_all_named() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    crate::train::ramps(&at.join("toy"), 8);
    let args = [
        "train",
        "depth",
        "toy",
        "-o",
        "x.safetensors",
        "--size",
        "56",
        "--cache",
        "cache",
        "--epochs",
        "2",
        "--blocks",
        "11",
        "--range",
        "0.5,5",
        "--bins",
        "8",
    ];
    let run = dino_with_model(at, &args).expect_code(0);
    assert_eq!(run.lines(), ["x.safetensors", "x.log.json", "x.curve.png"]);
    let args = [
        "eval",
        "depth",
        "toy",
        "--head",
        "x.safetensors",
        "--json",
        "f.json",
        "-o",
        "report",
    ];
    let run = dino_with_model(at, &args).expect_code(0);
    for name in ["f.json", "report/files.csv"] {
        assert!(run.lines().contains(&name.to_owned()), "{:?}", run.lines());
    }
    dino_with_model(at, &args)
        .expect_code(2)
        .expect_stderr("--force replaces it");
    dino_with_model(at, &[&args[..], &["--force"]].concat()).expect_code(0);
}
