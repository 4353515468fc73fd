//! NumPy arrays and archives of them.

use super::{floats, integers, npy, npz, read, refused};
use crate::learn::data::labels::raster::RasterContent;

#[test]
fn arrays_of_every_type_and_order_read_alike() {
    // [[1, 2, 3], [4, 5, 6]]
    let rows = [1u8, 2, 3, 4, 5, 6];
    let columns = [1u8, 4, 2, 5, 3, 6];
    for (descr, width) in [
        ("u1", 1),
        ("i1", 1),
        ("u2", 2),
        ("i2", 2),
        ("u4", 4),
        ("i4", 4),
        ("u8", 8),
        ("i8", 8),
    ] {
        for (order, mark) in [(false, '<'), (true, '<'), (false, '>'), (true, '>')] {
            let mark = if width == 1 { '|' } else { mark };
            let numbers = if order { columns } else { rows };
            let wide = numbers.iter().flat_map(|&number| {
                let mut bytes = vec![0; width];
                let at = if mark == '>' { width - 1 } else { 0 };
                bytes[at] = number;
                bytes
            });
            let data: Vec<u8> = wide.collect();
            let bytes = npy(&format!("{mark}{descr}"), order, "(2, 3)", &data);
            assert_eq!(
                integers(&bytes),
                (vec![1, 2, 3, 4, 5, 6], 8 * width as u8),
                "{mark}{descr}"
            );
        }
    }
    let (values, _) = integers(&npy("<i2", false, "(1, 2)", &[0xff, 0xff, 0x00, 0x80]));
    assert_eq!(values, [-1, -32768]);
    let halves = [0x00, 0x3e, 0x00, 0xc0]; // 1.5 and -2 as f16
    assert_eq!(floats(&npy("<f2", false, "(1, 2)", &halves)), [1.5, -2.0]);
    assert_eq!(
        floats(&npy(">f4", false, "(1, 1)", &2.5f32.to_be_bytes())),
        [2.5]
    );
    assert_eq!(
        floats(&npy(">f8", false, "(1, 1)", &2.5f64.to_be_bytes())),
        [2.5]
    );
}

#[test]
fn sides_of_one_are_left_out() {
    let data: Vec<u8> = (0..10).collect();
    for shape in [
        "(2, 5)",
        "(2, 5, 1)",
        "(1, 2, 5)",
        "(1, 2, 5, 1)",
        "(1, 1, 2, 5)",
    ] {
        let raster = read(&npy("|u1", false, shape, &data));
        assert_eq!((raster.width, raster.height), (5, 2), "{shape}");
    }
    // A column is one.
    let raster = read(&npy("|u1", false, "(10, 1)", &data));
    assert_eq!((raster.width, raster.height), (1, 10));
    refused(&npy("|u1", false, "(10,)", &data), "[10]");
    refused(&npy("<u2", false, "(1, 3, 1, 1)", &data[..4]), "too early");
    refused(&npy("<c8", false, "(1, 1)", &[0; 8]), "<c8");
    refused(&npy("<u2", false, "(2, 1, 3)", &[0; 12]), "[2, 1, 3]");
}

#[test]
fn arrays_of_colours_are_colours() {
    let rows = [1, 2, 3, 4, 5, 6];
    let colors = |bytes: &[u8]| read(bytes).content;
    let expected = RasterContent::Colors(vec![[1, 2, 3], [4, 5, 6]]);
    assert_eq!(colors(&npy("|u1", false, "(1, 2, 3)", &rows)), expected);
    let columns = [1, 4, 2, 5, 3, 6];
    assert_eq!(colors(&npy("|u1", true, "(1, 2, 3)", &columns)), expected);
}

#[test]
fn archives_have_one_array_or_one_of_that_name() {
    let array = |number: u8| npy("|u1", false, "(1, 1)", &[number]);
    assert_eq!(integers(&npz(&[("any", array(7))])).0, [7]);
    assert_eq!(
        integers(&npz(&[("rgb", array(1)), ("depth", array(2))])).0,
        [2]
    );
    let two = npz(&[("rgb", array(1)), ("range", array(2))]);
    refused(&two, "rgb, range");
    refused(&two, "depth or arr_0");
    refused(&npz(&[]), "without an array");
}
