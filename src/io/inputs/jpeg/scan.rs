//! A walk through the entropy-coded data of one scan (ITU-T T.81, annexes F and G): decodes every code without
//! computing samples, to determine whether the data are complete. From a [`ScanHeader`] and the bytes that follow it,
//! computes how many of them the scan uses.

use super::bits::EntropyBitReader;
use super::error::JpegError;
use super::huffman::HuffmanTable;

/// A component that takes part in a scan.
#[derive(Debug)]
pub(super) struct ScanComponent<'a> {
    /// Its index among the components of the frame.
    pub index: usize,
    /// Blocks across in an MCU (the horizontal sampling factor), 1 to 4.
    pub horizontal: usize,
    /// Blocks down in an MCU (the vertical sampling factor), 1 to 4.
    pub vertical: usize,
    /// Blocks in a row of the component, including padding to whole MCUs.
    pub stride: usize,
    /// The Huffman table of DC differences, if one was defined.
    pub dc: Option<&'a HuffmanTable>,
    /// The Huffman table of AC coefficients, if one was defined.
    pub ac: Option<&'a HuffmanTable>,
}

/// The parameters of a scan, from its header and the frame (T.81, B.2.3).
#[derive(Debug)]
pub(super) struct ScanHeader<'a> {
    /// The interleaved components, or the only one.
    pub components: Vec<ScanComponent<'a>>,
    /// MCUs across; with one component an MCU is one block.
    pub columns: usize,
    /// MCUs down.
    pub rows: usize,
    /// MCUs between restart markers; 0 for none.
    pub restart_interval: usize,
    /// Whether the frame is progressive (SOF2).
    pub is_progressive: bool,
    /// The first coefficient of the scan in zigzag order (Ss), 0 to 63.
    pub spectral_start: usize,
    /// The last coefficient of the scan in zigzag order (Se), 0 to 63.
    pub spectral_end: usize,
    /// The bit position of the scan that this one refines (Ah); 0 for a first scan.
    pub approximation_high: u8,
}

/// The result of a walk.
#[derive(Debug)]
pub(super) struct ScanWalk {
    /// Number of bytes of the scan's data.
    pub bytes_used: usize,
}

/// Walks through the scan's data at the start of `data`, which may extend beyond them. `nonzero`, indexed by component
/// and block, has bit `k` set where coefficient `k` is known not to be zero, which refining scans need.
///
/// # Errors
/// [`JpegError::Truncated`] if the scan needs more data than there are, [`JpegError::Damaged`] if the data contradict
/// the header.
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
                    let coefficients = nonzero
                        .get_mut(component.index)
                        .and_then(|blocks| blocks.get_mut(at))
                        .ok_or_else(|| JpegError::Damaged("a scan leaves the picture".into()))?;
                    walk_progressive_block(
                        &mut bits,
                        header,
                        component,
                        &mut zero_run,
                        coefficients,
                    )?;
                }
            }
        }
        // Checked once an MCU is enough: past the end the reader supplies zeros.
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

/// Walks through one block of a sequential scan.
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

/// Walks through one block of a progressive scan; `nonzero` has a bit set for each coefficient that is not zero.
fn walk_progressive_block(
    bits: &mut EntropyBitReader<'_>,
    header: &ScanHeader<'_>,
    component: &ScanComponent<'_>,
    zero_run: &mut u32,
    nonzero: &mut u64,
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
        (_, 0) => walk_first_ac(
            bits,
            header,
            require_table(component.ac)?,
            zero_run,
            nonzero,
        ),
        _ => walk_refining_ac(
            bits,
            header,
            require_table(component.ac)?,
            zero_run,
            nonzero,
        ),
    }
}

/// The first scan of AC coefficients (T.81, G.1.2.2); `zero_run` counts the blocks that an end-of-band run still
/// covers.
fn walk_first_ac(
    bits: &mut EntropyBitReader<'_>,
    header: &ScanHeader<'_>,
    ac: &HuffmanTable,
    zero_run: &mut u32,
    nonzero: &mut u64,
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
                *nonzero |= 1 << at;
            }
            at += 1;
        }
    }
    Ok(())
}

/// A refining scan of AC coefficients (T.81, G.1.2.3).
fn walk_refining_ac(
    bits: &mut EntropyBitReader<'_>,
    header: &ScanHeader<'_>,
    ac: &HuffmanTable,
    zero_run: &mut u32,
    nonzero: &mut u64,
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
            // Skip `run` coefficients that are still zero; each nonzero one has a refinement bit.
            while at <= header.spectral_end {
                if *nonzero >> at & 1 == 1 {
                    bits.skip(1);
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                at += 1;
            }
            if size > 0 && at <= header.spectral_end {
                *nonzero |= 1 << at;
            }
            at += 1;
        }
    }
    if *zero_run > 0 {
        for rest in at..=header.spectral_end {
            if *nonzero >> rest & 1 == 1 {
                bits.skip(1);
            }
        }
        *zero_run -= 1;
    }
    Ok(())
}
