//! Outputs that are not regular files: pipes, devices, sockets, and descriptors that the shell opened for the program.
//! They are never replaced; the whole output is encoded in memory and then written into them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::closed_stdout;
use crate::system::files::parent_folder::parent_folder;
use crate::system::interrupt::{self, BROKEN_PIPE_EXIT_CODE, WaitGuard};

/// An output that is written into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output, under whatever name.
    Stdout,
    /// Another descriptor that the program was started with (`2>`, `3>`, `>(program)`), and its path, such as
    /// `/dev/fd/3`. Data are written at its current position.
    Descriptor(i32, PathBuf),
    /// A named pipe.
    Pipe(PathBuf),
    /// A character device, such as `/dev/null`.
    Device(PathBuf),
    /// A Unix socket that a program listens at.
    Socket(PathBuf),
}

impl OutputStream {
    /// The stream at `path`, which is neither a file nor a folder, by its `metadata`.
    ///
    /// # Errors
    /// For block devices and unknown file types.
    #[cfg(unix)]
    pub(crate) fn from_metadata(path: PathBuf, metadata: &Metadata) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        match () {
            () if kind.is_fifo() => Ok(OutputStream::Pipe(path)),
            () if kind.is_char_device() => Ok(OutputStream::Device(path)),
            () if kind.is_socket() => Ok(OutputStream::Socket(path)),
            () if kind.is_block_device() => Err(io::Error::other(
                "is a disk (block device), which is not written to",
            )),
            () => Err(io::Error::other("is nothing that can be written to")),
        }
    }

    /// The stream at `path`, which is neither a file nor a folder: a device.
    ///
    /// # Errors
    /// None on this system.
    #[cfg(not(unix))]
    pub(crate) fn from_metadata(path: PathBuf, _: &Metadata) -> io::Result<Self> {
        Ok(OutputStream::Device(path))
    }

    /// The path whose permissions can be checked; `None` for standard output and descriptors, which are open already.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            OutputStream::Stdout | OutputStream::Descriptor(..) => None,
            OutputStream::Pipe(path) | OutputStream::Device(path) | OutputStream::Socket(path) => {
                Some(path)
            }
        }
    }

    /// Opens the stream for writing; of a named pipe, waits for its reader, as a shell does.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Write>> {
        match self {
            OutputStream::Stdout => Ok(Box::new(io::stdout().lock())),
            OutputStream::Descriptor(number, path) => Ok(Box::new(duplicate(*number, path)?)),
            OutputStream::Pipe(path) | OutputStream::Device(path) => {
                Ok(Box::new(OpenOptions::new().write(true).open(path)?))
            }
            #[cfg(unix)]
            OutputStream::Socket(path) => {
                Ok(Box::new(std::os::unix::net::UnixStream::connect(path)?))
            }
            #[cfg(not(unix))]
            OutputStream::Socket(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// Writes all of `bytes` to `stream`. If the reader of standard output has closed it, the program exits silently (code
/// 141).
///
/// # Errors
/// [`Error::File`] names `path`, with the system's reason; [`Error::Interrupted`](crate::Error::Interrupted) if Ctrl-C
/// was pressed before a pipe is opened.
pub(crate) fn write_stream(stream: &OutputStream, path: &Path, bytes: &[u8]) -> Result<()> {
    if *stream == OutputStream::Stdout {
        closed_stdout::check_stdout()?;
    }
    // A pipe waits for its reader.
    let _waiting = WaitGuard::begin();
    if matches!(stream, OutputStream::Pipe(_)) {
        interrupt::check()?;
    }
    let write = || {
        let mut writer = stream.open()?;
        writer.write_all(bytes)?;
        writer.flush()
    };
    match write() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe && *stream == OutputStream::Stdout => {
            interrupt::end_now(BROKEN_PIPE_EXIT_CODE)
        }
        written => written.map_err(|error| Error::io(path, &error)),
    }
}

/// The descriptor that `path` itself (not its link target) names, as `/dev/fd/3` and `/proc/self/fd/3` do; `None` if it
/// names none.
///
/// # Errors
/// If the descriptor is not open, or not for writing.
pub(crate) fn find_descriptor(path: &Path) -> io::Result<Option<OutputStream>> {
    let digits = |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_digit());
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(number) = name
        .filter(|name| digits(name))
        .and_then(|n| n.parse().ok())
    else {
        return Ok(None);
    };
    match is_folder_of_descriptors(parent_folder(path)) {
        true => own_descriptor(number, path).map(Some),
        false => Ok(None),
    }
}

