use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::json;

use crate::backbone::Grid;
use crate::error::Result;
use crate::features::*;
use crate::manifest::Digest;

pub(super) fn meta() -> DatasetMeta {
    DatasetMeta {
        format: DatasetMeta::FORMAT,
        model: "tiny".into(),
        variant: "tiny".into(),
        fingerprint: "a".into(),
        dim: 4,
        computed: "f32".into(),
        layers: vec![
            Layer {
                block: 8,
                norm: false,
            },
            Layer {
                block: 11,
                norm: true,
            },
        ],
        input: json!({"size": {"shorter": 518}}),
        coarse: None,
        cls: true,
        patches: true,
        registers: 0,
        pool: None,
        basis: None,
        points: None,
        precision: Precision::F16,
    }
}

/// The formats, with the folder's name.
fn each(test: impl Fn(&Path)) {
    for format in Format::ALL {
        let parent = tempfile::tempdir().unwrap();
        test(
            &parent
                .path()
                .join("feats")
                .with_extension(format.extension()),
        );
    }
}

/// With everything that can be stored.
fn rich() -> DatasetMeta {
    DatasetMeta {
        coarse: Some(50),
        registers: 2,
        points: Some("points".into()),
        basis: Some(("basis".into(), 3)),
        ..meta()
    }
}

/// Row `number` of a dataset, with numbers of its own.
fn row(meta: &DatasetMeta, number: usize, path: &str, key: &str) -> Row {
    let layers = meta.layers.len();
    let grid = Grid {
        rows: 2 + number % 3,
        cols: 3,
    };
    let coarse = Grid { rows: 1, cols: 2 };
    let mut state = number as u32 + 1;
    let mut numbers = |is_stored: bool, count: usize| -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Exact in f16.
            f32::from((state >> 21) as u16) / 64.0 - 8.0
        };
        (0..if is_stored { count } else { 0 })
            .map(|_| next())
            .collect()
    };
    let points = if meta.points.is_some() { number % 3 } else { 0 };
    Row {
        name: RowName {
            path: path.into(),
            page: (number % 2) as u32,
        },
        key: key.into(),
        sha256: format!("{number:064x}"),
        digest: Digest::of_bytes(path.as_bytes()),
        photo: (640 + number as u32, 480),
        grid,
        cls: numbers(meta.cls, layers * meta.dim),
        patches: numbers(meta.patches, layers * grid.len() * meta.patch_width()),
        registers: numbers(true, layers * meta.registers * meta.dim),
        coarse: meta.coarse.map(|_| {
            (
                coarse,
                numbers(meta.cls, layers * meta.dim),
                numbers(meta.patches, layers * coarse.len() * meta.dim),
            )
        }),
        points: (0..points).map(|p| (p as f32 + 0.1, 7.0)).collect(),
        at: numbers(true, points * layers * meta.dim),
    }
}

fn plain(meta: &DatasetMeta, number: usize) -> Row {
    row(
        meta,
        number,
        &format!("/p/{number}.jpg"),
        &format!("{number}"),
    )
}

fn write(
    folder: &Path,
    meta: &DatasetMeta,
    rows: &[Row],
    options: WriterOptions,
) -> Vec<FinishedPart> {
    let mut writer = DatasetWriter::open(folder, meta.clone(), options).unwrap();
    let mut done = Vec::new();
    for row in rows {
        done.extend(writer.push(row.clone()).unwrap());
    }
    done.extend(writer.finish().unwrap());
    done
}

fn small(part_bytes: u64) -> WriterOptions {
    WriterOptions {
        part_bytes,
        ..WriterOptions::default()
    }
}

fn read(folder: &Path) -> Vec<Row> {
    let dataset = Dataset::open(folder).unwrap();
    (0..dataset.len())
        .map(|row| dataset.read(row).unwrap())
        .collect()
}

/// All files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The files that are parts, in order.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let dataset = Dataset::open(folder).unwrap();
    (0..)
        .map_while(|part| dataset.part(part).map(Path::to_owned))
        .collect()
}

