//! Wrong command lines: found before the work starts, told apart from other failures by the exit code, with a
//! suggestion for misspelt class names.

use std::fs;

use tempfile::tempdir;

use super::photo;
use crate::program::{command, dino_with_model, finish, store_with_focus};

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
