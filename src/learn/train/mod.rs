//! Training of heads: labelled photos -> cached features -> patch targets -> mini-batches -> a head.
//!
//! The backbone is frozen, so its features are computed once ([`features`]); what is learnt is one linear layer, or
//! two, whose gradients are written out by hand. Reference for the depth head: Oquab et al., "DINOv2", section 7.4.

pub mod cache;
pub mod calibrate;
pub mod checkpoint;
pub mod features;
pub mod frame;
pub mod history;
pub mod loss;
pub mod network;
pub mod optim;
pub mod pool;
pub mod run;
pub mod samples;
pub mod scores;
pub mod targets;
pub mod validate;
