//! What is there already is what would be made again, or it is made again, or it is refused: never skipped by its name
//! alone.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{
    Run, command, dino_with_model, files_below, finish, folder_of, read, sample, store_with_focus,
};

fn run(folder: &TempDir, args: &[&str]) -> Run {
    dino_with_model(folder.path(), &[args, &["--size", "56"]].concat())
}

fn modified(folder: &TempDir, name: &str) -> SystemTime {
    let met = fs::metadata(folder.path().join(name)).unwrap();
    met.modified().unwrap()
}

/// What a fresh folder would have.
fn fresh(folder: &TempDir, args: &[&str], name: &str) -> Vec<u8> {
    let other = tempfile::tempdir().unwrap();
    let out = other.path().to_str().unwrap();
    run(folder, &[args, &["-o", out]].concat()).expect_code(0);
    fs::read(other.path().join(name)).unwrap()
}

#[test]
fn what_was_made_in_this_way_is_skipped_and_what_was_not_is_made_again() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    let picture = "dino-out/a.depth.png";
    let usual = ["depth", "a.jpg"];
    run(&folder, &usual).expect_code(0);
    let first = modified(&folder, picture);
    run(&folder, &usual)
        .expect_code(0)
        .expect_stderr("1 already there, skipped");
    // A touched photo is the same photo.
    let photo = fs::File::options()
        .append(true)
        .open(folder.path().join("a.jpg"))
        .unwrap();
    photo.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    run(&folder, &usual).expect_stderr("1 already there, skipped");
    assert_eq!(modified(&folder, picture), first);
    for other in [
        &["--colormap", "viridis"][..],
        &["--tta", "flip"],
        &["--head", "rooms"],
        &["--refine"],
        &["--side-by-side"],
        &["--background", "black"],
        &["--stretch", "minmax"],
    ] {
        let args = [&usual[..], other].concat();
        if other == ["--head", "rooms"] {
            // A head for something else is refused before anything is skipped.
            assert_ne!(run(&folder, &args).code(), 0);
            continue;
        }
        let said = run(&folder, &args).expect_code(0);
        assert_eq!(said.lines(), [picture], "{other:?}: {}", said.stderr);
        said.expect_stderr("a.depth.png was made with other settings");
        assert_eq!(
            read(&folder, picture),
            fresh(&folder, &args, "a.depth.png"),
            "{other:?}"
        );
        run(&folder, &args).expect_stderr("1 already there, skipped");
    }
}

#[test]
fn another_head_labels_again() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    run(&folder, &["segment", "a.jpg", "--head", "street"]).expect_code(0);
    let again = run(&folder, &["segment", "a.jpg", "--head", "rooms"]).expect_code(0);
    again.expect_stderr("another model or head");
    let args = ["segment", "a.jpg", "--head", "rooms"];
    assert_eq!(
        read(&folder, "dino-out/a.segment.png"),
        fresh(&folder, &args, "a.segment.png")
    );
}

#[test]
fn another_photo_of_the_same_name_is_another_photo() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("x/a.jpg", "dogs.jpg")]);
    run(&folder, &["depth", "a.jpg"]).expect_code(0);
    // With one more format: not the picture of one photo and the numbers of the other.
    let args = ["depth", "x/a.jpg", "--save", "npy"];
    let other = run(&folder, &args).expect_code(0);
    assert_eq!(
        other.lines(),
        ["dino-out/a.depth.png", "dino-out/a.depth.npy"]
    );
    other.expect_stderr("was made of another photo, or of this one before it was changed");
    for name in ["a.depth.png", "a.depth.npy"] {
        assert_eq!(
            read(&folder, &format!("dino-out/{name}")),
            fresh(&folder, &args, name)
        );
    }
    // Formats come and go beside a picture that stays.
    let before = modified(&folder, "dino-out/a.depth.png");
    let args = ["depth", "x/a.jpg", "--save", "pfm", "--uncertainty"];
    let more = run(&folder, &args).expect_code(0);
    assert_eq!(more.lines().len(), 3, "{:?}", more.lines());
    assert_eq!(modified(&folder, "dino-out/a.depth.png"), before);
    // An edited photo.
    fs::copy(sample("flower.jpg"), folder.path().join("x/a.jpg")).unwrap();
    let edited = run(&folder, &["depth", "x/a.jpg"]).expect_code(0);
    assert_eq!(edited.lines(), ["dino-out/a.depth.png"]);
    assert_eq!(
        read(&folder, "dino-out/a.depth.png"),
        fresh(&folder, &["depth", "x/a.jpg"], "a.depth.png")
    );
}

