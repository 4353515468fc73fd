//! Files on disk: each appears whole or not at all, and is known again by its stamp.
//!
//! [`atomic`] writes a temporary file or folder beside the destination and renames it; [`external_file`] does so for files that another
//! program writes; [`temporary`] names, locks and sweeps them. [`resolved_path`] follows links and tells files from pipes and
//! devices ([`stream`]). [`stamp`] is size, time and [`digest`] (BLAKE3) of a file; [`signature`] marks this program's own
//! pictures. [`pipe`] reads files that may be pipes, and [`spool`] keeps records of many photos in memory, then on disk.

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
