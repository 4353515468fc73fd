//! Tests of every sample width and format.

use super::*;

#[test]
fn unsigned_integers_of_any_width_are_kept_with_their_white() {
    for bits in (1..=24).chain([31, 32]) {
        let largest = (1u64 << bits) - 1;
        let numbers: Vec<u64> = (0..15)
            .map(|index| (index * 0x1234_5677) & largest)
            .collect();
        let mut pixels = pack(&numbers, bits, 5);
        // Samples of whole bytes are stored in the order of the file, others are not.
        if bits % 8 == 0 {
            let size = bits as usize / 8;
            pixels.chunks_mut(size).for_each(<[u8]>::reverse);
        }
        let decoded = read(&Builder::new((5, 3), 1, bits, 1, &pixels).build());
        let expected: Vec<f64> = numbers
            .iter()
            .map(|&number| f64::from(number as f32))
            .collect();
        assert_eq!(values(&decoded), expected, "{bits} bits");
        assert_eq!(decoded.raster.white, largest as f32, "{bits} bits");
    }
}

#[test]
fn big_endian_and_bigtiff_say_the_same() {
    let little: Vec<u8> = (0..45u16)
        .flat_map(|index| (index * 1000).to_le_bytes())
        .collect();
    let big: Vec<u8> = (0..45u16)
        .flat_map(|index| (index * 1000).to_be_bytes())
        .collect();
    let expected: Vec<f64> = (0..45u16).map(|index| f64::from(index * 1000)).collect();
    let (little, big) = (
        Builder::new((5, 3), 3, 16, 2, &little),
        Builder::new((5, 3), 3, 16, 2, &big).big_endian(),
    );
    for builder in [little.clone(), big.clone(), little.bigtiff(), big.bigtiff()] {
        let decoded = read(&builder.build());
        assert_eq!(values(&decoded), expected);
        assert_eq!(decoded.raster.white, 65535.0);
    }
}

/// One pixel of these bytes.
fn one(format: u64, bits: u64, bytes: &[u8]) -> (f64, f32) {
    let decoded = read(
        &Builder::new((1, 1), 1, bits, 1, bytes)
            .tag(339, 3, &[format])
            .build(),
    );
    (values(&decoded)[0], decoded.raster.white)
}

#[test]
fn signed_integers_and_floats_become_f32() {
    assert_eq!(one(2, 8, &[0x80]), (-128.0, 127.0));
    assert_eq!(one(2, 16, &(-300i16).to_le_bytes()), (-300.0, 32767.0));
    assert_eq!(
        one(2, 32, &(-70000i32).to_le_bytes()),
        (-70000.0, 2147483647.0)
    );
    assert_eq!(one(2, 12, &[0xff, 0xf0]), (-1.0, 2047.0));
    assert_eq!(
        one(1, 64, &(1u64 << 40).to_le_bytes()),
        (2f64.powi(40), 18446744073709551615.0)
    );
    assert_eq!(one(3, 16, &[0x00, 0xc2]), (-3.0, 1.0));
    assert_eq!(one(3, 32, &2.5f32.to_le_bytes()), (2.5, 1.0));
    assert_eq!(
        one(3, 64, &(-1e-3f64).to_le_bytes()),
        (f64::from(-1e-3f32), 1.0)
    );
    // 1 bit of sign, 7 of exponent (63 is 2^0), 16 of mantissa.
    assert_eq!(one(3, 24, &[0x00, 0x80, 0x3f]), (1.5, 1.0));
    assert_eq!(one(3, 24, &[0x00, 0x00, 0xc1]), (-4.0, 1.0));
    assert_eq!(one(3, 24, &[0x01, 0x00, 0x00]), (2f64.powi(-78), 1.0));
    assert!(one(3, 24, &[0x01, 0x00, 0x7f]).0.is_nan());
    // Undefined is unsigned.
    assert_eq!(one(4, 8, &[200]), (200.0, 255.0));
}

#[test]
fn other_numbers_are_named() {
    let with = |samples, bits, format: u64| {
        refuse(
            &Builder::new((1, 1), samples, bits, 1, &[0; 64])
                .tag(339, 3, &[format])
                .build(),
        )
    };
    assert!(with(1, 64, 6).contains("complex numbers"));
    assert!(with(1, 40, 1).contains("integers of 40 bits"));
    assert!(with(1, 8, 3).contains("floats of 8 bits"));
    let unequal = Builder::new((1, 1), 3, 8, 2, &[0; 64])
        .tag(258, 3, &[5, 6, 5])
        .build();
    assert!(refuse(&unequal).contains("unequal widths (5, 6, 5 bits)"));
    let formats = Builder::new((1, 1), 3, 8, 2, &[0; 64])
        .tag(339, 3, &[1, 2, 1])
        .build();
    assert!(refuse(&formats).contains("several formats (1, 2, 1)"));
    let predicted = Builder::new((1, 1), 1, 12, 1, &[0; 64])
        .tag(259, 3, &[5])
        .tag(317, 3, &[2])
        .build();
    assert!(refuse(&predicted).contains("12 bits with predictor 2"));
}
