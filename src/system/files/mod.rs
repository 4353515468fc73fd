//! Files on disk.

pub mod atomic;
pub mod digest;
pub mod pipe;
pub mod place;
pub mod program;
pub mod signature;
pub mod spool;
pub mod stamp;
pub mod stream;
pub mod temporary;

pub use atomic::{AtomicFile, UnfinishedFolder, write_atomic, write_folder_atomic, write_stamped};
pub use digest::Digest;
pub use place::Place;
pub use program::ProgramFile;
pub use stamp::Stamp;
pub(crate) use stamp::modified;
pub use stream::Stream;
