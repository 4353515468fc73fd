//! Whether a map fills its size.

use std::io;

/// Refuses maps that do not fill their size, and empty ones.
pub(super) fn check_size((width, height): (usize, usize), values: usize) -> io::Result<()> {
    match values == width * height && values > 0 {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{values} values do not fill {width} x {height}"
        ))),
    }
}
