//! Files on disk: resolving an output's path ([`ResolvedPath`]), atomic writes, digests and stamps of contents, pipes,
//! temporary files, and spools for data between two passes.
//!
//! Every output of the program is written by this module: [`write_atomic`] and [`AtomicFile`] write one file,
//! [`write_folder_atomic`] and [`UnfinishedFolder`] a folder, and [`ExternalFile`] one that another program writes.
//! Each is begun under a temporary name beside its destination and renamed when it is complete. Exceptions are files
//! that cannot be replaced, which are overwritten in place, and pipes, devices and sockets, which are written into.

pub mod atomic;
pub mod atomic_folder;
pub mod digest;
pub mod external_file;
pub(crate) mod file_identity;
mod hashing_writer;
pub(crate) mod parent_folder;
pub mod pipe;
mod replacement;
pub mod resolved_path;
pub mod signature;
pub mod spool;
pub mod stamp;
pub mod stream;
pub mod temporary;

pub use atomic::{AtomicFile, write_atomic, write_stamped};
pub use atomic_folder::{UnfinishedFolder, write_folder_atomic};
pub use digest::Digest;
pub use external_file::ExternalFile;
pub use resolved_path::ResolvedPath;
pub use stamp::FileStamp;
pub(crate) use stamp::modified_nanos;
pub use stream::OutputStream;