#[test]
fn standard_input_is_known_by_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let depth = |photo: &str| {
        let mut command = command(&["depth", "-", "--size", "56"]);
        command
            .current_dir(&folder)
            .env("DINO_HOME", store_with_focus());
        finish(&mut command, &fs::read(sample(photo)).unwrap()).expect_code(0)
    };
    assert_eq!(depth("room.jpg").lines().len(), 1);
    depth("room.jpg").expect_stderr("1 already there, skipped");
    let other = depth("dogs.jpg");
    assert_eq!(other.lines().len(), 1);
    other.expect_stderr("<stdin>: dino-out/stdin.depth.png was made of another photo");
}

#[test]
fn what_dino_did_not_make_is_left_alone_and_named() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    fs::create_dir(folder.path().join("dino-out")).unwrap();
    fs::write(folder.path().join("dino-out/a.depth.png"), "mine").unwrap();
    let args = ["depth", "a.jpg", "b.jpg", "--save", "npy", "--json"];
    let refused = run(&folder, &args)
        .expect_code(1)
        .expect_stderr("a.depth.png: is there already");
    let lines = lines(&refused);
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["status"], &lines[0]["input"]),
        (&json!("failed"), &json!("a.jpg"))
    );
    assert!(lines[0]["error"].as_str().unwrap().contains("--force"));
    assert_eq!(
        (&lines[1]["status"], &lines[1]["input"]),
        (&json!("done"), &json!("b.jpg"))
    );
    assert_eq!(read(&folder, "dino-out/a.depth.png"), b"mine");
    let made = ["a.depth.png", "b.depth.npy", "b.depth.png"];
    assert_eq!(files_below(&folder.path().join("dino-out")), made);
    run(&folder, &[&args[..], &["--force"]].concat()).expect_code(0);
    assert_ne!(read(&folder, "dino-out/a.depth.png"), b"mine");
    run(&folder, &args)
        .expect_code(0)
        .expect_stderr("2 already there");
}

#[test]
fn a_file_that_is_named_is_never_skipped() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    run(&folder, &["depth", "a.jpg", "-o", "x.png"]).expect_code(0);
    let args = ["depth", "b.jpg", "-o", "x.png"];
    run(&folder, &args)
        .expect_code(2)
        .expect_stderr("x.png is there already; --force replaces it");
    run(&folder, &[&args[..], &["--force"]].concat()).expect_code(0);
    assert!(!folder.path().join("manifest.jsonl").exists());
    // Beside it, too.
    run(&folder, &["pca", "a.jpg", "-o", "y.png"]).expect_code(0);
    fs::remove_file(folder.path().join("y.png")).unwrap();
    fs::write(folder.path().join("y.npy"), "mine").unwrap();
    run(&folder, &["pca", "a.jpg", "-o", "y.png", "--raw"])
        .expect_code(2)
        .expect_stderr("y.npy is there already");
}

#[test]
fn a_folder_that_has_grown_has_one_fit() {
    for task in [
        &["pca"][..],
        &["segment", "--clusters", "3"],
        &["depth", "--range", "global"],
    ] {
        let folder = folder_of(&[("in/a.jpg", "room.jpg"), ("in/c.jpg", "dogs.jpg")]);
        let args = [task, &["in"]].concat();
        assert_eq!(run(&folder, &args).expect_code(0).lines().len(), 2);
        run(&folder, &args).expect_stderr("2 already there, skipped");
        let old = files_below(&folder.path().join("dino-out"));
        let old: Vec<_> = old
            .iter()
            .map(|name| (name, read(&folder, &format!("dino-out/{name}"))))
            .collect();
        fs::copy(sample("flower.jpg"), folder.path().join("in/b.jpg")).unwrap();
        let kept = run(&folder, &[&args[..], &["--keep-fit"]].concat()).expect_code(0);
        assert_eq!(kept.lines().len(), 1, "{task:?}");
        kept.expect_stderr("new photos get the fit of those that are there")
            .expect_stderr("2 already there, skipped");
        for (name, bytes) in &old {
            assert!(
                read(&folder, &format!("dino-out/{name}")) == *bytes,
                "{name}"
            );
        }
        // Now there is a third that was drawn with the fit to two.
        let again = run(&folder, &[&args[..], &["--keep-fit"]].concat()).expect_code(0);
        assert_eq!(again.lines().len(), 0, "{task:?}");
        let refit = run(&folder, &args).expect_code(0);
        assert_eq!(refit.lines().len(), 3, "{task:?}: {}", refit.stderr);
        refit.expect_stderr("3 that had been made with a fit to other photos, or to these in another order, are made again");
        for name in files_below(&folder.path().join("dino-out")) {
            let own = read(&folder, &format!("dino-out/{name}"));
            assert!(own == fresh(&folder, &args, &name), "{task:?} {name}");
        }
        run(&folder, &args).expect_stderr("3 already there, skipped");
        // One that could not be read takes no part, and may do so later.
        fs::write(folder.path().join("in/d.jpg"), "no photo").unwrap();
        assert_eq!(run(&folder, &[&args[..], &["in/d.jpg"]].concat()).code(), 1);
        run(&folder, &args).expect_stderr("3 already there, skipped");
    }
}

