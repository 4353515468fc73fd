//! The EXIF block (Exif 2.3) and the XMP packet (ISO 16684-1) of one file, and values of their fields.

use exif::{Exif, In, Reader, Tag, Value};

/// The metadata blocks of one file, undecoded.
#[derive(Debug, Default, Clone)]
pub(in crate::io::inputs) struct EmbeddedMetadata {
    /// The EXIF block: a TIFF structure, without `Exif\0\0` before it.
    pub exif: Option<Vec<u8>>,
    /// The XMP packet: XML text.
    pub xmp: Option<Vec<u8>>,
}

impl EmbeddedMetadata {
    /// The EXIF fields that can be read; `None` if there is no block or its header is damaged.
    pub(super) fn parse_exif(&self) -> Option<Exif> {
        let mut reader = Reader::new();
        // A damaged field does not prevent reading the others.
        reader.continue_on_error(true);
        match reader.read_raw(self.exif.clone()?) {
            Ok(exif) => Some(exif),
            Err(error) => error.distill_partial_result(|_| ()).ok(),
        }
    }
}

/// A field's first value as an integer, whatever type it was written with; `None` if it is missing or text.
pub(super) fn integer(exif: &Exif, tag: Tag) -> Option<i64> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Byte(v) => v.first().map(|&v| v.into()),
        Value::Short(v) => v.first().map(|&v| v.into()),
        Value::Long(v) => v.first().map(|&v| v.into()),
        Value::SByte(v) => v.first().map(|&v| v.into()),
        Value::SShort(v) => v.first().map(|&v| v.into()),
        Value::SLong(v) => v.first().map(|&v| v.into()),
        Value::Undefined(v, _) => v.first().map(|&v| v.into()),
        Value::Rational(v) => v.first().map(|v| v.to_f64() as i64),
        Value::SRational(v) => v.first().map(|v| v.to_f64() as i64),
        Value::Float(v) => v.first().map(|&v| v as i64),
        Value::Double(v) => v.first().map(|&v| v as i64),
        _ => None,
    }
}

/// A field's first value as a finite number above 0, whatever type it was written with; `None` for others.
pub(super) fn positive(exif: &Exif, tag: Tag) -> Option<f64> {
    let value = match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Rational(v) => v.first()?.to_f64(),
        Value::SRational(v) => v.first()?.to_f64(),
        Value::Float(v) => f64::from(*v.first()?),
        Value::Double(v) => *v.first()?,
        _ => integer(exif, tag)? as f64,
    };
    (value.is_finite() && value > 0.0).then_some(value)
}

/// The value of the simple XMP property `name` (with its prefix, such as `tiff:Orientation`), an attribute or an
/// element.
pub(in crate::io::inputs) fn xmp_value<'a>(xmp: &'a [u8], name: &str) -> Option<&'a str> {
    let mut rest = xmp;
    loop {
        let at = find(rest, name.as_bytes())?;
        rest = &rest[at + name.len()..];
        let text = rest.trim_ascii_start();
        let value = match text.split_first()? {
            (b'=', text) => match text.trim_ascii_start().split_first()? {
                (quote @ (b'"' | b'\''), value) => {
                    &value[..value.iter().position(|c| c == quote)?]
                }
                _ => continue,
            },
            (b'>', value) => &value[..value.iter().position(|&c| c == b'<')?],
            _ => continue,
        };
        return std::str::from_utf8(value).ok().map(str::trim);
    }
}

/// The index of the first `needle` in `haystack`.
pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xmp_properties_are_attributes_or_elements() {
        let of = |text: &'static str| xmp_value(text.as_bytes(), "tiff:Orientation");
        assert_eq!(of("<x tiff:Orientation=\"6\"/>"), Some("6"));
        assert_eq!(of("<x tiff:Orientation = '8'/>"), Some("8"));
        assert_eq!(of("<tiff:Orientation> 3 </tiff:Orientation>"), Some("3"));
        assert_eq!(of("<tiff:Orientations/>"), None);
        assert_eq!(of("tiff:Orientation"), None);
        assert_eq!(of("tiff:Orientation=\"6"), None);
    }
}
