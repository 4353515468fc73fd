//! Dense prediction with Meta's frozen DINOv2 backbones: depth in metres, semantic segmentation, and principal
//! components of patch features.
//!
//! # Predicting from Rust
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dino = dino::Predictor::builder()
//!     .depth("indoor")
//!     .segment("everyday")
//!     .device("auto".parse()?)
//!     .build()?;
//! let image = image::open("room.jpg")?.to_rgb8();
//! let prediction = dino.predict(&image)?; // One backbone pass feeds both heads.
//! let metres: &[f32] = prediction.depth()?.metres()?; // `[height, width]`, at the image's size.
//! let ids: &[u16] = prediction.labels()?.ids(); // `[height, width]`, indices of `classes()`.
//! # Ok(())
//! # }
//! ```
//!
//! A [`Predictor`] prints nothing, and threads may share it. [`Predictor::predict_each`] takes many files. Everything
//! below it is public too; [`tasks`] holds what the program's commands run.
//!
//! # How a photo becomes a depth map
//!
//! ```text
//!   file, folder, tar, address, stdin, clip
//!        |  io::inputs, io::video       Source -> Photo: upright 8-bit sRGB `[height, width, 3]`
//!        v
//!   vision::preprocess                  PreparedImage `[3, H, W]`, H and W multiples of the patch size; Geometry remembers
//!        |                              how the photo lies in it
//!        v
//!   model::backbone                     Features: patch tokens `[B, rows * cols, D]` and cls tokens `[B, D]`, by block
//!        |
//!        +--> analysis                  PCA, clusters, cosine similarity, label propagation: no head
//!        v
//!   model::head                         Scores: class logits or depth bins over the patch grid (DPT: a finer grid)
//!        |
//!        v
//!   vision::postprocess                 DepthMap (metres, or relative inverse depth) or LabelMap (class ids), `[height, width]`
//!        |
//!        v
//!   vision::render -> io::output        pictures, numbers (NPY, PNG16, EXR, ...), JSON lines
//! ```
//!
//! Stage by stage, with the type that each gives: [`io::inputs`] ([`Source`](io::inputs::Source),
//! [`Photo`](io::inputs::Photo)) or [`io::video`] ([`Clip`](io::video::Clip)), [`vision::preprocess`]
//! ([`PreparedImage`](vision::preprocess::PreparedImage), [`Geometry`](model::input::Geometry)), [`model::backbone`]
//! ([`Features`](model::backbone::Features)), [`model::head`] ([`Scores`](model::head::Scores)) or [`analysis`],
//! [`vision::postprocess`] ([`DepthMap`](vision::postprocess::DepthMap), [`LabelMap`](vision::postprocess::LabelMap)),
//! [`vision::render`], [`io::output`].
//!
//! [`engine`] drives this for many photos on one device or several: decode workers, batches, a worker for each device,
//! finish workers, results in order. [`tasks`] defines the outputs of each photo, and [`tasks::recipe`] their options.
//!
//! # Modules
//!
//! A module may import from the modules above it in this table, never from those below. Files do not import each other
//! in circles; the methods of a type may stand in several files of its folder.
//!
//! | module | owns |
//! |---|---|
//! | [`error`] | [`Error`], [`Result`], and what CUDA's error names mean |
//! | [`system`] | the process and the machine: environment variables, memory budget, threads, interrupts, child processes, HTTP, atomic files |
//! | [`terminal`] | messages, warnings, progress bars; text that is safe to print |
//! | [`maths`] | matrix products, percentiles of streams, taps of linear interpolation |
//! | [`model`] | [`backbone`](model::backbone), [`head`](model::head), input [`geometry`](model::input), [`weights`](model::weights) and [`head_zoo`](model::head_zoo) on disk, [`device`](model::device) |
//! | [`analysis`] | PCA, k-means, similarity and mask tracking on patch tokens |
//! | [`vision`] | [`preprocess`](vision::preprocess), [`inference`](vision::inference) modes (sliding windows, published protocols), [`postprocess`](vision::postprocess), [`render`](vision::render) |
//! | [`io`] | [`inputs`](io::inputs), [`output`](io::output), [`video`](io::video), stored [`features`](io::features), the [`manifest`](io::manifest) of an output folder |
//! | [`engine`] | photos through the stages, in batches, on all devices |
//! | [`learn`] | labelled [`data`](learn::data), [`train`](learn::train)ing of heads, [`eval`](learn::eval)uation |
//! | [`tasks`] | depth, segment, clusters, PCA, features, track: each a [`Task`](tasks::Task); recipes; runs; clips |
//! | [`predictor`] | [`Predictor`], the library's entry point |
//!
//! The program adds `cli` (clap types, no logic) and `commands` (a file or folder for each command).
//!
//! # Where to change what
//!
//! | to | see |
//! |---|---|
//! | add a backbone variant | [`model::backbone::variants`]: a row of the table |
//! | add a colormap | [`vision::render::colormap`]: a row of `MAPS` |
//! | add an input format | [`io::inputs`], whose page has the steps |
//! | add an output format for depths | [`io::output::FloatFormat`] and its writer |
//! | add a label format | [`learn::data::labels`]: a decoder and a row of magic bytes |
//! | add a head type | [`model::head::HeadNetwork`] and `head/file` |
//! | add a task | [`tasks`], whose page has the steps |
//! | add a command | `cli`, then `commands`; both pages have the steps |
//! | add a key to the JSON of a task | the `report` file of the task in [`tasks`], and the table in `README.md` |
//! | see where a head of another backbone is refused | [`model::head::Head::check_backbone`] |
//! | see shape and order of stored features | [`io::features::FeatureRow`] |
//! | see where EXIF orientation is applied | `io/inputs/develop.rs`, the only place |
//! | see where LayerScale is applied | [`model::backbone`], a table by executor |
//! | change where files go, or when they are overwritten | [`io::output::OutputPlan`], [`io::manifest`] |
//!
//! `CONTRIBUTING.md` has each of these step by step, with the tests that guard it, and walks one photo through the
//! files.

pub mod analysis;
pub mod engine;
pub mod error;
pub mod io;
pub mod learn;
pub mod maths;
pub mod model;
pub mod predictor;
pub mod system;
pub mod tasks;
pub mod terminal;
pub mod vision;

pub use error::{Error, Result};
pub use predictor::Predictor;

/// The README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
