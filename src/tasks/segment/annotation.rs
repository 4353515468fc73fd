//! The part of one photo in a COCO document.

use crate::io::output::coco::{CocoAnnotation, CocoImage};

/// One photo's part.
pub struct AnnotatedPhoto {
    /// Its entry.
    pub image: CocoImage,
    /// All that is in it.
    pub annotations: Vec<CocoAnnotation>,
}
