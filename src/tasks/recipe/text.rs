//! Values that a recipe file holds as the text that options take: see [`text_value`](crate::system::files::text_value).

pub use crate::system::files::text_value::{option, value};
