//! A walk through the entropy-coded data of a scan (ITU-T T.81, annexes F and G): every code is read and no sample
//! computed, so that it is known whether the data are all there.

use super::structure::JpegError;

/// Bits of a code that one look-up resolves.
const LOOKAHEAD: usize = 9;

/// A Huffman table, ready to be read with.
#[derive(Debug, Clone)]
pub(super) struct HuffmanTable {
    /// By the next [`LOOKAHEAD`] bits: length of the code and its value, length 0 where it is longer.
    quick: Vec<(u8, u8)>,
    /// By length: one above its largest code, shifted to 16 bits.
    limits: [u32; 18],
    /// By length: what to add to a code for the index of its value.
    offsets: [i32; 17],
    values: Vec<u8>,
}

impl HuffmanTable {
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

/// A component as a scan has it.
#[derive(Debug)]
pub(super) struct ScanComponent<'a> {
    /// In the frame.
    pub index: usize,
    /// Blocks across in an MCU.
    pub horizontal: usize,
    /// Blocks down in an MCU.
    pub vertical: usize,
    /// Blocks in a row of the component.
    pub stride: usize,
    pub dc: Option<&'a HuffmanTable>,
    pub ac: Option<&'a HuffmanTable>,
}

/// What a scan holds.
#[derive(Debug)]
pub(super) struct ScanHeader<'a> {
    pub components: Vec<ScanComponent<'a>>,
    /// MCUs across: blocks where there is one component.
    pub columns: usize,
    /// MCUs down.
    pub rows: usize,
    /// MCUs between restart markers; 0 for none.
    pub restart_interval: usize,
    pub is_progressive: bool,
    /// First coefficient.
    pub spectral_start: usize,
    /// Last coefficient.
    pub spectral_end: usize,
    /// Bit of the scan before this one; 0 for a first one.
    pub approximation_high: u8,
}

/// How a walk ended.
#[derive(Debug)]
pub(super) struct ScanWalk {
    /// Bytes of the scan's data.
    pub bytes_used: usize,
}

/// Walks through `data`, which begin with a scan's and may go on beyond it. `nonzero` keeps what refining scans need.
pub(super) fn walk(
    header: &ScanHeader<'_>,
    data: &[u8],
    nonzero: &mut [Vec<u64>],
) -> Result<ScanWalk, JpegError> {
    let mut bits = EntropyBitReader::new(data);
    let mut zero_run = 0u32;
    let total = header.columns * header.rows;
    for mcu in 0..total {
        if header.restart_interval > 0 && mcu > 0 && mcu % header.restart_interval == 0 {
            bits.skip_restart_marker((mcu / header.restart_interval - 1) % 8)?;
            zero_run = 0;
        }
        let (row, column) = (mcu / header.columns, mcu % header.columns);
        for component in &header.components {
            let single = header.components.len() == 1;
            let (across, down) = match single {
                true => (1, 1),
                false => (component.horizontal, component.vertical),
            };
            for y in 0..down {
                for x in 0..across {
                    if !header.is_progressive {
                        walk_sequential_block(&mut bits, component)?;
                        continue;
                    }
                    let at = (row * down + y) * component.stride + column * across + x;
                    let seen = nonzero
                        .get_mut(component.index)
                        .and_then(|blocks| blocks.get_mut(at))
                        .ok_or_else(|| JpegError::Damaged("a scan leaves the picture".into()))?;
                    walk_progressive_block(&mut bits, header, component, &mut zero_run, seen)?;
                }
            }
        }
        // Asked once an MCU: what was read past the end were zeros.
        if bits.is_past_end() {
            return Err(JpegError::Truncated);
        }
    }
    Ok(ScanWalk {
        bytes_used: bits.bytes_used(),
    })
}

fn require_table(table: Option<&HuffmanTable>) -> Result<&HuffmanTable, JpegError> {
    table.ok_or_else(|| JpegError::Damaged("a scan names a Huffman table that is not there".into()))
}

/// A block of a baseline scan.
fn walk_sequential_block(
    bits: &mut EntropyBitReader<'_>,
    component: &ScanComponent<'_>,
) -> Result<(), JpegError> {
    let (dc, ac) = (require_table(component.dc)?, require_table(component.ac)?);
    let length = bits.decode_symbol(dc)?;
    bits.skip(length.min(16).into());
    let mut at = 1;
    while at < 64 {
        let symbol = bits.decode_symbol(ac)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (run, size) {
            (15, 0) => at += 16,
            (_, 0) => break,
            _ => {
                at += run + 1;
                bits.skip(size);
            }
        }
    }
    Ok(())
}

