//! A walk through the entropy-coded data of a scan (ITU-T T.81, annexes F and G): every code is read and no sample
//! computed, so that it is known whether the data are all there.

use super::structure::Flaw;

/// Bits of a code that one look-up resolves.
const LOOKAHEAD: usize = 9;

/// A Huffman table, ready to be read with.
#[derive(Debug, Clone)]
pub(super) struct Huffman {
    /// By the next [`LOOKAHEAD`] bits: length of the code and its value, length 0 where it is longer.
    quick: Vec<(u8, u8)>,
    /// By length: one above its largest code, shifted to 16 bits.
    limits: [u32; 18],
    /// By length: what to add to a code for the index of its value.
    offsets: [i32; 17],
    values: Vec<u8>,
}

impl Huffman {
    pub fn new(counts: &[u8; 16], values: &[u8]) -> Result<Self, Flaw> {
        let mut table = Huffman {
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
                    return Err(Flaw::Damaged("a Huffman table is overfull".into()));
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
    pub dc: Option<&'a Huffman>,
    pub ac: Option<&'a Huffman>,
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
    pub restart: usize,
    pub progressive: bool,
    /// First coefficient.
    pub start: usize,
    /// Last coefficient.
    pub end: usize,
    /// Bit of the scan before this one; 0 for a first one.
    pub high: u8,
}

/// How a walk ended.
#[derive(Debug)]
pub(super) struct ScanWalk {
    /// Bytes of the scan's data.
    pub used: usize,
}

/// Walks through `data`, which begin with a scan's and may go on beyond it. `nonzero` keeps what refining scans need.
pub(super) fn walk(
    header: &ScanHeader<'_>,
    data: &[u8],
    nonzero: &mut [Vec<u64>],
) -> Result<ScanWalk, Flaw> {
    let mut bits = Bits::new(data);
    let mut zero_run = 0u32;
    let total = header.columns * header.rows;
    for mcu in 0..total {
        if header.restart > 0 && mcu > 0 && mcu % header.restart == 0 {
            bits.restart((mcu / header.restart - 1) % 8)?;
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
                    if !header.progressive {
                        sequential(&mut bits, component)?;
                        continue;
                    }
                    let at = (row * down + y) * component.stride + column * across + x;
                    let seen = nonzero
                        .get_mut(component.index)
                        .and_then(|blocks| blocks.get_mut(at))
                        .ok_or_else(|| Flaw::Damaged("a scan leaves the picture".into()))?;
                    progressive(&mut bits, header, component, &mut zero_run, seen)?;
                }
            }
        }
        // Asked once an MCU: what was read past the end were zeros.
        if bits.is_overdrawn() {
            return Err(Flaw::Truncated);
        }
    }
    Ok(ScanWalk { used: bits.used() })
}

fn table(table: Option<&Huffman>) -> Result<&Huffman, Flaw> {
    table.ok_or_else(|| Flaw::Damaged("a scan names a Huffman table that is not there".into()))
}

