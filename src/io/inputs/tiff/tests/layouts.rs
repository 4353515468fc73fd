//! Tests of layouts: strips, tiles, planes, pages; and of tags that writers omit.

use image::metadata::Orientation;

use super::*;
use crate::io::inputs::tiff::count_pages;

/// The rows of [`rgb`] as strips of two.
fn strips() -> Builder {
    Builder::new((5, 3), 3, 8, 2, &[])
        .chunks(&[rgb()[..30].to_vec(), rgb()[30..].to_vec()])
        .tag(278, 4, &[2])
}

#[test]
fn strips_tiles_and_planes_hold_the_same_pixels() {
    let expected = floats(&rgb());
    assert_eq!(values(&read(&strips().build())), expected);
    let plane = |channel| {
        rgb()
            .iter()
            .skip(channel)
            .step_by(3)
            .copied()
            .collect::<Vec<u8>>()
    };
    let planes = Builder::new((5, 3), 3, 8, 2, &[])
        .chunks(&[plane(0), plane(1), plane(2)])
        .tag(284, 3, &[2]);
    assert_eq!(values(&read(&planes.build())), expected);
    // Tiles of 4 x 2, padded on the right and below.
    let pixel = |x: usize, y: usize| match (x, y) {
        (0..5, 0..3) => rgb()[(y * 5 + x) * 3..][..3].to_vec(),
        _ => vec![77; 3],
    };
    let tile = |left: usize, top: usize| {
        let places = (top..top + 2).flat_map(|y| (left..left + 4).map(move |x| (x, y)));
        places.flat_map(|(x, y)| pixel(x, y)).collect::<Vec<u8>>()
    };
    let tiles = Builder::new((5, 3), 3, 8, 2, &[]).chunks(&[
        tile(0, 0),
        tile(4, 0),
        tile(0, 2),
        tile(4, 2),
    ]);
    let tiles = tiles.tag(322, 3, &[4]).tag(323, 3, &[2]);
    assert_eq!(values(&read(&tiles.build())), expected);
}

#[test]
fn what_writers_leave_out_is_made_up_for() {
    let expected = floats(&rgb());
    let whole = Builder::new((5, 3), 3, 8, 2, &rgb());
    for left_out in [259, 262, 277, 278, 279] {
        assert_eq!(
            values(&read(&whole.build_without(&[left_out]))),
            expected,
            "{left_out}"
        );
    }
    assert_eq!(
        values(&read(&strips().build_without(&[278]))),
        expected,
        "rows of several strips"
    );
    assert_eq!(
        values(&read(&strips().build_without(&[279]))),
        expected,
        "bytes of several strips"
    );
    assert_eq!(
        values(&read(&whole.clone().tag(258, 3, &[8]).build())),
        expected,
        "one width for all samples"
    );
    assert_eq!(
        values(&read(&whole.clone().tag(279, 4, &[7]).build())),
        expected,
        "wrong bytes of the only strip"
    );
    let reversed: Vec<u8> = rgb().iter().map(|byte| byte.reverse_bits()).collect();
    let reversed = Builder::new((5, 3), 3, 8, 2, &reversed).tag(266, 3, &[2]);
    assert_eq!(values(&read(&reversed.build())), expected, "fill order");
}

#[test]
fn missing_chunks_are_nodata() {
    let bytes = strips()
        .tag(273, 4, &[8, 0])
        .tag(279, 4, &[30, 0])
        .tag(42113, 2, &ascii("9"))
        .build();
    let decoded = read(&bytes);
    assert_eq!(values(&decoded)[..30], floats(&rgb()[..30]));
    assert_eq!(values(&decoded)[30..], [9.0; 15]);
}

