//! The structure of a whole JPEG file (ITU-T T.81, annex B): reads it from marker to marker, walks through every scan,
//! and reports the frame, the colour transform, where the picture ends, and whether it is complete.

use super::error::JpegError;
use super::frame::{JpegComponent, JpegFrame, parse_frame};
use super::huffman::HuffmanTable;
use super::markers::{count_stray_bytes, next_segment, u16_at};
use super::scan::{ScanComponent, ScanHeader, ScanWalk, walk};

/// A complete JPEG as its markers and scans describe it.
#[derive(Debug)]
pub(super) struct JpegStructure {
    /// The frame header.
    pub frame: JpegFrame,
    /// The colour transform of the Adobe segment, if there is one: 0 none (RGB or CMYK), 1 YCbCr, 2 YCCK.
    pub adobe_transform: Option<u8>,
    /// Whether there is a JFIF segment, which implies YCbCr or grey.
    pub has_jfif: bool,
    /// Index of the byte after the last scan's data; later bytes do not belong to the picture.
    pub end: usize,
    /// Whether the picture is sequential in several scans, or has a sampling factor of 3, which zune-jpeg decodes
    /// wrongly.
    pub has_unusual_layout: bool,
    /// Number of bytes after scans' data that no code used.
    pub stray_bytes: usize,
    /// Whether some coefficients lack their full precision, although the file has its end marker.
    pub lacks_fine_scans: bool,
}

/// Reads a JPEG from marker to marker and walks through the data of every scan; `check` may refuse the frame before
/// that.
///
/// # Errors
/// [`JpegError::Truncated`] if a scan needs more data than it has, whatever marker follows (libjpeg-turbo's "premature
/// end of data segment"), or if coefficients are missing; [`JpegError::Damaged`] and [`JpegError::Unsupported`] from
/// the parsers of the segments, the latter also with the text of `check`.
pub(super) fn read(
    bytes: &[u8],
    check: impl Fn(&JpegFrame) -> Result<(), String>,
) -> Result<JpegStructure, JpegError> {
    let mut reader = MarkerReader::default();
    let mut at = 2;
    let mut ended = false;
    while !ended {
        let Some((marker, body, next)) = next_segment(bytes, at)? else {
            // Even without an end marker the picture may be complete.
            break;
        };
        at = next;
        match marker {
            0xd9 => ended = true,
            // Another picture begins where this one has no end marker.
            0xd8 if reader.end > 0 => break,
            0xf7 => {
                return Err(JpegError::Unsupported(
                    "JPEG-LS is not supported; save it as 8-bit baseline JPEG or PNG".into(),
                ));
            }
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf if reader.frame.is_none() => {
                let frame = parse_frame(marker, body)?;
                check(&frame).map_err(JpegError::Unsupported)?;
                reader.begin_frame(frame);
            }
            0xc4 => reader.read_huffman_tables(body)?,
            0xdd => reader.restart_interval = u16_at(body, 0).unwrap_or(0),
            0xe0 => reader.has_jfif |= body.starts_with(b"JFIF\0"),
            0xee if body.starts_with(b"Adobe") && body.len() >= 12 => {
                reader.adobe_transform = Some(body[11]);
            }
            0xda => {
                let scanned = reader.read_scan(body, &bytes[next..])?;
                at = next + scanned.bytes_used;
                reader.end = at;
                reader.scans += 1;
                reader.stray_bytes += count_stray_bytes(&bytes[at..]);
                // Data that a camera appends to a baseline picture are not read, with or without an end marker.
                ended = reader.is_baseline_done();
            }
            _ => {}
        }
    }
    reader.finish(ended)
}

/// The state between two markers.
#[derive(Default)]
struct MarkerReader {
    frame: Option<JpegFrame>,
    /// Huffman tables by class (0 DC, 1 AC) and slot.
    huffman: [[Option<HuffmanTable>; 4]; 2],
    /// MCUs between restart markers; 0 for none.
    restart_interval: usize,
    adobe_transform: Option<u8>,
    has_jfif: bool,
    /// Index of the byte after the last scan's data; 0 before the first scan.
    end: usize,
    /// How many scans were read.
    scans: usize,
    stray_bytes: usize,
    /// By component and coefficient: the lowest bit position read so far (Al); `None` if no scan contained it.
    precision: Vec<[Option<u8>; 64]>,
    /// By component and block: bit `k` is set if coefficient `k` is not zero. Only for progressive frames.
    nonzero: Vec<Vec<u64>>,
}

impl MarkerReader {
    /// Sets up what the scans of `frame` will fill in.
    fn begin_frame(&mut self, frame: JpegFrame) {
        self.precision = vec![[None; 64]; frame.components.len()];
        if frame.is_progressive() {
            let (mcus_across, mcus_down) = frame.mcus();
            let blocks =
                |c: &JpegComponent| vec![0; mcus_across * c.horizontal * mcus_down * c.vertical];
            self.nonzero = frame.components.iter().map(blocks).collect();
        }
        self.frame = Some(frame);
    }

