use super::{DepthMapCheck, IgnoredId, MaskCheck, absent_classes};
use crate::error::Result;
use crate::learn::data::statistics::{DepthStatistics, LabelSample, MaskStatistics};
use crate::learn::data::taxonomy::{SetLabels, WHITES};
use crate::model::head::meta::Class;

fn sample(ending: &str) -> LabelSample {
    LabelSample {
        labels: vec![format!("a.{ending}").into()],
        total: 1,
    }
}

fn classes(count: usize) -> Vec<Class> {
    let class = |at: usize| Class {
        name: format!("class {at}"),
        color: [0; 3],
    };
    (0..count).map(class).collect()
}

/// The id of white, the warnings and the absent classes for ten masks that all have each of `ids` (with its pixels),
/// `count` classes and an ignored id.
fn said(
    ids: &[(u16, u64)],
    count: usize,
    ignored: IgnoredId,
) -> (Option<u16>, Result<Vec<String>>, Result<Vec<String>>) {
    let statistics = MaskStatistics {
        ids: ids.iter().map(|&(id, pixels)| (id, (pixels, 10))).collect(),
        masks: 10,
        files: Vec::new(),
    };
    let meaning = SetLabels::identity("toy", &classes(count));
    let sample = sample("png");
    let masks = MaskCheck {
        name: "toy",
        sample: &sample,
        statistics: &statistics,
        set_labels: &meaning,
    };
    let white = masks.white(ignored);
    let doubts = masks.check(ignored);
    let absent = absent_classes(&[masks], &classes(count), ignored);
    (white, doubts, absent)
}

const SAID: IgnoredId = IgnoredId {
    id: Some(255),
    is_explicit: true,
};

#[test]
fn black_and_white_is_two_classes_or_an_error() {
    for white in WHITES {
        assert_eq!(
            said(&[(0, 5), (white, 5)], 2, IgnoredId::default()).0,
            Some(white)
        );
    }
    let none = IgnoredId {
        id: None,
        is_explicit: true,
    };
    assert_eq!(said(&[(0, 5), (255, 5)], 2, none).0, Some(255));
    let (white, _, absent) = said(&[(0, 5), (255, 5)], 2, SAID);
    assert_eq!(white, None);
    assert!(
        absent
            .unwrap_err()
            .to_string()
            .contains("one class, class 0")
    );
    for count in [1, 3] {
        let (white, doubts, _) = said(&[(0, 5), (255, 5)], count, IgnoredId::default());
        assert_eq!(white, None);
        assert!(doubts.unwrap_err().to_string().contains("black and white"));
    }
    assert_eq!(
        said(&[(0, 5), (1, 5), (255, 5)], 2, IgnoredId::default()).0,
        None
    );
}

#[test]
fn white_beside_ones_is_not_taken_for_void_in_silence() {
    let meaning = SetLabels::identity("toy", &classes(2));
    let sample = sample("png");
    let said = |files: &[&[u16]], ignored: IgnoredId| {
        let file = |(at, ids): (usize, &&[u16])| (format!("{at}.png").into(), ids.to_vec());
        let mut statistics = MaskStatistics {
            masks: files.len(),
            files: files.iter().enumerate().map(file).collect(),
            ..MaskStatistics::default()
        };
        for &id in files.iter().copied().flatten() {
            let (pixels, masks) = statistics.ids.entry(id).or_default();
            (*pixels, *masks) = (*pixels + 9, *masks + 1);
        }
        let masks = MaskCheck {
            name: "toy",
            sample: &sample,
            statistics: &statistics,
            set_labels: &meaning,
        };
        (
            masks.white(ignored),
            masks.check(ignored).map_err(|error| error.to_string()),
        )
    };
    let ignored = |id: Option<u16>| IgnoredId {
        id,
        is_explicit: true,
    };
    let mixed: [&[u16]; 3] = [&[0, 1], &[0], &[0, 255]];
    let (white, doubts) = said(&mixed, IgnoredId::default());
    let why = doubts.unwrap_err();
    assert_eq!(white, None);
    assert!(
        why.contains("2.png") && why.contains("0.png 0 and 1"),
        "{why}"
    );
    assert_eq!(said(&mixed, ignored(None)).0, Some(255));
    let (white, doubts) = said(&mixed, ignored(Some(255)));
    assert_eq!((white, doubts), (None, Ok(vec![])));
    // A mask with both 1 and white means that white is not a class.
    let (white, doubts) = said(&[&[0, 255], &[0, 1, 255], &[0, 1]], IgnoredId::default());
    assert_eq!((white, doubts), (None, Ok(vec![])));
    // A trimap.
    let trimap: [&[u16]; 2] = [&[0, 128, 255], &[0, 128, 255]];
    assert_eq!(said(&trimap, ignored(Some(128))).0, Some(255));
    assert!(said(&trimap, IgnoredId::default()).1.is_err());
    // Masks that were smoothed.
    let smooth: Vec<u16> = (0..100).collect();
    let why = said(&[&smooth, &smooth], IgnoredId::default())
        .1
        .unwrap_err();
    assert!(why.contains("without interpolation"), "{why}");
}