#[test]
fn two_fits_are_not_mixed_in_a_folder() {
    let folder = folder_of(&[
        ("x/a.jpg", "room.jpg"),
        ("x/b.jpg", "dogs.jpg"),
        ("y/c.jpg", "flower.jpg"),
        ("y/d.jpg", "china.jpg"),
    ]);
    run(&folder, &["pca", "x"]).expect_code(0);
    run(&folder, &["pca", "y"]).expect_code(2).expect_stderr(
        "dino-out/a.pca.png and 1 more were made with one fit to other photos than these",
    );
    // One photo alone would lose the fit that it shares.
    run(&folder, &["pca", "x/a.jpg"]).expect_code(2);
    // One photo that is compared with none.
    run(&folder, &["pca", "y/c.jpg"])
        .expect_code(0)
        .expect_stderr("mean something else");
    run(&folder, &["pca", "y", "-o", "other"]).expect_code(0);
    run(&folder, &["pca", "y", "--force"]).expect_code(0);
    // Tasks that draw each photo for itself do not mind.
    run(&folder, &["pca", "y", "--fit", "each", "-o", "each"]).expect_code(0);
    run(&folder, &["pca", "x", "--fit", "each", "-o", "each"]).expect_code(0);
}

#[test]
fn keeping_a_fit_where_there_is_none_is_refused() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    for args in [
        &["depth", "a.jpg"][..],
        &["pca", "a.jpg", "--fit", "each"],
        &["segment", "a.jpg"],
    ] {
        run(&folder, &[args, &["--keep-fit"]].concat())
            .expect_code(2)
            .expect_stderr("--keep-fit: nothing here is fitted to all photos");
    }
    run(&folder, &["pca", "a.jpg", "--keep-fit"]).expect_code(0);
    fs::remove_dir_all(folder.path().join("dino-out/manifest.fits")).unwrap();
    run(&folder, &["pca", "a.jpg", "--keep-fit"])
        .expect_code(2)
        .expect_stderr("is no longer in manifest.fits");
}

#[test]
fn wrong_wishes_are_found_before_anything_is_skipped() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    for args in [
        &["depth", "a.jpg"][..],
        &["segment", "a.jpg"],
        &["pca", "a.jpg"],
        &["attention", "a.jpg"],
        &["similar", "a.jpg", "--at", "9,9"],
    ] {
        run(&folder, args).expect_code(0);
        run(&folder, args).expect_stderr("1 already there, skipped");
        for wrong in [
            &["--model", "nosuch"][..],
            &["--device", "cuda:99"],
            &["--dtype", "f16"],
        ] {
            assert_ne!(
                run(&folder, &[args, wrong].concat()).code(),
                0,
                "{args:?} {wrong:?}"
            );
        }
        if ["pca", "attention", "similar"].contains(&args[0]) {
            run(&folder, &[args, &["--layer", "99"]].concat()).expect_code(2);
        }
    }
    // Other patches, other pictures.
    for args in [
        &["attention", "a.jpg"][..],
        &["similar", "a.jpg", "--at", "9,9"],
    ] {
        let other = run(&folder, &[args, &["--layer", "5"]].concat()).expect_code(0);
        assert_eq!(other.lines().len(), 1);
        other.expect_stderr("was made with other settings");
    }
}

