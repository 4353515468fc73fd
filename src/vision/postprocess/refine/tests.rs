#![allow(clippy::unwrap_used)]

use image::RgbImage;

use super::*;
use crate::model::head::Scores;
use crate::model::input::{Geometry, PatchGrid, SizeRule};
use crate::vision::postprocess::{DepthMap, LabelMap};
use image::Rgb;

/// Photos of 140 x 84 that the network sees as they are.
const SIZE: (u32, u32) = (140, 84);

fn geometry() -> Geometry {
    Geometry::new(SIZE, SizeRule::Native, 14)
}

/// Blue left of column `at`, orange from there on, with a little grain.
fn photo(at: u32) -> RgbImage {
    RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let grain = ((x * 7 + y * 13) % 5) as u8;
        match x < at {
            true => Rgb([40 + grain, 60, 180]),
            false => Rgb([220 + grain, 150, 40]),
        }
    })
}

/// Two classes that change between the patches 4 and 5, at column 70.
fn scores() -> Scores {
    let grid = geometry().grid();
    let values = (0..grid.len()).flat_map(|patch| {
        let score = if patch % grid.cols < 5 { 3.0 } else { -3.0 };
        [score, -score]
    });
    Scores {
        values: values.collect(),
        k: 2,
        grid,
    }
}

#[test]
fn a_border_moves_to_the_photos_edge() {
    let plain = crate::vision::postprocess::segment::label(&scores(), &geometry(), &[]).unwrap();
    // At most so many pixels of each row are wrong. Half a patch is as far as a border is off in truth, and half a
    // cell, about two pixels, as exactly as it is found.
    for (at, most) in [(66, 2), (74, 2), (63, 4), (77, 4)] {
        let fitted = refine_labels(&scores(), &geometry(), &photo(at)).unwrap();
        let wrong = |map: &LabelMap| {
            let truth = |i: usize| u16::from(i % map.width >= at as usize);
            let pixels = map.ids.iter().enumerate();
            pixels.filter(|(i, id)| **id != truth(*i)).count()
        };
        assert_eq!(wrong(&plain), at.abs_diff(70) as usize * 84);
        let found = wrong(&fitted);
        assert!(found <= most * 84, "{at}: {found} pixels");
    }
}

#[test]
fn what_is_constant_stays() {
    let grid = geometry().grid();
    let constant = Scores {
        values: [0.0, 2.0, 1.0].repeat(grid.len()),
        k: 3,
        grid,
    };
    let map = refine_labels(&constant, &geometry(), &photo(60)).unwrap();
    assert!(map.ids.iter().all(|&id| id == 1));
    let p = 1.0 / (1.0 + (-1f32).exp() + (-2f32).exp());
    assert!(map.confidence.iter().all(|c| (c - p).abs() < 1e-4));
    let flat = depth_map(|_| 2.5);
    let fitted = refine_depth(&flat, &geometry(), &photo(60)).unwrap();
    assert!(fitted.depth.iter().all(|d| (d - 2.5).abs() < 1e-3));
}

#[test]
fn every_pixel_gets_a_class_however_many_there_are() {
    // So many equally good classes that none is likely anywhere.
    let grid = geometry().grid();
    let k = 300;
    let scores = Scores {
        values: (0..grid.len() * k)
            .map(|i| (i * 7919 % 101) as f32 * 1e-3)
            .collect(),
        k,
        grid,
    };
    let map = refine_labels(&scores, &geometry(), &photo(60)).unwrap();
    assert!(map.confidence.iter().all(|c| (0.0..=1.0).contains(c)));
    assert!(map.ids.iter().all(|&id| usize::from(id) < k));
    let mut ids = map.ids;
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() > 10);
}

#[test]
fn odd_sizes_work() {
    for size in [(1, 1), (3000, 3), (2, 500), (13, 15)] {
        let geometry = Geometry::new(size, SizeRule::ShortSide(28), 14);
        let grid = geometry.grid();
        let scores = Scores {
            values: (0..grid.len() * 3).map(|i| (i % 5) as f32).collect(),
            k: 3,
            grid,
        };
        let photo = RgbImage::from_fn(size.0, size.1, |x, y| Rgb([x as u8, y as u8, 9]));
        let map = refine_labels(&scores, &geometry, &photo).unwrap();
        assert_eq!((map.width, map.height), (size.0 as usize, size.1 as usize));
        assert!(map.confidence.iter().all(|c| (0.0..=1.0).contains(c)));
    }
}

fn depth_map(depth: impl Fn(usize) -> f32) -> DepthMap {
    let PatchGrid { rows, cols } = geometry().grid();
    let (width, height) = (4 * cols, 4 * rows);
    DepthMap {
        width,
        height,
        depth: (0..width * height).map(|i| depth(i % width)).collect(),
        deviation: vec![0.1; width * height],
    }
}

#[test]
fn depth_snaps_to_the_photos_edge_and_stays_in_range() {
    // A soft step around column 70, and an edge of the photo half a patch off.
    let soft = depth_map(|x| 1.0 + ((x as f32 - 15.0) / 10.0).clamp(0.0, 1.0) * 3.0);
    let plain = soft.to_photo(&geometry());
    let fitted = refine_depth(&soft, &geometry(), &photo(77)).unwrap();
    let rise = |map: &DepthMap| map.depth[140 * 42 + 79] - map.depth[140 * 42 + 74];
    assert!(
        rise(&fitted) > 3.0 * rise(&plain),
        "{} {}",
        rise(&fitted),
        rise(&plain)
    );
    assert!(fitted.depth.iter().all(|d| (0.999..=4.001).contains(d)));
    assert_eq!(fitted.deviation, plain.deviation);
}
