//! Values that a recipe file holds as the text that options take: see [`text_value`](crate::system::text_value).

pub use crate::system::text_value::{option, value};
