//! Heads from labelled photos: data sets in, a trained and measured head out. The backbone stays frozen.
//!
//! [`data`] opens data sets and reads labels; [`train`] caches backbone features and fits a head on them; [`eval`]
//! computes the metrics of the papers and fits depth calibrations.

pub mod data;
pub mod eval;
pub mod train;