#[test]
fn what_was_written_is_read() {
    let names = [
        ("/p/a.jpg", "a"),
        ("/p/b.c/d.e.png", "b.c/d.e"),
        ("/p/b.c/d_e.png", "b.c/d_e"),
        ("/p/ä ö/日本.tif", "ä ö/日本"),
        ("/p/\"quoted\", 'x'.jpg", "\"quoted\", 'x'"),
        ("/p/new\nline\r\tx.jpg", "new\nline\r\tx"),
        ("/p/lossy\u{fffd}.jpg", "lossy\u{fffd}"),
        ("/p/back\\slash/..x/.y.jpg", "back\\slash/..x/.y"),
        ("/p/../up.jpg", "../up"),
        ("/p/__meta__/x.jpg", "__meta__/x"),
        ("/p/same.jpg", "a"),
        ("https://h/x.jpg?a=b#c", "x"),
    ];
    let long = "long/".repeat(60) + "photo";
    let mut cls_only = meta();
    cls_only.patches = false;
    let mut single = rich();
    single.precision = Precision::F32;
    let mut pooled = meta();
    pooled.pool = Some(2);
    pooled.cls = false;
    for meta in [meta(), rich(), cls_only, single, pooled] {
        let mut rows: Vec<Row> = names
            .iter()
            .enumerate()
            .map(|(number, (path, key))| row(&meta, number, path, key))
            .collect();
        rows.push(row(&meta, 20, "/p/long.jpg", &long));
        let mut page = rows[1].clone();
        page.name.page = 7;
        page.key = "b.c/d.e.p007".into();
        rows.push(page);
        each(|folder| {
            let done = write(folder, &meta, &rows, small(60));
            assert!(done.len() > 2, "{folder:?}");
            let told: Vec<&RowName> = done.iter().flat_map(|part| &part.rows).collect();
            assert_eq!(told, rows.iter().map(|row| &row.name).collect::<Vec<_>>());
            for (path, stamp) in done.iter().flat_map(|part| &part.files) {
                assert!(stamp.as_ref().unwrap().still_is(path).unwrap());
            }
            assert_eq!(read(folder), rows, "{folder:?}");
            let dataset = Dataset::open(folder).unwrap();
            assert_eq!(dataset.meta(), &meta);
            let infos: Vec<&str> = dataset.rows().iter().map(|row| row.key.as_str()).collect();
            assert_eq!(
                infos,
                rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>()
            );
            assert!(dataset.read(rows.len()).is_err());
            assert_eq!(
                parts(folder),
                done.iter()
                    .map(|part| part.path.clone())
                    .collect::<Vec<_>>()
            );
        });
    }
}

#[test]
fn a_run_in_pieces_gives_the_bytes_of_one() {
    let meta = rich();
    let rows: Vec<Row> = (0..23).map(|number| plain(&meta, number)).collect();
    each(|folder| {
        write(folder, &meta, &rows, small(1000));
        let whole = files(folder);
        assert!(whole.len() > 3);
        for cuts in [vec![1, 2, 3], vec![7], vec![5, 11, 22], (1..23).collect()] {
            let again = folder
                .with_file_name("again")
                .with_extension(folder.extension().unwrap());
            let mut from = 0;
            for to in cuts.into_iter().chain([23]) {
                let mut writer = DatasetWriter::open(&again, meta.clone(), small(1000)).unwrap();
                for row in &rows[from..to] {
                    writer.push(row.clone()).unwrap();
                }
                writer.finish().unwrap();
                // What is lost with a program that is killed.
                let mut killed = DatasetWriter::open(&again, meta.clone(), small(1000)).unwrap();
                if let Some(row) = rows.get(to).filter(|_| to % 2 == 0) {
                    let done = killed.push(row.clone()).unwrap();
                    from = if done.is_empty() { to } else { to + 1 };
                } else {
                    from = to;
                }
                drop(killed);
            }
            assert_eq!(files(&again), whole, "{folder:?}");
            fs::remove_dir_all(&again).unwrap();
        }
    });
}

#[test]
fn rows_that_are_refused_change_nothing() {
    let meta = meta();
    each(|folder| {
        let good = [plain(&meta, 0), plain(&meta, 1)];
        write(folder, &meta, &good, small(1000));
        let mut writer = DatasetWriter::open(folder, meta.clone(), small(1000)).unwrap();
        assert!(writer.contains(&good[1].name));
        let refused =
            |writer: &mut DatasetWriter, row: Row| writer.push(row).unwrap_err().to_string();
        let error = refused(&mut writer, good[1].clone());
        assert!(
            error.contains("/p/1.jpg: has features in") && error.contains("already"),
            "{error}"
        );
        let mut large = plain(&meta, 2);
        large.patches[3] = 70000.0;
        let error = refused(&mut writer, large);
        assert!(
            error.contains("/p/2.jpg") && error.contains("--dtype f32"),
            "{error}"
        );
        let mut short = plain(&meta, 2);
        short.patches.pop();
        assert!(
            refused(&mut writer, short).contains("`patches` has"),
            "{folder:?}"
        );
        let mut other = plain(&meta, 2);
        other.coarse = Some((Grid { rows: 1, cols: 1 }, vec![], vec![]));
        assert!(refused(&mut writer, other).contains("another dataset"));
        writer.push(plain(&meta, 2)).unwrap();
        writer.finish().unwrap();
        assert_eq!(read(folder), [0, 1, 2].map(|number| plain(&meta, number)));
    });
}

