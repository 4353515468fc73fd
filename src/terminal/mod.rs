//! What the person at the terminal reads.

pub mod console;
pub mod printable;
pub mod progress;
pub mod suggest;
pub mod warnings;
