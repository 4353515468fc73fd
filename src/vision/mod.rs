//! Image processing before and after the model: photo to input tensor, scores to maps, maps to pictures.
//!
//! [`preprocess`] resizes, normalises and pads; [`inference`] covers large photos by windows and reproduces published
//! protocols; [`postprocess`] makes depth maps and label maps at the photo's size, refined and cleaned; [`render`]
//! colours and annotates them. Nothing here reads or writes files, but for the fonts of [`render::system_fonts`].

pub mod inference;
pub mod postprocess;
pub mod preprocess;
pub mod render;
