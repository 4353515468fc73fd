//! The programs `ffmpeg` and `ffprobe`: where they are, what they can do, and how they are started.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

use crate::error::{Error, FileFault, Result};
use crate::system::child_process::ChildProcess;
use crate::system::environment::EnvVariables;
use crate::system::interrupt;

/// Environment variable with the path of `ffmpeg`, or of the folder that it and `ffprobe` are in.
pub const FFMPEG_VARIABLE: &str = "DINO_FFMPEG";

/// How ffmpeg is installed, for error messages.
const INSTALL_HINT: &str = "install it (Debian, Ubuntu: apt install ffmpeg; Fedora: dnf install ffmpeg-free; macOS: brew install \
                    ffmpeg; Windows: winget install ffmpeg), or name its place in DINO_FFMPEG";

/// The programs `ffmpeg` and `ffprobe` of one release.
#[derive(Debug, Clone)]
pub struct FfmpegPrograms {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
    /// Major and minor version; `None` for development builds, which count as newer than any release.
    version: Option<(u32, u32)>,
    filters: OnceLock<Vec<String>>,
}

impl FfmpegPrograms {
    /// The programs of this machine; they are searched for once.
    ///
    /// # Errors
    /// Names `path`, the file they are needed for, and explains their installation, if they are missing or do not run.
    pub fn find(path: &Path) -> Result<&'static FfmpegPrograms> {
        static FOUND: OnceLock<Result<FfmpegPrograms, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            let setting = EnvVariables::from_process()
                .path(FFMPEG_VARIABLE)
                .map_err(|error| error.to_string())?;
            FfmpegPrograms::at(setting.as_deref())
        });
        found
            .as_ref()
            .map_err(|why| Error::file_with_fault(path, why.as_str(), FileFault::Program))
    }

    /// The programs at `setting`, else on the search path.
    pub(super) fn at(setting: Option<&Path>) -> Result<FfmpegPrograms, String> {
        let (ffmpeg, ffprobe) = match setting {
            None => ("ffmpeg".into(), "ffprobe".into()),
            Some(folder) if folder.is_dir() => {
                let program =
                    |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
                (program("ffmpeg"), program("ffprobe"))
            }
            Some(program) => {
                let name = program.file_name().unwrap_or_default().to_string_lossy();
                let sibling = program.with_file_name(name.replacen("ffmpeg", "ffprobe", 1));
                (program.to_owned(), sibling)
            }
        };
        let mut version = None;
        for program in [&ffprobe, &ffmpeg] {
            let output = capture(Command::new(program).arg("-version"));
            let output = output.map_err(|error| {
                let name = program.display();
                match (error.kind(), setting) {
                    (io::ErrorKind::NotFound, None) => {
                        format!("is read and written through ffmpeg, and there is no program `{name}` here; {INSTALL_HINT}")
                    }
                    (io::ErrorKind::NotFound, Some(_)) => {
                        format!("is read and written through ffmpeg, and {FFMPEG_VARIABLE} leads to {name}, which is not there; {INSTALL_HINT}")
                    }
                    _ => format!("is read and written through ffmpeg, and {name} cannot be started: {error}"),
                }
            })?;
            if !output.status.success() {
                let name = program.display();
                return Err(format!(
                    "is read and written through ffmpeg, and {name} does not work: {}",
                    output.last_complaint()
                ));
            }
            version = parse_version(&output.stdout);
        }
        Ok(FfmpegPrograms {
            ffmpeg,
            ffprobe,
            version,
            filters: OnceLock::new(),
        })
    }

    /// A command of `ffmpeg` with the arguments of every call.
    pub(super) fn ffmpeg(&self) -> Command {
        let mut command = Command::new(&self.ffmpeg);
        // These would change the log, which is parsed.
        command
            .env_remove("AV_LOG_FORCE_COLOR")
            .env_remove("FFREPORT");
        command.args(["-hide_banner", "-nostdin", "-nostats"]);
        command
    }

    /// A command of `ffprobe` with the arguments of every call.
    pub(super) fn ffprobe(&self) -> Command {
        let mut command = Command::new(&self.ffprobe);
        command
            .env_remove("AV_LOG_FORCE_COLOR")
            .env_remove("FFREPORT");
        command.args(["-hide_banner", "-v", "level+error"]);
        command
    }

    /// Whether the version is this one or newer.
    pub(super) fn is_at_least(&self, version: (u32, u32)) -> bool {
        self.version.is_none_or(|own| own >= version)
    }

    /// Arguments with which frames keep their times and none is duplicated or dropped.
    pub(super) fn passthrough(&self) -> [&'static str; 2] {
        match self.is_at_least((5, 1)) {
            true => ["-fps_mode", "passthrough"],
            false => ["-vsync", "passthrough"],
        }
    }

    /// Whether `ffmpeg` has a filter of this name.
    pub(super) fn has_filter(&self, name: &str) -> bool {
        let filters = self.filters.get_or_init(|| {
            let output = capture(self.ffmpeg().args(["-v", "error", "-filters"]));
            let lines = output.map(|output| output.text()).unwrap_or_default();
            let names = lines
                .lines()
                .filter_map(|line| line.split_whitespace().nth(1));
            names.map(ToOwned::to_owned).collect()
        });
        filters.iter().any(|filter| filter == name)
    }

    /// Name and version, for messages.
    pub fn version(&self) -> String {
        match self.version {
            Some((major, minor)) => format!("ffmpeg {major}.{minor}"),
            None => "ffmpeg".into(),
        }
    }
}

