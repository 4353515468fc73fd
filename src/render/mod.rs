//! Plain maps become pictures. Knows no model and no file.

pub mod compose;
pub mod pca;
pub mod upscale;

pub use compose::{overlay, side_by_side};
pub use upscale::{Upscale, upscale_rows};
