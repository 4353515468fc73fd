//! The check, shared by the encoders of maps and point clouds, that the number of values is width times height.

use std::io;

/// Checks that `values`, the number of values of a map, is `width * height`, and not 0.
///
/// # Errors
/// If it is not.
pub(super) fn check_size((width, height): (usize, usize), values: usize) -> io::Result<()> {
    match values == width * height && values > 0 {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{values} values do not fill {width} x {height}"
        ))),
    }
}
