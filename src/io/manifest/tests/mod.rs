//! Tests of the freshness of outputs; [`lines`] tests reading and appending, [`records`] the commands on whole
//! manifests.

mod lines;
mod records;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::*;

/// A folder with one photo and an output of it.
struct Scene {
    _root: tempfile::TempDir,
    photo: PathBuf,
    folder: PathBuf,
    output: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let photo = root.path().join("a.jpg");
        fs::write(&photo, "photo").unwrap();
        let folder = root.path().join("dino-out");
        let output = folder.join("sub/a_depth.png");
        Scene {
            _root: root,
            photo,
            folder,
            output,
        }
    }

    fn open(&self) -> Manifest {
        Manifest::open(&self.folder).unwrap()
    }

    fn entry(&self, recipe: &str) -> ManifestEntry {
        ManifestEntry {
            task: "depth".into(),
            input: self.photo.clone(),
            page: None,
            photo: FileStamp::of_file(&self.photo).unwrap(),
            recipe: Digest::of_bytes(recipe.as_bytes()),
            fit: Some(Digest::of_bytes(b"fit")),
            outputs: vec![self.output.clone()],
            facts: Map::new(),
        }
    }

    fn write(&self, content: &str) {
        fs::create_dir_all(self.output.parent().unwrap()).unwrap();
        fs::write(&self.output, content).unwrap();
        // Tests are faster than the clocks of file systems.
        static WRITTEN: AtomicU64 = AtomicU64::new(1_700_000_000);
        let time = Duration::from_secs(WRITTEN.fetch_add(1, Ordering::Relaxed));
        let file = File::options().write(true).open(&self.output).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + time).unwrap();
    }

    fn make(&self, recipe: &str) {
        let (manifest, entry) = (self.open(), self.entry(recipe));
        manifest.begin(&entry).unwrap();
        self.write(&format!("made by {recipe}"));
        manifest.finish(&entry, |_| None).unwrap();
    }

    /// The freshness of the output for the next run.
    fn standing(&self, recipe: &str) -> OutputFreshness {
        standing(&self.open(), &self.output, &self.entry(recipe))
    }

    fn text(&self) -> String {
        fs::read_to_string(self.folder.join(MANIFEST_FILE)).unwrap()
    }

    fn append(&self, text: impl AsRef<[u8]>) {
        let path = self.folder.join(MANIFEST_FILE);
        let mut file = File::options().append(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, text.as_ref()).unwrap();
    }

    fn error(&self) -> String {
        let error = Manifest::open(&self.folder).unwrap_err().to_string();
        assert!(error.contains(MANIFEST_FILE), "{error}");
        error
    }
}

fn standing(manifest: &Manifest, output: &Path, entry: &ManifestEntry) -> OutputFreshness {
    let wanted = ExpectedOrigin {
        photo: &entry.photo,
        recipe: &entry.recipe,
        fit: entry.fit.as_ref(),
    };
    manifest.freshness(output, &wanted).unwrap()
}

const OTHER_RECIPE: OutputFreshness = OutputFreshness::Stale(StaleReasons {
    is_unfinished: false,
    is_photo_changed: false,
    is_recipe_changed: true,
    is_fit_changed: false,
});

