//! OpenEXR: the channel that holds depth (or ids), placed in the display window; pixels outside the layer have no
//! value.

use std::io::Cursor;

use exr::meta::attribute::AttributeValue;
use exr::prelude::{
    AnyChannels, FlatSamples, Image, Layer, ReadChannels as _, ReadLayers as _, Text, read,
};

use super::raster::{LabelRaster, RasterContent};

/// Names of channels that hold depth, the surest first: those of renderers, then luminance, then that of Blender's
/// pass.
const DEPTHS: [&str; 4] = ["z", "depth", "y", "v"];

type ExrImage = Image<exr::image::Layers<AnyChannels<FlatSamples>>>;

/// Decodes the only channel, else the one called Z, depth, Y or (where its name or layer says `depth`) V by the last
/// part of its name, else red where green and blue have the same numbers.
pub(super) fn decode(bytes: &[u8]) -> Result<LabelRaster, String> {
    let image: ExrImage = read()
        .no_deep_data()
        .largest_resolution_level()
        .all_channels()
        .all_layers()
        .all_attributes()
        .from_buffered(Cursor::new(bytes))
        .map_err(|error| format!("is an OpenEXR file that cannot be read: {error}"))?;
    let (layer, channel) = choose(&image)?;
    let layer = &image.layer_data[layer];
    let samples = &layer.channel_data.list[channel].sample_data;
    let window = image.attributes.display_window;
    let (width, height) = (window.size.x(), window.size.y());
    // The layer may cover less or more than the display window.
    let left = i64::from(layer.attributes.layer_position.x()) - i64::from(window.position.x());
    let top = i64::from(layer.attributes.layer_position.y()) - i64::from(window.position.y());
    let at = |pixel: usize| -> Option<usize> {
        let x = usize::try_from((pixel % width) as i64 - left).ok()?;
        let y = usize::try_from((pixel / width) as i64 - top).ok()?;
        (x < layer.size.x() && y < layer.size.y()).then_some(y * layer.size.x() + x)
    };
    let pixels = width
        .checked_mul(height)
        .filter(|&pixels| pixels <= 1 << 30)
        .ok_or("is an OpenEXR file of too many pixels")?;
    let floats = |value: &dyn Fn(usize) -> Option<f64>| {
        let values = (0..pixels).map(|pixel| at(pixel).and_then(value).unwrap_or(f64::NAN));
        RasterContent::Floats(values.collect())
    };
    let content = match samples {
        FlatSamples::F16(values) => floats(&|at| values.get(at).map(|v| v.to_f64())),
        FlatSamples::F32(values) => floats(&|at| values.get(at).map(|&v| f64::from(v))),
        FlatSamples::U32(values) => {
            let value = |pixel| {
                at(pixel)
                    .and_then(|at| values.get(at))
                    .map_or(0, |&v| i64::from(v))
            };
            RasterContent::Integers {
                values: (0..pixels).map(value).collect(),
                bits: 32,
            }
        }
    };
    let mut raster = LabelRaster::new((width, height), content, "OpenEXR");
    raster.notes = own_notes(layer);
    Ok(raster)
}

/// The indices of the layer and the channel to read.
fn choose(image: &ExrImage) -> Result<(usize, usize), String> {
    let mut all = Vec::new();
    for (layer, of) in image.layer_data.iter().enumerate() {
        for (channel, one) in of.channel_data.list.iter().enumerate() {
            let layer_name = of.attributes.layer_name.as_ref().map(Text::to_string);
            let name = one.name.to_string();
            all.push((layer, channel, layer_name.unwrap_or_default(), name));
        }
    }
    let full = |layer: usize, channel: usize| {
        let sampling = image.layer_data[layer].channel_data.list[channel].sampling;
        (sampling.x(), sampling.y()) == (1, 1)
    };
    all.retain(|&(layer, channel, ..)| full(layer, channel));
    let last = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or_default();
        last.to_ascii_lowercase()
    };
    if let [(layer, channel, ..)] = all[..] {
        return Ok((layer, channel));
    }
    let speaks_of_depth = |text: &str| text.to_ascii_lowercase().contains("depth");
    for wanted in DEPTHS {
        let fits = all.iter().filter(|(_, _, layer, name)| {
            last(name) == wanted
                // V alone may be a velocity.
                && (wanted != "v" || speaks_of_depth(name) || speaks_of_depth(layer))
        });
        let fits: Vec<(usize, usize)> = fits.map(|&(l, c, ..)| (l, c)).collect();
        match fits[..] {
            [] => {}
            [found] => return Ok(found),
            _ => {
                return Err(format!(
                    "is an OpenEXR file with several channels {}: {}",
                    wanted.to_uppercase(),
                    names(&all)
                ));
            }
        }
    }
    // A grey image that was saved in colours.
    let grey = ["r", "g", "b"].map(|wanted| {
        let found: Vec<_> = all
            .iter()
            .filter(|(_, _, _, name)| last(name) == wanted)
            .collect();
        match found[..] {
            [(layer, channel, ..)] => Some((*layer, *channel)),
            _ => None,
        }
    });
    let samples = |(layer, channel): (usize, usize)| {
        &image.layer_data[layer].channel_data.list[channel].sample_data
    };
    if let [Some(r), Some(g), Some(b)] = grey {
        // Bits are compared, because NaN does not equal itself.
        let bits = |of| samples(of).values().map(|value| value.to_f32().to_bits());
        if bits(r).eq(bits(g)) && bits(r).eq(bits(b)) {
            return Ok(r);
        }
    }
    Err(format!(
        "is an OpenEXR file of the channels {}; expected one called Z, depth or Y, or one alone",
        names(&all)
    ))
}

/// The names of channels, for messages.
fn names(all: &[(usize, usize, String, String)]) -> String {
    let names: Vec<&str> = all.iter().map(|(.., name)| name.as_str()).collect();
    names.join(", ")
}

/// The text attributes of a layer that this program wrote; empty for others.
fn own_notes(layer: &Layer<AnyChannels<FlatSamples>>) -> Vec<(String, String)> {
    let software = layer.attributes.software_name.as_ref().map(Text::to_string);
    if !software.is_some_and(|software| software.starts_with("dino ")) {
        return Vec::new();
    }
    let texts = layer
        .attributes
        .other
        .iter()
        .filter_map(|(key, value)| match value {
            AttributeValue::Text(text) => Some((key.to_string(), text.to_string())),
            _ => None,
        });
    texts.collect()
}
