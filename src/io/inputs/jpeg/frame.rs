//! The frame header of a JPEG (ITU-T T.81, B.2.2): size, components and their sampling factors, from which the numbers
//! of blocks and MCUs follow. Unsupported kinds of JPEG are detected here.

use super::error::JpegError;
use super::markers::u16_at;

/// A frame header.
#[derive(Debug, Clone)]
pub(super) struct JpegFrame {
    /// The marker's second byte: 0xc0 for baseline, 0xc2 for progressive.
    pub sof_marker: u8,
    /// Width in pixels, as stored.
    pub width: usize,
    /// Height in pixels, as stored.
    pub height: usize,
    /// The colour components: 1, 3 or 4.
    pub components: Vec<JpegComponent>,
}

/// A colour component of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct JpegComponent {
    /// The identifier that scan headers refer to.
    pub id: u8,
    /// Horizontal sampling factor, 1 to 4, relative to the largest of the frame.
    pub horizontal: usize,
    /// Vertical sampling factor, 1 to 4, relative to the largest of the frame.
    pub vertical: usize,
}

impl JpegFrame {
    /// The largest sampling factor of the frame, in the direction that `of` selects.
    fn max_factor(&self, of: impl Fn(&JpegComponent) -> usize) -> usize {
        self.components.iter().map(of).max().unwrap_or(1)
    }

    /// Number of blocks of `component` across and down, without those that only pad to whole MCUs.
    pub(super) fn blocks(&self, component: &JpegComponent) -> (usize, usize) {
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

    /// Number of MCUs across and down in a scan with several components.
    pub(super) fn mcus(&self) -> (usize, usize) {
        (
            self.width.div_ceil(8 * self.max_factor(|c| c.horizontal)),
            self.height.div_ceil(8 * self.max_factor(|c| c.vertical)),
        )
    }

    /// Whether the frame is progressive (SOF2).
    pub fn is_progressive(&self) -> bool {
        self.sof_marker == 0xc2
    }
}

/// Parses the frame header `body` of the marker 0xff `marker`.
///
/// # Errors
/// [`JpegError::Unsupported`] names an unsupported kind (lossless, hierarchical, arithmetic-coded, other than 8 bits,
/// or other than 1, 3 or 4 components); [`JpegError::Damaged`] if the header is too short or its sampling factors are
/// not 1 to 4.
pub(super) fn parse_frame(marker: u8, body: &[u8]) -> Result<JpegFrame, JpegError> {
    let unsupported = |what: &str| {
        Err(JpegError::Unsupported(format!(
            "{what} JPEG is not supported; save it as 8-bit baseline JPEG or PNG"
        )))
    };
    match marker {
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
    let is_valid = |side: usize| (1..=4).contains(&side);
    if !components
        .iter()
        .all(|c| is_valid(c.horizontal) && is_valid(c.vertical))
    {
        return Err(damaged("its sampling factors are not 1 to 4"));
    }
    if components.len() > 4 || components.len() == 2 {
        return unsupported(&format!("{}-component", components.len()));
    }
    Ok(JpegFrame {
        sof_marker: marker,
        width: width.unwrap_or(0),
        height: height.unwrap_or(0),
        components,
    })
}
