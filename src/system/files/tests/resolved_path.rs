use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::system::files::{write_atomic, write_folder_atomic};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A pipe, or as root a node of another kind, made in a folder of the test's own.
fn node(path: &Path, more: &[&str]) -> bool {
    let made = Command::new("mknod").arg(path).args(more).output();
    made.is_ok_and(|output| output.status.success())
}

fn write(path: &Path, text: &str) -> Result<()> {
    write_atomic(path, |writer| writer.write_all(text.as_bytes()))
}

#[test]
fn links_stay_and_their_target_is_replaced() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("real")).unwrap();
    fs::write(at("real/file"), "old").unwrap();
    // Relative to the link's own folder, through another link, and absolute.
    symlink("real/file", at("first")).unwrap();
    symlink(at("first"), at("second")).unwrap();
    write(&at("second"), "new").unwrap();
    assert_eq!(fs::read(at("real/file")).unwrap(), b"new");
    for link in ["first", "second"] {
        assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink());
    }
    assert_eq!(fs::read_dir(at("real")).unwrap().count(), 1);
}

#[test]
fn a_link_that_dangles_makes_its_target_but_no_folder_above_it() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    symlink("not/yet/file", at("link")).unwrap();
    let error = write(&at("link"), "new").unwrap_err().to_string();
    assert!(error.contains("link: is a link to "), "{error}");
    assert!(error.contains("not/yet/file, whose folder"), "{error}");
    assert!(!at("not").exists());
    fs::create_dir_all(at("not/yet")).unwrap();
    write(&at("link"), "new").unwrap();
    assert_eq!(fs::read(at("not/yet/file")).unwrap(), b"new");
    // A folder that is such a link, too.
    symlink("elsewhere/deep", at("folder")).unwrap();
    assert!(write(&at("folder/sub/file"), "new").is_err());
    assert!(!at("elsewhere").exists());
    fs::create_dir(at("elsewhere")).unwrap();
    write(&at("folder/sub/file"), "new").unwrap();
    assert_eq!(fs::read(at("elsewhere/deep/sub/file")).unwrap(), b"new");
    assert!(fs::symlink_metadata(at("folder")).unwrap().is_symlink());
}

#[test]
fn links_in_a_circle_are_an_error_with_a_name() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    symlink("b", at("a")).unwrap();
    symlink("a", at("b")).unwrap();
    let error = write(&at("a"), "x").unwrap_err().to_string();
    assert!(error.contains("/a: its links lead in a circle"), "{error}");
    let error = write(&at("a/below"), "x").unwrap_err().to_string();
    assert!(error.contains("/a/below: "), "{error}");
}

#[test]
fn a_folder_of_files_is_replaced_behind_its_link_unless_it_holds_what_is_not_ours() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("real/masks")).unwrap();
    symlink("real/masks", at("link")).unwrap();
    let fill = |name: &'static str| {
        move |folder: &Path| write(&folder.join(name), "tEXtSoftware\0dino 0.1.0")
    };
    write_folder_atomic(&at("link"), fill("first.png")).unwrap();
    write_folder_atomic(&at("link"), fill("second.png")).unwrap();
    assert!(at("real/masks/second.png").is_file() && !at("real/masks/first.png").exists());
    assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(at("real")).unwrap().count(), 1);
    fs::write(at("real/masks/holiday.jpg"), "mine").unwrap();
    let error = write_folder_atomic(&at("link"), fill("third.png")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("holiday.jpg in it was not made by dino"),
        "{error}"
    );
    assert_eq!(fs::read(at("real/masks/holiday.jpg")).unwrap(), b"mine");
    fs::write(at("file"), "").unwrap();
    assert!(write_folder_atomic(&at("file"), fill("x.png")).is_err());
}

#[test]
fn a_pipe_is_written_into_and_stays() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    assert!(node(&pipe, &["p"]));
    let link = folder.path().join("link");
    symlink("pipe", &link).unwrap();
    for path in [&pipe, &link] {
        let from = pipe.clone();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            File::open(from).unwrap().read_to_string(&mut text).unwrap();
            text
        });
        write(path, "through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
    }
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    // A failed encoder sends nothing and does not wait for a reader.
    let failed = write_atomic(&pipe, |_| Err(io::Error::other("no")));
    assert!(failed.is_err());
}

#[test]
fn a_socket_gets_what_its_listener_expects() {
    use std::os::unix::net::UnixListener;
    let folder = folder();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_string(&mut text)
            .unwrap();
        text
    });
    write(&path, "through").unwrap();
    assert_eq!(reader.join().unwrap(), "through");
}

#[test]
fn devices_stay_devices() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    if !node(&at("null"), &["c", "1", "3"]) || !node(&at("full"), &["c", "1", "7"]) {
        // Only root makes devices.
        return;
    }
    let is_device = |name| {
        fs::symlink_metadata(at(name))
            .unwrap()
            .file_type()
            .is_char_device()
    };
    if File::options().write(true).open(at("null")).is_ok() {
        write(&at("null"), "gone").unwrap();
        let error = write(&at("full"), "x").unwrap_err().to_string();
        assert!(error.ends_with("full: no space left on device"), "{error}");
    }
    assert!(is_device("null") && is_device("full"));
    assert!(node(&at("disk"), &["b", "7", "250"]));
    let error = write(&at("disk"), "x").unwrap_err().to_string();
    assert!(error.contains("disk: is a disk (block device)"), "{error}");
    assert!(
        fs::symlink_metadata(at("disk"))
            .unwrap()
            .file_type()
            .is_block_device()
    );
}

#[test]
fn a_folder_and_a_missing_name_are_errors() {
    let folder = folder();
    let error = write(folder.path(), "x").unwrap_err().to_string();
    assert!(
        error.ends_with("is a folder, where a file is meant"),
        "{error}"
    );
    assert!(matches!(write(Path::new(""), "x"), Err(Error::Usage(_))));
}

#[cfg(target_os = "linux")]
#[test]
fn descriptors_that_the_program_opened_itself_are_not_those_of_the_shell() {
    use std::os::fd::AsRawFd;
    let folder = folder();
    let path = folder.path().join("own");
    let own = File::create(&path).unwrap();
    for name in ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"] {
        let name = format!("{name}/{}", own.as_raw_fd());
        let error = write(Path::new(&name), "x").unwrap_err().to_string();
        assert!(error.contains("no such descriptor was opened"), "{error}");
        assert!(write(Path::new("/dev/fd/987"), "x").is_err());
    }
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn a_file_keeps_the_mode_of_the_one_it_replaces() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let folder = folder();
    let path = folder.path().join("shared");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let is_root = chown(&path, Some(12345), Some(12346)).is_ok();
    let other = folder.path().join("other name");
    fs::hard_link(&path, &other).unwrap();
    write(&path, "new").unwrap();
    let met = fs::metadata(&path).unwrap();
    assert_eq!(met.mode() & 0o7777, 0o640);
    if is_root {
        assert_eq!((met.uid(), met.gid()), (12345, 12346));
    }
    assert_eq!(fs::read(other).unwrap(), b"old");
}
