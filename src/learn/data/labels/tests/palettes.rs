//! Masks with a palette.

use png::ColorType;

use super::filed;
use super::masks::{COLORS, classes, palette, reads, refuses};
use crate::learn::data::labels::MaskReader;
use crate::terminal::warnings::Warnings;

#[test]
fn a_palette_counts_by_its_indices_unless_its_colours_say_otherwise() {
    let [sky, road, car] = COLORS;
    let other = [[1, 1, 90], [2, 90, 1], [90, 1, 1]];
    reads(&COLORS, &palette(&COLORS, &[2, 0, 1]), &[2, 0, 1], &[]);
    reads(&COLORS, &palette(&other, &[2, 0, 1]), &[2, 0, 1], &[]);
    // An editor sorted the palette by how often a colour is used.
    reads(
        &COLORS,
        &palette(&[car, sky, road], &[0, 0, 1, 2]),
        &[2, 2, 0, 1],
        &["palette in another order"],
    );
    // Only one of the colours is another class's: the indices are the ids.
    reads(
        &COLORS,
        &palette(&[car, [9, 8, 7], road], &[0, 1]),
        &[0, 1],
        &[],
    );
    // Neither an id nor a colour of the list.
    let many: Vec<[u8; 3]> = (0..9).map(|i| [i, 90, 200]).collect();
    refuses(
        &COLORS,
        &palette(&many, &[0, 7]),
        &["index 7", "pixel 1,0", "(7, 90, 200)"],
    );
    // The border of VOC at 255, and Pillow's palette of greys.
    let mut voc = vec![[0; 3]; 256];
    voc[..3].copy_from_slice(&COLORS);
    voc[255] = [224, 224, 192];
    reads(&COLORS, &palette(&voc, &[1, 255]), &[1, 255], &[]);
    let ramp: Vec<[u8; 3]> = (0..=255).map(|i| [i; 3]).collect();
    reads(&[[9; 3], [0; 3]], &palette(&ramp, &[0, 1]), &[0, 1], &[]);
    // Pillow keeps only the greys that a GIF uses; greys chosen for display are not ids.
    let kept = [[0; 3], [2; 3], [255; 3]];
    reads(
        &COLORS,
        &palette(&kept, &[0, 1, 2]),
        &[0, 2, 255],
        &["ids as greys of a palette"],
    );
    let shades = [[0; 3], [120; 3], [240; 3]];
    reads(&COLORS, &palette(&shades, &[0, 1, 2]), &[0, 1, 2], &[]);
    reads(
        &COLORS,
        &palette(&[[0; 3], [255; 3]], &[0, 1]),
        &[0, 1],
        &[],
    );
}

#[test]
fn greys_that_a_program_sorted_count_before_indices() {
    let kind = ["greys of a palette in another order"];
    let (black, white) = ([0; 3], [255; 3]);
    let two = &COLORS[..2];
    // Pillow's quantize and its GIF of 0 and 255, padded or not; masks of one shade.
    reads(
        two,
        &palette(&[white, black], &[0, 1, 0]),
        &[255, 0, 255],
        &kind,
    );
    reads(two, &palette(&[white, black, black], &[1]), &[0], &kind);
    reads(two, &palette(&[white], &[0]), &[255], &kind);
    reads(two, &palette(&[black], &[0]), &[0], &[]);
    // R=G=B ids as a GIF has them.
    let falling = [[3; 3], [2; 3], [1; 3], [0; 3]];
    let four = [COLORS[0], COLORS[1], COLORS[2], [9, 9, 9]];
    reads(&four, &palette(&falling, &[0, 3, 1]), &[3, 0, 2], &kind);
    // Greys for display, of which this mask has two; an unfilled palette; colours.
    let shades = [black, [128; 3], white];
    reads(&COLORS, &palette(&shades, &[0, 2]), &[0, 2], &[]);
    reads(&COLORS, &palette(&[black; 3], &[2]), &[2], &[]);
    reads(
        &COLORS,
        &palette(&[white, black, [1, 2, 3]], &[0, 1]),
        &[0, 1],
        &[],
    );
    // A trimap whose middle is ignored.
    let file = filed("mask", &palette(&[black, [128; 3], white], &[0, 1, 2]));
    let (warnings, classes) = (Warnings::silent(), classes(two));
    let reader = MaskReader {
        classes: &classes,
        id_count: Some(2),
        ignore: 128,
        warnings: &warnings,
    };
    assert_eq!(reader.read(&file.path).unwrap().ids, [0, 128, 255]);
}

#[test]
fn transparency_of_a_palette_changes_no_id() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_color(ColorType::Indexed);
    encoder.set_palette(COLORS.as_flattened().to_vec());
    encoder.set_trns(vec![0]);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[0, 2]).unwrap();
    writer.finish().unwrap();
    reads(&COLORS, &bytes, &[0, 2], &[]);
}
