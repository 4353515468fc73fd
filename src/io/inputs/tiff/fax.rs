//! The fax codings of black and white TIFFs: ITU-T T.4 (Group 3, one- or two-dimensional) and T.6 (Group 4). Decodes a
//! chunk to rows of packed bits.
//!
//! The code tables are those of the crate `fax`; its decoders support neither lines without end-of-line codes, nor
//! two-dimensional Group 3, nor lines of more than 65535 pixels, all of which occur in TIFFs.

use std::convert::Infallible;

use fax::BitReader;
use fax::maps::{Mode, black, mode, white};

use super::unpack::{ChunkExtent, UnpackError};

/// The coding, by the tags Compression (259) and T4Options (292).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaxCoding {
    /// Runs without end-of-line codes, each line aligned to this number of bits (compression 2 and 32771).
    Aligned(u8),
    /// Group 3: lines with end-of-line codes.
    Group3 {
        /// Whether each line has a tag bit for one- or two-dimensional coding.
        two_dimensional: bool,
    },
    /// Group 4: every line is coded relative to the previous one.
    Group4,
}

impl FaxCoding {
    /// The coding of Compression `number` with T4Options `options`.
    pub fn of(number: u64, options: u64) -> Self {
        match number {
            2 => FaxCoding::Aligned(8),
            32771 => FaxCoding::Aligned(16),
            3 => FaxCoding::Group3 {
                two_dimensional: options & 1 != 0,
            },
            _ => FaxCoding::Group4,
        }
    }
}

/// Decodes a chunk to rows of packed bits, most significant first, 1 for black; each row begins at a byte.
///
/// # Errors
/// If the data end too soon, or a row (which is named) has an invalid code.
pub(super) fn decode(
    coding: FaxCoding,
    packed: &[u8],
    extent: ChunkExtent,
) -> Result<Vec<u8>, UnpackError> {
    let width = extent.width;
    let line_bytes = width.div_ceil(8) as usize;
    let mut bits = FaxBitReader { packed, at: 0 };
    let mut pixels = Vec::new();
    let mut reference = Vec::new();
    for row in 0..extent.height {
        let line = match decode_line(coding, &mut bits, &reference, width) {
            Some(FaxLine::Runs(line)) => line,
            // Rows behind the end of the block are white, as in libtiff.
            Some(FaxLine::EndOfBlock) => break,
            None if bits.is_past_end() => {
                return Err(UnpackError::Damaged("ends before its pixels do".into()));
            }
            None => {
                return Err(UnpackError::Damaged(format!(
                    "has no fax code where row {row} needs one"
                )));
            }
        };
        let start = pixels.len();
        pixels.resize(start + line_bytes, 0);
        fill_black_runs(&mut pixels[start..], &line, width);
        reference = line;
    }
    pixels.resize(line_bytes * extent.height as usize, 0);
    Ok(pixels)
}

/// One decoded line.
enum FaxLine {
    /// Positions of colour changes from the left, beginning with white to black.
    Runs(Vec<u32>),
    /// The code that ends all lines.
    EndOfBlock,
}

/// Decodes the next line; `None` if its codes are invalid.
fn decode_line(
    coding: FaxCoding,
    bits: &mut FaxBitReader,
    reference: &[u32],
    width: u32,
) -> Option<FaxLine> {
    let line = match coding {
        FaxCoding::Aligned(boundary) => {
            bits.align(boundary.into());
            decode_runs(bits, width)?
        }
        FaxCoding::Group3 { two_dimensional } => {
            let mut ends = 0;
            let mut one_dimensional = true;
            while bits.take_end_of_line() {
                ends += 1;
                if two_dimensional {
                    one_dimensional = bits.peek(1)? == 1;
                    bits.skip(1);
                }
                if ends == 6 {
                    return Some(FaxLine::EndOfBlock);
                }
            }
            match one_dimensional {
                true => decode_runs(bits, width)?,
                false => return decode_changes(bits, reference, width),
            }
        }
        FaxCoding::Group4 => return decode_changes(bits, reference, width),
    };
    Some(FaxLine::Runs(line))
}

/// Decodes a one-dimensional line: white and black runs in turn.
fn decode_runs(bits: &mut FaxBitReader, width: u32) -> Option<Vec<u32>> {
    let mut changes = Vec::new();
    let (mut at, mut is_black) = (0, false);
    while at < width {
        at += decode_run(bits, is_black)?;
        // A run beyond the width means that the decoder is out of step with the lines.
        if at > width {
            return None;
        }
        changes.push(at);
        is_black = !is_black;
    }
    Some(changes)
}

