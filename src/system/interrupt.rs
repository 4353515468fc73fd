//! Ctrl-C: the first one lets the current image be finished, the second one ends the program at once.
//!
//! While the program only waits for a child process, for the reader of its output or for input from a pipe, the first
//! Ctrl-C ends it too: there is no current image to finish. If one image is computed while the next is read,
//! [`wait_for`] abandons the read, and the image is finished.
//!
//! No half-written file and no child process is left behind: unfinished files are registered here while they are
//! written, processes by [`child_process`]. A request to terminate (SIGTERM) or a closed terminal (SIGHUP) counts as
//! Ctrl-C.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::system::child_process;

/// The exit code of an interrupted program: 128 + SIGINT.
pub const EXIT_CODE: u8 = 130;

/// The exit code of a program whose reader has closed the pipe: 128 + SIGPIPE.
pub(crate) const BROKEN_PIPE_EXIT_CODE: u8 = 141;

static REQUESTED: AtomicBool = AtomicBool::new(false);
static WAITING: AtomicUsize = AtomicUsize::new(0);
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Installs the handler; `announce` is called (from another thread) at the first Ctrl-C.
///
/// # Errors
/// If the operating system refuses, or it is installed twice.
pub fn install(announce: impl Fn() + Send + 'static) -> Result<()> {
    ctrlc::set_handler(move || {
        if REQUESTED.swap(true, Ordering::SeqCst) || WAITING.load(Ordering::SeqCst) > 0 {
            end_now(EXIT_CODE);
        }
        announce();
    })
    .map_err(|error| Error::Usage(format!("cannot watch for Ctrl-C: {error}")))
}

/// Checks for Ctrl-C; called wherever work can stop cleanly: between images, between chunks of a download.
///
/// # Errors
/// [`Error::Interrupted`] once Ctrl-C was pressed.
pub fn check() -> Result<()> {
    match REQUESTED.load(Ordering::SeqCst) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}

/// Time between two checks for Ctrl-C during a wait.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Runs `work`, which may block forever (such as reading a pipe), on another thread, and stops waiting for it on
/// Ctrl-C.
///
/// # Errors
/// [`Error::Interrupted`] after Ctrl-C; the blocked thread is abandoned then, and ends with the program.
pub fn wait_for<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (sender, receiver) = sync_channel(1);
    thread::Builder::new()
        .name("wait".into())
        .spawn(move || {
            // The receiver is gone if the wait was abandoned.
            let _ = sender.send(work());
        })
        .map_err(|error| Error::Usage(format!("no thread can be started: {error}")))?;
    loop {
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => check()?,
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Interrupted),
        }
    }
}

/// Kills the started programs, deletes unfinished files and folders, and exits with `code`.
pub fn end_now(code: u8) -> ! {
    child_process::end_all();
    // The lock is held until the exit, so that no thread starts or finishes a file.
    let unfinished = unfinished();
    for path in unfinished.iter() {
        let _ = match path.is_dir() {
            true => std::fs::remove_dir_all(path),
            false => std::fs::remove_file(path),
        };
    }
    std::process::exit(code.into())
}

/// Marks a file or folder as unfinished until dropped.
#[derive(Debug)]
pub struct UnfinishedPath(PathBuf);

impl UnfinishedPath {
    /// Registers `path`, which is deleted if the program ends early.
    pub fn new(path: &Path) -> Self {
        Self::insert(&mut unfinished(), path)
    }

    /// Creates a file or folder by `make` and registers its path, given by `path`, before the program can end.
    ///
    /// # Errors
    /// That of `make`.
    pub fn make<T>(
        make: impl FnOnce() -> std::io::Result<T>,
        path: impl FnOnce(&T) -> &Path,
    ) -> std::io::Result<(T, Self)> {
        // `end_now` takes the same lock.
        let mut unfinished = unfinished();
        let made = make()?;
        let registered = Self::insert(&mut unfinished, path(&made));
        Ok((made, registered))
    }

    fn insert(unfinished: &mut BTreeSet<PathBuf>, path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        unfinished.insert(path.clone());
        UnfinishedPath(path)
    }
}

impl Drop for UnfinishedPath {
    fn drop(&mut self) {
        unfinished().remove(&self.0);
    }
}

/// Marks a period, until dropped, in which the program blocks on another one, so that Ctrl-C ends it at once. The
/// system restarts opening and writing after a signal, so they would never notice Ctrl-C.
#[derive(Debug)]
pub struct WaitGuard(());

impl WaitGuard {
    /// Begins such a period; the caller must [`check`] for an earlier Ctrl-C itself.
    pub fn begin() -> Self {
        WAITING.fetch_add(1, Ordering::SeqCst);
        WaitGuard(())
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::SeqCst);
    }
}

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}
