//! Output for the person at the terminal: data on stdout; messages, warnings and progress on stderr.
//!
//! [`console`] is the only place that prints. It uses the system room and no other room above it.

pub mod console;
pub mod printable;
pub mod progress;
pub mod suggest;
pub mod warnings;
