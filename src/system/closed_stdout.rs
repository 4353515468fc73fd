//! Whether this program was started without a standard output (`>&-`).
//!
//! Rust's runtime opens `/dev/null` in the place of a closed descriptor before `main`, so that data written there would
//! be lost without a word; and many a program hands over `/dev/null` opened in the same way. Only before the runtime
//! starts can the two be told apart.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Checks that data on standard output would reach somebody.
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

/// Makes standard output closed too for the program that this process is about to become, by marking the `/dev/null`
/// that the runtime has opened in its place as close-on-exec.
#[cfg(unix)]
pub(crate) fn pass_on_closed_stdout() {
    if STDOUT_WAS_CLOSED.load(Ordering::Relaxed) {
        // If that fails, data are lost as in any other program.
        let _ = rustix::io::fcntl_setfd(std::io::stdout(), rustix::io::FdFlags::CLOEXEC);
    }
}

#[cfg(unix)]
#[allow(unsafe_code)] // What runs before `main` is named in a section of its own.
mod at_start {
    use std::os::fd::BorrowedFd;
    use std::sync::atomic::Ordering;

    extern "C" fn record_closed_stdout() {
        // SAFETY: the number is only asked about, and the answer may be that there is no such descriptor.
        let stdout = unsafe { BorrowedFd::borrow_raw(1) };
        let is_closed = rustix::io::fcntl_getfd(stdout).is_err();
        super::STDOUT_WAS_CLOSED.store(is_closed, Ordering::Relaxed);
    }

    // SAFETY: the loader calls what the section holds, functions of C; this one needs nothing of Rust's runtime.
    #[used]
    #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
    #[cfg_attr(
        target_vendor = "apple",
        unsafe(link_section = "__DATA,__mod_init_func")
    )]
    static INIT_FUNCTION: extern "C" fn() = record_closed_stdout;
}
