//! The process and the machine that it runs on: environment variables, memory, threads, interrupts, child processes, files
//! and the network. Nothing here knows of models, images or the terminal's messages.

pub mod child_process;
pub mod closed_stdout;
pub mod environment;
pub mod files;
pub mod http;
pub mod interrupt;
pub mod memory;
pub mod threads;