/// A block of a progressive scan; `seen` tells which of its coefficients are not zero.
fn walk_progressive_block(
    bits: &mut EntropyBitReader<'_>,
    header: &ScanHeader<'_>,
    component: &ScanComponent<'_>,
    zero_run: &mut u32,
    seen: &mut u64,
) -> Result<(), JpegError> {
    match (header.spectral_start, header.approximation_high) {
        (0, 0) => {
            let length = bits.decode_symbol(require_table(component.dc)?)?;
            bits.skip(length.min(16).into());
            Ok(())
        }
        (0, _) => {
            bits.skip(1);
            Ok(())
        }
        (_, 0) => walk_first_ac(bits, header, require_table(component.ac)?, zero_run, seen),
        _ => walk_refining_ac(bits, header, require_table(component.ac)?, zero_run, seen),
    }
}

fn walk_first_ac(
    bits: &mut EntropyBitReader<'_>,
    header: &ScanHeader<'_>,
    ac: &HuffmanTable,
    zero_run: &mut u32,
    seen: &mut u64,
) -> Result<(), JpegError> {
    if *zero_run > 0 {
        *zero_run -= 1;
        return Ok(());
    }
    let mut at = header.spectral_start;
    while at <= header.spectral_end {
        let symbol = bits.decode_symbol(ac)?;
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 {
            if run < 15 {
                *zero_run = (1 << run) - 1 + bits.read_bits(run);
                break;
            }
            at += 16;
        } else {
            at += run as usize;
            bits.skip(size);
            if at < 64 {
                *seen |= 1 << at;
            }
            at += 1;
        }
    }
    Ok(())
}

fn walk_refining_ac(
    bits: &mut EntropyBitReader<'_>,
    header: &ScanHeader<'_>,
    ac: &HuffmanTable,
    zero_run: &mut u32,
    seen: &mut u64,
) -> Result<(), JpegError> {
    let mut at = header.spectral_start;
    if *zero_run == 0 {
        while at <= header.spectral_end {
            let symbol = bits.decode_symbol(ac)?;
            let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
            if size == 0 && run < 15 {
                *zero_run = (1 << run) + bits.read_bits(run);
                break;
            }
            if size > 0 {
                bits.skip(1); // The sign of the new coefficient.
            }
            // Over `run` coefficients that are still zero; those that are not have a bit each.
            while at <= header.spectral_end {
                if *seen >> at & 1 == 1 {
                    bits.skip(1);
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                at += 1;
            }
            if size > 0 && at <= header.spectral_end {
                *seen |= 1 << at;
            }
            at += 1;
        }
    }
    if *zero_run > 0 {
        for rest in at..=header.spectral_end {
            if *seen >> rest & 1 == 1 {
                bits.skip(1);
            }
        }
        *zero_run -= 1;
    }
    Ok(())
}

/// Bits of a scan; zeros once its data end, which [`EntropyBitReader::is_past_end`] tells.
struct EntropyBitReader<'a> {
    data: &'a [u8],
    at: usize,
    buffer: u64,
    /// Bits in `buffer`, those made up at the end among them.
    buffered: u32,
    /// Bits in `buffer` that were made up.
    padding: u32,
    ended: bool,
}

impl<'a> EntropyBitReader<'a> {
    fn new(data: &'a [u8]) -> Self {
        EntropyBitReader {
            data,
            at: 0,
            buffer: 0,
            buffered: 0,
            padding: 0,
            ended: false,
        }
    }

    /// Makes sure of at least 32 bits.
    #[inline(always)]
    fn fill(&mut self) {
        if self.buffered >= 32 {
            return;
        }
        // Four bytes at once where none of them is 0xff.
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

    #[inline(always)]
    fn decode_symbol(&mut self, table: &HuffmanTable) -> Result<u8, JpegError> {
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
        let found = longer.and_then(|length| {
            let code = (ahead >> (16 - length)) as i32;
            let value = table.values.get((code + table.offsets[length]) as usize)?;
            Some((length as u32, *value))
        });
        match found {
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

    /// Passes over up to 16 bits; at least as many are there after [`EntropyBitReader::decode_symbol`].
    #[inline(always)]
    fn skip(&mut self, bits: u32) {
        if self.buffered < bits {
            self.fill();
        }
        self.buffered -= bits;
    }

    fn read_bits(&mut self, bits: u32) -> u32 {
        self.fill();
        self.buffered -= bits;
        (self.buffer >> self.buffered) as u32 & ((1 << bits) - 1)
    }

    /// Whether bits were used that the data do not have.
    fn is_past_end(&self) -> bool {
        self.buffered < self.padding
    }

    /// Goes on behind the restart marker with this number.
    fn skip_restart_marker(&mut self, number: usize) -> Result<(), JpegError> {
        // Bits that were read ahead lie before the marker, for reading never passes one.
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

    /// Bytes up to the one that holds the last bit used.
    fn bytes_used(&self) -> usize {
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
