//! The part of one photo in a COCO document.

use crate::io::output::coco::{CocoAnnotation, CocoImage};

/// One photo with its annotations, of which a COCO document is made.
pub struct AnnotatedPhoto {
    /// The photo's entry.
    pub image: CocoImage,
    /// Its annotations: a class or a region each.
    pub annotations: Vec<CocoAnnotation>,
}
