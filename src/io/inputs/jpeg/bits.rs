//! The bits of a scan's entropy-coded data (ITU-T T.81, F.2.2.5): stuffed zero bytes are dropped, markers end the data,
//! and past the end the reader supplies zeros, which [`EntropyBitReader::is_past_end`] reports.

use super::error::JpegError;
use super::huffman::{HuffmanTable, LOOKAHEAD};

/// Reads the bits of one scan, most significant first.
pub(super) struct EntropyBitReader<'a> {
    data: &'a [u8],
    /// Index of the next byte to load.
    at: usize,
    /// Loaded bits that are not yet consumed, right-aligned.
    buffer: u64,
    /// Number of bits in `buffer`, including padding.
    buffered: u32,
    /// Number of bits in `buffer` that are zeros supplied past the end of the data.
    padding: u32,
    /// Whether a marker or the end of the file was reached.
    ended: bool,
}

impl<'a> EntropyBitReader<'a> {
    /// A reader at the first byte of a scan's data; `data` may extend beyond the scan.
    pub(super) fn new(data: &'a [u8]) -> Self {
        EntropyBitReader {
            data,
            at: 0,
            buffer: 0,
            buffered: 0,
            padding: 0,
            ended: false,
        }
    }

    /// Loads bytes until at least 32 bits are buffered.
    #[inline(always)]
    fn fill(&mut self) {
        if self.buffered >= 32 {
            return;
        }
        // Four bytes at once if none of them is 0xff.
        if let Some(&four) = self
            .data
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<4>())
        {
            let word = u32::from_be_bytes(four);
            let has_ff = (!word).wrapping_sub(0x0101_0101) & word & 0x8080_8080 != 0;
            if !has_ff && !self.ended {
                self.buffer = self.buffer << 32 | u64::from(word);
                self.buffered += 32;
                self.at += 4;
                return;
            }
        }
        self.fill_bytewise();
    }

    #[cold]
    fn fill_bytewise(&mut self) {
        while self.buffered <= 56 {
            let byte = match (
                self.ended,
                self.data.get(self.at),
                self.data.get(self.at + 1),
            ) {
                (false, Some(0xff), Some(0)) => {
                    self.at += 2;
                    0xff
                }
                (false, Some(&byte), _) if byte != 0xff => {
                    self.at += 1;
                    byte
                }
                _ => {
                    self.ended = true;
                    self.padding += 8;
                    0
                }
            };
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.buffered += 8;
        }
    }

    /// Decodes the next symbol with `table`.
    ///
    /// # Errors
    /// [`JpegError::Truncated`] past the end of the data, [`JpegError::Damaged`] if no code of the table matches.
    #[inline(always)]
    pub(super) fn decode_symbol(&mut self, table: &HuffmanTable) -> Result<u8, JpegError> {
        self.fill();
        let ahead = (self.buffer >> (self.buffered - 16)) as u32 & 0xffff;
        let (length, value) = table.quick[(ahead >> (16 - LOOKAHEAD)) as usize];
        if length > 0 {
            self.buffered -= u32::from(length);
            return Ok(value);
        }
        self.decode_long_symbol(table, ahead)
    }

    #[cold]
    fn decode_long_symbol(&mut self, table: &HuffmanTable, ahead: u32) -> Result<u8, JpegError> {
        let longer = (LOOKAHEAD + 1..=16).find(|&length| ahead < table.limits[length]);
        let decoded = longer.and_then(|length| {
            let code = (ahead >> (16 - length)) as i32;
            let value = table.values.get((code + table.offsets[length]) as usize)?;
            Some((length as u32, *value))
        });
        match decoded {
            Some((length, value)) => {
                self.buffered -= length;
                Ok(value)
            }
            None if self.ended => Err(JpegError::Truncated),
            None => Err(JpegError::Damaged(
                "its data hold a code that no table knows".into(),
            )),
        }
    }

    /// Skips up to 16 bits.
    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) {
        if self.buffered < bits {
            self.fill();
        }
        self.buffered -= bits;
    }

    /// The next `bits` bits, up to 16, as an unsigned number.
    pub(super) fn read_bits(&mut self, bits: u32) -> u32 {
        self.fill();
        self.buffered -= bits;
        (self.buffer >> self.buffered) as u32 & ((1 << bits) - 1)
    }

    /// Whether more bits were consumed than the data contain.
    pub(super) fn is_past_end(&self) -> bool {
        self.buffered < self.padding
    }

    /// Continues behind the next restart marker, which must be RST`number`, 0 to 7.
    ///
    /// # Errors
    /// [`JpegError::Truncated`] if no restart marker follows, [`JpegError::Damaged`] if one with another number does.
    pub(super) fn skip_restart_marker(&mut self, number: usize) -> Result<(), JpegError> {
        // Loading never passes a marker, so bits read ahead precede it.
        let marker = self.data[self.at.min(self.data.len())..]
            .windows(2)
            .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
        let Some(found) = marker else {
            return Err(JpegError::Truncated);
        };
        let at = self.at + found;
        if self.data[at + 1] != 0xd0 + number as u8 {
            return Err(match self.data[at + 1] {
                0xd0..=0xd7 => JpegError::Damaged("a restart marker is missing".into()),
                _ => JpegError::Truncated,
            });
        }
        *self = EntropyBitReader {
            at: at + 2,
            ..EntropyBitReader::new(self.data)
        };
        Ok(())
    }

    /// Number of bytes consumed, including the one that holds the last bit read.
    pub(super) fn bytes_used(&self) -> usize {
        let spare = (self.buffered - self.padding.min(self.buffered)) / 8;
        // Going back over a stuffed byte takes two.
        (0..spare).fold(self.at, |at, _| {
            match at >= 2 && self.data[at - 1] == 0 && self.data[at - 2] == 0xff {
                true => at - 2,
                false => at.saturating_sub(1),
            }
        })
    }
}
