//! Probing a video file: ffprobe's streams and packets become a [`Clip`]; no frame is decoded.

use std::io::Read;
use std::path::Path;

use super::clip::{AudioStream, Clip, ClipReader, VideoStream};
use super::ffmpeg::{FfmpegPrograms, ProgramOutput, file_argument};
use super::packets::{Packets, run_ffprobe};
use super::probe_output::{
    ProbeOutput, ProbeStream, color_tags, origin_tick, parse_ratio, rotation, sample_bits,
    select_video_stream,
};
use super::ratio::Ratio;
use super::times;
use crate::error::{Error, FileFault, Result};

/// Describes the video file at `path`.
///
/// # Errors
/// Names the file: if it is missing, empty or a folder, ffprobe is missing or cannot read it, or it has no video stream
/// or frames that this ffmpeg can decode.
pub(super) fn probe(path: &Path) -> Result<Clip> {
    // ffprobe's own messages for missing files and folders are unclear.
    let metadata = std::fs::metadata(path).map_err(|error| Error::io(path, &error))?;
    if metadata.is_dir() {
        return Err(Error::file(path, "is a folder, where a clip is meant"));
    }
    if metadata.is_file() && metadata.len() == 0 {
        return Err(Error::file_with_fault(path, "is empty", FileFault::Damaged));
    }
    let programs = FfmpegPrograms::find(path)?;
    let mut command = programs.ffprobe();
    command.args(["-show_streams", "-show_format", "-of", "json"]);
    let output = run_ffprobe(path, command.arg(file_argument(path)))?;
    if !output.status.success() {
        return Err(Error::file_with_fault(
            path,
            explain_failure(path, &output),
            FileFault::Damaged,
        ));
    }
    let all: ProbeOutput = serde_json::from_slice(&output.stdout).map_err(|error| {
        Error::file_with_fault(
            path,
            format!("ffprobe's answer cannot be read: {error}"),
            FileFault::Program,
        )
    })?;
    let stream = select_video_stream(&all.streams)
        .map_err(|why| Error::file_with_fault(path, why, FileFault::NotImage))?;
    let packets = Packets::read(programs, path, stream.index)?;
    build_clip(path, &all, stream, packets)
}

/// Why ffprobe could not open a file, with advice.
fn explain_failure(path: &Path, output: &ProgramOutput) -> String {
    let complaints = output.complaints();
    let has = |part: &str| complaints.iter().any(|line| line.contains(part));
    // ffprobe guesses by the extension if the content is not recognised.
    if has("moov atom not found") && begins_like_mp4(path) {
        return "is truncated: the index of an MP4, which stands at its end, is missing (moov atom not found), so that no \
                frame can be found; copy or record it anew"
            .into();
    }
    if has("End of file") {
        return "ends before its first frame: it is truncated, or nothing was recorded".into();
    }
    if has("Invalid data found") || has("moov atom not found") {
        return "is no clip that ffmpeg can read, or its beginning is damaged".into();
    }
    format!("cannot be read by ffmpeg: {}", output.last_complaint())
}

/// Whether the first box of a file is one of MP4 or QuickTime (ISO/IEC 14496-12).
fn begins_like_mp4(path: &Path) -> bool {
    let mut head = [0; 8];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    let parts: [&[u8]; 6] = [b"ftyp", b"mdat", b"free", b"skip", b"wide", b"moov"];
    read.is_ok() && parts.contains(&&head[4..])
}

