//! What is minimised: scores of a batch of patches in, the loss and its gradient out.

pub mod depth;
pub mod segment;

pub use depth::DepthLoss;
pub use segment::SegmentLoss;
