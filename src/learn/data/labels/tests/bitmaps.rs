//! GIF and BMP: the indices of a palette.

use super::{indexed, refused};
use crate::learn::data::labels::decode::decode;

#[test]
fn a_gif_and_a_bitmap_keep_their_indices() {
    let palette = [[9, 9, 9], [1, 2, 3], [4, 5, 6], [7, 8, 9]];
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, 3, 1, palette.as_flattened()).unwrap();
    let frame = gif::Frame::from_indexed_pixels(3, 1, vec![2, 0, 1], None);
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    let (indices, colors) = indexed(&bytes);
    assert_eq!((indices, &colors[..]), (vec![2, 0, 1], &palette[..]));

    // Two header blocks, two colours (blue, green, red, 0), a row of four bytes.
    let bitmap = [
        &b"BM"[..],
        &(14 + 40 + 8 + 4u32).to_le_bytes(),
        &[0; 4],
        &(14 + 40 + 8u32).to_le_bytes(),
        &40u32.to_le_bytes(),
        &3u32.to_le_bytes(),
        &1u32.to_le_bytes(),
        &[1, 0, 8, 0],
        &[0; 16],
        &2u32.to_le_bytes(),
        &[0; 4],
        &[3, 2, 1, 0, 6, 5, 4, 0],
        &[1, 0, 1, 0],
    ];
    let (indices, colors) = indexed(&bitmap.concat());
    assert_eq!(indices, [1, 0, 1]);
    assert_eq!(colors[..2], [[1, 2, 3], [4, 5, 6]]);
}

/// A BMP of 3 x 2 pixels with the colours 0 and 1: bits a pixel, compression, and its rows.
fn bitmap(bits: u8, compression: u32, height: i32, rows: &[u8]) -> Vec<u8> {
    [
        &b"BM"[..],
        &(14 + 40 + 8 + rows.len() as u32).to_le_bytes(),
        &[0; 4],
        &(14 + 40 + 8u32).to_le_bytes(),
        &40u32.to_le_bytes(),
        &3u32.to_le_bytes(),
        &height.to_le_bytes(),
        &[1, 0, bits, 0],
        &compression.to_le_bytes(),
        &(rows.len() as u32).to_le_bytes(),
        &[0; 8],
        &2u32.to_le_bytes(),
        &[0; 4],
        &[3, 2, 1, 0, 6, 5, 4, 0],
        rows,
    ]
    .concat()
}

#[test]
fn narrow_and_packed_bitmaps_keep_their_indices() {
    let expected = [1, 0, 1, 0, 0, 1];
    let one = [0b0010_0000, 0, 0, 0, 0b1010_0000, 0, 0, 0];
    let top_down = [0b1010_0000, 0, 0, 0, 0b0010_0000, 0, 0, 0];
    let four = [0x00, 0x10, 0, 0, 0x10, 0x10, 0, 0];
    // Runs: two of 0, one of 1, end of line; one of 1, one of 0, one of 1, end.
    let eight = [2, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 1];
    for (bytes, what) in [
        (bitmap(1, 0, 2, &one), "1 bit"),
        (bitmap(1, 0, -2, &top_down), "1 bit from above"),
        (bitmap(4, 0, 2, &four), "4 bits"),
        (bitmap(8, 1, 2, &eight), "runs of 8 bits"),
    ] {
        let (indices, colors) = indexed(&bytes);
        assert_eq!(indices, expected, "{what}");
        assert_eq!(colors[..2], [[1, 2, 3], [4, 5, 6]], "{what}");
        for end in 0..bytes.len() {
            let _ = decode(&bytes[..end], &[]);
        }
    }
    refused(&bitmap(1, 0, 2, &one[..4]), "ends before its pixels do");
}
