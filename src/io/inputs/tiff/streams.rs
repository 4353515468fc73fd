//! Streaming decompressors: LZW (TIFF 6.0, section 13) in both bit orders, and PackBits (section 9).

use std::borrow::Cow;
use std::io::{self, BufRead, Cursor, Read};

use weezl::{BitOrder, LzwStatus, decode};

/// Decompresses LZW. Codes have their most significant bit first and grow one code early. In files from before 1992,
/// recognised by the first code as in libtiff, they have the least significant bit first and do not grow early.
pub(super) struct Lzw<'b> {
    packed: Cursor<Cow<'b, [u8]>>,
    decoder: decode::Decoder,
}

impl<'b> Lzw<'b> {
    /// A decompressor of the bytes of one chunk.
    pub fn new(packed: Cow<'b, [u8]>) -> Self {
        let old = matches!(packed.as_ref(), [0, second, ..] if second & 1 == 1);
        let configuration = match old {
            true => decode::Configuration::new(BitOrder::Lsb, 8),
            false => decode::Configuration::with_tiff_size_switch(BitOrder::Msb, 8),
        };
        Lzw {
            packed: Cursor::new(packed),
            decoder: configuration.with_yield_on_full_buffer(true).build(),
        }
    }
}

impl Read for Lzw<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = self.decoder.decode_bytes(self.packed.fill_buf()?, out);
            self.packed.consume(result.consumed_in);
            match result.status {
                Ok(LzwStatus::Ok)
                    if result.consumed_out == 0 && !out.is_empty() && result.consumed_in > 0 => {}
                Ok(_) => return Ok(result.consumed_out),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }
}

/// Decompresses PackBits, runs of bytes.
pub(super) struct PackBits<'b> {
    packed: Cursor<Cow<'b, [u8]>>,
    run: PackBitsRun,
}

/// The rest of the current run.
enum PackBitsRun {
    /// This number of literal bytes remain.
    Literal(usize),
    /// A byte, and the number of times that it is still repeated.
    Repeated(u8, usize),
}

impl<'b> PackBits<'b> {
    /// A decompressor of the bytes of one chunk.
    pub fn new(packed: Cow<'b, [u8]>) -> Self {
        PackBits {
            packed: Cursor::new(packed),
            run: PackBitsRun::Literal(0),
        }
    }

    /// The next packed byte.
    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.packed.read_exact(&mut byte).ok()?;
        Some(byte[0])
    }
}

impl Read for PackBits<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.run {
                PackBitsRun::Literal(0) | PackBitsRun::Repeated(_, 0) => {
                    let Some(header) = self.byte() else {
                        return Ok(0);
                    };
                    self.run = match header {
                        0..=127 => PackBitsRun::Literal(usize::from(header) + 1),
                        128 => continue,
                        _ => match self.byte() {
                            Some(byte) => PackBitsRun::Repeated(byte, 257 - usize::from(header)),
                            None => return Ok(0),
                        },
                    };
                }
                PackBitsRun::Literal(left) => {
                    let length = out.len().min(left);
                    let read = self.packed.read(&mut out[..length])?;
                    self.run = PackBitsRun::Literal(left - read);
                    return Ok(read);
                }
                PackBitsRun::Repeated(byte, left) => {
                    let length = out.len().min(left);
                    out[..length].fill(byte);
                    self.run = PackBitsRun::Repeated(byte, left - length);
                    return Ok(length);
                }
            }
        }
    }
}
