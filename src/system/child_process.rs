//! Child processes that are started for one piece of work (ffmpeg, pip, a test run of the GPU build) and never outlive
//! this program.
//!
//! On Unix each child is a process group of its own, so that its own children are killed with it; Ctrl-C at a terminal
//! reaches only this program, which then kills the groups. On Linux the kernel kills the child even if this program is
//! killed (PR_SET_PDEATHSIG), though not the child's own children.

use std::collections::BTreeSet;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A child process; dropping it kills it and its process group.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    /// Exit status; `None` while it runs.
    status: Option<ExitStatus>,
}

impl ChildProcess {
    /// Starts `command` in a process group of its own.
    ///
    /// # Errors
    /// The system's error, if it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        tie_to_parent(command);
        // The lock is held during the start, so that `end_all` cannot miss a process that is just starting.
        let mut running = running();
        let child = command.spawn()?;
        running.insert(child.id());
        Ok(ChildProcess {
            child,
            status: None,
        })
    }

    /// The exit status, if the program has ended; does not block.
    ///
    /// # Errors
    /// The system's error, if it cannot be waited for.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            // Once the process is reaped, the system may reuse its id for another one.
            let mut running = running();
            self.status = self.child.try_wait()?;
            if self.status.is_some() {
                running.remove(&self.child.id());
            }
        }
        Ok(self.status)
    }

    /// Waits until the program has ended; its exit status.
    ///
    /// # Errors
    /// The system's error, if it cannot be waited for.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            // A blocking wait would hold the lock that `end_all` needs.
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// The pipe to its standard input; `None` if it is not piped or was taken before.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The pipe from its standard output; `None` if it is not piped or was taken before.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The pipe from its standard error; `None` if it is not piped or was taken before.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if self.status.is_none() {
            let mut running = running();
            end(self.child.id());
            let _ = self.child.kill();
            let _ = self.child.wait();
            running.remove(&self.child.id());
        }
    }
}

/// Kills every running child with its process group; does nothing on systems other than Unix.
pub fn end_all() {
    running().iter().copied().for_each(end);
}

fn running() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills the process group of the process `id`.
#[cfg(unix)]
fn end(id: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn end(_: u32) {}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // What a process does between its start and its program.
fn tie_to_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    use rustix::process::{Signal, set_parent_process_death_signal};
    command.process_group(0);
    // SAFETY: the closure makes one system call, and neither allocates nor locks.
    unsafe {
        command.pre_exec(|| {
            // If the kernel refuses, only this program kills the child.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            Ok(())
        });
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn tie_to_parent(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn tie_to_parent(_: &mut Command) {}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_a_program_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let id = folder.path().join("id");
        let script = format!("sleep 600 & echo $! > {}; wait", id.display());
        let mut running = ChildProcess::start(
            Command::new("sh")
                .args(["-c", &script])
                .stdin(Stdio::null()),
        )
        .unwrap();
        let start = Instant::now();
        let read = || std::fs::read_to_string(&id).unwrap_or_default();
        while !read().ends_with('\n') {
            assert!(start.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(running.try_wait().unwrap(), None);
        drop(running);
        let lives = || {
            let sent = Command::new("kill")
                .args(["-0", read().trim()])
                .stderr(Stdio::null())
                .status();
            let state = std::fs::read_to_string(format!("/proc/{}/stat", read().trim()));
            // A zombie counts as ended.
            sent.unwrap().success() && !state.is_ok_and(|state| state.contains(") Z "))
        };
        while lives() {
            assert!(start.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn an_end_is_told() {
        let mut running = ChildProcess::start(&mut Command::new("true")).unwrap();
        let start = Instant::now();
        while running.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(10));
        }
        assert!(running.try_wait().unwrap().unwrap().success());
    }
}