#[test]
fn a_document_of_all_photos_is_kept_only_if_it_is_theirs() {
    let folder = folder_of(&[("in/a.jpg", "room.jpg"), ("in/b.jpg", "dogs.jpg")]);
    let args = ["segment", "in", "--head", "rooms"];
    run(&folder, &args).expect_code(0);
    run(
        &folder,
        &[
            "segment", "in", "--head", "street", "-o", "other", "--coco", "all.json",
        ],
    )
    .expect_code(0);
    let with = [&args[..], &["--coco", "all.json"]].concat();
    run(&folder, &with).expect_code(2).expect_stderr(
        "all.json is there already, and was made of other photos, with other settings",
    );
    run(&folder, &[&with[..], &["--force"]].concat()).expect_code(0);
    run(&folder, &with)
        .expect_code(0)
        .expect_stderr("2 already there");
}

fn lines(run: &Run) -> Vec<Value> {
    let lines = run.lines();
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_input_has_a_line_in_json_in_the_order_of_the_inputs() {
    let folder = folder_of(&[
        ("a.jpg", "room.jpg"),
        ("c.jpg", "dogs.jpg"),
        ("e.jpg", "flower.jpg"),
    ]);
    fs::write(folder.path().join("b.jpg"), "no photo").unwrap();
    let inputs = ["a.jpg", "b.jpg", "missing.jpg", "c.jpg", "e.jpg"];
    for task in [
        &["depth"][..],
        &["segment"],
        &["segment", "--clusters", "2"],
        &["pca"],
        &["pca", "--fit", "each"],
        &["attention"],
        &["similar", "--at", "9,9"],
    ] {
        let name = if task.contains(&"--clusters") {
            "clusters"
        } else {
            task[0]
        };
        let out = ["-o", &task.join("")];
        run(&folder, &[task, &["c.jpg"], &out].concat()).expect_code(0);
        let is_joint = ["clusters", "pca"].contains(&name) && !task.contains(&"--fit");
        let said = run(&folder, &[task, &inputs, &["--json"], &out].concat()).expect_code(1);
        let lines = lines(&said);
        let seen: Vec<&str> = lines
            .iter()
            .map(|line| line["input"].as_str().unwrap())
            .collect();
        assert_eq!(seen, inputs, "{task:?}");
        // Alone, c.jpg had a fit, or was compared, of its own.
        let there = if is_joint || name == "similar" {
            "done"
        } else {
            "skipped"
        };
        let ends: Vec<&str> = lines
            .iter()
            .map(|line| line["status"].as_str().unwrap())
            .collect();
        assert_eq!(
            ends,
            ["done", "failed", "failed", there, "done"],
            "{task:?}"
        );
        for line in &lines {
            assert_eq!((&line["schema"], &line["task"]), (&json!(1), &json!(name)));
            let is_failed = line["status"] == "failed";
            assert_eq!(line["error"].is_string(), is_failed, "{line}");
            assert_eq!(line["picture"].is_string(), !is_failed, "{line}");
            assert_eq!(line["files"].is_object(), !is_failed, "{line}");
        }
    }
}

#[test]
fn several_tasks_have_a_line_each() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    fs::write(folder.path().join("x.jpg"), "no photo").unwrap();
    let args = [
        "run",
        "a.jpg",
        "x.jpg",
        "b.jpg",
        "--segment",
        "street",
        "--segment",
        "rooms",
        "--pca",
        "--json",
    ];
    let said = dino_with_model(folder.path(), &args).expect_code(1);
    let lines = lines(&said);
    assert_eq!(lines.len(), 9, "{lines:?}");
    for (task, label) in [
        ("segment", json!("street")),
        ("segment", json!("rooms")),
        ("pca", Value::Null),
    ] {
        let of_task = lines
            .iter()
            .filter(|line| line["task"] == task && line["label"] == label);
        let told: Vec<(&str, &str)> = of_task
            .map(|line| {
                (
                    line["input"].as_str().unwrap(),
                    line["status"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [("a.jpg", "done"), ("x.jpg", "failed"), ("b.jpg", "done")]
        );
    }
}

#[test]
fn a_record_that_is_not_understood_is_named() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    run(&folder, &["depth", "a.jpg"]).expect_code(0);
    let record = folder.path().join("dino-out/manifest.jsonl");
    let whole = fs::read(&record).unwrap();
    // Killed in the middle of a line: what is known before it counts.
    fs::write(&record, [&whole[..], &whole[..50]].concat()).unwrap();
    run(&folder, &["depth", "a.jpg"])
        .expect_code(0)
        .expect_stderr("1 already there");
    fs::write(&record, [b"{\"format\":99}\n", &whole[..]].concat()).unwrap();
    run(&folder, &["depth", "a.jpg"])
        .expect_code(1)
        .expect_stderr("manifest.jsonl: line 1 is of format 99");
    // Without it nothing is known of what is there.
    fs::remove_file(&record).unwrap();
    run(&folder, &["depth", "a.jpg"])
        .expect_code(1)
        .expect_stderr("--force replaces it");
    assert!(Path::new(&folder.path().join("dino-out/a.depth.png")).exists());
}

#[test]
fn a_kept_fit_is_of_the_same_recipe() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    run(&folder, &["pca", "a.jpg", "b.jpg"]).expect_code(0);
    // By another recipe, elsewhere in the folder's history, and back.
    run(&folder, &["pca", "a.jpg", "b.jpg", "--whiten", "--force"]).expect_code(0);
    run(&folder, &["pca", "a.jpg", "b.jpg", "--raw"]).expect_code(0);
    fs::copy(sample("flower.jpg"), folder.path().join("c.jpg")).unwrap();
    let all = ["pca", "a.jpg", "b.jpg", "c.jpg", "--raw", "--keep-fit"];
    run(&folder, &all).expect_code(0);
    let other = tempfile::tempdir().unwrap();
    let out = ["-o", other.path().to_str().unwrap()];
    run(
        &folder,
        &[&["pca", "a.jpg", "b.jpg", "--raw"][..], &out].concat(),
    )
    .expect_code(0);
    run(&folder, &[&all[..], &out].concat()).expect_code(0);
    for name in ["a.pca.png", "c.pca.png", "c.pca.npy"] {
        let own = read(&folder, &format!("dino-out/{name}"));
        assert!(own == fs::read(other.path().join(name)).unwrap(), "{name}");
    }
    // A single new photo gets that fit too, without the others at hand.
    let alone = tempfile::tempdir().unwrap();
    let out = ["-o", alone.path().to_str().unwrap()];
    run(
        &folder,
        &[&["pca", "a.jpg", "b.jpg", "--raw"][..], &out].concat(),
    )
    .expect_code(0);
    run(
        &folder,
        &[&["pca", "c.jpg", "--raw", "--keep-fit"][..], &out].concat(),
    )
    .expect_code(0);
    assert!(
        fs::read(alone.path().join("c.pca.png")).unwrap() == read(&folder, "dino-out/c.pca.png")
    );
    run(
        &folder,
        &[
            "pca",
            "a.jpg",
            "b.jpg",
            "c.jpg",
            "--raw",
            "--keep-fit",
            "--save-basis",
            "x",
        ],
    )
    .expect_code(2)
    .expect_stderr("--keep-fit makes none");
}

#[test]
fn photos_that_went_away_and_formats_that_are_left_out_are_no_obstacles() {
    let folder = folder_of(&[
        ("in/a.jpg", "room.jpg"),
        ("in/b.jpg", "dogs.jpg"),
        ("in/c.jpg", "flower.jpg"),
    ]);
    run(&folder, &["pca", "in", "--raw"]).expect_code(0);
    fs::remove_file(folder.path().join("in/c.jpg")).unwrap();
    let less = run(&folder, &["pca", "in"]).expect_code(0);
    assert_eq!(less.lines().len(), 2, "{}", less.stderr);
    // The numbers are still those of the former fit, and that is said.
    less.expect_stderr(".pca.npy: was made of another photo, or of this one before it was changed, or with another fit");
    run(&folder, &["pca", "in", "--raw"]).expect_code(0);
    fs::copy(sample("china.jpg"), folder.path().join("in/a.jpg")).unwrap();
    let edited = run(&folder, &["pca", "in"]).expect_code(0);
    edited.expect_stderr(".pca.npy: was made of another photo");
}

#[test]
fn one_name_in_two_folders_is_two_photos() {
    let folder = folder_of(&[]);
    let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let mut depths = Vec::new();
    for (index, name) in ["x", "y"].into_iter().enumerate() {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        let photo = image::RgbImage::from_fn(60, 60, |x, y| {
            image::Rgb([(x * 4) as u8, (y * 4) as u8, 100 * index as u8])
        });
        photo.save(path.join("f.ppm")).unwrap();
        fs::File::options()
            .append(true)
            .open(path.join("f.ppm"))
            .unwrap()
            .set_modified(time)
            .unwrap();
        let args = [
            "depth", "f.ppm", "-o", "../out", "--size", "56", "--save", "npy",
        ];
        let made = dino_with_model(&path, &args).expect_code(0);
        assert_eq!(made.lines().len(), 2, "{}", made.stderr);
        depths.push(read(&folder, "out/f.depth.npy"));
    }
    assert_ne!(depths[0], depths[1]);
}

#[test]
fn pages_and_copies_share_a_fit_as_photos_do() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "room.jpg")]);
    run(&folder, &["pca", "a.jpg", "b.jpg"]).expect_code(0);
    run(&folder, &["pca", "a.jpg"])
        .expect_code(2)
        .expect_stderr("b.pca.png was made with one fit");
}

