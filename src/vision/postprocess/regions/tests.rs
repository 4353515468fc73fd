use super::*;

/// The map that `rows` draw with digits; a space has no class.
fn map(rows: &[&str]) -> LabelMap {
    let text = rows.concat();
    let ids = text.bytes().map(|c| match c {
        b' ' => NO_CLASS,
        c => u16::from(c - b'0'),
    });
    let ids: Vec<u16> = ids.collect();
    LabelMap {
        width: rows[0].len(),
        height: rows.len(),
        confidence: (0..ids.len()).map(|i| i as f32).collect(),
        ids,
    }
}

fn of(regions: &Regions) -> Vec<(u16, u64, [usize; 4])> {
    let list = regions.list.iter();
    list.map(|r| (r.class, r.pixels, r.bounds.xywh())).collect()
}

#[test]
fn regions_of_one_class_are_told_apart_and_corners_join() {
    let map = map(&[
        "00 11", //
        "0  1 ", "   1 ", "22 0 ", "    0",
    ]);
    let regions = Regions::of(&map, 1);
    assert_eq!(
        of(&regions),
        [
            (1, 4, [3, 0, 2, 3]),
            (0, 3, [0, 0, 2, 2]),
            (2, 2, [0, 3, 2, 1]),
            (0, 2, [3, 3, 2, 2]),
        ]
    );
    assert_eq!(regions.labels[3], 0);
    assert_eq!((regions.labels[18], regions.labels[24]), (3, 3));
    assert_eq!(regions.labels[2], NO_LABEL);
    assert_eq!(regions.list[2].confidence, 15.5);
    assert_eq!((regions.dropped, regions.left_out_pixels), (0, 0));
}

#[test]
fn small_ones_are_left_out_and_counted() {
    let map = map(&["00 1", "0   ", "  22", "1   "]);
    let regions = Regions::of(&map, 2);
    assert_eq!(of(&regions), [(0, 3, [0, 0, 2, 2]), (2, 2, [2, 2, 2, 1])]);
    assert_eq!((regions.dropped, regions.left_out_pixels), (2, 2));
    assert_eq!(regions.labels[3], NO_LABEL);
    assert_eq!(regions.labels[10], 1);
    let listed = regions.labels.iter().filter(|l| **l != NO_LABEL).count();
    assert_eq!(listed, 5);
}

#[test]
fn a_map_of_no_class_has_no_region() {
    let regions = Regions::of(&map(&["  ", "  "]), 1);
    assert_eq!((regions.list.len(), regions.dropped), (0, 0));
}

#[test]
fn regions_are_those_of_a_flood_fill() {
    let mut state = 5u32;
    let mut random = move |limit: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % limit
    };
    for round in 0..200u32 {
        let (width, height) = (1 + random(12) as usize, 1 + random(12) as usize);
        let kinds = 2 + round % 3;
        let ids = (0..width * height).map(|_| match random(kinds) {
            0 => NO_CLASS,
            id => id as u16,
        });
        let ids: Vec<u16> = ids.collect();
        let map = LabelMap {
            width,
            height,
            confidence: vec![0.5; ids.len()],
            ids,
        };
        let regions = Regions::of(&map, 1);
        let mut seen = vec![false; map.ids.len()];
        let mut count = 0;
        for start in 0..map.ids.len() {
            if map.ids[start] == NO_CLASS || seen[start] {
                continue;
            }
            count += 1;
            let mut open = vec![start];
            let mut pixels = 0;
            seen[start] = true;
            while let Some(at) = open.pop() {
                pixels += 1;
                assert_eq!(regions.labels[at], regions.labels[start]);
                let near = |a: usize, b: usize| a.abs_diff(b) <= 1;
                for (other, seen) in seen.iter_mut().enumerate() {
                    let touches =
                        near(other % width, at % width) && near(other / width, at / width);
                    if touches && map.ids[other] == map.ids[start] && !*seen {
                        *seen = true;
                        open.push(other);
                    }
                }
            }
            let region = regions.list[regions.labels[start] as usize];
            assert_eq!((region.pixels, region.class), (pixels, map.ids[start]));
        }
        assert_eq!(regions.list.len(), count);
    }
}

#[test]
fn the_least_area_is_pixels_or_a_part_of_the_photo() {
    let parse = |text: &str| text.parse::<MinArea>();
    assert_eq!(parse("200").unwrap().pixels(1000), 200);
    assert_eq!(parse("0").unwrap().pixels(1000), 1);
    assert_eq!(parse("0.25%").unwrap().pixels(1000), 3);
    for text in ["", "-1", "2.5", "101%", "x%", "NaN%"] {
        assert!(parse(text).unwrap_err().contains("0.1%"), "{text}");
    }
}