/// A block of a baseline scan.
fn sequential(bits: &mut Bits<'_>, component: &ScanComponent<'_>) -> Result<(), Flaw> {
    let (dc, ac) = (table(component.dc)?, table(component.ac)?);
    let length = bits.code(dc)?;
    bits.skip(length.min(16).into());
    let mut at = 1;
    while at < 64 {
        let symbol = bits.code(ac)?;
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
fn progressive(
    bits: &mut Bits<'_>,
    header: &ScanHeader<'_>,
    component: &ScanComponent<'_>,
    zero_run: &mut u32,
    seen: &mut u64,
) -> Result<(), Flaw> {
    match (header.start, header.high) {
        (0, 0) => {
            let length = bits.code(table(component.dc)?)?;
            bits.skip(length.min(16).into());
            Ok(())
        }
        (0, _) => {
            bits.skip(1);
            Ok(())
        }
        (_, 0) => first_ac(bits, header, table(component.ac)?, zero_run, seen),
        _ => refine_ac(bits, header, table(component.ac)?, zero_run, seen),
    }
}

fn first_ac(
    bits: &mut Bits<'_>,
    header: &ScanHeader<'_>,
    ac: &Huffman,
    zero_run: &mut u32,
    seen: &mut u64,
) -> Result<(), Flaw> {
    if *zero_run > 0 {
        *zero_run -= 1;
        return Ok(());
    }
    let mut at = header.start;
    while at <= header.end {
        let symbol = bits.code(ac)?;
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 {
            if run < 15 {
                *zero_run = (1 << run) - 1 + bits.take(run);
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

fn refine_ac(
    bits: &mut Bits<'_>,
    header: &ScanHeader<'_>,
    ac: &Huffman,
    zero_run: &mut u32,
    seen: &mut u64,
) -> Result<(), Flaw> {
    let mut at = header.start;
    if *zero_run == 0 {
        while at <= header.end {
            let symbol = bits.code(ac)?;
            let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
            if size == 0 && run < 15 {
                *zero_run = (1 << run) + bits.take(run);
                break;
            }
            if size > 0 {
                bits.skip(1); // The sign of the new coefficient.
            }
            // Over `run` coefficients that are still zero; those that are not have a bit each.
            while at <= header.end {
                if *seen >> at & 1 == 1 {
                    bits.skip(1);
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                at += 1;
            }
            if size > 0 && at <= header.end {
                *seen |= 1 << at;
            }
            at += 1;
        }
    }
    if *zero_run > 0 {
        for rest in at..=header.end {
            if *seen >> rest & 1 == 1 {
                bits.skip(1);
            }
        }
        *zero_run -= 1;
    }
    Ok(())
}

/// Bits of a scan; zeros once its data end, which [`Bits::is_overdrawn`] tells.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    buffer: u64,
    /// Bits in `buffer`, those made up at the end among them.
    count: u32,
    /// Bits in `buffer` that were made up.
    invented: u32,
    ended: bool,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Bits {
            data,
            at: 0,
            buffer: 0,
            count: 0,
            invented: 0,
            ended: false,
        }
    }

    /// Makes sure of at least 32 bits.
    #[inline(always)]
    fn fill(&mut self) {
        if self.count >= 32 {
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
                self.count += 32;
                self.at += 4;
                return;
            }
        }
        self.fill_bytewise();
    }

    #[cold]
    fn fill_bytewise(&mut self) {
        while self.count <= 56 {
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
                    self.invented += 8;
                    0
                }
            };
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    #[inline(always)]
    fn code(&mut self, table: &Huffman) -> Result<u8, Flaw> {
        self.fill();
        let ahead = (self.buffer >> (self.count - 16)) as u32 & 0xffff;
        let (length, value) = table.quick[(ahead >> (16 - LOOKAHEAD)) as usize];
        if length > 0 {
            self.count -= u32::from(length);
            return Ok(value);
        }
        self.long_code(table, ahead)
    }

    #[cold]
    fn long_code(&mut self, table: &Huffman, ahead: u32) -> Result<u8, Flaw> {
        let longer = (LOOKAHEAD + 1..=16).find(|&length| ahead < table.limits[length]);
        let found = longer.and_then(|length| {
            let code = (ahead >> (16 - length)) as i32;
            let value = table.values.get((code + table.offsets[length]) as usize)?;
            Some((length as u32, *value))
        });
        match found {
            Some((length, value)) => {
                self.count -= length;
                Ok(value)
            }
            None if self.ended => Err(Flaw::Truncated),
            None => Err(Flaw::Damaged(
                "its data hold a code that no table knows".into(),
            )),
        }
    }

    /// Passes over up to 16 bits; at least as many are there after [`Bits::code`].
    #[inline(always)]
    fn skip(&mut self, bits: u32) {
        if self.count < bits {
            self.fill();
        }
        self.count -= bits;
    }

    fn take(&mut self, bits: u32) -> u32 {
        self.fill();
        self.count -= bits;
        (self.buffer >> self.count) as u32 & ((1 << bits) - 1)
    }

    /// Whether bits were used that the data do not have.
    fn is_overdrawn(&self) -> bool {
        self.count < self.invented
    }

    /// Goes on behind the restart marker with this number.
    fn restart(&mut self, number: usize) -> Result<(), Flaw> {
        // Bits that were read ahead lie before the marker, for reading never passes one.
        let marker = self.data[self.at.min(self.data.len())..]
            .windows(2)
            .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
        let Some(found) = marker else {
            return Err(Flaw::Truncated);
        };
        let at = self.at + found;
        if self.data[at + 1] != 0xd0 + number as u8 {
            return Err(match self.data[at + 1] {
                0xd0..=0xd7 => Flaw::Damaged("a restart marker is missing".into()),
                _ => Flaw::Truncated,
            });
        }
        *self = Bits {
            at: at + 2,
            ..Bits::new(self.data)
        };
        Ok(())
    }

    /// Bytes up to the one that holds the last bit used.
    fn used(&self) -> usize {
        let spare = (self.count - self.invented.min(self.count)) / 8;
        // Going back over a stuffed byte takes two.
        (0..spare).fold(self.at, |at, _| {
            match at >= 2 && self.data[at - 1] == 0 && self.data[at - 2] == 0xff {
                true => at - 2,
                false => at.saturating_sub(1),
            }
        })
    }
}