#[test]
fn another_dataset_is_neither_continued_nor_mixed_in() {
    let (meta, rows) = (meta(), [plain(&meta(), 0)]);
    let mut other = meta.clone();
    other.fingerprint = "b".into();
    each(|folder| {
        write(folder, &meta, &rows, WriterOptions::default());
        let error = DatasetWriter::open(folder, other.clone(), WriterOptions::default());
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("was made with other weights of tiny"),
            "{error}"
        );
        // The same files in another dataset's folder.
        let mixed = folder
            .with_file_name("mixed")
            .with_extension(folder.extension().unwrap());
        let shard = WriterOptions {
            prefix: "shard-0".into(),
            ..WriterOptions::default()
        };
        write(&mixed, &other, &rows, shard);
        for (name, bytes) in files(folder)
            .into_iter()
            .filter(|(name, _)| !name.starts_with('_'))
        {
            fs::write(mixed.join(name), bytes).unwrap();
        }
        let error = Dataset::open(&mixed).unwrap_err().to_string();
        assert!(
            error.contains("part-00000") && error.contains("another dataset"),
            "{error}"
        );
        // Who replaces a part of the whole drops what belongs to none of it.
        let replace = WriterOptions {
            prefix: "shard-1".into(),
            replace: true,
            ..WriterOptions::default()
        };
        write(&mixed, &other, &[plain(&meta, 1)], replace);
        assert_eq!(read(&mixed), [plain(&meta, 0), plain(&meta, 1)]);
        let replace = WriterOptions {
            replace: true,
            ..WriterOptions::default()
        };
        write(&mixed, &meta, &[plain(&meta, 3)], replace);
        assert_eq!(read(&mixed), [plain(&meta, 3)]);
    });
}

#[test]
fn rows_leave_and_the_rest_stays() {
    let meta = rich();
    let rows: Vec<Row> = (0..10).map(|number| plain(&meta, number)).collect();
    each(|folder| {
        let done = write(folder, &meta, &rows, small(500));
        assert!(done.len() > 2);
        let first = done[0].rows.clone();
        let gone = |info: &RowInfo| first.contains(&info.name) || info.name.path == "/p/8.jpg";
        let removed = retain(folder, |info| !gone(info)).unwrap();
        assert_eq!(removed, first.len() + 1, "{folder:?}");
        let kept: Vec<Row> = rows
            .iter()
            .filter(|row| !gone(&RowInfo::of(row)))
            .cloned()
            .collect();
        assert_eq!(read(folder), kept, "{folder:?}");
        assert_eq!(retain(folder, |info| !gone(info)).unwrap(), 0);
        // And come back, after the others.
        let drop = [kept[0].name.clone()].into();
        let again = [rows[8].clone(), kept[0].clone()];
        write(
            folder,
            &meta,
            &again,
            WriterOptions {
                drop,
                ..small(1000)
            },
        );
        let mut expected = kept[1..].to_vec();
        expected.extend(again);
        assert_eq!(read(folder), expected, "{folder:?}");
        retain(folder, |_| false).unwrap();
        assert_eq!(files(folder).keys().collect::<Vec<_>>(), ["_dataset.json"]);
        assert!(Dataset::open(folder).unwrap().is_empty());
    });
}

