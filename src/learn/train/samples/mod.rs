//! The index of training samples: where the features of each sample lie, and its target. A sample is a patch with the
//! shares of its class ids, or a tile of 4 x 4 patches with the depths between their centres.
//!
//! In: labels with the cached views of their photos ([`LabelledPhoto`]). Out: [`TrainingSamples`], from which an epoch
//! draws ([`SampleDraw`]). The features themselves stay on the disk.

mod draw;
mod index;
mod labelled_photo;
#[cfg(test)]
mod tests;

pub use draw::SampleDraw;
pub use index::{PatchKey, Targets, TrainingSamples};
pub use labelled_photo::LabelledPhoto;
