use super::*;

#[test]
fn a_run_in_pieces_gives_the_bytes_of_one() {
    let meta = rich();
    let rows: Vec<FeatureRow> = (0..23).map(|number| plain(&meta, number)).collect();
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
                // The part that a killed program loses.
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
            |writer: &mut DatasetWriter, row: FeatureRow| writer.push(row).unwrap_err().to_string();
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
        other.coarse = Some((PatchGrid { rows: 1, cols: 1 }, vec![], vec![]));
        assert!(refused(&mut writer, other).contains("another dataset"));
        writer.push(plain(&meta, 2)).unwrap();
        writer.finish().unwrap();
        assert_eq!(read(folder), [0, 1, 2].map(|number| plain(&meta, number)));
    });
}

#[test]
fn rows_leave_and_the_rest_stays() {
    let meta = rich();
    let rows: Vec<FeatureRow> = (0..10).map(|number| plain(&meta, number)).collect();
    each(|folder| {
        let done = write(folder, &meta, &rows, small(500));
        assert!(done.len() > 2);
        let first = done[0].rows.clone();
        let gone = |info: &RowInfo| first.contains(&info.name) || info.name.path == "/p/8.jpg";
        let removed = leave(folder, |info| !gone(info)).unwrap();
        assert_eq!(removed, first.len() + 1, "{folder:?}");
        let kept: Vec<FeatureRow> = rows
            .iter()
            .filter(|row| !gone(&RowInfo::of(row)))
            .cloned()
            .collect();
        assert_eq!(read(folder), kept, "{folder:?}");
        assert_eq!(leave(folder, |info| !gone(info)).unwrap(), 0);
        // They can be added again, after the other rows.
        let drop = [kept[0].name.clone()].into();
        let again = [rows[8].clone(), kept[0].clone()];
        write(
            folder,
            &meta,
            &again,
            WriterOptions {
                stale_rows: drop,
                ..small(1000)
            },
        );
        let mut expected = kept[1..].to_vec();
        expected.extend(again);
        assert_eq!(read(folder), expected, "{folder:?}");
        leave(folder, |_| false).unwrap();
        assert_eq!(files(folder).keys().collect::<Vec<_>>(), ["_dataset.json"]);
        assert!(Dataset::open(folder).unwrap().is_empty());
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
fn what_is_replaced_while_it_is_read_is_noticed() {
    let meta = meta();
    let rows: Vec<FeatureRow> = (0..4).map(|number| plain(&meta, number)).collect();
    each(|folder| {
        write(folder, &meta, &rows, small(300));
        let dataset = Dataset::open(folder).unwrap();
        leave(folder, |info| info.name.path != "/p/0.jpg").unwrap();
        let error = dataset.read(0).unwrap_err().to_string();
        assert!(error.contains("part-00000"), "{error}");
    });
}
