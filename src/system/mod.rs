//! The process and the machine that it runs on: nothing here knows of photos or models.
//!
//! [`environment`] reads variables once and says where a setting comes from; [`memory`] hands out the memory budget as
//! permits; [`threads`] sizes the pools; [`interrupt`] turns Ctrl-C and SIGTERM into an error between two steps;
//! [`child_process`] starts programs that never outlive this one; [`closed_stdout`] knows whether standard output was
//! closed at the start; [`http`] sends requests, by proxies where the environment says so; [`files`] writes files whole
//! or not at all; [`text_value`] lets serde hold values as the text that options take.

pub mod child_process;
pub mod closed_stdout;
pub mod environment;
pub mod files;
pub mod http;
pub mod interrupt;
pub mod memory;
pub mod text_value;
pub mod threads;
