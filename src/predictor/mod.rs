//! For Rust programs: images in memory, or files, to depths and labels.
//!
//! A [`Predictor`] holds a backbone and heads, and shows a photo to the backbone once for all heads that see it alike. It
//! does what the commands do, with their code: the same heads, the same numbers. It prints nothing and writes no file but
//! those of the store, into which a default backbone that is missing is fetched.

mod builder;
mod predict;
mod prediction;

pub use builder::PredictorBuilder;
pub use predict::Predictor;
pub use prediction::{DepthPrediction, LabelPrediction, Prediction};