/// `ffmpeg version 5.1.9-0+deb12u1 …`; development builds are called `N-12345-g…`.
fn parse_version(output: &[u8]) -> Option<(u32, u32)> {
    let output = String::from_utf8_lossy(output);
    let word = output.split_whitespace().nth(2)?.trim_start_matches('n');
    let mut numbers = word.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let major = numbers.next()?.ok()?;
    let minor = numbers.next().and_then(Result::ok).unwrap_or(0);
    Some((major, minor))
}

/// A file as an argument with the `file:` protocol, so that a leading dash or a colon in its name has no meaning.
pub(super) fn file_argument(path: &Path) -> OsString {
    let mut argument = OsString::from("file:");
    argument.push(path);
    argument
}

/// The output of a program that has ended.
#[derive(Debug)]
pub(super) struct ProgramOutput {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl ProgramOutput {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Lines of standard error, without the prefix of component and level.
    pub fn complaints(&self) -> Vec<String> {
        let said = String::from_utf8_lossy(&self.stderr);
        let plain = |line: &str| {
            let text = line.rsplit_once("] ").map_or(line, |(_, text)| text);
            text.trim().to_owned()
        };
        said.lines()
            .map(plain)
            .filter(|line| !line.is_empty())
            .collect()
    }

    /// The last line of [`ProgramOutput::complaints`], else the exit status in words.
    pub fn last_complaint(&self) -> String {
        let last = self.complaints().pop();
        last.unwrap_or_else(|| format!("it ended with {}", self.status))
    }
}

/// Runs a program without input until it ends, and captures its output.
///
/// # Errors
/// The system's reason; [`io::ErrorKind::Interrupted`] after Ctrl-C.
pub(super) fn capture(command: &mut Command) -> io::Result<ProgramOutput> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = spawn(std::mem::replace(command, Command::new("")))?;
    let (mut out, mut err) = match (running.take_stdout(), running.take_stderr()) {
        (Some(out), Some(err)) => (out, err),
        _ => return Err(io::ErrorKind::BrokenPipe.into()),
    };
    let stderr = thread::Builder::new()
        .name("stderr".into())
        .spawn(move || {
            let mut said = Vec::new();
            let _ = err.read_to_end(&mut said);
            said
        })?;
    let mut stdout = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match out.read(&mut piece) {
            Ok(0) => break,
            Ok(bytes) => stdout.extend_from_slice(&piece[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if interrupt::check().is_err() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
        }
    }
    let status = running.wait()?;
    Ok(ProgramOutput {
        status,
        stdout,
        stderr: stderr.join().unwrap_or_default(),
    })
}

type SpawnRequest = (
    Command,
    std::sync::mpsc::SyncSender<io::Result<ChildProcess>>,
);

/// Starts a program from a thread that lives as long as this program, since Linux kills a child when the thread that
/// started it ends (PR_SET_PDEATHSIG).
///
/// # Errors
/// The system's reason.
pub(super) fn spawn(command: Command) -> io::Result<ChildProcess> {
    static ORDERS: OnceLock<Option<Sender<SpawnRequest>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, receiver): (_, Receiver<SpawnRequest>) = channel();
        let starter = thread::Builder::new().name("ffmpeg start".into());
        let started = starter.spawn(move || {
            for (mut command, reply) in receiver {
                let _ = reply.send(ChildProcess::start(&mut command));
            }
        });
        started.is_ok().then_some(sender)
    });
    let refused = || io::Error::other("no thread can be started");
    let (reply, answer) = sync_channel(1);
    let orders = orders.as_ref().ok_or_else(refused)?;
    orders.send((command, reply)).map_err(|_| refused())?;
    answer.recv().map_err(|_| refused())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let parse = |text: &str| parse_version(text.as_bytes());
        assert_eq!(
            parse("ffmpeg version 5.1.9-0+deb12u1 Copyright"),
            Some((5, 1))
        );
        assert_eq!(parse("ffmpeg version n7.0 Copyright"), Some((7, 0)));
        assert_eq!(parse("ffmpeg version N-118-gabc Copyright"), None);
    }

    #[test]
    fn a_missing_program_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let why = FfmpegPrograms::at(Some(folder.path())).unwrap_err();
        assert!(
            why.contains(FFMPEG_VARIABLE) && why.contains("apt install ffmpeg"),
            "{why}"
        );
        let why = FfmpegPrograms::at(Some(&folder.path().join("ffmpeg-7"))).unwrap_err();
        assert!(why.contains("ffprobe-7"), "{why}");
    }
}
