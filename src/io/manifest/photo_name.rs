//! TODO

use crate::io::inputs::Source;

/// The bytes of a photo's absolute path, and which page of it is meant, 0 where it has one.
pub type PhotoName = (Vec<u8>, u32);

/// By which a photo is known in the record.
pub(super) fn photo_name(source: &Source) -> PhotoName {
    let path = source.absolute();
    let page = source.page_number();
    (path.as_os_str().as_encoded_bytes().to_vec(), page)
}
