//! The library's interface: images in memory, or files, to depth maps and label maps.
//!
//! A [`PredictorBuilder`] finds heads and loads a backbone; a [`Predictor`] runs them, with one pass of the backbone
//! for all heads whose input is the same; a [`Prediction`] has the maps at the size of the image. Code, heads and
//! numbers are those of the commands. Nothing is printed, and no file is written but those of the store, into which a
//! missing default backbone is fetched.

mod builder;
mod predict;
mod prediction;

pub use builder::PredictorBuilder;
pub use predict::Predictor;
pub use prediction::{DepthPrediction, LabelPrediction, Prediction};
