//! OpenEXR with the same 32-bit floats in two channels: `Z` is the depth of renderers and compositors, and `Y`
//! (luminance) is what viewers show and OpenCV reads; OpenCV reads a file with `Z` alone as zeros.

use std::io::{self, Cursor, Write};

use exr::prelude::*;

use crate::io::output::map_size::check_size;
use crate::system::files::signature::PROGRAM;

/// Writes `values` `[height, width]`, losslessly compressed. The pairs of keyword and value of `text` become attributes
/// of the layer.
///
/// # Errors
/// If writing fails, or `values` does not fill the size.
pub fn write_exr(
    mut writer: impl Write,
    (width, height): (usize, usize),
    values: Vec<f32>,
    text: &[(&str, String)],
) -> io::Result<()> {
    check_size((width, height), values.len())?;
    let mut attributes = LayerAttributes::named("depth");
    attributes.software_name = Some(Text::from(PROGRAM));
    for (keyword, value) in text {
        attributes.other.insert(
            Text::from(*keyword),
            AttributeValue::Text(Text::from(value.as_str())),
        );
    }
    let channels = [("Y", values.clone()), ("Z", values)];
    let channels = channels.map(|(name, values)| AnyChannel::new(name, FlatSamples::F32(values)));
    let layer = Layer::new(
        (width, height),
        attributes,
        Encoding::SMALL_LOSSLESS,
        AnyChannels::sort(SmallVec::from_iter(channels)),
    );
    // The table of offsets comes before the chunks that it points to, so the file is built in memory.
    let mut file = Cursor::new(Vec::new());
    Image::from_layer(layer)
        .write()
        .to_buffered(&mut file)
        .map_err(|error| match error {
            Error::Io(error) => error,
            other => io::Error::other(other),
        })?;
    let mut bytes = file.into_inner();
    sort_attributes(&mut bytes);
    writer.write_all(&bytes)
}

/// Sorts the attributes of the header, which the encoder writes in random order, by their names, so that the same map
/// gives the same bytes. The rest of the file stays in place.
fn sort_attributes(file: &mut [u8]) {
    // Magic number and version.
    const START: usize = 8;
    let mut attributes: Vec<Vec<u8>> = Vec::new();
    let mut at = START;
    // An empty name ends the header.
    while file.get(at).is_some_and(|&first| first != 0) {
        let text = |from: usize| {
            let rest = file.get(from..)?;
            Some(from + rest.iter().position(|&c| c == 0)? + 1)
        };
        let end = text(at).and_then(text).and_then(|size| {
            let bytes = u32::from_le_bytes(*file.get(size..)?.first_chunk()?) as usize;
            size.checked_add(4 + bytes)
        });
        let Some(attribute) = end.and_then(|end| file.get(at..end)) else {
            return;
        };
        at += attribute.len();
        attributes.push(attribute.to_vec());
    }
    attributes.sort_unstable();
    file[START..at].copy_from_slice(&attributes.concat());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_come_back() {
        let values: Vec<f32> = (0..70 * 50).map(|i| 0.5 + i as f32 / 700.0).collect();
        let mut bytes = Vec::new();
        let text = [("unit", "m".to_owned())];
        write_exr(&mut bytes, (70, 50), values.clone(), &text).unwrap();
        let image = read_first_flat_layer_from(&bytes);
        assert_eq!(image.layer_data.size, Vec2(70, 50));
        let channels = &image.layer_data.channel_data.list;
        assert_eq!(channels.len(), 2);
        for (channel, name) in channels.iter().zip(["Y", "Z"]) {
            assert_eq!(channel.name, Text::from(name));
            assert!(channel.sample_data.values_as_f32().eq(values.clone()));
        }
        let other = &image.layer_data.attributes.other;
        assert_eq!(
            other[&Text::from("unit")],
            AttributeValue::Text(Text::from("m"))
        );
    }

    fn read_first_flat_layer_from(bytes: &[u8]) -> FlatImage1 {
        read()
            .no_deep_data()
            .largest_resolution_level()
            .all_channels()
            .first_valid_layer()
            .all_attributes()
            .from_buffered(Cursor::new(bytes))
            .unwrap()
    }

    type FlatImage1 = Image<Layer<AnyChannels<FlatSamples>>>;

    #[test]
    fn the_same_map_is_the_same_bytes() {
        let text = ["unit", "content", "range", "head", "model", "colors"].map(|k| (k, "x".into()));
        let write = || {
            let mut bytes = Vec::new();
            write_exr(&mut bytes, (3, 2), vec![1.0; 6], &text).unwrap();
            bytes
        };
        let first = write();
        for _ in 0..20 {
            assert_eq!(write(), first);
        }
    }

    #[test]
    fn a_wrong_size_is_refused() {
        assert!(write_exr(Vec::new(), (2, 2), vec![0.0; 3], &[]).is_err());
    }
}
