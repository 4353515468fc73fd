//! Lists of photos as inputs of the built program.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::program::{Run, command, finish, folder_of, store_with_focus};
use crate::results::names_in_dino_out;

/// A temporary folder with this photo under these names.
pub fn photos(names: &[&str]) -> TempDir {
    let photos: Vec<(&str, &str)> = names.iter().map(|name| (*name, "room.jpg")).collect();
    folder_of(&photos)
}

/// Runs `dino depth` on small inputs in `folder`, with `input` on stdin.
pub fn depth_of(folder: &Path, args: &[&str], input: &[u8]) -> Run {
    let mut command = command(&["depth", "--offline", "--size", "56"]);
    command
        .args(args)
        .current_dir(folder)
        .env("DINO_HOME", store_with_focus());
    finish(&mut command, input)
}

#[test]
fn a_list_is_read_from_a_file_and_from_stdin_beside_inputs() {
    let folder = photos(&["x/a b.jpg", "y/a b.jpg", "z.jpg"]);
    fs::write(
        folder.path().join("list.txt"),
        "\u{feff}x/a b.jpg\r\n\r\ny/none.jpg\r\n./y/../y/a b.jpg",
    )
    .unwrap();
    let run = depth_of(
        folder.path(),
        &["z.jpg", "--files-from", "list.txt", "--json"],
        b"",
    );
    let run = run
        .expect_code(1)
        .expect_stderr("y/none.jpg: no such file or folder (line 3 of list.txt)")
        .expect_stderr("1 of 4 inputs failed");
    let lines = run.lines();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(
        lines[0].contains("z.jpg") && lines[2].contains("\"failed\""),
        "{lines:?}"
    );
    let expected = ["x/a b.depth.png", "y/a b.depth.png", "z.depth.png"];
    assert_eq!(names_in_dino_out(&folder), expected);
    let again = depth_of(
        folder.path(),
        &["--files-from", "-", "-0"],
        b"x/a b.jpg\0z.jpg\0",
    );
    again
        .expect_code(0)
        .expect_stderr("2 already there, skipped");
}

#[test]
fn what_cannot_be_a_list_is_refused() {
    let folder = photos(&["a.jpg"]);
    let run = |args: &[&str], input: &[u8]| depth_of(folder.path(), args, input);
    run(&["-", "--files-from", "-"], b"a.jpg\n")
        .expect_code(2)
        .expect_stderr("takes standard input");
    run(&["--files-from", "a.jpg"], b"")
        .expect_code(1)
        .expect_stderr("a.jpg: is a picture");
    run(&["--files-from", "none"], b"")
        .expect_code(1)
        .expect_stderr("none: no such file");
    // The others go on.
    run(&["a.jpg", "--files-from", "none"], b"")
        .expect_code(1)
        .expect_stderr("1 of 2 inputs failed");
    run(&[], b"").expect_code(2).expect_stderr("required");
    run(&["a.jpg", "-0"], b"")
        .expect_code(2)
        .expect_stderr("--files-from");
}