#[test]
fn orientation_and_profile_come_along() {
    for kind in [1, 3, 4, 6, 8, 9] {
        let bytes = Builder::new((5, 3), 3, 8, 2, &rgb())
            .tag(274, kind, &[6])
            .tag(34675, 7, &[1, 2, 3, 4, 5])
            .build();
        let raster = read(&bytes).raster;
        assert_eq!(raster.orientation, Orientation::Rotate90, "type {kind}");
        assert_eq!(raster.icc.as_deref(), Some([1, 2, 3, 4, 5].as_slice()));
    }
    let odd = Builder::new((5, 3), 3, 8, 2, &rgb())
        .tag(274, 3, &[77])
        .build();
    assert_eq!(read(&odd).raster.orientation, Orientation::NoTransforms);
}

#[test]
fn old_lzw_codes_are_told_by_their_first() {
    let mut encoder = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 8);
    let builder = |packed: &[u8]| {
        Builder::new((5, 3), 3, 8, 2, packed)
            .tag(259, 3, &[5])
            .build()
    };
    assert_eq!(
        values(&read(&builder(&encoder.encode(&rgb()).unwrap()))),
        floats(&rgb())
    );
    let mut encoder = weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
    assert_eq!(
        values(&read(&builder(&encoder.encode(&rgb()).unwrap()))),
        floats(&rgb())
    );
}

/// Files one behind the other, each directory pointing to the next.
fn chain(pages: &[Builder]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Where the last directory says what follows it.
    let mut link = 4;
    for page in pages {
        let start = bytes.len() as u64;
        let offsets = start + 8;
        let page = page.clone().tag(273, 4, &[offsets]);
        let file = page.build();
        let number = |at: usize, size: usize| {
            file[at..at + size]
                .iter()
                .rev()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        };
        let directory = number(4, 4);
        let tags = number(directory as usize, 2);
        bytes.extend(&file);
        // Values outside of the directory move along.
        for tag in 0..tags {
            let at = (directory + 2 + tag * 12) as usize;
            let size = if number(at + 2, 2) == 3 { 2 } else { 4 };
            if number(at + 4, 4) * size > 4 {
                let moved = (number(at + 8, 4) + start) as u32;
                bytes[start as usize + at + 8..][..4].copy_from_slice(&moved.to_le_bytes());
            }
        }
        bytes[link..link + 4].copy_from_slice(&((start + directory) as u32).to_le_bytes());
        link = (start + directory + 2 + tags * 12) as usize;
    }
    bytes
}

fn page(value: u8) -> Builder {
    Builder::new((1, 1), 3, 8, 2, &[value; 3])
}

#[test]
fn pages_are_counted_without_their_companions() {
    let bytes = chain(&[
        page(1).tag(254, 4, &[1]),
        page(2),
        page(3).tag(254, 4, &[1]),
        page(4).tag(254, 4, &[4]),
        page(5).tag(255, 3, &[2]),
        page(6).tag(254, 4, &[2]),
    ]);
    assert_eq!(count_pages(&bytes), 2);
    let show = |page| decode(&bytes, page, None, |_| Ok(()));
    assert_eq!(values(&show(0).unwrap())[0], 2.0);
    assert_eq!(values(&show(1).unwrap())[0], 6.0);
    assert_eq!(show(2).unwrap_err(), "has no page 3: it has 2");
    // A thumbnail alone is an image.
    let alone = chain(&[page(1).tag(254, 4, &[1])]);
    assert_eq!((count_pages(&alone), values(&read(&alone))[0]), (1, 1.0));
}

#[test]
fn a_chain_that_bites_its_tail_ends() {
    let mut bytes = page(1).build();
    let directory = bytes[4..8].to_vec();
    let tags = usize::from(bytes[bytes[4] as usize]);
    let link = bytes[4] as usize + 2 + tags * 12;
    bytes[link..link + 4].copy_from_slice(&directory);
    assert_eq!(count_pages(&bytes), 1);
    assert!(decode(&bytes, 1, None, |_| Ok(())).is_err());
    assert_eq!(count_pages(b""), 1);
    assert_eq!(count_pages(b"II*\0\xff\xff\xff\xff"), 1);
}
