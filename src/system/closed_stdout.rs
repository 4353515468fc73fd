//! Whether this program was started without a standard output (`>&-`).
//!
//! Rust's runtime opens `/dev/null` in the place of a closed descriptor before `main`, so that data written there would
//! be lost silently. A standard output that the parent redirected to `/dev/null` looks the same from then on, so the
//! check is made before the runtime starts.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Checks that standard output was open when the program started.
///
/// # Errors
/// If standard output was closed when the program started.
pub fn check_stdout() -> Result<()> {
    match STDOUT_WAS_CLOSED.load(Ordering::Relaxed) {
        true => Err(Error::file(
            "<stdout>",
            "is closed, so that what is to be written there would be lost; open it (> FILE), or choose another place",
        )),
        false => Ok(()),
    }
}

/// Keeps standard output closed across an `exec` of this process: marks the `/dev/null` that the runtime has opened in
/// its place as close-on-exec.
#[cfg(unix)]
pub(crate) fn pass_on_closed_stdout() {
    if STDOUT_WAS_CLOSED.load(Ordering::Relaxed) {
        // If that fails, the next program writes to `/dev/null`.
        let _ = rustix::io::fcntl_setfd(std::io::stdout(), rustix::io::FdFlags::CLOEXEC);
    }
}

#[cfg(unix)]
#[allow(unsafe_code)] // What runs before `main` is named in a section of its own.
mod at_start {
    use std::os::fd::BorrowedFd;
    use std::sync::atomic::Ordering;

    extern "C" fn record_closed_stdout() {
        // SAFETY: the descriptor is only queried (F_GETFD), which is valid for a closed one too.
        let stdout = unsafe { BorrowedFd::borrow_raw(1) };
        let is_closed = rustix::io::fcntl_getfd(stdout).is_err();
        super::STDOUT_WAS_CLOSED.store(is_closed, Ordering::Relaxed);
    }

    // SAFETY: the loader calls the functions in this section with the C ABI; this one needs nothing of Rust's runtime.
    #[used]
    #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
    #[cfg_attr(
        target_vendor = "apple",
        unsafe(link_section = "__DATA,__mod_init_func")
    )]
    static INIT_FUNCTION: extern "C" fn() = record_closed_stdout;
}
