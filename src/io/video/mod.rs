//! Video: clips as frames with their exact times, and frames as films.
//!
//! A clip is a video file, an animated picture or a folder of numbered images that is read; a film is a video file that
//! is written. A clip is processed in these steps:
//!
//! 1. probe: [`Clip::probe`] reads size, colour tags and the times of all frames without decoding any (`open`, `probe`,
//!    `packets`; `animation_header` and `image_sequence` for what needs no ffmpeg).
//! 2. select: [`FrameSelection::plan`] picks the frames that `--start`, `--end`, `--every` and `--fps` ask for
//!    (`times`).
//! 3. decode: [`Frames`] yields them upright, in sRGB and one at a time (`frames`; `decoder` for ffmpeg, `animation`,
//!    `image_sequence`).
//! 4. task: [`crate::tasks::clip`] makes a picture, and numbers, of each frame.
//! 5. encode: [`VideoEncoder`] writes the pictures with the exact times of their frames (`encode`, `encoders`,
//!    `matroska`).
//! 6. join: [`join_parts`] joins the parts of a film without re-encoding, and adds the sound (`join`, `remux`).
//!
//! ffmpeg and ffprobe run as child processes (`ffmpeg`, `ffmpeg_log`); no library of theirs is linked. A time is an
//! integer number of ticks of [`Clip::time_base`], as stored in the file (FFmpeg's PTS), never a rounded number of
//! seconds.

mod animation;
mod animation_header;
mod clip;
mod colour;
mod container;
mod decoder;
mod encode;
mod encoder_config;
mod encoders;
mod ffmpeg;
mod ffmpeg_log;
mod frames;
mod image_sequence;
mod join;
mod matroska;
mod mux_arguments;
mod open;
mod packets;
mod probe;
mod probe_output;
mod ratio;
mod remux;
mod tags;
mod times;

#[cfg(test)]
mod tests;

pub use clip::{AudioStream, Clip};
pub use colour::ColorTags;
pub use container::part_extension;
pub use encode::{EncodedClip, VideoEncoder};
pub use encoder_config::{AudioTrack, EncoderConfig};
pub use encoders::{RawPixelFormat, VideoCodec};
pub use ffmpeg::{FFMPEG_VARIABLE, FfmpegPrograms};
pub use frames::{Frame, Frames};
pub use join::{FilmPart, join_parts};
pub use ratio::Ratio;
pub use tags::{count_frames, read_tag};
pub use times::{FrameSelection, FrameTime, PlannedFrame};