#[test]
fn opening_makes_nothing_and_the_first_line_makes_the_folder() {
    let scene = Scene::new();
    let manifest = scene.open();
    assert!(manifest.is_empty() && !scene.folder.exists());
    assert_eq!(scene.standing("a"), OutputFreshness::Absent);
    manifest.begin(&scene.entry("a")).unwrap();
    assert_eq!(scene.text().lines().count(), 1);
    assert!(scene.text().contains(r#"{"sub/a_depth.png":null}"#));
    assert_eq!(manifest.path(), scene.folder.join("manifest.jsonl"));
    assert_eq!(scene.standing("a"), OutputFreshness::Absent);
}

#[test]
fn what_was_made_is_the_same_until_something_is_not() {
    let scene = Scene::new();
    scene.make("a");
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
    assert_eq!(scene.standing("b"), OTHER_RECIPE);

    let (manifest, mut entry) = (scene.open(), scene.entry("a"));
    for fit in [None, Some(Digest::of_bytes(b"another"))] {
        entry.fit = fit;
        let fit = StaleReasons {
            is_fit_changed: true,
            ..StaleReasons::default()
        };
        assert_eq!(
            standing(&manifest, &scene.output, &entry),
            OutputFreshness::Stale(fit)
        );
    }
    fs::write(&scene.photo, "edited").unwrap();
    let edited = StaleReasons {
        is_photo_changed: true,
        ..StaleReasons::default()
    };
    assert_eq!(scene.standing("a"), OutputFreshness::Stale(edited));
    let both = StaleReasons {
        is_recipe_changed: true,
        ..edited
    };
    assert_eq!(scene.standing("b"), OutputFreshness::Stale(both));

    scene.make("b");
    assert_eq!(scene.standing("b"), OutputFreshness::Fresh);
    fs::remove_file(&scene.output).unwrap();
    assert_eq!(scene.standing("b"), OutputFreshness::Absent);
}

#[test]
fn a_running_manifest_knows_what_it_wrote() {
    let scene = Scene::new();
    let (manifest, entry) = (scene.open(), scene.entry("a"));
    manifest.begin(&entry).unwrap();
    scene.write("made by a");
    assert_eq!(
        standing(&manifest, &scene.output, &entry),
        OutputFreshness::Fresh
    );
    manifest.finish(&entry, |_| None).unwrap();
    assert_eq!(
        standing(&manifest, &scene.output, &entry),
        OutputFreshness::Fresh
    );
    assert_eq!(
        standing(&manifest, &scene.output, &scene.entry("b")),
        OTHER_RECIPE
    );
    assert!(!manifest.is_empty());
}

#[test]
fn edited_and_unknown_outputs_are_foreign() {
    let scene = Scene::new();
    scene.make("a");
    scene.write("painted over");
    assert_eq!(scene.standing("a"), OutputFreshness::Foreign);
    let unknown = scene.folder.join("mine.png");
    fs::write(&unknown, "mine").unwrap();
    let manifest = scene.open();
    assert_eq!(
        standing(&manifest, &unknown, &scene.entry("a")),
        OutputFreshness::Foreign
    );
}

#[test]
fn killed_before_the_output_was_written() {
    let scene = Scene::new();
    scene.make("a");
    scene.open().begin(&scene.entry("b")).unwrap();
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
    assert_eq!(scene.standing("b"), OTHER_RECIPE);
    scene.open().begin(&scene.entry("c")).unwrap();
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
}

#[test]
fn killed_after_the_output_was_written() {
    let scene = Scene::new();
    scene.make("a");
    scene.open().begin(&scene.entry("b")).unwrap();
    scene.write("made by b");
    assert_eq!(scene.standing("b"), OutputFreshness::Fresh);
    assert_eq!(scene.standing("a"), OTHER_RECIPE);
    // Another run is killed before it writes: the file is that of the one before.
    scene.open().begin(&scene.entry("c")).unwrap();
    assert_eq!(scene.standing("b"), OutputFreshness::Fresh);
    assert_eq!(scene.standing("c"), OTHER_RECIPE);
    scene.write("made by c");
    assert_eq!(scene.standing("c"), OutputFreshness::Fresh);
    // Earlier `begun` lines no longer count.
    scene.make("d");
    scene.write("painted over");
    assert_eq!(scene.standing("c"), OutputFreshness::Foreign);
}

#[test]
fn killed_before_a_foreign_file_was_replaced() {
    let scene = Scene::new();
    scene.write("mine");
    scene.open().begin(&scene.entry("a")).unwrap();
    assert_eq!(scene.standing("a"), OutputFreshness::Foreign);
    scene.open().begin(&scene.entry("b")).unwrap();
    assert_eq!(scene.standing("b"), OutputFreshness::Foreign);
    scene.write("made by b");
    assert_eq!(scene.standing("b"), OutputFreshness::Fresh);
}

#[test]
fn an_empty_file_of_a_killed_run_is_not_trusted() {
    let scene = Scene::new();
    scene.open().begin(&scene.entry("a")).unwrap();
    scene.write("");
    let unfinished = |standing| {
        matches!(
            standing,
            OutputFreshness::Stale(StaleReasons {
                is_unfinished: true,
                ..
            })
        )
    };
    assert!(unfinished(scene.standing("a")));
    // A file emptied by a power loss is unfinished too.
    scene.write("made by a");
    scene.open().finish(&scene.entry("a"), |_| None).unwrap();
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
    scene.write("");
    assert!(unfinished(scene.standing("a")));
    scene.write("mine");
    assert_eq!(scene.standing("a"), OutputFreshness::Foreign);
}

#[test]
fn an_output_that_is_not_there_is_not_done() {
    let scene = Scene::new();
    let error = scene
        .open()
        .finish(&scene.entry("a"), |_| None)
        .unwrap_err();
    assert!(error.to_string().contains("a_depth.png"), "{error}");
    assert!(!scene.folder.exists());
}

#[test]
fn folders_are_outputs_too() {
    let scene = Scene::new();
    let masks = scene.folder.join("a_masks");
    let entry = ManifestEntry {
        outputs: vec![masks.clone()],
        ..scene.entry("a")
    };
    let manifest = scene.open();
    manifest.begin(&entry).unwrap();
    fs::create_dir_all(&masks).unwrap();
    fs::write(masks.join("cat.png"), "cat").unwrap();
    assert_eq!(
        standing(&scene.open(), &masks, &entry),
        OutputFreshness::Fresh
    );
    manifest.finish(&entry, |_| None).unwrap();
    assert_eq!(
        standing(&scene.open(), &masks, &entry),
        OutputFreshness::Fresh
    );
    fs::write(masks.join("dog.png"), "dog").unwrap();
    assert_eq!(
        standing(&scene.open(), &masks, &entry),
        OutputFreshness::Foreign
    );
}

#[test]
fn one_line_tells_of_several_outputs_wherever_they_are() {
    let scene = Scene::new();
    let outside = scene.photo.with_file_name("elsewhere.npy");
    let mut entry = scene.entry("a");
    entry.outputs.push(outside.clone());
    entry.facts.insert("nearest".into(), json!(0.5));
    let manifest = scene.open();
    manifest.begin(&entry).unwrap();
    scene.write("made by a");
    fs::write(&outside, "array").unwrap();
    manifest.finish(&entry, |_| None).unwrap();
    for output in &entry.outputs {
        assert_eq!(
            standing(&scene.open(), output, &entry),
            OutputFreshness::Fresh
        );
    }
    let text = scene.text();
    let done: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(done["facts"], json!({"nearest": 0.5}));
    assert_eq!(done["outputs"]["sub/a_depth.png"]["bytes"], 9);
    assert_eq!(done["outputs"][outside.to_str().unwrap()]["bytes"], 5);

    // The manifest stays valid when the folder is moved.
    let moved = scene.folder.with_file_name("moved");
    fs::rename(&scene.folder, &moved).unwrap();
    let manifest = Manifest::open(&moved).unwrap();
    let output = moved.join("sub/a_depth.png");
    assert_eq!(standing(&manifest, &output, &entry), OutputFreshness::Fresh);
}

#[test]
fn unchanged_photos_are_not_read_again() {
    let scene = Scene::new();
    scene.make("a");
    let manifest = scene.open();
    let known = manifest.photo_stamp(&scene.photo).unwrap();
    assert_eq!(manifest.stamp_of(&scene.photo).unwrap(), known);
    assert_eq!(manifest.photo_stamp(Path::new("unknown.jpg")), None);

    // An edit that restores size and time is not detected, which shows that the content was not read.
    let time = fs::metadata(&scene.photo).unwrap().modified().unwrap();
    fs::write(&scene.photo, "PHOTO").unwrap();
    let set = |time: SystemTime| {
        let file = File::options().write(true).open(&scene.photo).unwrap();
        file.set_modified(time).unwrap();
    };
    set(time);
    assert_eq!(manifest.stamp_of(&scene.photo).unwrap(), known);
    set(time + Duration::from_secs(1));
    let stamp = manifest.stamp_of(&scene.photo).unwrap();
    assert_eq!(stamp.digest, Digest::of_bytes(b"PHOTO"));
    let missing = scene.photo.with_file_name("gone.jpg");
    assert!(manifest.stamp_of(&missing).is_err());
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_are_told_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let mut scene = Scene::new();
    let odd = |bytes| scene.folder.join(OsStr::from_bytes(bytes));
    let (one, other) = (odd(b"caf\xe9 1%.png"), odd(b"caf\xe8 1%.png"));
    scene.photo = scene.photo.with_file_name(OsStr::from_bytes(b"\xff.jpg"));
    fs::create_dir_all(&scene.folder).unwrap();
    if fs::write(&scene.photo, "photo").is_err() {
        return; // Some file systems have only names that are text.
    }
    scene.output = one;
    scene.make("a");
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
    assert!(scene.open().photo_stamp(&scene.photo).is_some());
    let lossy = scene.photo.to_string_lossy().into_owned();
    assert!(scene.open().photo_stamp(Path::new(&lossy)).is_none());
    scene.output = other;
    scene.write("made by a");
    assert_eq!(scene.standing("a"), OutputFreshness::Foreign);
}
