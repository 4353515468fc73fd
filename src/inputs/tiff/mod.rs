//! Stand-in.
use super::raster::Raster;
pub(super) struct Decoded {
    pub raster: Raster,
    pub notes: Vec<String>,
}
pub(super) fn count_pages(_: &[u8]) -> usize {
    1
}
pub(super) fn decode(
    bytes: &[u8],
    _page: usize,
    _bands: Option<[u16; 3]>,
    check: impl Fn(u32, u32) -> Result<(), String>,
) -> Result<Decoded, String> {
    let mut raster =
        super::codec::decode(bytes, image::ImageFormat::Tiff, None, 200_000_000, check)?;
    raster.orientation = super::metadata::Metadata::of(bytes).orientation();
    Ok(Decoded {
        raster,
        notes: Vec::new(),
    })
}
