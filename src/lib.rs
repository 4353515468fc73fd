//! Dense prediction with frozen DINOv2 backbones.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dino = dino::Predictor::builder()
//!     .depth("indoor")
//!     .segment("everyday")
//!     .device("auto".parse()?)
//!     .build()?;
//! let image = image::open("room.jpg")?.to_rgb8();
//! let found = dino.predict(&image)?; // One pass of the backbone for both heads.
//! let metres: &[f32] = found.depth()?.metres()?; // `[height, width]`, at the image's size.
//! let ids: &[u16] = found.labels()?.ids(); // Likewise, indices of `classes()`.
//! # Ok(())
//! # }
//! ```
//!
//! A [`Predictor`] prints nothing, and threads may share it. [`Predictor::predict_each`] takes many files.
//!
//! Data flows one way:
//!
//! ```text
//! inputs -> preprocess -> backbone -> pca | similarity | head -> postprocess -> render -> output
//! ```
//!
//! [`engine`] runs photos through the stages, on one device or several, [`tasks`] are what is made of them and [`recipe`] how
//! that is written down, [`manifest`] what they were made of; [`slide`] takes a head over a large photo and [`protocol`] as its publishers do. [`weights`] brings
//! a backbone's tensors, [`heads`] the heads, [`device`] and [`gpu`] where it is computed. The modules beside the stages
//! ([`console`], [`batch`], [`interrupt`], [`stopwatch`]) are the manners of a program.

pub mod backbone;
pub mod batch;
pub mod bench;
pub mod child;
pub mod closed;
pub mod cluster;
pub mod console;
pub mod data;
pub mod defaults;
pub mod device;
pub mod engine;
pub mod environment;
pub mod error;
pub mod eval;
pub mod features;
pub mod fitfile;
pub mod fonts;
pub mod gpu;
pub mod head;
pub mod heads;
pub mod http;
pub mod inputs;
pub mod interrupt;
pub mod launcher;
pub mod manifest;
pub mod matrix;
pub mod memory;
pub mod output;
pub mod pca;
pub mod pipe;
pub mod postprocess;
pub mod predictor;
pub mod preprocess;
pub mod printable;
pub mod progress;
pub mod protocol;
pub mod recipe;
pub mod render;
pub mod selfcheck;
pub mod similarity;
pub mod slide;
pub mod spool;
pub mod stopwatch;
pub mod suggest;
pub mod tasks;
pub mod threads;
pub mod tracking;
pub mod train;
pub mod video;
pub mod warnings;
pub mod weights;

pub use error::{Error, Result};
pub use predictor::Predictor;

/// The README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
