//! A writer that digests (BLAKE3) and counts the bytes that pass through it.

use std::io::{self, Write};

use crate::system::files::Digest;

/// Passes bytes on to `writer`, and digests those that it accepted.
#[derive(Debug)]
pub(super) struct HashingWriter<W> {
    writer: W,
    hasher: blake3::Hasher,
}

impl<W: Write> HashingWriter<W> {
    /// Wraps `writer` before its first byte.
    pub(super) fn new(writer: W) -> Self {
        HashingWriter {
            writer,
            hasher: blake3::Hasher::new(),
        }
    }

    /// The inner writer, the digest of all bytes written, and their number.
    pub(super) fn into_inner(self) -> (W, Digest, u64) {
        let bytes = self.hasher.count();
        (self.writer, self.hasher.finalize().into(), bytes)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
