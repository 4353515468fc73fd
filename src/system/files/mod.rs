//! Files on disk.

pub mod atomic;
pub mod digest;
pub mod external_file;
pub mod pipe;
pub mod resolved_path;
pub mod signature;
pub mod spool;
pub mod stamp;
pub mod stream;
pub mod temporary;

pub use atomic::{AtomicFile, UnfinishedFolder, write_atomic, write_folder_atomic, write_stamped};
pub use digest::Digest;
pub use external_file::ExternalFile;
pub use resolved_path::ResolvedPath;
pub use stamp::FileStamp;
pub(crate) use stamp::modified_nanos;
pub use stream::OutputStream;
