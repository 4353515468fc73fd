//! Video: clips as frames with their exact times, and frames as clips.
//!
//! [`Clip::probe`] tells what is in a file without decoding it, [`Frames`] gives its frames one at a time, and an
//! [`Encoder`] writes pictures or numbers with the very times that their frames had. Files are read and written by a child
//! `ffmpeg`; GIF, APNG, animated WebP and folders of numbered pictures are read without it.
//!
//! A time is a whole number of ticks of the clip's [`Clip::time_base`], as the file has it.

mod animation;
mod animation_header;
mod clip;
mod colour;
mod complete;
mod container;
mod decoder;
mod encode;
mod encoders;
mod frames;
mod join;
mod log;
mod matroska;
mod numbered;
mod packets;
mod probe;
mod program;
mod ratio;
mod tags;
mod times;

#[cfg(test)]
mod tests;

pub use clip::{Audio, Clip};
pub use colour::Colour;
pub use container::ending_of_parts;
pub use encode::{AudioTrack, Encoder, Finished, Spec};
pub use encoders::{Codec, Pixel};
pub use frames::{Frame, Frames};
pub use join::{FilmPart, join_parts};
pub use program::{Programs, VARIABLE};
pub use ratio::Ratio;
pub use tags::{count_of, tag_of};
pub use times::{FrameTime, Planned, Selection};
