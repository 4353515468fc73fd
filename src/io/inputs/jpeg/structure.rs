//! What the markers of a JPEG say (ITU-T T.81, annex B): its frame, its scans, and the segments beside them.

use super::scan::{HuffmanTable, ScanComponent, ScanHeader, ScanWalk, walk};

/// A JPEG as its markers describe it.
#[derive(Debug)]
pub(super) struct JpegStructure {
    /// The frame header.
    pub frame: JpegFrame,
    /// How the Adobe segment says that colours are coded, where there is one.
    pub adobe_transform: Option<u8>,
    /// Whether there is a JFIF segment, which means YCbCr or grey.
    pub has_jfif: bool,
    /// Where the last scan's data end: what follows belongs to no picture, or to another one.
    pub end: usize,
    /// Whether the picture is sequential and lies in several scans, or has samplings that divide oddly.
    pub has_unusual_layout: bool,
    /// Bytes among the data of scans that no code used.
    pub stray_bytes: usize,
    /// Whether coefficients never came in their full precision, though the file goes on to its end marker.
    pub lacks_fine_scans: bool,
}

/// A frame header.
#[derive(Debug, Clone)]
pub(super) struct JpegFrame {
    /// The marker's second byte: 0xc0 for baseline, 0xc2 for progressive.
    pub sof_marker: u8,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// The colour components.
    pub components: Vec<JpegComponent>,
}

/// A colour component of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct JpegComponent {
    /// As scans refer to it.
    pub id: u8,
    /// Samples across, for every `horizontal` maximum of the frame.
    pub horizontal: usize,
    /// Samples down, likewise.
    pub vertical: usize,
}

/// Why a JPEG cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JpegError {
    /// The file ends before the image does.
    Truncated,
    /// The data are not as they should be.
    Damaged(String),
    /// The data may be fine, but this kind is not read.
    Unsupported(String),
}

impl JpegFrame {
    fn max_factor(&self, of: impl Fn(&JpegComponent) -> usize) -> usize {
        self.components.iter().map(of).max().unwrap_or(1)
    }

    /// The blocks of `component` across and down, without those that only fill up whole MCUs.
    fn blocks(&self, component: &JpegComponent) -> (usize, usize) {
        let side =
            |length: usize, own: usize, most: usize| (length * own).div_ceil(most).div_ceil(8);
        (
            side(
                self.width,
                component.horizontal,
                self.max_factor(|c| c.horizontal),
            ),
            side(
                self.height,
                component.vertical,
                self.max_factor(|c| c.vertical),
            ),
        )
    }

    /// MCUs across and down of a scan with several components.
    fn mcus(&self) -> (usize, usize) {
        (
            self.width.div_ceil(8 * self.max_factor(|c| c.horizontal)),
            self.height.div_ceil(8 * self.max_factor(|c| c.vertical)),
        )
    }

    pub fn is_progressive(&self) -> bool {
        self.sof_marker == 0xc2
    }
}

/// Reads a JPEG from marker to marker and walks through the data of every scan; `check` sees the frame first.
///
/// # Errors
/// [`JpegError::Truncated`] if a scan needs more data than it has, whatever marker follows; libjpeg-turbo calls that a
/// premature end of a data segment.
pub(super) fn read(
    bytes: &[u8],
    check: impl Fn(&JpegFrame) -> Result<(), String>,
) -> Result<JpegStructure, JpegError> {
    let mut reader = MarkerReader::default();
    let mut at = 2;
    let mut ended = false;
    while !ended {
        let Some((marker, body, next)) = next_segment(bytes, at)? else {
            // Without an end marker the picture may be whole all the same.
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
                let frame = frame(marker, body)?;
                check(&frame).map_err(JpegError::Unsupported)?;
                reader.begin(frame);
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
                // What a camera appends to a baseline picture is not looked at, end marker or not.
                ended = reader.is_baseline_done();
            }
            _ => {}
        }
    }
    reader.finish(ended)
}

/// Bytes before the next marker; none where no marker follows, for then they belong to whatever was appended.
fn count_stray_bytes(rest: &[u8]) -> usize {
    let marker = rest
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
    marker.unwrap_or(0)
}

/// A marker's second byte, the content of its segment, and where the next begins.
type MarkerSegment<'a> = (u8, &'a [u8], usize);

/// The marker at or after `at`, its segment's content, and where the next begins; nothing at the end of the file.
fn next_segment(bytes: &[u8], mut at: usize) -> Result<Option<MarkerSegment<'_>>, JpegError> {
    loop {
        let Some(found) = bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|&byte| byte == 0xff))
        else {
            return Ok(None);
        };
        at += found + 1;
        match bytes.get(at) {
            None => return Ok(None),
            // A fill byte: the next byte may be the marker.
            Some(0xff) => {}
            // A stuffed zero, TEM, a restart: no segment follows.
            Some(0x00 | 0x01 | 0xd0..=0xd7) => at += 1,
            Some(&marker @ (0xd8 | 0xd9)) => return Ok(Some((marker, &[], at + 1))),
            Some(&marker) => {
                let Some(length) = u16_at(bytes, at + 1).map(|n| n.max(2)) else {
                    return Ok(None);
                };
                return match bytes.get(at + 3..at + 1 + length) {
                    Some(body) => Ok(Some((marker, body, at + 1 + length))),
                    None => Err(JpegError::Truncated),
                };
            }
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let pair = bytes.get(at..at + 2)?;
    Some(usize::from(pair[0]) << 8 | usize::from(pair[1]))
}

