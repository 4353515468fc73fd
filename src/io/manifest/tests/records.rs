//! Failures, several manifest files, and the commands on whole manifests.

use super::*;
use crate::io::inputs::{Shard, Source};

fn shard(number: u32) -> Option<Shard> {
    Some(Shard::new(number, 3).unwrap())
}

impl Scene {
    fn open_shard(&self, number: u32) -> Manifest {
        Manifest::open_shard(&self.folder, shard(number)).unwrap()
    }

    fn make_in(&self, manifest: &Manifest, recipe: &str) {
        let entry = self.entry(recipe);
        manifest.begin(&entry).unwrap();
        self.write(&format!("made by {recipe}"));
        manifest.finish(&entry, |_| None).unwrap();
    }

    fn fail(&self, manifest: &Manifest, kind: FailureKind, message: &str) {
        let photo = FileStamp::of_file(&self.photo).ok();
        manifest
            .fail(&FailedEntry {
                task: "depth",
                input: &self.photo,
                page: None,
                photo: photo.as_ref(),
                recipe: Digest::of_bytes(b"decoding"),
                failure: &PhotoFailure {
                    kind,
                    message: message.into(),
                },
                facts: &Map::new(),
            })
            .and_then(|()| manifest.flush_failures())
            .unwrap();
    }

    fn failure(&self) -> Option<String> {
        let photo = (self.photo.as_os_str().as_encoded_bytes().to_vec(), 0);
        let known = self.open().failure("depth", &photo);
        known.map(|(_, _, failure)| failure.message)
    }
}

#[test]
fn a_failure_is_known_until_something_is_made_and_is_noted_once() {
    let scene = Scene::new();
    let manifest = scene.open();
    scene.fail(&manifest, FailureKind::Decode, "truncated");
    scene.fail(&manifest, FailureKind::Decode, "truncated");
    scene.fail(&scene.open(), FailureKind::Decode, "truncated");
    assert_eq!(scene.text().lines().count(), 1);
    assert_eq!(scene.failure().as_deref(), Some("truncated"));
    assert!(!scene.open().is_empty());
    scene.fail(&manifest, FailureKind::Output, "disk full");
    assert_eq!(scene.failure().as_deref(), Some("disk full"));
    scene.make("a");
    assert_eq!(scene.failure(), None);
    // Other tasks and pages have no entry.
    scene.fail(&scene.open(), FailureKind::Decode, "truncated");
    let photo = (scene.photo.as_os_str().as_encoded_bytes().to_vec(), 1);
    assert!(scene.open().failure("depth", &photo).is_none());
}

#[test]
fn a_torn_failure_is_dropped() {
    let scene = Scene::new();
    scene.make("a");
    scene.fail(&scene.open(), FailureKind::Decode, "truncated");
    let text = scene.text();
    let start = text[..text.len() - 1].rfind('\n').unwrap() + 1;
    for end in start + 1..text.len() - 1 {
        fs::write(scene.folder.join(MANIFEST_FILE), &text[..end]).unwrap();
        assert_eq!(scene.failure(), None, "{}", &text[start..end]);
        assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
    }
    scene.fail(&scene.open(), FailureKind::Decode, "once more");
    assert_eq!(scene.failure().as_deref(), Some("once more"));
    // Without its end alone it counts.
    fs::write(scene.folder.join(MANIFEST_FILE), text.trim_end()).unwrap();
    assert_eq!(scene.failure().as_deref(), Some("truncated"));
}

#[test]
fn shards_append_to_files_of_their_own_and_read_all() {
    let scene = Scene::new();
    scene.make_in(&scene.open_shard(2), "a");
    assert!(!scene.folder.join(MANIFEST_FILE).exists());
    assert!(scene.folder.join("manifest-2-of-3.jsonl").exists());
    assert_eq!(scene.standing("a"), OutputFreshness::Fresh);
    let other = scene.open_shard(1);
    assert_eq!(
        standing(&other, &scene.output, &scene.entry("a")),
        OutputFreshness::Fresh
    );
    assert_eq!(other.path(), scene.folder.join("manifest-1-of-3.jsonl"));
    scene.fail(&scene.open_shard(3), FailureKind::Decode, "truncated");
    assert_eq!(scene.failure().as_deref(), Some("truncated"));
}

#[test]
fn the_later_line_counts_whichever_file_it_is_in() {
    let scene = Scene::new();
    // The file of single runs is read first, and has the last line.
    scene.make_in(&scene.open_shard(1), "a");
    scene.make("b");
    assert_eq!(scene.standing("b"), OutputFreshness::Fresh);
    scene.make_in(&scene.open_shard(2), "c");
    assert_eq!(scene.standing("c"), OutputFreshness::Fresh);
    // Killed between `begun` and `done`.
    scene.open().begin(&scene.entry("d")).unwrap();
    scene.write("made by d");
    assert_eq!(scene.standing("d"), OutputFreshness::Fresh);
    scene.make_in(&scene.open_shard(3), "e");
    assert_eq!(scene.standing("e"), OutputFreshness::Fresh);
    scene.write("painted over");
    assert_eq!(scene.standing("e"), OutputFreshness::Foreign);
}

