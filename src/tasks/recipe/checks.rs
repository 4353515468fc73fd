//! Checks that the recipes share. They return a message without the task's name, which the caller adds.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// Refuses more than one given setting of `settings`, pairs of a name and whether it is given; `why` ends the sentence.
///
/// # Errors
/// A message that names all given settings.
pub(super) fn check_exclusive(settings: &[(&str, bool)], why: &str) -> Result<(), String> {
    let given: Vec<&str> = settings
        .iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| *name)
        .collect();
    match given.len() {
        0 | 1 => Ok(()),
        _ => Err(format!("`{}` {why}; leave one out", given.join("` and `"))),
    }
}

/// Refuses `side_by_side` together with `overlay`.
///
/// # Errors
/// As [`check_exclusive`].
pub(super) fn check_photo_view(side_by_side: bool, overlay: Option<f32>) -> Result<(), String> {
    let views = [
        ("side-by-side", side_by_side),
        ("overlay", overlay.is_some()),
    ];
    check_exclusive(&views, "are two ways to show the photo")
}

/// Refuses a `value` of the setting `name` outside `range`.
///
/// # Errors
/// A message that names setting, value and range.
pub(super) fn check_range<T: PartialOrd + Display>(
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), String> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(format!(
            "`{name} = {value}`: expected a number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}