#[test]
fn what_the_constant_network_makes_is_not_taken_for_a_models() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    let null = [
        "pca",
        "a.jpg",
        "--device",
        "null",
        "--save-basis",
        "basis",
        "--json",
    ];
    let null = run(&folder, &null).expect_code(0);
    assert_eq!(lines(&null)[0]["model"], "null");
    run(&folder, &["pca", "b.jpg", "--basis", "basis"])
        .expect_code(1)
        .expect_stderr("was fitted with null");
    let again = run(&folder, &["pca", "a.jpg"]).expect_code(0);
    again.expect_stderr("was made with other settings, or by another model");
}

#[test]
fn inputs_that_end_a_run_have_lines_too() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    for task in [
        &["depth"][..],
        &["attention"],
        &["similar", "--at", "1,1"],
        &["run", "--depth"],
    ] {
        let args = match task[0] {
            "run" => vec!["run", "nosuch.jpg", "empty", "--json", "--depth"],
            _ => [task, &["nosuch.jpg", "empty", "--json"]].concat(),
        };
        let ended = dino_with_model(folder.path(), &args).expect_code(1);
        let told: Vec<Value> = lines(&ended);
        let inputs: Vec<&str> = told
            .iter()
            .map(|line| line["input"].as_str().unwrap())
            .collect();
        assert_eq!(inputs, ["nosuch.jpg", "empty"], "{task:?}");
        assert!(told.iter().all(|line| line["status"] == "failed"));
    }
    let outside = run(&folder, &["depth", "a.jpg", "--at", "9999,1", "--json"]).expect_code(1);
    assert_eq!(lines(&outside)[0]["status"], "failed");
    // Refused, but not twice, and not as skipped, though it takes part in the fit.
    run(&folder, &["pca", "a.jpg", "b.jpg"]).expect_code(0);
    fs::write(folder.path().join("dino-out/b.pca.png"), "mine").unwrap();
    let refused = run(&folder, &["pca", "a.jpg", "b.jpg", "--json"]).expect_code(1);
    let told: Vec<Value> = lines(&refused);
    assert_eq!(told.len(), 2);
    assert_eq!(
        (&told[0]["status"], &told[1]["status"]),
        (&json!("skipped"), &json!("failed"))
    );
}

