//! Commands on stored features give what they give on the photos, and name what the features lack.

use std::fs;

use super::run;
use crate::program::{files_below, folder_of, read, sample};

#[test]
fn heads_and_bases_find_in_stored_features_what_they_find_in_photos() {
    let folder = folder_of(&[("in/a.jpg", "room.jpg"), ("in/b.png", "coffee.png")]);
    let store = |name: &str, more: &[&str]| {
        let args = ["features", "in", "-o", name, "--size", "112"];
        run(&folder, &[&args[..], more].concat()).expect_code(0);
    };
    store("i.arrow", &["--for", "indoor", "--dtype", "f32"]);
    store("half.parquet", &["--for", "indoor"]);
    store("l.tar", &["--dtype", "f32"]);
    let same = |args: &[&str], dataset: &str| {
        let direct = [args, &["in", "-o", "direct"]].concat();
        let stored = [args, &["--features", dataset, "-o", "stored"]].concat();
        run(&folder, &direct).expect_code(0);
        let said = run(&folder, &stored).expect_code(0);
        assert!(!said.stderr.contains(" on cpu"), "{}", said.stderr);
        let files = files_below(&folder.path().join("direct"));
        assert_eq!(files_below(&folder.path().join("stored")), files);
        for file in files.iter().filter(|file| !file.starts_with("manifest")) {
            let [a, b] = ["direct", "stored"].map(|at| read(&folder, &format!("{at}/{file}")));
            assert!(a == b, "{args:?}: {file}");
        }
        for at in ["direct", "stored"] {
            fs::remove_dir_all(folder.path().join(at)).unwrap();
        }
    };
    same(&["depth", "--size", "112", "--save", "npy"], "i.arrow");
    same(
        &["pca", "--size", "112", "--raw", "--side-by-side"],
        "l.tar",
    );
    same(&["segment", "--clusters", "3", "--size", "112"], "l.tar");
    same(
        &[
            "run",
            "--depth",
            "--set",
            "depth.size=112",
            "--set",
            "depth.refine=true",
        ],
        "i.arrow",
    );
    // As exact as what is stored.
    let depths = |args: &[&str]| {
        let args = [
            &["depth", "--size", "112", "--save", "npy", "-o", "d"],
            args,
        ]
        .concat();
        run(&folder, &args).expect_code(0);
        let bytes = read(&folder, "d/a.depth.npy");
        fs::remove_dir_all(folder.path().join("d")).unwrap();
        let numbers = bytes[128..].chunks_exact(4);
        let numbers = numbers.map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        numbers.collect::<Vec<_>>()
    };
    let (exact, half) = (depths(&["in"]), depths(&["--features", "half.parquet"]));
    let worst = exact.iter().zip(&half).map(|(a, b)| ((a - b) / a).abs());
    let worst = worst.fold(0.0, f32::max);
    assert!(worst > 0.0 && worst < 0.01, "{worst}");
    // Without the photos, where nothing of them is shown.
    fs::rename(folder.path().join("in"), folder.path().join("gone")).unwrap();
    assert_eq!(depths(&["--features", "i.arrow"]), exact);
    let shown = [
        "depth",
        "--size",
        "112",
        "--features",
        "i.arrow",
        "--side-by-side",
    ];
    run(&folder, &shown)
        .expect_code(1)
        .expect_stderr("in/a.jpg: no such file");
    // Of a photo that has changed since, they are not.
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::copy(sample("dogs.jpg"), folder.path().join("in/a.jpg")).unwrap();
    let changed = [
        "depth",
        "--size",
        "112",
        "--features",
        "i.arrow",
        "-o",
        "other",
    ];
    run(&folder, &changed)
        .expect_code(1)
        .expect_stderr("was changed since its features were stored");
    assert_eq!(
        files_below(&folder.path().join("other"))
            .iter()
            .filter(|name| name.ends_with(".png"))
            .count(),
        1
    );
}

#[test]
fn what_stored_features_lack_is_named() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("other.jpg", "dogs.jpg")]);
    for (name, more) in [
        ("plain.npy", &[][..]),
        ("pooled.npy", &["--pool", "2"]),
        ("cls.npy", &["--what", "cls"]),
    ] {
        let args = ["features", "a.jpg", "-o", name, "--size", "56"];
        run(&folder, &[&args[..], more].concat()).expect_code(0);
    }
    for (args, code, why) in [
        (&["depth", "--features", "plain.npy"][..], 2, "--for HEAD"),
        (&["pca", "--features", "plain.npy"], 2, "size 56"),
        (
            &["pca", "--features", "pooled.npy", "--size", "56"],
            2,
            "pooled to 2 x 2",
        ),
        (
            &["pca", "--features", "cls.npy", "--size", "56"],
            2,
            "no patch tokens",
        ),
        (
            &[
                "pca",
                "--features",
                "plain.npy",
                "--size",
                "56",
                "--layer",
                "3",
            ],
            2,
            "block 11",
        ),
        (&["pca", "--features", "nosuch.npy"], 1, "nosuch.npy: "),
        (
            &["pca", "--features", "plain.npy", "--model", "vitb14"],
            2,
            "vits14-focus",
        ),
        (
            &["pca", "--features", "plain.npy", "--device", "cpu"],
            2,
            "--device",
        ),
        (
            &[
                "pca",
                "other.jpg",
                "--features",
                "plain.npy",
                "--size",
                "56",
            ],
            1,
            "other.jpg has no features in plain.npy",
        ),
        (&["features", "a.jpg", "-o", "x.csv"], 2, ".parquet"),
        (
            &["features", "a.jpg", "-o", "x.npy", "--blocks", "12"],
            2,
            "--blocks 12",
        ),
        (
            &["features", "a.jpg", "-o", "x.npy", "--blocks", "3,3"],
            2,
            "twice",
        ),
        (
            &["features", "a.jpg", "-o", "x.npy", "--what", "registers"],
            2,
            "has none",
        ),
        (
            &[
                "features", "a.jpg", "-o", "a.npy", "--what", "cls", "--pool", "2",
            ],
            2,
            "pool",
        ),
    ] {
        run(&folder, args).expect_code(code).expect_stderr(why);
    }
    assert!(!folder.path().join("x.npy").exists());
}
