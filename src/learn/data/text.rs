//! Text files as editors and spreadsheets write them: UTF-8 with or without a byte order mark, and UTF-16 of either
//! byte order.

/// Decodes the text in `bytes`; every kind of line end becomes `\n`.
///
/// # Errors
/// Where the bytes are in none of these encodings, with the line where UTF-8 ends.
pub(super) fn decode(bytes: &[u8]) -> Result<String, String> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        // Without a mark, UTF-16 is recognised by the zero byte of a first ASCII character.
        [_, 0, ..] => utf16(bytes, u16::from_le_bytes)?,
        [0, _, ..] => utf16(bytes, u16::from_be_bytes)?,
        _ => utf8(bytes)?,
    };
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        format!("is neither UTF-8 nor UTF-16 text (line {line}); save it as UTF-8")
    })?;
    Ok(text.to_owned())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text = char::decode_utf16(pairs.iter().map(|&pair| unit(pair)));
    match text.collect::<Result<String, _>>() {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err("is damaged UTF-16 text; save it as UTF-8".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in crate::learn::data) mod tests {
    use super::*;

    /// `text` in all encodings that are read.
    pub fn encodings(text: &str) -> Vec<Vec<u8>> {
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        vec![
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [b"\xff\xfe", little.as_slice()].concat(),
            [b"\xfe\xff", big.as_slice()].concat(),
            little,
            big,
        ]
    }

    #[test]
    fn one_text_in_all_encodings() {
        for (at, bytes) in encodings("photo,über\r\na\rb").iter().enumerate() {
            assert_eq!(decode(bytes).unwrap(), "photo,über\na\nb", "{at}");
        }
    }

    #[test]
    fn other_bytes_are_named() {
        assert!(decode(b"a\nb\xe9").unwrap_err().contains("line 2"));
        assert!(decode(b"\xff\xfea").unwrap_err().contains("UTF-16"));
    }
}
