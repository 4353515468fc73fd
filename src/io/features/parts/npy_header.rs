//! Headers of NumPy's `.npy` files (NEP 1).

use std::io::{self, Read};

use npyz::{DType, NpyHeader, Order, WriteOptions, WriterBuilder};

use crate::io::features::Precision;

/// The header of a little-endian array of `shape` in C order; the values follow it.
///
/// # Errors
/// Only if the crate `npyz` fails, which it does not for f16 and f32.
pub(super) fn encode_header(shape: &[usize], precision: Precision) -> io::Result<Vec<u8>> {
    let shape: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
    let kind = dtype_descr(precision)
        .parse()
        .map_err(|error| io::Error::other(format!("{error}")))?;
    let mut header = Vec::new();
    WriteOptions::new_header_only()
        .dtype(DType::new_scalar(kind))
        .shape(&shape)
        .writer(&mut header)
        .write_header_only()?;
    Ok(header)
}

/// Reads the header of an array of `precision`, and returns its shape.
///
/// # Errors
/// The reason, as a phrase, if it is not the header of such an array.
pub(super) fn read_header(reader: impl Read, precision: Precision) -> Result<Vec<usize>, String> {
    let header = NpyHeader::from_reader(reader).map_err(|error| error.to_string())?;
    let (dtype, expected) = (
        header.dtype().descr(),
        format!("'{}'", dtype_descr(precision)),
    );
    if dtype != expected || header.order() != Order::C {
        return Err(format!(
            "it is an array of {dtype}, where one of {expected} in C order was expected"
        ));
    }
    let shape = header.shape().iter().map(|&side| usize::try_from(side));
    shape
        .collect::<Result<_, _>>()
        .map_err(|_| "it is larger than memory".into())
}

fn dtype_descr(precision: Precision) -> &'static str {
    match precision {
        Precision::F16 => "<f2",
        Precision::F32 => "<f4",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_numpys() {
        let bytes = encode_header(&[3, 2], Precision::F16).unwrap();
        assert!(bytes.starts_with(b"\x93NUMPY\x01\x00") && bytes.len().is_multiple_of(16));
        let text = String::from_utf8_lossy(&bytes[10..]).into_owned();
        assert!(
            text.contains("'descr': '<f2'") && text.contains("'shape': (3, 2"),
            "{text}"
        );
        assert_eq!(read_header(&bytes[..], Precision::F16), Ok(vec![3, 2]));
        assert!(read_header(&bytes[..], Precision::F32).is_err());
        assert!(read_header(&bytes[..20], Precision::F16).is_err());
    }
}
