//! Training of heads on a frozen backbone: labelled photos -> cached features -> patch targets -> mini-batches -> a
//! head.
//!
//! The backbone is frozen, so the features of every photo are computed once and kept on the disk ([`feature_cache`]);
//! [`samples`] is the index of what can be learnt from them, [`feature_pool`] brings the features of an epoch into
//! memory, and [`trainer`] is the loop. A head is one linear layer, or two with ReLU between them, whose gradients are
//! written out by hand ([`head_in_training`], [`loss`]). Reference for the depth head: Oquab et al., "DINOv2", 2023,
//! section 7.4. Everything random follows from one seed ([`seed`]).

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
