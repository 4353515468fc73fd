use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

/// A folder with the file `in.jpg`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("in.jpg"), "photo").unwrap();
    folder
}

fn add(outputs: &mut OutputRegistry, path: &Path) -> Result<Destination, String> {
    outputs
        .add(path, OutputKind::File, true)
        .map_err(|error| error.to_string())
}

#[test]
fn an_input_is_known_by_whatever_name() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    symlink("in.jpg", at("link")).unwrap();
    fs::hard_link(at("in.jpg"), at("hard")).unwrap();
    symlink(".", at("here")).unwrap();
    for name in ["in.jpg", "link", "hard", "./in.jpg", "here/here/in.jpg"] {
        let input = at("in.jpg");
        let mut outputs = OutputRegistry::new([input.as_path()]);
        let error = add(&mut outputs, &at(name)).unwrap_err();
        assert!(
            error.contains(&format!("{} is an input", at(name).display())),
            "{error}"
        );
    }
}

#[test]
fn two_outputs_of_a_run_are_two_files() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    symlink("new", at("link")).unwrap();
    symlink(".", at("here")).unwrap();
    for (one, other) in [
        ("new", "link"),
        ("new", "here/new"),
        ("here/deep/x", "deep/x"),
    ] {
        let mut outputs = OutputRegistry::default();
        add(&mut outputs, &at(one)).unwrap();
        add(&mut outputs, &at("third")).unwrap();
        let error = add(&mut outputs, &at(other)).unwrap_err();
        assert!(error.contains("one and the same"), "{error}");
    }
    let mut outputs = OutputRegistry::default();
    assert_eq!(
        outputs.add_flag("--json", Path::new("-"), false).unwrap(),
        Destination::Stdout
    );
    assert!(outputs.add_flag("--json", Path::new("-"), false).is_err());
    // Several outputs may go to a device.
    for _ in 0..2 {
        assert!(add(&mut outputs, Path::new("/dev/null")).is_ok());
    }
}

#[test]
fn what_is_no_file_is_never_there_already() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    for path in [&pipe, Path::new("/dev/null")] {
        let found = OutputRegistry::default().add(path, OutputKind::File, false);
        assert_eq!(found.unwrap(), Destination::File(path.into()));
    }
    let there = folder.path().join("in.jpg");
    let found = OutputRegistry::default().add(&there, OutputKind::File, false);
    assert_eq!(found.unwrap(), Destination::Existing(there));
}

#[test]
fn what_cannot_be_written_is_found_and_named() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("dir")).unwrap();
    let readonly = at("readonly");
    fs::write(&readonly, "").unwrap();
    fs::set_permissions(&readonly, fs::Permissions::from_mode(0o444)).unwrap();
    let long = "n".repeat(256);
    let deep = ["d".repeat(250).as_str(); 17].join("/");
    for (name, why) in [
        ("dir", "dir: is a folder"),
        ("dir/", "dir/: is a folder"),
        ("new/", "new/: is a folder"),
        ("new/.", "new/.: is a folder"),
        ("dir/..", "is a folder"),
        ("in.jpg/x.json", "in.jpg: not a directory"),
        ("in.jpg/deep/x.json", "in.jpg: not a directory"),
        ("readonly", "readonly: is read-only"),
        (long.as_str(), "too long for the file system"),
        (&format!("not/yet/{long}/x"), "too long for the file system"),
        (&format!("{deep}/x"), "too long for the file system"),
    ] {
        let error = add(&mut OutputRegistry::default(), &at(name)).unwrap_err();
        assert!(error.contains(why), "{name:.60}: {error}");
    }
    // The temporary file needs a few bytes more than `x` does.
    let mut path = folder.path().to_owned();
    while path.as_os_str().len() < 3800 {
        path.push("d".repeat(100));
    }
    path.push("d".repeat(4090 - path.as_os_str().len() - 1));
    let error = add(&mut OutputRegistry::default(), &path.join("x")).unwrap_err();
    assert!(error.contains("too long"), "{error}");
    assert!(!at("new").exists() && !at("not").exists());
}

#[test]
fn a_folder_is_no_file_and_a_file_is_no_folder() {
    let folder = folder();
    let mut outputs = OutputRegistry::default();
    let masks = folder.path().join("masks");
    let found = outputs.add(&masks, OutputKind::Folder, false).unwrap();
    assert_eq!(found, Destination::File(masks.clone()));
    fs::create_dir(&masks).unwrap();
    let add = |force| {
        OutputRegistry::default()
            .add(&masks, OutputKind::Folder, force)
            .unwrap()
    };
    assert_eq!(add(false), Destination::Existing(masks.clone()));
    assert_eq!(add(true), Destination::File(masks.clone()));
    for path in [folder.path().join("in.jpg"), "/dev/null".into()] {
        let error = OutputRegistry::default()
            .add(&path, OutputKind::Folder, true)
            .unwrap_err();
        assert!(error.to_string().contains("is no folder"), "{error}");
    }
}
