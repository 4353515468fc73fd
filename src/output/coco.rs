//! A label map in COCO's JSON, one annotation a class, as pycocotools reads it: masks are run-length encoded down the
//! columns and packed into COCO's own printable string.
//!
//! Each photo has a file of its own. Image and annotation ids follow from the photo's name, so that the lists of
//! many such files can be joined.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::head::Class;
use crate::postprocess::{Area, LabelMap, NONE};

/// The whole document for one photo, called `file_name`; category ids are the indices of `classes`.
pub fn document(file_name: &str, map: &LabelMap, classes: &[Class], areas: &[Area]) -> Value {
    let image = image_id(file_name);
    let runs = runs(map, classes.len());
    let annotations: Vec<Value> = areas
        .iter()
        .map(|area| {
            let runs = &runs[usize::from(area.id)];
            json!({
                "id": (image << 16) | (u64::from(area.id) + 1),
                "image_id": image,
                "category_id": area.id,
                "segmentation": {
                    "size": [map.height, map.width],
                    "counts": pack(&counts(runs, map.ids.len())),
                },
                "area": area.pixels,
                "bbox": bounds(runs, map.height),
                "iscrowd": 0,
                "score": area.confidence,
            })
        })
        .collect();
    let categories: Vec<Value> = classes
        .iter()
        .enumerate()
        .map(|(id, class)| json!({"id": id, "name": class.name, "supercategory": "", "color": class.color}))
        .collect();
    json!({
        "info": {"description": concat!("dino ", env!("CARGO_PKG_VERSION"))},
        "images": [{"id": image, "file_name": file_name, "width": map.width, "height": map.height}],
        "annotations": annotations,
        "categories": categories,
    })
}

/// 36 bits of the name's hash: with 16 for the class they stay within the 53 that JSON readers keep exactly.
fn image_id(file_name: &str) -> u64 {
    let digest = Sha256::digest(file_name.as_bytes());
    digest[..5]
        .iter()
        .fold(0, |id, &byte| (id << 8) | u64::from(byte))
        >> 4
}

/// Per class its runs, as start and end in the order down the columns.
fn runs(map: &LabelMap, classes: usize) -> Vec<Vec<(usize, usize)>> {
    let mut runs = vec![Vec::new(); classes];
    let (mut open, mut start) = (NONE, 0);
    let mut close = |id: u16, start: usize, end: usize| {
        if id != NONE && start < end {
            runs[usize::from(id)].push((start, end));
        }
    };
    for x in 0..map.width {
        for y in 0..map.height {
            let id = map.ids[y * map.width + x];
            if id != open {
                let place = x * map.height + y;
                close(open, start, place);
                (open, start) = (id, place);
            }
        }
    }
    close(open, start, map.ids.len());
    runs
}

/// Lengths of the runs outside and inside of the class by turns, beginning outside.
fn counts(runs: &[(usize, usize)], total: usize) -> Vec<i64> {
    let mut counts = Vec::with_capacity(2 * runs.len() + 1);
    let mut end = 0;
    for &(start, stop) in runs {
        counts.extend([(start - end) as i64, (stop - start) as i64]);
        end = stop;
    }
    if end < total {
        counts.push((total - end) as i64);
    }
    counts
}

/// COCO's string: each count, from the fourth on less the one two before it, in groups of five bits, the lowest
/// first; a sixth bit says that another group follows.
fn pack(counts: &[i64]) -> String {
    let mut text = String::with_capacity(2 * counts.len());
    for (i, &count) in counts.iter().enumerate() {
        let mut rest = if i > 2 { count - counts[i - 2] } else { count };
        loop {
            let group = rest & 0x1f;
            rest >>= 5;
            // The top bit of the last group is the sign.
            let done = rest == if group & 0x10 == 0 { 0 } else { -1 };
            let more = if done { 0 } else { 0x20 };
            text.push(char::from((group | more) as u8 + 48));
            if done {
                break;
            }
        }
    }
    text
}

/// x, y, width and height of what the runs cover.
fn bounds(runs: &[(usize, usize)], height: usize) -> [usize; 4] {
    let (mut top, mut bottom) = (height, 0);
    for &(start, end) in runs {
        // A run over the end of a column covers both its last and the next one's first row.
        let whole = start / height != (end - 1) / height;
        top = top.min(if whole { 0 } else { start % height });
        bottom = bottom.max(if whole {
            height
        } else {
            (end - 1) % height + 1
        });
    }
    match (runs.first(), runs.last()) {
        (Some(&(start, _)), Some(&(_, end))) => {
            let (left, right) = (start / height, (end - 1) / height + 1);
            [left, top, right - left, bottom - top]
        }
        _ => [0; 4],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn map(width: usize, ids: &[u16]) -> LabelMap {
        LabelMap {
            width,
            height: ids.len() / width,
            ids: ids.to_vec(),
            confidence: vec![0.5; ids.len()],
        }
    }

    fn classes(count: usize) -> Vec<Class> {
        let class = |i: usize| Class {
            name: format!("c{i}"),
            color: [i as u8; 3],
        };
        (0..count).map(class).collect()
    }

    #[test]
    fn masks_are_what_pycocotools_encodes() {
        // Expected strings are pycocotools.mask.encode's for the same masks, fortran order.
        let map = map(4, &[1, 1, 0, 0, 1, 0, 0, 2, NONE, 0, 2, 2]);
        let document = document("a.png", &map, &classes(3), &map.areas());
        let of = |id: u64| {
            let annotations = document["annotations"].as_array().unwrap();
            let found = annotations.iter().find(|a| a["category_id"] == id).unwrap();
            let counts = found["segmentation"]["counts"].as_str().unwrap().to_owned();
            (counts, found["bbox"].clone(), found["area"].clone())
        };
        assert_eq!(of(0), ("441M1".into(), json!([1, 0, 3, 3]), json!(5)));
        assert_eq!(of(1), ("021O7".into(), json!([0, 0, 2, 2]), json!(3)));
        assert_eq!(of(2), ("8111".into(), json!([2, 1, 2, 2]), json!(3)));
    }

    #[test]
    fn long_runs_and_falling_ones_are_packed_as_pycocotools_does() {
        assert_eq!(pack(&[0, 5, 100_000, 3, 2, 40_000, 7]), "05PeQ3NR[nLmQW15");
    }

    #[test]
    fn ids_are_stable_distinct_and_exact_in_json() {
        let map = map(1, &[0, 1]);
        let id = |name: &str| {
            let document = document(name, &map, &classes(2), &map.areas());
            let all = document["annotations"].as_array().unwrap();
            (
                all[0]["id"].as_u64().unwrap(),
                all[1]["id"].as_u64().unwrap(),
            )
        };
        assert_eq!(id("a.jpg"), id("a.jpg"));
        assert_ne!(id("a.jpg").0, id("b.jpg").0);
        assert_ne!(id("a.jpg").0, id("a.jpg").1);
        assert!(id("a.jpg").0 < 1 << 53 && id("a.jpg").0 > 0);
    }

    #[test]
    fn a_class_that_covers_everything_is_one_run() {
        let map = map(3, &[0; 6]);
        let runs = runs(&map, 1);
        assert_eq!(runs[0], [(0, 6)]);
        assert_eq!(counts(&runs[0], 6), [0, 6]);
        assert_eq!(bounds(&runs[0], 2), [0, 0, 3, 2]);
    }
}
