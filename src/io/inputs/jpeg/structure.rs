//! What the markers of a JPEG say (ITU-T T.81, annex B): its frame, its scans, and the segments beside them.

use super::scan::{Huffman, ScanComponent, ScanHeader, ScanWalk, walk};

/// A JPEG as its markers describe it.
#[derive(Debug)]
pub(super) struct Structure {
    /// The frame header.
    pub frame: Frame,
    /// How the Adobe segment says that colours are coded, where there is one.
    pub adobe_transform: Option<u8>,
    /// Whether there is a JFIF segment, which means YCbCr or grey.
    pub jfif: bool,
    /// Where the last scan's data end: what follows belongs to no picture, or to another one.
    pub end: usize,
    /// Whether the picture is sequential and lies in several scans, or has samplings that divide oddly.
    pub odd_layout: bool,
    /// Bytes among the data of scans that no code used.
    pub unused: usize,
    /// Whether coefficients never came in their full precision, though the file goes on to its end marker.
    pub coarse: bool,
}

/// A frame header.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The marker's second byte: 0xc0 for baseline, 0xc2 for progressive.
    pub kind: u8,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// The colour components.
    pub components: Vec<Component>,
}

/// A colour component of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    /// As scans refer to it.
    pub id: u8,
    /// Samples across, for every `horizontal` maximum of the frame.
    pub horizontal: usize,
    /// Samples down, likewise.
    pub vertical: usize,
}

/// Why a JPEG cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The file ends before the image does.
    Truncated,
    /// The data are not as they should be.
    Damaged(String),
    /// The data may be fine, but this kind is not read.
    Unsupported(String),
}

impl Frame {
    fn most(&self, of: impl Fn(&Component) -> usize) -> usize {
        self.components.iter().map(of).max().unwrap_or(1)
    }

    /// The blocks of `component` across and down, without those that only fill up whole MCUs.
    fn blocks(&self, component: &Component) -> (usize, usize) {
        let side =
            |length: usize, own: usize, most: usize| (length * own).div_ceil(most).div_ceil(8);
        (
            side(
                self.width,
                component.horizontal,
                self.most(|c| c.horizontal),
            ),
            side(self.height, component.vertical, self.most(|c| c.vertical)),
        )
    }

    /// MCUs across and down of a scan with several components.
    fn mcus(&self) -> (usize, usize) {
        (
            self.width.div_ceil(8 * self.most(|c| c.horizontal)),
            self.height.div_ceil(8 * self.most(|c| c.vertical)),
        )
    }

    pub fn is_progressive(&self) -> bool {
        self.kind == 0xc2
    }
}

/// Reads a JPEG from marker to marker and walks through the data of every scan; `check` sees the frame first.
///
/// # Errors
/// [`Flaw::Truncated`] if a scan needs more data than it has, whatever marker follows; libjpeg-turbo calls that a
/// premature end of a data segment.
pub(super) fn read(
    bytes: &[u8],
    check: impl Fn(&Frame) -> Result<(), String>,
) -> Result<Structure, Flaw> {
    let mut reader = Reader::default();
    let mut at = 2;
    let mut ended = false;
    while !ended {
        let Some((marker, body, next)) = segment(bytes, at)? else {
            // Without an end marker the picture may be whole all the same.
            break;
        };
        at = next;
        match marker {
            0xd9 => ended = true,
            // Another picture begins where this one has no end marker.
            0xd8 if reader.end > 0 => break,
            0xf7 => {
                return Err(Flaw::Unsupported(
                    "JPEG-LS is not supported; save it as 8-bit baseline JPEG or PNG".into(),
                ));
            }
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf if reader.frame.is_none() => {
                let frame = frame(marker, body)?;
                check(&frame).map_err(Flaw::Unsupported)?;
                reader.begin(frame);
            }
            0xc4 => reader.tables(body)?,
            0xdd => reader.restart = u16_at(body, 0).unwrap_or(0),
            0xe0 => reader.jfif |= body.starts_with(b"JFIF\0"),
            0xee if body.starts_with(b"Adobe") && body.len() >= 12 => {
                reader.adobe = Some(body[11]);
            }
            0xda => {
                let scanned = reader.scan(body, &bytes[next..])?;
                at = next + scanned.used;
                reader.end = at;
                reader.scans += 1;
                reader.unused += unused(&bytes[at..]);
                // What a camera appends to a baseline picture is not looked at, end marker or not.
                ended = reader.is_baseline_done();
            }
            _ => {}
        }
    }
    reader.finish(ended)
}

/// Bytes before the next marker; none where no marker follows, for then they belong to whatever was appended.
fn unused(rest: &[u8]) -> usize {
    let marker = rest
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
    marker.unwrap_or(0)
}

/// A marker's second byte, the content of its segment, and where the next begins.
type Segment<'a> = (u8, &'a [u8], usize);

