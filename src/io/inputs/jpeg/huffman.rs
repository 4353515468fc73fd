//! Huffman tables of a JPEG (ITU-T T.81, annex C, and the decoding procedure of F.2.2.3): codes of up to [`LOOKAHEAD`]
//! bits are resolved by one table look-up, longer ones by the limits of each code length.

use super::error::JpegError;

/// The longest code, in bits, that one look-up resolves.
pub(super) const LOOKAHEAD: usize = 9;

/// A Huffman table in the form that [`EntropyBitReader`](super::bits::EntropyBitReader) decodes with.
#[derive(Debug, Clone)]
pub(super) struct HuffmanTable {
    /// Indexed by the next [`LOOKAHEAD`] bits: the length of the code in bits and its value; length 0 where the code is
    /// longer.
    pub(super) quick: Vec<(u8, u8)>,
    /// Indexed by code length: one above the largest code of that length, left-aligned in 16 bits.
    pub(super) limits: [u32; 18],
    /// Indexed by code length: the offset from a code to the index of its value.
    pub(super) offsets: [i32; 17],
    /// The symbols, in the order of their codes.
    pub(super) values: Vec<u8>,
}

impl HuffmanTable {
    /// Builds the table of a DHT segment: `counts[n]` codes of `n + 1` bits, whose symbols are `values` in order.
    ///
    /// # Errors
    /// [`JpegError::Damaged`] if there are more codes of a length than that length has.
    pub fn new(counts: &[u8; 16], values: &[u8]) -> Result<Self, JpegError> {
        let mut table = HuffmanTable {
            quick: vec![(0, 0); 1 << LOOKAHEAD],
            limits: [0; 18],
            offsets: [0; 17],
            values: values.to_vec(),
        };
        let (mut code, mut index) = (0u32, 0usize);
        for length in 1..=16usize {
            table.offsets[length] = index as i32 - code as i32;
            for _ in 0..counts[length - 1] {
                if code >= 1 << length {
                    return Err(JpegError::Damaged("a Huffman table is overfull".into()));
                }
                if length <= LOOKAHEAD {
                    let first = (code as usize) << (LOOKAHEAD - length);
                    let span = 1 << (LOOKAHEAD - length);
                    table.quick[first..first + span].fill((length as u8, values[index]));
                }
                code += 1;
                index += 1;
            }
            table.limits[length] = code << (16 - length);
            code <<= 1;
        }
        table.limits[17] = u32::MAX;
        Ok(table)
    }
}