    /// Reads the tables of a DHT segment.
    fn read_huffman_tables(&mut self, mut body: &[u8]) -> Result<(), JpegError> {
        while let Some((&selector, rest)) = body.split_first() {
            let counts: &[u8; 16] = rest
                .first_chunk()
                .ok_or_else(|| JpegError::Damaged("a Huffman table is too short".into()))?;
            let total: usize = counts.iter().map(|&n| usize::from(n)).sum();
            let values = rest
                .get(16..16 + total)
                .ok_or_else(|| JpegError::Damaged("a Huffman table is too short".into()))?;
            let (class, slot) = (usize::from(selector >> 4), usize::from(selector & 15));
            if class > 1 || slot > 3 {
                return Err(JpegError::Damaged("a Huffman table has no place".into()));
            }
            self.huffman[class][slot] = Some(HuffmanTable::new(counts, values)?);
            body = &rest[16 + total..];
        }
        Ok(())
    }

    /// Walks through the scan whose header is `body` and whose data are at the start of `data`.
    fn read_scan(&mut self, body: &[u8], data: &[u8]) -> Result<ScanWalk, JpegError> {
        let damaged = |what: &str| JpegError::Damaged(what.to_owned());
        let frame = self
            .frame
            .as_ref()
            .ok_or_else(|| damaged("a scan comes before the frame"))?;
        let count = usize::from(*body.first().unwrap_or(&0));
        let (Some(selectors), Some(&[start, end, approximation])) = (
            body.get(1..1 + 2 * count),
            body.get(1 + 2 * count..4 + 2 * count)
                .and_then(|tail| tail.first_chunk::<3>()),
        ) else {
            return Err(damaged("a scan header is too short"));
        };
        let progressive = frame.is_progressive();
        let (start, end) = if progressive { (start, end) } else { (0, 63) };
        if start > end || end > 63 || count == 0 || count > 4 {
            return Err(damaged("a scan header makes no sense"));
        }
        let (high, low) = match progressive {
            true => (approximation >> 4, approximation & 15),
            false => (0, 0),
        };
        let (across, down) = frame.mcus();
        let mut components = Vec::with_capacity(count);
        for &[id, tables] in selectors.as_chunks::<2>().0 {
            let index = frame
                .components
                .iter()
                .position(|c| c.id == id)
                .ok_or_else(|| damaged("a scan names no component of the frame"))?;
            let component = &frame.components[index];
            let table =
                |class: usize, slot: u8| self.huffman[class].get(usize::from(slot))?.as_ref();
            components.push(ScanComponent {
                index,
                horizontal: component.horizontal,
                vertical: component.vertical,
                stride: across * component.horizontal,
                dc: table(0, tables >> 4),
                ac: table(1, tables & 15),
            });
        }
        let (columns, rows) = match components.as_slice() {
            [only] => frame.blocks(&frame.components[only.index]),
            _ => (across, down),
        };
        for component in &components {
            let coefficients = &mut self.precision[component.index];
            for precision in &mut coefficients[usize::from(start)..=usize::from(end)] {
                *precision = Some(low);
            }
        }
        let header = ScanHeader {
            components,
            columns,
            rows,
            restart_interval: self.restart_interval,
            is_progressive: progressive,
            spectral_start: start.into(),
            spectral_end: end.into(),
            approximation_high: high,
        };
        walk(&header, data, &mut self.nonzero)
    }

    /// Whether every component of a baseline picture has had its scan.
    fn is_baseline_done(&self) -> bool {
        let progressive = self.frame.as_ref().is_some_and(JpegFrame::is_progressive);
        !progressive && self.precision.iter().all(|of| of[0].is_some())
    }

    /// The structure, once the end marker (`ended`) or the end of the file is reached.
    fn finish(self, ended: bool) -> Result<JpegStructure, JpegError> {
        let frame = self.frame.ok_or(JpegError::Truncated)?;
        if self.precision.iter().any(|of| of[0].is_none()) {
            return Err(JpegError::Truncated);
        }
        let coarse = self
            .precision
            .iter()
            .any(|of| of.iter().any(|bits| *bits != Some(0)));
        if coarse && !ended {
            return Err(JpegError::Truncated);
        }
        let odd_sampling = frame
            .components
            .iter()
            .any(|c| c.horizontal == 3 || c.vertical == 3);
        Ok(JpegStructure {
            has_unusual_layout: odd_sampling || !frame.is_progressive() && self.scans > 1,
            stray_bytes: self.stray_bytes,
            frame,
            adobe_transform: self.adobe_transform,
            has_jfif: self.has_jfif,
            end: self.end,
            lacks_fine_scans: coarse,
        })
    }
}
