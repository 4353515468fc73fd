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
//! that is written down, [`manifest`] what they were made of; [`vision::inference::slide`] takes a head over a large photo and [`vision::inference::protocol`] as its publishers do. [`weights`] brings
//! a backbone's tensors, [`heads`] the heads, [`device`] and [`gpu`] where it is computed. The modules beside the stages
//! ([`console`], [`batch`], [`interrupt`], [`stopwatch`]) are the manners of a program.

pub mod analysis;
pub mod engine;
pub mod error;
pub mod io;
pub mod learn;
pub mod maths;
pub mod model;
pub mod predictor;
pub mod system;
pub mod tasks;
pub mod terminal;
pub mod vision;

pub use error::{Error, Result};
pub use predictor::Predictor;

/// The README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
