//! Dense prediction with frozen DINOv2 backbones.
//!
//! Data flows one way:
//!
//! ```text
//! inputs -> preprocess -> backbone -> pca | heads -> render -> output
//! ```

pub mod backbone;
pub mod batch;
pub mod console;
pub mod device;
pub mod error;
pub mod inputs;
pub mod interrupt;
pub mod output;
pub mod stopwatch;

pub use error::{Error, Result};
