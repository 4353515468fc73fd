//! Maps become RGB pictures: depth, label maps, principal components and patch maps as colours, with legends, scale
//! bars, names and text in all scripts. Functions take maps and return an [`image::RgbImage`]; nothing here runs models
//! or writes files, and only [`system_fonts`] reads files.
//!
//! [`colormap`] holds the table of colour maps, [`depth`] applies one to a map of numbers, [`segment`] draws label
//! maps, and [`text`] writes words.

pub mod captions;
pub mod colormap;
pub mod compose;
pub mod confusion_matrix;
pub mod cutout;
pub mod depth;
pub mod fonts;
pub mod legend;
pub mod marker;
pub mod name_placement;
pub mod outline;
mod page_colors;
pub mod palette;
pub mod patch_map;
pub mod pca;
pub mod scale_bar;
pub mod segment;
mod shaping;
pub mod sheet;
pub mod system_fonts;
pub mod text;
mod text_layout;
pub mod training_curve;
pub mod upscale;

pub use captions::Captions;
pub use colormap::Colormap;
pub use compose::{canvas, overlay, side_by_side};
pub use depth::{ValueRange, colorize, paint_rows};
pub use fonts::{FontFace, Fonts};
pub use marker::draw_marker;
pub use patch_map::draw_patch_map;
pub use scale_bar::{ScaleBar, canvas_with_scale_bar, with_scale_bar};
pub use sheet::contact_sheet;
pub use upscale::{Upscale, upscale_rows};
