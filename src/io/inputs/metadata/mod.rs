//! What a file notes about its photo besides the pixels: EXIF and XMP, wherever software writes them.
//!
//! [`containers`](self::containers) finds the blocks, [`orientation`] and [`focal`] read them. A photo whose blocks are
//! missing or broken is still a photo.

mod containers;
pub(super) mod focal;
mod orientation;

use exif::{Exif, In, Reader, Tag, Value};

/// The blocks of one file.
#[derive(Debug, Default, Clone)]
pub(super) struct EmbeddedMetadata {
    /// A TIFF structure, without `Exif\0\0` before it.
    pub exif: Option<Vec<u8>>,
    /// An XML text.
    pub xmp: Option<Vec<u8>>,
}

impl EmbeddedMetadata {
    /// Finds the blocks in a JPEG, PNG, WebP or TIFF.
    pub fn of(bytes: &[u8]) -> Self {
        containers::read_blocks(bytes)
    }

    /// The EXIF block, as far as it can be read.
    fn parse_exif(&self) -> Option<Exif> {
        let mut reader = Reader::new();
        // One field that is broken costs no other.
        reader.continue_on_error(true);
        match reader.read_raw(self.exif.clone()?) {
            Ok(exif) => Some(exif),
            Err(error) => error.distill_partial_result(|_| ()).ok(),
        }
    }
}

/// A field's first value as an integer, whatever type it was written with.
fn integer(exif: &Exif, tag: Tag) -> Option<i64> {
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

/// A field's first value as a positive number, whatever type it was written with.
fn positive(exif: &Exif, tag: Tag) -> Option<f64> {
    let value = match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Rational(v) => v.first()?.to_f64(),
        Value::SRational(v) => v.first()?.to_f64(),
        Value::Float(v) => f64::from(*v.first()?),
        Value::Double(v) => *v.first()?,
        _ => integer(exif, tag)? as f64,
    };
    (value.is_finite() && value > 0.0).then_some(value)
}

/// The value of a simple XMP property, as an attribute or an element.
pub(super) fn xmp_value<'a>(xmp: &'a [u8], name: &str) -> Option<&'a str> {
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

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
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
