//! Plain maps become pictures. Knows no model and no file.

pub mod compose;
pub mod legend;
pub mod names;
pub mod outline;
pub mod palette;
pub mod pca;
pub mod segment;
pub mod text;
pub mod upscale;

pub use compose::{overlay, side_by_side};
pub use upscale::{Upscale, upscale_rows};
