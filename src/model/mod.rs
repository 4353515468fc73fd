//! Models: the frozen backbone, the heads on its features, their files, and the device that computes them.
//!
//! [`input`] says how a photo of any size lies in the backbone's patch grid; [`backbone`] is the DINO and DINOv2 Vision
//! Transformer (pixels `[B, 3, H, W]` to patch and cls tokens); [`head`] turns its features into scores over the patch
//! grid. [`weights`] finds, fetches, verifies and stores backbone checkpoints, [`head_zoo`] does so for heads;
//! [`defaults`] chooses and fetches the weights of a command that names none; [`device`] opens CPU, CUDA and Metal
//! devices.
//!
//! Model code takes tensors and reads the files of weights and heads, never photos. Only [`device::launcher`] reads the
//! command line.

pub mod backbone;
pub mod defaults;
pub mod device;
pub mod head;
pub mod head_zoo;
pub mod input;
pub mod weights;
