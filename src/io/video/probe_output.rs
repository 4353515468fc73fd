//! ffprobe's JSON (`-show_streams -show_format -of json`), and the interpretation of its fields.

use std::collections::HashMap;

use serde::Deserialize;

use super::colour::ColorTags;
use super::ratio::Ratio;

/// The output of ffprobe.
#[derive(Debug, Deserialize)]
pub(super) struct ProbeOutput {
    #[serde(default)]
    pub streams: Vec<ProbeStream>,
    #[serde(default)]
    pub format: ProbeFormat,
}

/// The container; times are decimal seconds.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ProbeFormat {
    #[serde(default)]
    pub format_name: String,
    pub start_time: Option<String>,
    pub duration: Option<String>,
}

/// One stream; `start_pts` and `duration_ts` are ticks of `time_base`.
#[derive(Debug, Deserialize)]
pub(super) struct ProbeStream {
    pub index: u32,
    pub codec_type: Option<String>,
    pub codec_name: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub pix_fmt: Option<String>,
    pub bits_per_raw_sample: Option<String>,
    pub sample_aspect_ratio: Option<String>,
    pub field_order: Option<String>,
    pub color_range: Option<String>,
    pub color_space: Option<String>,
    pub color_transfer: Option<String>,
    pub color_primaries: Option<String>,
    pub r_frame_rate: Option<String>,
    pub avg_frame_rate: Option<String>,
    pub time_base: Option<String>,
    pub start_pts: Option<i64>,
    pub duration_ts: Option<i64>,
    pub nb_frames: Option<String>,
    #[serde(default)]
    pub disposition: HashMap<String, i32>,
    #[serde(default)]
    pub tags: HashMap<String, String>,
    #[serde(default)]
    pub side_data_list: Vec<serde_json::Value>,
}

/// The video stream that players show: the default one, else the first that is not a cover picture.
///
/// # Errors
/// A sentence about what the file holds instead.
pub(super) fn select_video_stream(streams: &[ProbeStream]) -> Result<&ProbeStream, String> {
    let is = |stream: &ProbeStream, kind: &str| stream.codec_type.as_deref() == Some(kind);
    let flag = |stream: &ProbeStream, name: &str| stream.disposition.get(name) == Some(&1);
    let is_still = |stream: &ProbeStream| {
        ["attached_pic", "timed_thumbnails", "still_image"]
            .iter()
            .any(|name| flag(stream, name))
    };
    let videos = || streams.iter().filter(|&stream| is(stream, "video"));
    let moving = || videos().filter(|&stream| !is_still(stream));
    let found = moving()
        .find(|&stream| flag(stream, "default"))
        .or_else(|| moving().next());
    match found {
        Some(stream) => Ok(stream),
        None if videos().next().is_some() => {
            Err("holds sound with a cover picture, and no video".into())
        }
        None if streams.iter().any(|stream| is(stream, "audio")) => {
            Err("holds sound alone, and no video".into())
        }
        None if streams.is_empty() => Err(
            "holds no tracks, so there are no frames in it; was the recording stopped at once?"
                .into(),
        ),
        None => Err("holds no video".into()),
    }
}

/// Parses `30000/1001`; `None` for `0/0`.
pub(super) fn parse_ratio(text: &str) -> Option<Ratio> {
    let (num, den) = text.split_once('/')?;
    Ratio::new(num.parse().ok()?, den.parse().ok()?)
}

/// The tick that players show as time 0: the start time of broadcast formats such as MPEG-TS, and 0 for file formats
/// such as MP4, even if their first frame is later.
pub(super) fn origin_tick(format: &ProbeFormat, base: Ratio) -> i64 {
    let counts_from_zero = ["mov", "matroska", "avi", "flv", "ogg"]
        .iter()
        .any(|name| format.format_name.split(',').any(|part| part == *name));
    let start = format
        .start_time
        .as_deref()
        .and_then(|start| start.parse::<f64>().ok());
    match start {
        Some(start) if !counts_from_zero => base.ticks(start),
        _ => 0,
    }
}

/// Degrees by which frames must be rotated clockwise to be upright; any integer.
pub(super) fn rotation(stream: &ProbeStream) -> i64 {
    let matrix = stream.side_data_list.iter().find_map(|data| {
        let degrees = data.get("rotation")?;
        let degrees = degrees
            .as_f64()
            .or_else(|| degrees.as_str()?.parse().ok())?;
        // The display matrix counts counterclockwise.
        Some(-degrees.round() as i64)
    });
    let tag = || stream.tags.get("rotate").and_then(|text| text.parse().ok());
    matrix.or_else(tag).unwrap_or(0)
}

/// Bits per sample: as stated by ffprobe, else from the name of the pixel format, else 8.
pub(super) fn sample_bits(pixel_format: &str, raw: Option<&str>) -> u32 {
    let stated = raw
        .and_then(|bits| bits.parse().ok())
        .filter(|&bits| bits > 0);
    let of_name = || {
        let name = pixel_format.trim_end_matches("le").trim_end_matches("be");
        let digits = name.rsplit(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok().filter(|bits| (9..=16).contains(bits))
    };
    stated.or_else(of_name).unwrap_or(8)
}

/// The colour tags, without values such as `unknown`.
pub(super) fn color_tags(stream: &ProbeStream) -> ColorTags {
    let said = |tag: &Option<String>| {
        let tag = tag.clone();
        tag.filter(|tag| !matches!(tag.as_str(), "unknown" | "unspecified" | "reserved"))
    };
    ColorTags {
        primaries: said(&stream.color_primaries),
        transfer: said(&stream.color_transfer),
        matrix: said(&stream.color_space),
        range: said(&stream.color_range),
    }
}
