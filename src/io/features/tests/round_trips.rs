use super::*;

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
        let mut rows: Vec<FeatureRow> = names
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
                assert!(stamp.as_ref().unwrap().matches_file(path).unwrap());
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
fn threads_share_a_dataset() {
    let meta = meta();
    let rows: Vec<FeatureRow> = (0..40).map(|number| plain(&meta, number)).collect();
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
fn features_are_rounded_to_what_is_stored() {
    let mut rounded = plain(&rich(), 5);
    rounded.cls[0] = 1.0001;
    rounded.point_features[0] = 1.0001;
    rounded.round(Precision::F32).unwrap();
    assert_eq!(rounded.cls[0], 1.0001);
    rounded.round(Precision::F16).unwrap();
    assert_eq!((rounded.cls[0], rounded.point_features[0]), (1.0, 1.0));
    rounded.registers[0] = -1e6;
    assert!(rounded.round(Precision::F16).is_err());
}
