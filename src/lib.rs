//! Dense prediction with frozen DINOv2 backbones.
//!
//! Data flows one way:
//!
//! ```text
//! inputs -> preprocess -> backbone -> pca | heads -> render -> output
//! ```

pub mod backbone;
pub mod error;
pub mod weights;

pub use error::{Error, Result};