fn build_clip(
    path: &Path,
    all: &ProbeOutput,
    stream: &ProbeStream,
    mut packets: Packets,
) -> Result<Clip> {
    let codec = stream
        .codec_name
        .clone()
        .unwrap_or_else(|| "unknown".into());
    let (stored_width, stored_height) = (stream.width.unwrap_or(0), stream.height.unwrap_or(0));
    if packets.times.is_empty() {
        return Err(Error::file_with_fault(
            path,
            "holds a video track without frames",
            FileFault::Damaged,
        ));
    }
    if stored_width == 0 || stored_height == 0 || codec == "unknown" {
        let why = format!("its video ({codec}) cannot be decoded by this ffmpeg");
        return Err(Error::file_with_fault(path, why, FileFault::Unsupported));
    }
    let time_base = stream
        .time_base
        .as_deref()
        .and_then(parse_ratio)
        .ok_or_else(|| {
            Error::file_with_fault(
                path,
                "has no time base, so its frames have no times",
                FileFault::Damaged,
            )
        })?;
    let rate = [&stream.avg_frame_rate, &stream.r_frame_rate]
        .into_iter()
        .find_map(|rate| rate.as_deref().and_then(parse_ratio));
    let usual = usual_duration(&packets, rate, time_base);
    let end = end_tick(all, stream, &packets, time_base);
    let truncated = describe_truncation(all, stream, &packets, time_base);
    packets.keys.sort_unstable();
    let (are_guessed, first) = (packets.are_guessed, packets.times.iter().min().copied());
    let end = end.filter(|_| truncated.is_none() && !are_guessed);
    let frames = times::frame_times(packets.times, end, usual);
    let mut notes = Vec::new();
    let (rotation, turns) = match rotation(stream) {
        degrees if degrees % 90 == 0 => (degrees.rem_euclid(360) as u32, true),
        degrees => {
            notes.push(format!(
                "asks to be turned by {degrees} degrees, which is left undone"
            ));
            (0, false)
        }
    };
    let (width, height) = match rotation {
        90 | 270 => (stored_height, stored_width),
        _ => (stored_width, stored_height),
    };
    if matches!(
        stream.field_order.as_deref(),
        Some("tt" | "bb" | "tb" | "bt")
    ) {
        notes.push("is interlaced: the two halves of each frame are of different moments, and are taken as one".into());
    }
    let pixel_format = stream.pix_fmt.clone().unwrap_or_default();
    let aspect = stream.sample_aspect_ratio.as_deref().and_then(|aspect| {
        let (x, y) = aspect.split_once(':')?;
        Some((x.parse().ok()?, y.parse().ok()?)).filter(|&(x, y): &(u32, u32)| x > 0 && y > 0)
    });
    let aspect = aspect.unwrap_or((1, 1));
    let rate = rate
        .or_else(|| {
            Ratio::new(
                time_base.den(),
                time_base.num() * usual.unsigned_abs().max(1),
            )
        })
        .unwrap_or(Ratio::one_over(1));
    let audio = all
        .streams
        .iter()
        .filter(|stream| stream.codec_type.as_deref() == Some("audio"));
    let audio = audio.min_by_key(|stream| stream.disposition.get("default") != Some(&1));
    Ok(Clip {
        path: path.to_owned(),
        width,
        height,
        rotation,
        pixel_aspect: if rotation % 180 == 90 {
            (aspect.1, aspect.0)
        } else {
            aspect
        },
        origin: first
            .filter(|_| are_guessed)
            .unwrap_or_else(|| origin_tick(&all.format, time_base)),
        frames,
        time_base,
        rate,
        codec,
        bits: sample_bits(&pixel_format, stream.bits_per_raw_sample.as_deref()),
        pixel_format,
        colour: color_tags(stream),
        audio: audio.map(|stream| AudioStream {
            codec: stream.codec_name.clone().unwrap_or_default(),
            stream: stream.index,
        }),
        truncated,
        notes,
        reader: ClipReader::Ffmpeg(VideoStream {
            index: stream.index,
            keyframes: packets.keys,
            autorotates: turns,
        }),
    })
}

/// The tick at which the last frame ends; `None` if the file does not state it.
fn end_tick(
    all: &ProbeOutput,
    stream: &ProbeStream,
    packets: &Packets,
    base: Ratio,
) -> Option<i64> {
    let last = packets.times.iter().max().copied()?;
    let of_stream = stream.start_pts.zip(stream.duration_ts);
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
    // A file ends with its only stream. Matroska's duration counts from 0, whatever the start time.
    let start = match all.format.format_name.contains("matroska") {
        true => Some(0.0),
        false => number(&all.format.start_time),
    };
    let of_file = start
        .zip(number(&all.format.duration))
        .filter(|_| all.streams.len() == 1);
    of_stream
        .map(|(start, duration)| start + duration)
        .filter(|&end| end > last)
        .or_else(|| of_file.map(|(start, duration)| base.ticks(start + duration)))
}

/// The usual duration of a frame in ticks: the median of the packets' durations, else from the frame rate; at least 1.
fn usual_duration(packets: &Packets, rate: Option<Ratio>, base: Ratio) -> i64 {
    let mut durations = packets.durations.clone();
    durations.sort_unstable();
    let middle = durations.get(durations.len() / 2).copied();
    middle
        .or_else(|| rate.map(|rate| base.ticks(rate.inverse().value())))
        .unwrap_or(1)
        .max(1)
}

/// A sentence about how much is missing, if the file ends before it should.
fn describe_truncation(
    all: &ProbeOutput,
    stream: &ProbeStream,
    packets: &Packets,
    base: Ratio,
) -> Option<String> {
    let promised = stream
        .nb_frames
        .as_deref()
        .and_then(|count| count.parse::<u64>().ok());
    let has = packets.count;
    if let Some(promised) = promised.filter(|&promised| promised > has) {
        return Some(format!(
            "is truncated: of {promised} frames {has} are there"
        ));
    }
    let ends_early = packets.error_lines.iter().any(|line| {
        ["partial file", "ended prematurely", "Truncat", "truncated"]
            .iter()
            .any(|part| line.contains(part))
    });
    if !ends_early {
        return None;
    }
    let last = packets.times.iter().max().copied().unwrap_or(0);
    let seconds = last as f64 * base.value();
    let promised = all
        .format
        .duration
        .as_deref()
        .and_then(|text| text.parse::<f64>().ok());
    Some(match promised.filter(|&promised| promised > seconds) {
        Some(promised) => {
            format!("is truncated: of {promised:.2} s, {seconds:.2} s are there ({has} frames)")
        }
        None => format!("is truncated: it ends after {has} frames, at {seconds:.2} s"),
    })
}
