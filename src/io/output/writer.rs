//! Writes one output to its [`Destination`]: a file (atomically), a pipe or device, or standard output.
//!
//! The encoder is a closure. The stamp of a written file is recorded with the [`Console`], for the manifest.

use std::io::{self, Write};

use crate::error::Result;
use crate::io::output::job::Destination;
use crate::system::files::atomic::write_stamped;
use crate::terminal::console::Console;

/// Writes an output with the encoder `write`, unless it already exists, and with `announce` prints the path of the
/// file.
///
/// A file appears complete or not at all ([`write_stamped`]); output to stdout is encoded in memory first.
///
/// # Errors
/// [`Error::File`](crate::Error::File) names the file, or stdout, with the system's reason; a failure leaves nothing
/// behind.
pub fn write_output(
    console: &Console,
    destination: &Destination,
    announce: bool,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    match destination {
        Destination::Existing(_) => Ok(()),
        Destination::File(path) => {
            if let Some(stamp) = write_stamped(path, write)? {
                console.record_file(path, stamp);
            }
            if announce {
                console.out_path(path)
            } else {
                Ok(())
            }
        }
        Destination::Stdout => {
            let mut bytes = Vec::new();
            write(&mut bytes).map_err(|error| crate::error::Error::io("<stdout>", &error))?;
            console.out_bytes(&bytes)
        }
    }
}