/// The marker at or after `at`, its segment's content, and where the next begins; nothing at the end of the file.
fn segment(bytes: &[u8], mut at: usize) -> Result<Option<Segment<'_>>, Flaw> {
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
                    None => Err(Flaw::Truncated),
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
fn frame(kind: u8, body: &[u8]) -> Result<Frame, Flaw> {
    let unsupported = |what: &str| {
        Err(Flaw::Unsupported(format!(
            "{what} JPEG is not supported; save it as 8-bit baseline JPEG or PNG"
        )))
    };
    match kind {
        0xc0..=0xc2 => {}
        0xc3 => return unsupported("lossless"),
        0xc5..=0xc7 => return unsupported("hierarchical"),
        _ => return unsupported("arithmetic-coded"),
    }
    let damaged = |what: &str| Flaw::Damaged(what.to_owned());
    let &[precision, _, _, _, _, count, ..] = body else {
        return Err(damaged("its frame header is too short"));
    };
    if precision != 8 {
        return unsupported(&format!("{precision}-bit"));
    }
    let (height, width) = (u16_at(body, 1), u16_at(body, 3));
    let components: Vec<Component> = body[6..]
        .as_chunks::<3>()
        .0
        .iter()
        .take(count.into())
        .map(|&[id, sampling, _]| Component {
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
    Ok(Frame {
        kind,
        width: width.unwrap_or(0),
        height: height.unwrap_or(0),
        components,
    })
}

/// What is known half-way through a file.
#[derive(Default)]
struct Reader {
    frame: Option<Frame>,
    /// DC tables, then AC tables.
    huffman: [[Option<Huffman>; 4]; 2],
    restart: usize,
    adobe: Option<u8>,
    jfif: bool,
    end: usize,
    scans: usize,
    unused: usize,
    /// By component, of each coefficient the lowest bit that has come, if any.
    precision: Vec<[Option<u8>; 64]>,
    /// By component and block, which coefficients are not zero, for refining scans.
    nonzero: Vec<Vec<u64>>,
}

impl Reader {
    fn begin(&mut self, frame: Frame) {
        self.precision = vec![[None; 64]; frame.components.len()];
        if frame.is_progressive() {
            let (mcus_across, mcus_down) = frame.mcus();
            let blocks =
                |c: &Component| vec![0; mcus_across * c.horizontal * mcus_down * c.vertical];
            self.nonzero = frame.components.iter().map(blocks).collect();
        }
        self.frame = Some(frame);
    }

    fn tables(&mut self, mut body: &[u8]) -> Result<(), Flaw> {
        while let Some((&selector, rest)) = body.split_first() {
            let counts: &[u8; 16] = rest
                .first_chunk()
                .ok_or_else(|| Flaw::Damaged("a Huffman table is too short".into()))?;
            let total: usize = counts.iter().map(|&n| usize::from(n)).sum();
            let values = rest
                .get(16..16 + total)
                .ok_or_else(|| Flaw::Damaged("a Huffman table is too short".into()))?;
            let (class, slot) = (usize::from(selector >> 4), usize::from(selector & 15));
            if class > 1 || slot > 3 {
                return Err(Flaw::Damaged("a Huffman table has no place".into()));
            }
            self.huffman[class][slot] = Some(Huffman::new(counts, values)?);
            body = &rest[16 + total..];
        }
        Ok(())
    }

    /// Walks through the scan whose header is `body` and whose data begin `data`.
    fn scan(&mut self, body: &[u8], data: &[u8]) -> Result<ScanWalk, Flaw> {
        let damaged = |what: &str| Flaw::Damaged(what.to_owned());
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
            restart: self.restart,
            progressive,
            start: start.into(),
            end: end.into(),
            high,
        };
        walk(&header, data, &mut self.nonzero)
    }

    /// Whether every component of a baseline picture has had its scan.
    fn is_baseline_done(&self) -> bool {
        let progressive = self.frame.as_ref().is_some_and(Frame::is_progressive);
        !progressive && self.precision.iter().all(|of| of[0].is_some())
    }

    fn finish(self, ended: bool) -> Result<Structure, Flaw> {
        let frame = self.frame.ok_or(Flaw::Truncated)?;
        if self.precision.iter().any(|of| of[0].is_none()) {
            return Err(Flaw::Truncated);
        }
        let coarse = self
            .precision
            .iter()
            .any(|of| of.iter().any(|bits| *bits != Some(0)));
        if coarse && !ended {
            return Err(Flaw::Truncated);
        }
        let odd_sampling = frame
            .components
            .iter()
            .any(|c| c.horizontal == 3 || c.vertical == 3);
        Ok(Structure {
            odd_layout: odd_sampling || !frame.is_progressive() && self.scans > 1,
            unused: self.unused,
            frame,
            adobe_transform: self.adobe,
            jfif: self.jfif,
            end: self.end,
            coarse,
        })
    }
}

/// Bytes up to and with the end marker, going from marker to marker; none where there is no end, or where the file
/// says that what follows belongs to the picture (MPF, a gain map).
pub(in crate::io::inputs) fn length(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    let mut in_scan = false;
    loop {
        let (marker, body, next) = segment(bytes, at).ok()??;
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
