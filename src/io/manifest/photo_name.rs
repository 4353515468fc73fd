//! Identification of photos in the manifest.

use crate::io::inputs::Source;

/// Identifies a photo in the manifest: the bytes of its absolute path, and the page number, 0 if it has one page.
pub type PhotoName = (Vec<u8>, u32);

/// The name of `source` in the manifest.
pub(super) fn photo_name(source: &Source) -> PhotoName {
    let path = source.absolute();
    let page = source.page_number();
    (path.as_os_str().as_encoded_bytes().to_vec(), page)
}
