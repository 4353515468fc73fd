//! Training of heads: labelled photos -> cached features -> patch targets -> mini-batches -> a head.
//!
//! The backbone is frozen, so its features are computed once ([`features`]); what is learnt is one linear layer, or
//! two, whose gradients are written out by hand. Reference for the depth head: Oquab et al., "DINOv2", section 7.4.

pub mod cache;
pub mod cached_view;
pub mod checkpoint;
pub mod feature_cache;
pub mod feature_pool;
pub mod head_in_training;
pub mod history;
pub mod loss;
pub mod optim;
pub mod samples;
pub mod scores;
pub mod seed;
pub mod spread_calibration;
pub mod targets;
pub mod trainer;
pub mod validation;