#[test]
fn maps_that_are_no_metres_are_told_by_their_ends_and_medians() {
    let told = |maps: &[(&str, f32, f32)], readings: &[f32]| {
        let statistics = DepthStatistics {
            readings: readings.to_vec(),
            valid_share: 0.9,
            aspect_ratio: 1.3,
            maps: maps
                .iter()
                .map(|&(file, median, top)| (file.into(), median, top))
                .collect(),
        };
        let maps = DepthMapCheck {
            name: "toy",
            sample: &sample("npy"),
            statistics: &statistics,
            user_scale: None,
            scale: 1000.0,
            counted_range: (0.001, 10.0),
            head_range: (0.5, 10.0),
        };
        maps.check().map_err(|error| error.to_string())
    };
    let readings = [0.6, 0.8, 1.0];
    let why = told(&[("a", 0.5, 1.0), ("b", 0.6, 1.0)], &readings).unwrap_err();
    assert!(why.contains("reach exactly 1"), "{why}");
    assert_eq!(
        told(&[("a", 0.5, 1.0), ("b", 0.6, 1.01)], &readings),
        Ok(vec![])
    );
    let gap = told(&[("a", 0.003, 0.1), ("b", 2.0, 3.0)], &readings).unwrap();
    assert!(gap[0].contains("the median of a is 0.0030 m"), "{gap:?}");
    let unlike = [
        ("a.png", 0.5, 0.9),
        ("b.png", 0.6, 1.0),
        ("c.npy", 2.0, 3.0),
        ("d.npy", 2.1, 3.0),
    ];
    assert!(told(&unlike, &readings).unwrap()[0].contains("that of d.npy 2.1 m"));
    assert_eq!(told(&unlike[1..3], &readings).unwrap().len(), 1);
    let near = told(&[], &[0.1, 0.2, 0.3, 0.4, 0.6]).unwrap();
    assert!(near[0].contains("80 % of the readings"), "{near:?}");
}

#[test]
fn ids_that_do_not_count_are_said() {
    let (_, doubts, absent) = said(&[(0, 5), (1, 5), (255, 90)], 4, IgnoredId::default());
    assert!(doubts.unwrap()[0].contains("90 % of the pixels of its masks have the id 255"));
    assert_eq!(absent.unwrap(), ["class 2", "class 3"]);
    let (_, doubts, _) = said(&[(1, 5), (2, 5), (3, 5)], 3, IgnoredId::default());
    assert!(doubts.unwrap_err().to_string().contains("count from 1"));
    let (_, doubts, _) = said(&[(0, 5), (7, 5)], 3, IgnoredId::default());
    assert!(
        doubts
            .unwrap_err()
            .to_string()
            .contains("10 of 10 masks looked at have the id 7")
    );
    let (_, doubts, absent) = said(&[(0, 50), (1, 40), (255, 10)], 2, IgnoredId::default());
    assert!(doubts.unwrap().is_empty() && absent.unwrap().is_empty());
    assert!(said(&[(255, 10)], 2, IgnoredId::default()).2.is_err());
}

fn depth(
    readings: &[f32],
    ending: &str,
    said_scale: Option<f64>,
    head: (f64, f64),
) -> Result<Vec<String>> {
    let statistics = DepthStatistics {
        readings: readings.to_vec(),
        valid_share: 0.9,
        aspect_ratio: 1.3,
        maps: Vec::new(),
    };
    let maps = DepthMapCheck {
        name: "toy",
        sample: &sample(ending),
        statistics: &statistics,
        user_scale: said_scale,
        scale: said_scale.unwrap_or(1000.0),
        counted_range: (0.001, 10.0),
        head_range: head,
    };
    maps.check()
}

#[test]
fn a_wrong_scale_is_told_from_metres() {
    let indoor = (0.5, 10.0);
    assert!(
        depth(&[1.0, 2.5, 4.0], "png", None, indoor)
            .unwrap()
            .is_empty()
    );
    // Metres in whole numbers, TUM's 1/5000 m as 1/1000 m, millimetres as metres.
    let error = |readings, ending| {
        depth(readings, ending, None, indoor)
            .unwrap_err()
            .to_string()
    };
    assert!(
        error(&[0.002, 0.003, 0.004], "png")
            .contains("--depth-scale 1 would make it 3.0 m in the median")
    );
    let tum = error(&[21.0, 30.0, 40.0], "png");
    assert!(
        tum.contains("--depth-scale 5000 would make it 6.0 m"),
        "{tum}"
    );
    assert!(error(&[1000.0, 2500.0, 4000.0], "npy").contains("look like millimetres"));
    // With a named scale the same is a warning only.
    let said = depth(&[0.002, 0.003, 0.004], "png", Some(1000.0), indoor).unwrap();
    assert!(said[0].contains("(--depth-scale 1000)"), "{said:?}");
    let half = depth(&[5.0, 8.0, 9.0, 60.0, 70.0], "png", None, indoor).unwrap();
    assert!(half[0].contains("40 % of the readings"), "{half:?}");
    let far = depth(&[5.0, 12.0, 40.0], "png", None, (1.0, 80.0)).unwrap_err();
    assert!(far.to_string().contains("10.0 m; --max-depth"), "{far}");
}
