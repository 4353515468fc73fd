//! Video: clips as frames with their exact times, and frames as clips.
//!
//! [`Clip::probe`] tells what is in a file without decoding it, [`Frames`] gives its frames one at a time, and an
//! [`VideoEncoder`] writes pictures or numbers with the very times that their frames had. Files are read and written by a child
//! `ffmpeg`; GIF, APNG, animated WebP and folders of numbered pictures are read without it.
//!
//! A time is a whole number of ticks of the clip's [`Clip::time_base`], as the file has it.

mod animation;
mod animation_header;
mod clip;
mod colour;
mod container;
mod decoder;
mod encode;
mod encoders;
mod ffmpeg;
mod ffmpeg_log;
mod frames;
mod image_sequence;
mod join;
mod matroska;
mod packets;
mod probe;
mod ratio;
mod remux;
mod tags;
mod times;

#[cfg(test)]
mod tests;

pub use clip::{AudioStream, Clip};
pub use colour::ColorTags;
pub use container::part_extension;
pub use encode::{AudioTrack, EncodedClip, EncoderConfig, VideoEncoder};
pub use encoders::{RawPixelFormat, VideoCodec};
pub use ffmpeg::{FFMPEG_VARIABLE, FfmpegPrograms};
pub use frames::{Frame, Frames};
pub use join::{FilmPart, join_parts};
pub use ratio::Ratio;
pub use tags::{count_frames, read_tag};
pub use times::{FrameSelection, FrameTime, PlannedFrame};