#[test]
fn damage_is_named() {
    let meta = rich();
    let rows: Vec<Row> = (0..4).map(|number| plain(&meta, number)).collect();
    each(|folder| {
        write(folder, &meta, &rows, small(10_000));
        for (name, bytes) in files(folder) {
            let path = folder.join(&name);
            for length in [0, 1, bytes.len() / 3, bytes.len() / 2, bytes.len() - 2] {
                fs::write(&path, &bytes[..length]).unwrap();
                let told = Dataset::open(folder).and_then(|dataset| {
                    let read = (0..dataset.len()).map(|row| dataset.read(row));
                    read.collect::<Result<Vec<Row>>>()
                });
                let stem = name.split('.').next().unwrap();
                match told {
                    Err(error) => assert!(error.to_string().contains(stem), "{error}"),
                    Ok(read) => panic!("{name}, {length}: {} rows", read.len()),
                }
            }
            fs::remove_file(&path).unwrap();
            if name.ends_with(".npy") || name.starts_with('_') {
                assert!(Dataset::open(folder).is_err(), "{name}");
            }
            fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(read(folder), rows);
    });
}

#[test]
fn flipped_bytes_never_panic() {
    let meta = rich();
    each(|folder| {
        write(folder, &meta, &[plain(&meta, 2)], small(10_000));
        for (name, bytes) in files(folder) {
            let path = folder.join(&name);
            for at in (0..bytes.len()).step_by(bytes.len() / 60 + 1) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x41;
                fs::write(&path, &flipped).unwrap();
                if let Ok(dataset) = Dataset::open(folder) {
                    let _ = (0..dataset.len()).map(|row| dataset.read(row)).count();
                }
            }
            fs::write(&path, &bytes).unwrap();
        }
    });
}

#[test]
fn other_files_are_passed_over_or_named() {
    let meta = meta();
    each(|folder| {
        write(folder, &meta, &[plain(&meta, 0)], WriterOptions::default());
        fs::write(folder.join("README.txt"), "about").unwrap();
        fs::write(folder.join(".dino-abcdef.part"), "half").unwrap();
        fs::write(folder.join("part-00001.cls.npy"), "stray").unwrap();
        assert_eq!(read(folder), [plain(&meta, 0)]);
        let ending = match Format::of(folder).unwrap() {
            Format::Npy => "csv",
            format => format.extension(),
        };
        let foreign = folder.join("mine").with_extension(ending);
        fs::write(&foreign, "a,b\n1,2\n").unwrap();
        let error = Dataset::open(folder).unwrap_err().to_string();
        assert!(error.contains("mine."), "{error}");
        let replace = WriterOptions {
            replace: true,
            ..WriterOptions::default()
        };
        assert!(DatasetWriter::open(folder, meta.clone(), replace.clone()).is_err());
        assert!(foreign.exists());
        // A folder of somebody's, which is no dataset.
        fs::remove_file(folder.join("_dataset.json")).unwrap();
        assert!(Dataset::open(folder).is_err());
        let error = DatasetWriter::open(folder, meta.clone(), replace)
            .unwrap_err()
            .to_string();
        assert!(error.contains("no _dataset.json"), "{error}");
    });
}

#[test]
fn two_programs_on_one_part_are_noticed() {
    let meta = meta();
    each(|folder| {
        let open = || DatasetWriter::open(folder, meta.clone(), WriterOptions::default()).unwrap();
        let (mut one, mut two) = (open(), open());
        one.push(plain(&meta, 0)).unwrap();
        two.push(plain(&meta, 1)).unwrap();
        one.finish().unwrap();
        let error = two.finish().unwrap_err().to_string();
        assert!(error.contains("another program"), "{error}");
        assert_eq!(read(folder), [plain(&meta, 0)]);
    });
}

#[test]
fn threads_share_a_dataset() {
    let meta = meta();
    let rows: Vec<Row> = (0..40).map(|number| plain(&meta, number)).collect();
    each(|folder| {
        write(folder, &meta, &rows, small(300));
        let dataset = Dataset::open(folder).unwrap();
        (0..400usize).into_par_iter().for_each(|index| {
            let index = index * 17 % 40;
            assert_eq!(dataset.read(index).unwrap(), rows[index]);
        });
    });
}

#[test]
fn what_is_replaced_while_it_is_read_is_noticed() {
    let meta = meta();
    let rows: Vec<Row> = (0..4).map(|number| plain(&meta, number)).collect();
    each(|folder| {
        write(folder, &meta, &rows, small(300));
        let dataset = Dataset::open(folder).unwrap();
        retain(folder, |info| info.name.path != "/p/0.jpg").unwrap();
        let error = dataset.read(0).unwrap_err().to_string();
        assert!(error.contains("part-00000"), "{error}");
    });
}

#[test]
fn features_are_rounded_to_what_is_stored() {
    let mut rounded = plain(&rich(), 5);
    rounded.cls[0] = 1.0001;
    rounded.at[0] = 1.0001;
    rounded.round(Precision::F32).unwrap();
    assert_eq!(rounded.cls[0], 1.0001);
    rounded.round(Precision::F16).unwrap();
    assert_eq!((rounded.cls[0], rounded.at[0]), (1.0, 1.0));
    rounded.registers[0] = -1e6;
    assert!(rounded.round(Precision::F16).is_err());
}