/// Reads a frame header and names the kinds that are not read.
fn frame(kind: u8, body: &[u8]) -> Result<JpegFrame, JpegError> {
    let unsupported = |what: &str| {
        Err(JpegError::Unsupported(format!(
            "{what} JPEG is not supported; save it as 8-bit baseline JPEG or PNG"
        )))
    };
    match kind {
        0xc0..=0xc2 => {}
        0xc3 => return unsupported("lossless"),
        0xc5..=0xc7 => return unsupported("hierarchical"),
        _ => return unsupported("arithmetic-coded"),
    }
    let damaged = |what: &str| JpegError::Damaged(what.to_owned());
    let &[precision, _, _, _, _, count, ..] = body else {
        return Err(damaged("its frame header is too short"));
    };
    if precision != 8 {
        return unsupported(&format!("{precision}-bit"));
    }
    let (height, width) = (u16_at(body, 1), u16_at(body, 3));
    let components: Vec<JpegComponent> = body[6..]
        .as_chunks::<3>()
        .0
        .iter()
        .take(count.into())
        .map(|&[id, sampling, _]| JpegComponent {
            id,
            horizontal: (sampling >> 4).into(),
            vertical: (sampling & 15).into(),
        })
        .collect();
    if components.len() != usize::from(count) || components.is_empty() {
        return Err(damaged("its frame header is too short"));
    }
    let sound = |side: usize| (1..=4).contains(&side);
    if !components
        .iter()
        .all(|c| sound(c.horizontal) && sound(c.vertical))
    {
        return Err(damaged("its sampling factors are not 1 to 4"));
    }
    if components.len() > 4 || components.len() == 2 {
        return unsupported(&format!("{}-component", components.len()));
    }
    Ok(JpegFrame {
        sof_marker: kind,
        width: width.unwrap_or(0),
        height: height.unwrap_or(0),
        components,
    })
}

/// What is known half-way through a file.
#[derive(Default)]
struct MarkerReader {
    frame: Option<JpegFrame>,
    /// DC tables, then AC tables.
    huffman: [[Option<HuffmanTable>; 4]; 2],
    restart_interval: usize,
    adobe_transform: Option<u8>,
    has_jfif: bool,
    end: usize,
    scans: usize,
    stray_bytes: usize,
    /// By component, of each coefficient the lowest bit that has come, if any.
    precision: Vec<[Option<u8>; 64]>,
    /// By component and block, which coefficients are not zero, for refining scans.
    nonzero: Vec<Vec<u64>>,
}

impl MarkerReader {
    fn begin(&mut self, frame: JpegFrame) {
        self.precision = vec![[None; 64]; frame.components.len()];
        if frame.is_progressive() {
            let (mcus_across, mcus_down) = frame.mcus();
            let blocks =
                |c: &JpegComponent| vec![0; mcus_across * c.horizontal * mcus_down * c.vertical];
            self.nonzero = frame.components.iter().map(blocks).collect();
        }
        self.frame = Some(frame);
    }

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

    /// Walks through the scan whose header is `body` and whose data begin `data`.
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
            let own = &frame.components[index];
            let table =
                |class: usize, slot: u8| self.huffman[class].get(usize::from(slot))?.as_ref();
            components.push(ScanComponent {
                index,
                horizontal: own.horizontal,
                vertical: own.vertical,
                stride: across * own.horizontal,
                dc: table(0, tables >> 4),
                ac: table(1, tables & 15),
            });
        }
        let (columns, rows) = match components.as_slice() {
            [only] => frame.blocks(&frame.components[only.index]),
            _ => (across, down),
        };
        for component in &components {
            let of = &mut self.precision[component.index];
            for precision in &mut of[usize::from(start)..=usize::from(end)] {
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

/// Bytes up to and with the end marker, going from marker to marker; none where there is no end, or where the file
/// says that what follows belongs to the picture (MPF, a gain map).
pub(in crate::io::inputs) fn encoded_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    let mut in_scan = false;
    loop {
        let (marker, body, next) = next_segment(bytes, at).ok()??;
        in_scan |= marker == 0xda;
        if in_scan && marker == 0xd8 {
            // One that was cut, and the next.
            return Some(next - 2);
        }
        let belongs = (marker == 0xe2 && body.starts_with(b"MPF\0"))
            || (marker == 0xe1 && body.windows(6).any(|window| window == b"hdrgm:"));
        if belongs {
            return None;
        }
        if marker == 0xd9 {
            return Some(next);
        }
        at = next;
    }
}
