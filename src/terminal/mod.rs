//! Output to the terminal: messages, warnings and progress go to stderr; data and the paths of written files go to
//! stdout.
//!
//! [`console`] prints everything and owns the progress bars, which [`progress`] formats; [`warnings`] prints one line
//! for a warning that many photos share; [`printable`] escapes control characters in names; [`suggest`] finds the known
//! names nearest to an unknown one.

pub mod console;
pub mod printable;
pub mod progress;
pub mod suggest;
pub mod warnings;
