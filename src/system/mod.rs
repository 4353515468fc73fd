//! The process and the machine that it runs on, independent of photos and models.
//!
//! [`environment`] reads environment variables and keeps which one a setting came from; [`memory`] divides the memory
//! budget into permits; [`threads`] sets the number of threads; [`interrupt`] turns Ctrl-C and SIGTERM into an error
//! between two steps; [`child_process`] starts processes that never outlive this one; [`closed_stdout`] detects a
//! standard output that was closed at the start; [`http`] sends requests, through the proxies that the environment
//! names; [`files`] writes files atomically; [`text_value`] lets serde store values as the text that options take.

pub mod child_process;
pub mod closed_stdout;
pub mod environment;
pub mod files;
pub mod http;
pub mod interrupt;
pub mod memory;
pub mod text_value;
pub mod threads;
