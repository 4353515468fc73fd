use super::*;

/// The map that `rows` draw; a space has no label.
fn of(rows: &[&str]) -> (usize, usize, Vec<u32>) {
    let text = rows.concat();
    let labels = text.bytes().map(|c| match c {
        b' ' => NO_LABEL,
        c => u32::from(c),
    });
    (rows[0].len(), rows.len(), labels.collect())
}

/// Fills polygons by the even-odd rule at the centres of pixels, as pycocotools does, and checks that no two of
/// them share a pixel.
fn fill(contours: &[Contour], width: usize, height: usize) -> Vec<u32> {
    let mut filled = vec![NO_LABEL; width * height];
    for contour in contours {
        let points = contour.points.iter();
        let sides: Vec<_> = points
            .clone()
            .zip(points.cycle().skip(1))
            .filter(|(a, b)| a[0] == b[0])
            .collect();
        for (i, pixel) in filled.iter_mut().enumerate() {
            let (x, y) = ((i % width) as u32, (i / width) as u32);
            let left = sides
                .iter()
                .filter(|(a, b)| a[0] <= x && a[1].min(b[1]) <= y && y < a[1].max(b[1]));
            if left.count() % 2 == 1 {
                assert_eq!(*pixel, NO_LABEL, "two polygons at {x}, {y}");
                *pixel = contour.label;
            }
        }
    }
    filled
}

/// Twice the signed area of a polygon.
fn doubled_area(points: &[[u32; 2]]) -> i64 {
    let next = points.iter().cycle().skip(1);
    let cross = |(a, b): (&[u32; 2], &[u32; 2])| {
        i64::from(a[0]) * i64::from(b[1]) - i64::from(b[0]) * i64::from(a[1])
    };
    points.iter().zip(next).map(cross).sum()
}

fn check(width: usize, height: usize, labels: &[u32]) -> Vec<Contour> {
    let contours = trace_contours(width, height, |i| labels[i]);
    assert_eq!(fill(&contours, width, height), labels);
    let areas: Vec<i64> = contours.iter().map(|c| doubled_area(&c.points)).collect();
    assert!(areas.iter().all(|&area| area > 0), "each is an outline");
    let labelled = labels.iter().filter(|label| **label != NO_LABEL).count();
    assert_eq!(areas.iter().sum::<i64>(), 2 * labelled as i64);
    contours
}

#[test]
fn a_rectangle_has_four_corners() {
    let (width, height, labels) = of(&["    ", " aa ", " aa ", "    "]);
    let contours = check(width, height, &labels);
    assert_eq!(contours.len(), 1);
    assert_eq!(contours[0].points, [[1, 1], [3, 1], [3, 3], [1, 3]]);
    assert_eq!(contours[0].label, u32::from(b'a'));
}

#[test]
fn pixels_that_touch_by_a_corner_are_two_polygons() {
    let (width, height, labels) = of(&["a ", " a"]);
    assert_eq!(check(width, height, &labels).len(), 2);
}

#[test]
fn a_hole_is_joined_by_a_cut_of_no_width() {
    let (width, height, labels) = of(&["aaa", "a a", "aaa"]);
    let contours = check(width, height, &labels);
    assert_eq!(contours.len(), 1);
    // To the cut, down to the hole, around it, back up, and on.
    let expected = [
        [0, 0],
        [1, 0],
        [1, 2],
        [2, 2],
        [2, 1],
        [1, 1],
        [1, 0],
        [3, 0],
        [3, 3],
        [0, 3],
    ];
    assert_eq!(contours[0].points, expected);
    assert_eq!(doubled_area(&contours[0].points), 2 * 8);
}

#[test]
fn holes_below_holes_and_islands_within_are_kept_apart() {
    let (width, height, labels) = of(&[
        "aaaaaaaaa",
        "a  aa b a",
        "a  aaaaaa",
        "aaaaa   a",
        "aa aa c a",
        "aa  a   a",
        "aaa aaaaa",
        "aaaaaaaaa",
        "  aa   aa",
    ]);
    let contours = check(width, height, &labels);
    let count = |label: u8| {
        let label = u32::from(label);
        contours.iter().filter(|c| c.label == label).count()
    };
    assert_eq!((count(b'a'), count(b'b'), count(b'c')), (1, 1, 1));
}

#[test]
fn noise_of_any_kind_comes_back_exactly() {
    let mut state = 3u32;
    let mut random = move |limit: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % limit
    };
    for round in 0..200 {
        let (width, height) = (1 + random(14) as usize, 1 + random(14) as usize);
        let kinds = 2 + round % 3;
        let labels: Vec<u32> = (0..width * height)
            .map(|_| match random(kinds) {
                0 => NO_LABEL,
                label => label,
            })
            .collect();
        check(width, height, &labels);
    }
}

#[test]
fn nothing_has_no_polygon() {
    assert_eq!(trace_contours(3, 2, |_| NO_LABEL), []);
    assert_eq!(trace_contours(0, 0, |_| 1), []);
}
