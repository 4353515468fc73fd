//! Dense prediction with frozen DINOv2 backbones.
//!
//! Data flows one way:
//!
//! ```text
//! inputs -> preprocess -> backbone -> pca | heads -> render -> output
//! ```

pub mod backbone;
pub mod error;
pub mod pca;
pub mod preprocess;
pub mod render;

pub use error::{Error, Result};
