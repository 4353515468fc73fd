//! The models.

pub mod backbone;
pub mod defaults;
pub mod device;
pub mod head;
pub mod head_zoo;
pub mod input;
pub mod weights;
