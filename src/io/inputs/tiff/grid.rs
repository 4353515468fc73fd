//! The strips or tiles (chunks) that a TIFF image is divided into, and where each lies in the file.

use super::directory::Ifd;
use super::tags;

/// Chunks of one size, numbered row by row, plane after plane.
#[derive(Debug)]
pub(super) struct ChunkGrid {
    /// Width of a chunk in pixels; strips are as wide as the image.
    pub chunk_width: u32,
    /// Height of a chunk in rows; the last strip may have fewer.
    pub chunk_height: u32,
    /// Whether chunks are tiles, which are padded to the full size at the edges.
    pub is_tiled: bool,
    /// Chunks in a row of chunks.
    pub across: usize,
    /// Rows of chunks.
    pub down: usize,
    /// The offset of each chunk in the file.
    offsets: Vec<u64>,
    /// Packed size in bytes of each chunk, as far as the file states it.
    byte_counts: Vec<u64>,
    /// The offsets in increasing order, if byte counts are missing.
    sorted: Vec<u64>,
}

impl ChunkGrid {
    /// Reads the chunks of an image of `(width, height)` pixels in `planes` planes; `rows_of` gives the number of rows
    /// in a number of packed bytes, if that can be computed.
    ///
    /// # Errors
    /// Names the tag that is missing or contradicts the size.
    pub fn read(
        directory: &Ifd,
        (width, height): (u32, u32),
        planes: u16,
        rows_of: impl Fn(u64) -> Option<u64>,
    ) -> Result<Self, String> {
        let side = |tag| -> Result<Option<u32>, String> {
            let clip = |side: u64| side.min(u32::MAX.into()) as u32;
            Ok(directory.integer(tag)?.map(clip).filter(|&side| side > 0))
        };
        // Strips and tiles share their tags in libtiff, and some writers mix them.
        let either = |first, second| match directory.integers(first)? {
            Some(values) => Ok(Some(values)),
            None => directory.integers(second),
        };
        let tile = side(tags::TILE_WIDTH)?.zip(side(tags::TILE_LENGTH)?);
        let (offsets, counts) = match tile {
            Some(_) => (
                either(tags::TILE_OFFSETS, tags::STRIP_OFFSETS)?,
                either(tags::TILE_BYTE_COUNTS, tags::STRIP_BYTE_COUNTS)?,
            ),
            None => (
                either(tags::STRIP_OFFSETS, tags::TILE_OFFSETS)?,
                either(tags::STRIP_BYTE_COUNTS, tags::TILE_BYTE_COUNTS)?,
            ),
        };
        let offsets = offsets
            .ok_or("damaged TIFF: it does not say where its pixels are (tags 273 or 324)")?;
        let counts = counts.unwrap_or_default();
        let (chunk_width, chunk_height) = match tile {
            Some(tile) => tile,
            None => {
                let strips = offsets.len() / usize::from(planes);
                let rows = side(tags::ROWS_PER_STRIP)?;
                let rows = match rows {
                    None if strips > 1 => {
                        rows_per_strip(height, strips, counts.first().and_then(|&n| rows_of(n)))?
                    }
                    rows => rows.unwrap_or(u32::MAX),
                };
                (width, rows.min(height.max(1)))
            }
        };
        let largest = (u64::from(width) * u64::from(height)).saturating_mul(4) + (1 << 26);
        if u64::from(chunk_width) * u64::from(chunk_height) > largest {
            return Err(format!(
                "damaged TIFF: its tiles of {chunk_width} x {chunk_height} pixels are larger than the image"
            ));
        }
        let mut sorted = Vec::new();
        if counts.len() < offsets.len() || counts.contains(&0) {
            sorted.clone_from(&offsets);
            sorted.sort_unstable();
        }
        let grid = ChunkGrid {
            chunk_width,
            chunk_height,
            is_tiled: tile.is_some(),
            across: width.div_ceil(chunk_width.max(1)) as usize,
            down: height.div_ceil(chunk_height.max(1)) as usize,
            offsets,
            byte_counts: counts,
            sorted,
        };
        let needed = grid.across as u64 * grid.down as u64 * u64::from(planes);
        if needed > grid.offsets.len() as u64 {
            return Err(format!(
                "damaged TIFF: it has {} of the {needed} {} that its size needs",
                grid.offsets.len(),
                grid.chunk_noun(),
            ));
        }
        Ok(grid)
    }

    /// The word for chunks in messages: "strips" or "tiles".
    pub fn chunk_noun(&self) -> &'static str {
        if self.is_tiled { "tiles" } else { "strips" }
    }

    /// Number of chunks that the file lists.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// The offset of a chunk in the file, and its packed size in bytes if the file states it.
    pub fn chunk_location(&self, index: usize) -> (u64, Option<u64>) {
        let offset = self.offsets.get(index).copied().unwrap_or(0);
        (offset, self.byte_counts.get(index).copied())
    }

    /// The offset of the chunk that follows the one at `offset` in the file; only where byte counts are missing.
    pub fn next_offset(&self, offset: u64) -> Option<u64> {
        let behind = self.sorted.partition_point(|&other| other <= offset);
        self.sorted.get(behind).copied()
    }
}

/// Rows per strip if the file does not state them: from the size of the first strip, or the only number that results in
/// `strips` strips.
fn rows_per_strip(height: u32, strips: usize, by_bytes: Option<u64>) -> Result<u32, String> {
    let strips_of = |rows: u64| u64::from(height).div_ceil(rows.max(1));
    let fits = |rows: &u64| strips_of(*rows) == strips as u64;
    let least = u64::from(height).div_ceil(strips as u64).max(1);
    let rows = by_bytes
        .filter(fits)
        .or_else(|| Some(least).filter(|rows| fits(rows) && !fits(&(rows + 1))));
    rows.map(|rows| rows as u32).ok_or_else(|| {
        format!("damaged TIFF: it does not say how many rows its {strips} strips have (tag 278)")
    })
}
