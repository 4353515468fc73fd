//! What the person at the terminal reads; all of it goes to stderr, for stdout is for data.
//!
//! [`console`] prints messages and owns the progress bars that [`progress`] words; [`warnings`] collects what many
//! photos have in common into one line; [`printable`] makes names safe to print; [`suggest`] finds the nearest of known
//! names.

pub mod console;
pub mod printable;
pub mod progress;
pub mod suggest;
pub mod warnings;
