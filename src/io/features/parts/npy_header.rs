//! The heads of NumPy's array files (NEP 1).

use std::io::{self, Read};

use npyz::{DType, NpyHeader, Order, WriteOptions, WriterBuilder};

use crate::io::features::Precision;

/// The head of an array in C order, whose numbers follow it as they are.
///
/// # Errors
/// If the type is none of NumPy's, which does not happen.
pub(super) fn encode_header(shape: &[usize], precision: Precision) -> io::Result<Vec<u8>> {
    let shape: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
    let kind = dtype_descr(precision)
        .parse()
        .map_err(|error| io::Error::other(format!("{error}")))?;
    let mut head = Vec::new();
    WriteOptions::new_header_only()
        .dtype(DType::new_scalar(kind))
        .shape(&shape)
        .writer(&mut head)
        .write_header_only()?;
    Ok(head)
}

/// Reads a head, after which numbers of `precision` follow; the shape of the array.
///
/// # Errors
/// Why it is not the head of such an array.
pub(super) fn read_header(reader: impl Read, precision: Precision) -> Result<Vec<usize>, String> {
    let head = NpyHeader::from_reader(reader).map_err(|error| error.to_string())?;
    let (found, expected) = (
        head.dtype().descr(),
        format!("'{}'", dtype_descr(precision)),
    );
    if found != expected || head.order() != Order::C {
        return Err(format!(
            "it is an array of {found}, where one of {expected} in C order was expected"
        ));
    }
    let shape = head.shape().iter().map(|&side| usize::try_from(side));
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