#[test]
fn merging_keeps_what_is_known_and_removes_the_files_of_shards() {
    let scene = Scene::new();
    scene.make_in(&scene.open_shard(1), "a");
    scene.make("b");
    scene.fail(&scene.open_shard(3), FailureKind::Decode, "truncated");
    scene.open().begin(&scene.entry("c")).unwrap();
    let before = [scene.standing("a"), scene.standing("b")];
    let merged = merge(&scene.folder, &[]).unwrap();
    assert_eq!((merged.lines, merged.files, merged.removed), (6, 3, 2));
    assert!(merged.busy.is_empty());
    let names = fs::read_dir(&scene.folder).unwrap().count();
    assert_eq!(names, 2, "the manifest and the folder of the output");
    assert_eq!([scene.standing("a"), scene.standing("b")], before);
    assert_eq!(scene.failure().as_deref(), Some("truncated"));
    // Merging again changes nothing.
    let text = scene.text();
    assert_eq!(merge(&scene.folder, &[]).unwrap().lines, 6);
    assert_eq!(scene.text(), text);
}

#[test]
fn outputs_of_other_folders_are_named_from_where_they_lie() {
    let scene = Scene::new();
    scene.make("a");
    let all = scene.folder.with_file_name("all");
    fs::create_dir(&all).unwrap();
    merge(&all, std::slice::from_ref(&scene.folder)).unwrap();
    let joined = Manifest::open(&all).unwrap();
    assert_eq!(
        standing(&joined, &scene.output, &scene.entry("a")),
        OutputFreshness::Fresh
    );
    assert!(scene.folder.join(MANIFEST_FILE).exists());
    let text = fs::read_to_string(all.join(MANIFEST_FILE)).unwrap();
    assert!(text.contains(scene.output.to_str().unwrap()), "{text}");

    // The outputs are moved into the folder; only the manifest stays behind.
    let moved = scene.folder.with_file_name("moved");
    fs::create_dir_all(moved.join("sub")).unwrap();
    let output = moved.join("sub/a_depth.png");
    fs::rename(&scene.output, &output).unwrap();
    merge(&moved, &[scene.folder.join(MANIFEST_FILE)]).unwrap();
    let manifest = Manifest::open(&moved).unwrap();
    assert_eq!(
        standing(&manifest, &output, &scene.entry("a")),
        OutputFreshness::Fresh
    );
    let text = fs::read_to_string(moved.join(MANIFEST_FILE)).unwrap();
    assert!(text.contains(r#""sub/a_depth.png":{"#), "{text}");
}

#[test]
fn what_cannot_be_merged_stays() {
    let scene = Scene::new();
    assert!(merge(&scene.folder, &[]).is_err());
    scene.make_in(&scene.open_shard(1), "a");
    scene.make_in(&scene.open_shard(2), "b");
    let broken = scene.folder.join("manifest-2-of-3.jsonl");
    let text = fs::read_to_string(&broken).unwrap();
    fs::write(&broken, format!("{{\"a\":1}}\n{text}")).unwrap();
    let error = merge(&scene.folder, &[]).unwrap_err().to_string();
    assert!(error.contains("manifest-2-of-3.jsonl: line 1"), "{error}");
    assert!(!scene.folder.join(MANIFEST_FILE).exists());
    assert!(scene.folder.join("manifest-1-of-3.jsonl").exists());
}

#[test]
fn verifying_reads_what_is_done_and_each_output_once() {
    let scene = Scene::new();
    scene.make("a");
    scene.make_in(&scene.open_shard(1), "b");
    let verdicts = || {
        let mut all = Vec::new();
        verify(&scene.folder, |path, verdict| {
            assert_eq!(path, scene.output);
            all.push(verdict);
            Ok(())
        })
        .unwrap();
        all
    };
    assert_eq!(verdicts(), [OutputVerdict::Unchanged]);
    // The content is read although size and time match.
    let time = fs::metadata(&scene.output).unwrap().modified().unwrap();
    fs::write(&scene.output, "MADE BY b").unwrap();
    let file = File::options().write(true).open(&scene.output).unwrap();
    file.set_modified(time).unwrap();
    assert_eq!(verdicts(), [OutputVerdict::Changed]);
    fs::remove_file(&scene.output).unwrap();
    assert_eq!(verdicts(), [OutputVerdict::Missing]);
}

#[test]
fn failures_are_summed_by_their_latest() {
    let scene = Scene::new();
    scene.fail(&scene.open(), FailureKind::Output, "disk full");
    scene.fail(&scene.open_shard(1), FailureKind::Decode, "truncated");
    let groups = summarise_failures(&scene.folder).unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].kind, groups[0].count), (FailureKind::Decode, 1));
    assert_eq!((&groups[0].input, groups[0].page), (&scene.photo, None));
    scene.make("a");
    assert!(summarise_failures(&scene.folder).unwrap().is_empty());
}

#[test]
fn missing_is_what_was_not_made_or_is_gone_or_was_made_of_something_else() {
    let scene = Scene::new();
    let other = scene.photo.with_file_name("b.jpg");
    fs::write(&other, "other").unwrap();
    let sources = [Source::from_path(&scene.photo), Source::from_path(&other)];
    let usual = MissingRule::default();
    let find = |rule: &MissingRule| find_missing(&scene.folder, &sources, rule).unwrap();
    assert_eq!(find(&usual), [0, 1]);
    scene.make_in(&scene.open_shard(2), "a");
    assert_eq!(find(&usual), [1]);
    let pca = MissingRule {
        tasks: vec!["pca".into()],
        ..usual.clone()
    };
    assert_eq!(find(&pca), [0, 1]);
    fs::write(&scene.photo, "edited").unwrap();
    assert_eq!(find(&usual), [0, 1]);
    scene.make("b");
    assert_eq!(find(&usual), [1]);
    fs::remove_file(&scene.output).unwrap();
    assert_eq!(find(&usual), [0, 1]);
    scene.fail(&scene.open(), FailureKind::NotImage, "is not an image");
    assert_eq!(find(&usual), [0, 1]);
    let but_broken = MissingRule {
        excludes_broken: true,
        ..usual
    };
    assert_eq!(find(&but_broken), [1]);
}
