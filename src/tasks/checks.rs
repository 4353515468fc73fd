//! Checks of options that several tasks share.

/// Refuses a pixel (column, row) of `--at` that lies outside a photo of (width, height).
///
/// # Errors
/// A message without the photo's name, which the caller adds.
pub fn check_pixel((x, y): (u32, u32), (width, height): (u32, u32)) -> Result<(), String> {
    match x < width && y < height {
        true => Ok(()),
        false => Err(format!(
            "--at {x},{y} lies outside of the photo, which is {width} x {height} pixels (counted from 0,0)"
        )),
    }
}
