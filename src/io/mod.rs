//! Inputs, outputs and file formats: photos and clips in; pictures, arrays, clips and records out.
//!
//! [`inputs`] finds photos and decodes them to upright sRGB; [`video`] decodes and encodes clips through a child
//! ffmpeg; [`output`] plans file names and encodes every format; [`features`] reads and writes datasets of stored
//! backbone features; [`manifest`] records in the output folder what each output was made from, so that a rerun makes
//! only what has changed.

pub mod features;
pub mod inputs;
pub mod manifest;
pub mod output;
pub mod video;