#[cfg(target_os = "linux")]
#[test]
fn patterns_find_names_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder_of(&[("g/a.jpg", "room.jpg")]);
    let odd = std::ffi::OsStr::from_bytes(b"\xff.jpg");
    fs::copy(sample("dogs.jpg"), folder.path().join("g").join(odd)).unwrap();
    for pattern in ["g/*.jpg", "./g/*.jpg", "*/*.jpg", "**/*.jpg"] {
        let found = run(&folder, &["depth", pattern, "--force"]).expect_code(0);
        assert_eq!(found.lines().len(), 2, "{pattern}");
    }
}

#[test]
fn a_photo_drawn_alone_leaves_the_fit_of_the_others() {
    let folder = folder_of(&[
        ("a.jpg", "room.jpg"),
        ("b.jpg", "dogs.jpg"),
        ("c.jpg", "flower.jpg"),
        ("d.jpg", "china.jpg"),
    ]);
    run(&folder, &["pca", "a.jpg", "b.jpg"]).expect_code(0);
    run(&folder, &["pca", "c.jpg"]).expect_code(0);
    // That of the two, not of the one, though it is later.
    run(&folder, &["pca", "d.jpg", "--keep-fit"]).expect_code(0);
    run(&folder, &["pca", "a.jpg", "b.jpg", "d.jpg", "--keep-fit"])
        .expect_code(0)
        .expect_stderr("3 already there, skipped");
    // The same photos under longer names.
    fs::create_dir(folder.path().join("x")).unwrap();
    fs::copy(sample("china.jpg"), folder.path().join("x/a.png")).unwrap();
    let longer = run(&folder, &["pca", "a.jpg", "b.jpg", "d.jpg", "x/a.png"]).expect_code(0);
    longer.expect_stderr("a.pca.png is of a photo that has another name in this run");
}
