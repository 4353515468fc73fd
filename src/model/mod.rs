//! Models: the frozen backbone, the heads on its features, their files, and the device that computes them.
//!
//! [`input`] says how a photo of any size lies in the backbone's patch grid; [`backbone`] is the DINOv2 Vision
//! Transformer (pixels `[B, 3, H, W]` to patch and cls tokens); [`head`] turns its features into scores over the patch
//! grid. [`weights`] finds, fetches, verifies and stores backbone checkpoints, [`head_zoo`] does so for heads;
//! [`defaults`] picks and fetches what a bare command uses; [`device`] opens CPU, CUDA and Metal devices.
//!
//! Model code knows tensors, never photos' files or flags; of files it knows those of weights and heads alone.

pub mod backbone;
pub mod defaults;
pub mod device;
pub mod head;
pub mod head_zoo;
pub mod input;
pub mod weights;
