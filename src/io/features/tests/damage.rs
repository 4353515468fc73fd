use super::*;

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
        // A writer that replaces one prefix also removes parts of other datasets.
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
fn damage_is_named() {
    let meta = rich();
    let rows: Vec<FeatureRow> = (0..4).map(|number| plain(&meta, number)).collect();
    each(|folder| {
        write(folder, &meta, &rows, small(10_000));
        for (name, bytes) in files(folder) {
            let path = folder.join(&name);
            for length in [0, 1, bytes.len() / 3, bytes.len() / 2, bytes.len() - 2] {
                fs::write(&path, &bytes[..length]).unwrap();
                let told = Dataset::open(folder).and_then(|dataset| {
                    let read = (0..dataset.len()).map(|row| dataset.read(row));
                    read.collect::<Result<Vec<FeatureRow>>>()
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
                    for row in 0..dataset.len() {
                        let _ = dataset.read(row);
                    }
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
        let ending = match DatasetFormat::from_path(folder).unwrap() {
            DatasetFormat::Npy => "csv",
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
        // A folder of the user's that is not a dataset.
        fs::remove_file(folder.join("_dataset.json")).unwrap();
        assert!(Dataset::open(folder).is_err());
        let error = DatasetWriter::open(folder, meta.clone(), replace)
            .unwrap_err()
            .to_string();
        assert!(error.contains("no _dataset.json"), "{error}");
    });
}

#[test]
fn arrays_of_parts_that_were_never_finished_go() {
    let meta = meta();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("feats.npy");
    write(&folder, &meta, &[plain(&meta, 0)], WriterOptions::default());
    let stray = folder.join("part-00007.patches.npy");
    let others = [
        "shard-0-00000.cls.npy",
        "mine.cls.npy",
        "part-00007.mine.npy",
    ];
    for name in others {
        fs::write(folder.join(name), "another's").unwrap();
    }
    fs::write(&stray, "half").unwrap();
    assert_eq!(read(&folder), [plain(&meta, 0)]);
    DatasetWriter::open(&folder, meta.clone(), WriterOptions::default()).unwrap();
    assert!(!stray.exists());
    assert!(others.iter().all(|name| folder.join(name).exists()));
    assert_eq!(read(&folder), [plain(&meta, 0)]);
}

#[test]
fn a_folder_under_another_name_is_read_and_not_taken_for_empty() {
    let meta = meta();
    each(|folder| {
        write(folder, &meta, &[plain(&meta, 0)], WriterOptions::default());
        let renamed = folder.with_file_name("renamed");
        fs::rename(folder, &renamed).unwrap();
        assert_eq!(read(&renamed), [plain(&meta, 0)]);
        let wrong = match DatasetFormat::from_path(folder).unwrap() {
            DatasetFormat::Tar => "wrong.parquet",
            _ => "wrong.tar",
        };
        let wrong = folder.with_file_name(wrong);
        fs::rename(&renamed, &wrong).unwrap();
        let error = Dataset::open(&wrong).unwrap_err().to_string();
        assert!(error.contains("rename it"), "{error}");
        let error = DatasetWriter::open(&renamed, meta.clone(), WriterOptions::default());
        assert!(error.unwrap_err().to_string().contains(".parquet, .arrow"));
    });
}
