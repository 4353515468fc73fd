use std::thread;

use super::*;

#[test]
fn threads_and_manifests_append_to_one_file() {
    let scene = Scene::new();
    let manifests = [scene.open(), scene.open()];
    scene.write("made");
    let run = |manifest: &Manifest, name: &str| {
        for number in 0..200 {
            let entry = ManifestEntry {
                input: format!("/photos/{name}-{number}.jpg").into(),
                outputs: vec![],
                facts: json!({"long": "x".repeat(number * 50)})
                    .as_object()
                    .unwrap()
                    .clone(),
                ..scene.entry("a")
            };
            manifest.finish(&entry, |_| None).unwrap();
        }
    };
    thread::scope(|scope| {
        for (number, manifest) in manifests.iter().enumerate() {
            for thread in 0..2 {
                scope.spawn(move || run(manifest, &format!("{number}-{thread}")));
            }
        }
    });
    assert_eq!(scene.text().lines().count(), 800);
    let manifest = scene.open();
    for input in ["0-0-199.jpg", "0-1-0.jpg", "1-0-7.jpg", "1-1-199.jpg"] {
        assert!(
            manifest
                .photo_stamp(&Path::new("/photos").join(input))
                .is_some(),
            "{input}"
        );
    }
}

#[test]
fn torn_last_lines_are_dropped_and_nothing_is_glued_to_them() {
    for torn in [
        r#"{"format":1,"state":"do"#.as_bytes(),
        b"{",
        b"{\"format\":1,\"input\":\"caf\xc3",
        b"\0\0\0\0",
        b"\0\0\0\0\n",
        b"<<<<<<< ours\n",
    ] {
        let scene = Scene::new();
        scene.make("a");
        scene.append(torn);
        assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
        scene.make("b");
        assert_eq!(scene.standing("b"), OutputFreshness::Fresh);
        // And again.
        scene.append(torn);
        scene.make("c");
        scene.make("d");
        assert_eq!(scene.standing("d"), OutputFreshness::Fresh);
    }
}

#[test]
fn a_line_that_lacks_but_its_end_counts() {
    let scene = Scene::new();
    scene.make("a");
    let text = scene.text();
    let path = scene.folder.join(MANIFEST_FILE);
    fs::write(&path, text.trim_end()).unwrap();
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
    scene.open().begin(&scene.entry("b")).unwrap();
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
    assert!(scene.text().starts_with(&text));
}

#[test]
fn a_line_that_another_process_left_unfinished_is_mended() {
    let scene = Scene::new();
    let manifest = scene.open();
    manifest.begin(&scene.entry("a")).unwrap();
    scene.append(r#"{"format":1,"#);
    scene.write("made by a");
    manifest.finish(&scene.entry("a"), |_| None).unwrap();
    assert!(
        scene
            .text()
            .contains("\n{\"format\":1,\n\n{\"format\":2,\"state\":\"done\"")
    );
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
    scene.write("painted over");
    assert_eq!(scene.standing("a"), OutputFreshness::Foreign);
}

#[test]
fn other_lines_that_are_none_are_errors() {
    let scene = Scene::new();
    scene.make("a");
    let good = scene.text();
    let path = scene.folder.join(MANIFEST_FILE);
    for (text, line, why) in [
        (format!("{good}{{\"format\":1\n{good}"), "line 3", "EOF"),
        (
            format!("oops\n{good}"),
            "line 1",
            "expected value at column 1",
        ),
        ("{\"a\":1}\n".into(), "line 1", "missing field"),
        (good.replace("done", "lost"), "line 2", "unknown variant"),
        (
            good.replace("\"recipe\":\"", "\"recipe\":\"x"),
            "line 1",
            "64 hex digits",
        ),
        (
            format!("{good}{{\"format\":3}}\n"),
            "line 3",
            "use that one, or choose another",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let error = scene.error();
        assert!(error.contains(line) && error.contains(why), "{error}");
        assert!(error.contains("another output folder"), "{error}");
        assert!(!error.contains("at line"), "{error}");
    }
    fs::write(&path, good.replace('\n', "\r\n")).unwrap();
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
}

#[test]
fn a_manifest_that_is_no_regular_file_is_refused() {
    let scene = Scene::new();
    fs::create_dir_all(scene.folder.join(MANIFEST_FILE)).unwrap();
    assert!(scene.error().contains("is no regular file"));
    fs::remove_dir_all(&scene.folder).unwrap();
    fs::write(&scene.folder, "a file").unwrap();
    assert!(Manifest::open(&scene.folder).is_err());
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let scene = Scene::new();
    fs::create_dir_all(&scene.folder).unwrap();
    let pipe = scene.folder.join(MANIFEST_FILE);
    let made = std::process::Command::new("mkfifo").arg(pipe).status();
    assert!(made.unwrap().success());
    assert!(scene.error().contains("is no regular file"));
}

#[cfg(unix)]
#[test]
fn what_cannot_be_appended_to_is_refused_at_once() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    scene.make("a");
    let path = scene.folder.join(MANIFEST_FILE);
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode
    };
    set(&path, 0o444);
    // Root may write everywhere.
    if File::options().append(true).open(&path).is_err() {
        assert!(scene.error().contains("permission denied"));
        fs::remove_file(&path).unwrap();
        set(&scene.folder, 0o555);
        let error = Manifest::open(&scene.folder).unwrap_err().to_string();
        set(&scene.folder, 0o755);
        assert!(error.contains("permission denied"), "{error}");
    }
}

#[test]
fn many_lines_are_read() {
    let scene = Scene::new();
    scene.make("a");
    let line = scene.text().lines().last().unwrap().to_owned() + "\n";
    let lines = (0..20_000).map(|number| line.replace("a_depth", &number.to_string()));
    scene.append(lines.collect::<String>());
    let manifest = scene.open();
    assert_eq!(manifest.index().len(), 20_001);
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
}