/// Decodes the length of a run: any number of make-up codes, and a terminating one.
fn decode_run(bits: &mut FaxBitReader, is_black: bool) -> Option<u32> {
    let mut length = 0u32;
    loop {
        let code = match is_black {
            true => black::decode(bits)?,
            false => white::decode(bits)?,
        };
        length = length.checked_add(code.into())?;
        if code < 64 {
            return (!bits.is_past_end()).then_some(length);
        }
    }
}

/// Decodes a line coded relative to the previous one (T.4, 4.2.1.3).
fn decode_changes(bits: &mut FaxBitReader, reference: &[u32], width: u32) -> Option<FaxLine> {
    let mut changes: Vec<u32> = Vec::new();
    // a0 of the standard; it starts before the first pixel.
    let mut at = -1i64;
    let mut is_black = false;
    // b1: the first change of the reference line to the right of a0 and to the other colour.
    let mut next = 0;
    while at < i64::from(width) {
        if next % 2 != usize::from(is_black) {
            next += 1;
        }
        while next >= 2
            && reference
                .get(next - 2)
                .is_none_or(|&change| i64::from(change) > at)
        {
            next -= 2;
        }
        while reference
            .get(next)
            .is_some_and(|&change| i64::from(change) <= at)
        {
            next += 2;
        }
        let change = |index: usize| reference.get(index).copied().unwrap_or(width);
        match mode::decode(bits)? {
            Mode::Pass => at = change(next + 1).into(),
            Mode::Vertical(delta) => {
                let to = i64::from(change(next)) + i64::from(delta);
                if to < at.max(0) || to > i64::from(width) {
                    return None;
                }
                changes.push(to as u32);
                at = to;
                is_black = !is_black;
            }
            Mode::Horizontal => {
                for colour in [is_black, !is_black] {
                    at = at.max(0) + i64::from(decode_run(bits, colour)?);
                    if at > i64::from(width) {
                        return None;
                    }
                    changes.push(at as u32);
                }
            }
            Mode::EOF => return Some(FaxLine::EndOfBlock),
            // The extension is uncompressed mode, which no known program writes.
            Mode::Extension => return None,
        }
        if bits.is_past_end() {
            return None;
        }
    }
    Some(FaxLine::Runs(changes))
}

/// Sets the bits of the black runs between `changes` in a row of zeros.
fn fill_black_runs(line: &mut [u8], changes: &[u32], width: u32) {
    for run in changes.chunks(2) {
        let start = run[0] as usize;
        let end = run.get(1).map_or(width, |&end| end) as usize;
        if start >= end {
            continue;
        }
        let (first, last) = (start / 8, (end - 1) / 8);
        let head = 0xffu8 >> (start % 8);
        let tail = 0xffu8 << (7 - (end - 1) % 8);
        if first == last {
            line[first] |= head & tail;
        } else {
            line[first] |= head;
            line[first + 1..last].fill(0xff);
            line[last] |= tail;
        }
    }
}

/// Reads the bits of a chunk, most significant first; zeros follow its end.
struct FaxBitReader<'a> {
    packed: &'a [u8],
    /// The position in bits from the start.
    at: usize,
}

impl FaxBitReader<'_> {
    /// Skips `bits` bits.
    fn skip(&mut self, bits: usize) {
        self.at += bits;
    }

    /// Skips to the next multiple of `boundary` bits.
    fn align(&mut self, boundary: usize) {
        self.at = self.at.next_multiple_of(boundary);
    }

    /// Whether more bits were consumed than the chunk has.
    fn is_past_end(&self) -> bool {
        self.at > self.packed.len() * 8
    }

    /// Consumes an end-of-line code, eleven or more zeros and a one, if it is next.
    fn take_end_of_line(&mut self) -> bool {
        let mut zeros = 0;
        while self.at + zeros < self.packed.len() * 8 {
            let at = self.at + zeros;
            if self.packed[at / 8] >> (7 - at % 8) & 1 == 1 {
                let is_end_of_line = zeros >= 11;
                if is_end_of_line {
                    self.skip(zeros + 1);
                }
                return is_end_of_line;
            }
            zeros += 1;
        }
        false
    }
}

impl BitReader for FaxBitReader<'_> {
    type Error = Infallible;

    fn peek(&self, bits: u8) -> Option<u16> {
        let byte = |index: usize| u32::from(self.packed.get(index).copied().unwrap_or(0));
        let first = self.at / 8;
        let window = byte(first) << 16 | byte(first + 1) << 8 | byte(first + 2);
        let shifted = window << (self.at % 8) & 0xff_ffff;
        (bits <= 16).then(|| (shifted >> (24 - u32::from(bits))) as u16)
    }

    fn consume(&mut self, bits: u8) -> Result<(), Infallible> {
        self.skip(bits.into());
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        ((8 - self.at % 8) % 8) as u8
    }
}
