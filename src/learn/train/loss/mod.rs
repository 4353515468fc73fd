//! The losses that heads are trained with. In: the scores of a mini-batch, `[patches, outputs]`, and its targets. Out:
//! the mean loss, and in place of the scores its gradient by each of them.

pub mod depth;
pub mod segment;

pub use depth::DepthLoss;
pub use segment::SegmentLoss;
