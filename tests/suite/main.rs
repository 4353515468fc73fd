//! Tests that need more than one module: goldens, the real backbone, and the built program as a user runs it.
//!
//! They are one binary because linking takes longer than running.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod goldens;
mod made_up_heads;
mod program;
mod results;

mod attention;
mod attention_goldens;
mod backbone_goldens;
mod batch;
mod bench;
mod cache;
mod calibrate;
mod cli_manners;
mod clips;
mod clips_resumed;
mod data_sets;
mod depth;
mod failures;
mod features;
mod head_goldens;
mod heads;
mod inputs_lists;
mod inputs_tars;
mod inputs_urls;
#[cfg(unix)]
mod inputs_watch;
mod labels;
#[cfg(all(target_os = "linux", target_env = "gnu", not(feature = "cuda")))]
mod launcher;
mod models;
mod numeric_goldens;
mod official;
#[cfg(unix)]
mod outputs;
mod pca;
mod photos;
mod predictor;
mod pressure;
mod progress;
mod real_features;
mod record;
mod relative;
mod segment;
mod several;
mod shards;
mod simd;
mod similar;
mod text;
mod train;
