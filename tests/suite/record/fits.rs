//! Fits over several photos: the fit of a folder is made again when its photos change, or kept with `--keep-fit`.

use std::fs;

use super::{fresh, run};
use crate::program::{files_below, folder_of, read, sample};

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
fn pages_and_copies_share_a_fit_as_photos_do() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "room.jpg")]);
    run(&folder, &["pca", "a.jpg", "b.jpg"]).expect_code(0);
    run(&folder, &["pca", "a.jpg"])
        .expect_code(2)
        .expect_stderr("b.pca.png was made with one fit");
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