/// Whether `folder` lists the open descriptors of this program.
fn is_folder_of_descriptors(folder: &Path) -> bool {
    let Ok(folder) = std::fs::canonicalize(folder) else {
        return false;
    };
    let parts: Vec<_> = folder.iter().skip(1).map(|part| part.to_str()).collect();
    let own = std::process::id().to_string();
    match parts.as_slice() {
        [Some("proc"), Some(process), Some("fd")]
        | [
            Some("proc"),
            Some(process),
            Some("task"),
            Some(_),
            Some("fd"),
        ] => *process == own,
        [Some("dev"), Some("fd")] => true,
        _ => false,
    }
}

/// The stream of the descriptor `number`.
fn own_descriptor(number: i32, path: &Path) -> io::Result<OutputStream> {
    check_open(number)?;
    let metadata = std::fs::metadata(path)
        .map_err(|_| io::Error::other("no such descriptor was opened for this program"))?;
    Ok(match number == 1 || is_stdout(&metadata) {
        true => OutputStream::Stdout,
        false => OutputStream::Descriptor(number, path.to_owned()),
    })
}

/// Checks that the descriptor was opened before the program started, and for writing.
#[cfg(target_os = "linux")]
fn check_open(number: i32) -> io::Result<()> {
    const ACCESS_MODE: u32 = 0o3;
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    let flags = info
        .lines()
        .find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    match flags {
        // The program opens all its descriptors close-on-exec; an inherited one cannot have that flag.
        Some(flags) if number > 2 && flags & CLOSE_ON_EXEC != 0 => Err(io::Error::other(
            "no such descriptor was opened for this program",
        )),
        Some(flags) if flags & ACCESS_MODE == 0 => Err(io::Error::other(
            "this descriptor is open for reading alone",
        )),
        Some(_) => Ok(()),
        None => Err(io::Error::other(
            "no such descriptor was opened for this program",
        )),
    }
}

/// Always succeeds on this system, where inherited descriptors are not checked.
#[cfg(not(target_os = "linux"))]
fn check_open(_: i32) -> io::Result<()> {
    Ok(())
}

/// A second handle of an open descriptor, which shares its position.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // Its number is all that a program has of a descriptor that the shell opened.
fn duplicate(number: i32, _: &Path) -> io::Result<File> {
    use std::os::fd::BorrowedFd;
    check_open(number)?;
    // SAFETY: `check_open` found it open; it is inherited, and the program closes only descriptors that it opened
    // itself.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(borrowed.try_clone_to_owned()?.into())
}

/// A second handle of an open descriptor: on this system, opening its path gives one.
#[cfg(not(target_os = "linux"))]
fn duplicate(_: i32, path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// Whether standard output goes to the file with this `metadata`; false for devices such as `/dev/null`, which several
/// outputs may share.
#[cfg(unix)]
pub(crate) fn is_stdout(metadata: &Metadata) -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    use std::sync::OnceLock;
    static STDOUT: OnceLock<Option<(u64, u64)>> = OnceLock::new();
    let stdout = STDOUT.get_or_init(|| {
        let handle = File::from(io::stdout().as_fd().try_clone_to_owned().ok()?);
        let metadata = handle.metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    });
    !is_device(metadata) && *stdout == Some((metadata.dev(), metadata.ino()))
}

/// Always false on this system.
#[cfg(not(unix))]
pub(crate) fn is_stdout(_: &Metadata) -> bool {
    false
}

/// Whether it is a character device.
#[cfg(unix)]
pub(crate) fn is_device(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_char_device()
}

/// Always false on this system.
#[cfg(not(unix))]
pub(crate) fn is_device(_: &Metadata) -> bool {
    false
}
