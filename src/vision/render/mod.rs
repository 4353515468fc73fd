//! Plain maps become pictures. Knows no model and no file.

pub mod captions;
pub mod colormap;
pub mod compose;
pub mod curve;
pub mod cutout;
pub mod depth;
pub mod fonts;
mod layout;
pub mod legend;
pub mod mark;
pub mod matrix;
pub mod names;
pub mod outline;
pub mod palette;
pub mod patch_map;
pub mod pca;
pub mod scale_bar;
pub mod segment;
pub mod sheet;
pub mod system_fonts;
pub mod text;
pub mod upscale;

pub use captions::Captions;
pub use colormap::Colormap;
pub use compose::{canvas, overlay, side_by_side};
pub use depth::{Range, colorize, paint};
pub use fonts::{Face, Fonts};
pub use mark::mark;
pub use patch_map::patch_map;
pub use scale_bar::{ScaleBar, canvas_with_scale, with_scale};
pub use sheet::contact_sheet;
pub use upscale::{Upscale, upscale_rows};
