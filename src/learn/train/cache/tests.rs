use std::time::Duration;

use super::*;

struct Scene {
    root: tempfile::TempDir,
    cache: CacheFolder,
}

fn day(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + number * 86_400)
}

fn set_modified(path: &Path, time: SystemTime) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

impl Scene {
    /// Three photos of a model, of 10, 20 and 30 bytes, made on days 1, 2 and 3; one of another.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let scene = Scene {
            cache: CacheFolder::at(root.path()),
            root,
        };
        for (model, photo, bytes, made) in [
            ("m1", "a", 10, 1),
            ("m1", "b", 20, 2),
            ("m1", "c", 30, 3),
            ("m2", "a", 5, 4),
        ] {
            for (block, bytes) in [(2, bytes - 1), (5, 1)] {
                let path = root_path(&scene, model, &format!("{photo}-518-{block}.tokens"));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, vec![0; bytes]).unwrap();
                set_modified(&path, day(made));
            }
        }
        scene
    }

    fn note(&self, set: &str, photos: &[&str], at: u64) {
        let photos = photos.iter().map(|photo| (*photo).to_owned()).collect();
        self.cache.note_use("m1", set, photos).unwrap();
        set_modified(&root_path(self, "m1", &set_file_name(set)), day(at));
    }

    fn left(&self) -> Vec<String> {
        let photos = self.cache.inventory().unwrap().photos.into_keys();
        photos
            .map(|(model, photo)| format!("{model}/{photo}"))
            .collect()
    }
}

fn root_path(scene: &Scene, model: &str, name: &str) -> PathBuf {
    scene.root.path().join(model).join(name)
}

#[test]
fn what_there_is_is_listed_by_model_and_set() {
    let scene = Scene::new();
    scene.note("kitchen", &["a", "b"], 9);
    scene.note("Küche/2", &["b"], 8);
    let listed: Vec<_> = scene.cache.list().unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|h| {
            (
                h.model.as_str(),
                h.set.as_deref(),
                h.photos,
                h.bytes,
                h.last_used,
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            ("m1", None, 1, 30, day(3)),
            ("m1", Some("Küche/2"), 1, 20, day(9)),
            ("m1", Some("kitchen"), 2, 30, day(9)),
            ("m2", None, 1, 5, day(4)),
        ]
    );
    assert_eq!(scene.cache.bytes().unwrap(), 65);
    let empty = CacheFolder::at(scene.root.path().join("none"));
    assert!(empty.list().unwrap().is_empty());
    assert!(empty.default_limit().is_some() || cfg!(not(unix)));
}

#[test]
fn what_was_longest_not_in_use_goes_first_and_what_is_in_use_stays() {
    let scene = Scene::new();
    // The `.set` file's date makes the oldest file recently used.
    scene.note("kitchen", &["a"], 9);
    let freed = scene.cache.prune(None, Some(46), |_| false).unwrap();
    assert_eq!((freed.photos, freed.bytes), (1, 20));
    assert_eq!(scene.left(), ["m1/a", "m1/c", "m2/a"]);
    let freed = scene
        .cache
        .prune(None, Some(0), |key| key.1 == "c")
        .unwrap();
    assert_eq!((freed.photos, freed.bytes), (2, 15));
    assert_eq!(scene.left(), ["m1/c"]);
    // The `.set` file stays if its features are still to be computed.
    scene.note("next", &["x"], 9);
    scene.cache.prune(None, Some(0), |_| true).unwrap();
    assert!(root_path(&scene, "m1", &set_file_name("next")).exists());
    // With its set's file.
    assert!(!root_path(&scene, "m1", &set_file_name("kitchen")).exists());
}

#[test]
fn what_is_old_goes() {
    let scene = Scene::new();
    let freed = scene.cache.prune(Some(day(3)), None, |_| false).unwrap();
    assert_eq!((freed.photos, freed.bytes), (2, 30));
    assert_eq!(scene.left(), ["m1/c", "m2/a"]);
}

#[test]
fn a_set_is_removed_but_for_what_others_share() {
    let scene = Scene::new();
    scene.note("one", &["a", "b"], 9);
    scene.note("two", &["b"], 9);
    assert_eq!(scene.cache.remove("m1", Some("three")).unwrap(), None);
    assert_eq!(scene.cache.remove("m3", None).unwrap(), None);
    let freed = scene.cache.remove("m1", Some("one")).unwrap().unwrap();
    assert_eq!((freed.photos, freed.bytes), (1, 10));
    assert_eq!(scene.left(), ["m1/b", "m1/c", "m2/a"]);
    let freed = scene.cache.remove("m1", Some(NO_SET)).unwrap().unwrap();
    assert_eq!(freed.bytes, 30);
    let freed = scene.cache.remove("m1", None).unwrap().unwrap();
    assert_eq!(freed.bytes, 20);
    assert_eq!(scene.left(), ["m2/a"]);
    assert!(!scene.root.path().join("m1").exists());
}
