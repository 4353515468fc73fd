//! A writer that digests what goes through it.

use std::io::{self, Write};

use crate::system::files::Digest;

/// Digests what goes through it.
#[derive(Debug)]
pub(super) struct HashingWriter<W> {
    pub(super) writer: W,
    hasher: blake3::Hasher,
}

impl<W: Write> HashingWriter<W> {
    pub(super) fn new(writer: W) -> Self {
        HashingWriter {
            writer,
            hasher: blake3::Hasher::new(),
        }
    }

    /// The writer, and the digest of all bytes and how many they were.
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
