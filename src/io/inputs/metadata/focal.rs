//! The 35 mm equivalent of the recorded focal length (CIPA DCG-001), which determines the field of view of a point
//! cloud.

use std::io::Cursor;

use exif::Tag;
use image::ImageReader;

use super::blocks::{EmbeddedMetadata, integer, positive, xmp_value};
use crate::io::inputs::Source;

/// Diagonal of the 36 x 24 mm frame that "35 mm equivalent" focal lengths refer to, in mm.
const FRAME_DIAGONAL: f64 = 43.266_615;

/// The focal length in mm that gives the photo's diagonal field of view on 36 x 24 mm film.
///
/// # Errors
/// What the file lacks, as the end of a sentence that begins "no focal length is known: ".
pub fn focal_length_35mm(source: &Source) -> Result<f64, String> {
    match source.read(u64::MAX) {
        Ok(bytes) => focal_length_from(&EmbeddedMetadata::of(&bytes), stored_size(&bytes)),
        Err(error) => Err(error.to_string()),
    }
}

/// Width and height of the stored image in pixels; `None` if its header cannot be read.
fn stored_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .ok()?;
    reader.into_dimensions().ok()
}

/// The 35 mm equivalent as recorded, else computed from the real focal length and the sensor's size; `stored` is the
/// size of the stored image in pixels.
///
/// # Errors
/// As [`focal_length_35mm`].
fn focal_length_from(
    metadata: &EmbeddedMetadata,
    stored: Option<(u32, u32)>,
) -> Result<f64, String> {
    let xmp = |name: &str| {
        let value = xmp_value(metadata.xmp.as_deref()?, name)?;
        let value = match value.split_once('/') {
            Some((over, under)) => over.parse::<f64>().ok()? / under.parse::<f64>().ok()?,
            None => value.parse().ok()?,
        };
        (value.is_finite() && value > 0.0).then_some(value)
    };
    let exif = metadata.parse_exif();
    let number = |tag| exif.as_ref().and_then(|exif| positive(exif, tag));
    let film = number(Tag::FocalLengthIn35mmFilm).or_else(|| xmp("exif:FocalLengthIn35mmFilm"));
    if let Some(mm) = film {
        return Ok(mm);
    }
    let Some(focal) = number(Tag::FocalLength).or_else(|| xmp("exif:FocalLength")) else {
        return Err(match exif {
            Some(_) => "its EXIF block has neither FocalLengthIn35mmFilm nor FocalLength".into(),
            None => "it has no EXIF block".to_owned(),
        });
    };
    // The size recorded by the camera; the file may have been resized since.
    let width = number(Tag::PixelXDimension).or(stored.map(|(width, _)| width.into()));
    let height = number(Tag::PixelYDimension).or(stored.map(|(_, height)| height.into()));
    let across = number(Tag::FocalPlaneXResolution);
    let down = number(Tag::FocalPlaneYResolution);
    let unit = exif
        .as_ref()
        .and_then(|exif| integer(exif, Tag::FocalPlaneResolutionUnit));
    let (Some(across), Some(down)) = (across.or(down), down.or(across)) else {
        return Err(format!(
            "its EXIF block has FocalLength ({focal} mm), but neither FocalLengthIn35mmFilm nor FocalPlaneXResolution"
        ));
    };
    let millimetres = match unit {
        None | Some(2) => 25.4,
        Some(3) => 10.0,
        Some(4) => 1.0,
        Some(5) => 0.001,
        Some(other) => {
            return Err(format!(
                "its EXIF block has the unit {other} for FocalPlaneXResolution, which means nothing"
            ));
        }
    };
    let (Some(width), Some(height)) = (width, height) else {
        return Err("its EXIF block has FocalPlaneXResolution, but no PixelXDimension".to_owned());
    };
    let diagonal = (width / across * millimetres).hypot(height / down * millimetres);
    // Digital zoom crops the middle of the sensor.
    let zoom = number(Tag::DigitalZoomRatio).filter(|&zoom| zoom > 1.0);
    // Sensor diagonals are between a few millimetres and a few inches; other values are errors.
    match (1.0..300.0).contains(&diagonal) {
        true => Ok(focal * FRAME_DIAGONAL / diagonal * zoom.unwrap_or(1.0)),
        false => Err(format!(
            "its EXIF block describes a sensor with a diagonal of {diagonal:.3} mm"
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use exif::experimental::Writer;
    use exif::{Field, In, Rational, Value};

    use super::*;

    fn metadata(fields: &[(Tag, Value)]) -> EmbeddedMetadata {
        let fields: Vec<Field> = fields
            .iter()
            .map(|(tag, value)| Field {
                tag: *tag,
                ifd_num: In::PRIMARY,
                value: value.clone(),
            })
            .collect();
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut block = Cursor::new(Vec::new());
        writer.write(&mut block, false).unwrap();
        EmbeddedMetadata {
            exif: Some(block.into_inner()),
            xmp: None,
        }
    }

    fn ratio(num: u32, denom: u32) -> Value {
        Value::Rational(vec![Rational { num, denom }])
    }

    #[test]
    fn the_equivalent_is_taken_as_it_is() {
        let of_mm = |mm: u16| {
            let fields = [(Tag::FocalLengthIn35mmFilm, Value::Short(vec![mm]))];
            focal_length_from(&metadata(&fields), None)
        };
        assert_eq!(of_mm(28), Ok(28.0));
        // 0 stands for unknown.
        assert!(of_mm(0).unwrap_err().contains("neither"));
        let xmp = b"<x exif:FocalLengthIn35mmFilm=\"35\"/>".to_vec();
        let metadata = EmbeddedMetadata {
            exif: None,
            xmp: Some(xmp),
        };
        assert_eq!(focal_length_from(&metadata, None), Ok(35.0));
    }

    #[test]
    fn a_sensors_size_follows_from_its_resolution() {
        // 4000 x 3000 pixels on 1/2.55", 6.4 x 4.8 mm: 8 mm of diagonal.
        let mut fields = vec![
            (Tag::FocalLength, ratio(45, 10)),
            (Tag::FocalPlaneXResolution, ratio(6250, 1)),
            (Tag::FocalPlaneYResolution, ratio(6250, 1)),
            (Tag::FocalPlaneResolutionUnit, Value::Short(vec![3])),
        ];
        let expected = 4.5 * FRAME_DIAGONAL / 8.0;
        let close = |found: Result<f64, String>| assert!((found.unwrap() - expected).abs() < 1e-6);
        close(focal_length_from(&metadata(&fields), Some((4000, 3000))));
        // A smaller copy keeps the camera's values.
        fields.push((Tag::PixelXDimension, Value::Long(vec![4000])));
        fields.push((Tag::PixelYDimension, Value::Long(vec![3000])));
        close(focal_length_from(&metadata(&fields), Some((400, 300))));
        fields[3].1 = Value::Short(vec![9]);
        assert!(
            focal_length_from(&metadata(&fields), None)
                .unwrap_err()
                .contains("unit 9")
        );
    }

    #[test]
    fn what_is_missing_is_told() {
        let alone = metadata(&[(Tag::FocalLength, ratio(50, 1))]);
        let why = focal_length_from(&alone, Some((4, 3))).unwrap_err();
        assert!(
            why.contains("50 mm") && why.contains("FocalPlaneXResolution"),
            "{why}"
        );
        assert!(
            focal_length_from(&EmbeddedMetadata::default(), None)
                .unwrap_err()
                .contains("no EXIF")
        );
    }
}
