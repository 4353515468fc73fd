//! The only place that prints: data to stdout, everything else to stderr.
//!
//! Messages are worded and coloured as clap's are (`error: …`), appear above a running progress bar, and are plain if
//! stderr is not a terminal or `NO_COLOR` is set. `recorder` buffers the messages of photos that are computed in
//! parallel, `progress` starts the bars.

mod progress;
mod record;
mod recorder;

use std::collections::HashSet;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::error::{Error, Result};
use crate::system::closed_stdout;
use crate::system::interrupt::{self, BROKEN_PIPE_EXIT_CODE, WaitGuard};
use crate::terminal::printable::printable;
pub use crate::terminal::progress::{PhotoProgress, Progress};
use crate::terminal::warnings::Warnings;
use record::RecordedMessage;

/// The error message for binary data that would go to a terminal.
pub const BINARY_TO_TERMINAL: &str =
    "binary data is not written to a terminal; send it to a file (> out.png) or another program";

/// The flag whose data on stdout name the written files, so that their paths are not printed again.
const JSON: &str = "--json";

/// The flag that packs files after they were written, so that their paths are not printed.
pub(crate) const TAR_FLAG: &str = "--tar";

/// The program's output. Cheap to clone; all clones share the progress bars, the warnings and the claim of stdout.
#[derive(Debug, Clone)]
pub struct Console {
    quiet: bool,
    verbose: bool,
    /// Whether stderr is a terminal.
    shows_bars: bool,
    bars: MultiProgress,
    warnings: Warnings,
    /// The flag that stdout is reserved for, if it is.
    stdout_owner: Arc<OnceLock<String>>,
    /// Kinds of notes that were printed by [`Console::note_once`].
    noted: Arc<Mutex<HashSet<&'static str>>>,
    /// The messages of a recorder; `None` for a console that prints at once.
    record: Option<Arc<Mutex<Vec<RecordedMessage>>>>,
}

impl Console {
    /// A console without notes and progress if `quiet`, with details if `verbose`.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        let shows_bars = io::stderr().is_terminal();
        let target = match quiet || !shows_bars {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bars = MultiProgress::with_draw_target(target);
        let above = bars.clone();
        Console {
            quiet,
            verbose,
            shows_bars,
            bars,
            warnings: Warnings::new(move |line| print_warning(&above, line), verbose),
            stdout_owner: Arc::default(),
            noted: Arc::default(),
            record: None,
        }
    }

    /// Records the message if this is a recorder; returns whether it is.
    fn try_record(&self, said: impl FnOnce() -> RecordedMessage) -> bool {
        let Some(record) = &self.record else {
            return false;
        };
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        record.push(said());
        true
    }

    /// Whether notes and progress are suppressed (`--quiet`).
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Warnings that may concern many files: each kind is printed once, the rest is counted.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// One line of data on stdout.
    ///
    /// # Errors
    /// If stdout is closed or cannot be written. A reader that has closed the pipe (`| head`) ends the program
    /// silently.
    pub fn out(&self, line: &str) -> Result<()> {
        self.write_out(&[line.as_bytes(), b"\n"])
    }

    /// Reserves stdout for the data of `flag`: paths of written files are not printed any more.
    ///
    /// # Errors
    /// [`Error::Usage`] if another flag has reserved it; [`Error::File`] if stdout was closed when the program started.
    pub fn claim_stdout(&self, flag: &str) -> Result<()> {
        closed_stdout::check_stdout()?;
        match self.stdout_owner.get_or_init(|| flag.to_owned()) {
            owner if owner == flag => Ok(()),
            owner => Err(Error::Usage(format!(
                "{owner} and {flag} both want stdout; send one of them to a file"
            ))),
        }
    }

    /// Prints the path of a written file on stdout, one line, on Unix byte for byte. If stdout is reserved for data,
    /// the path becomes a note; it is dropped if those data are JSON, which names files itself, or if files are packed
    /// into tars. If stdout is closed, nothing is printed.
    ///
    /// # Errors
    /// As [`Console::out`].
    pub fn out_path(&self, path: &Path) -> Result<()> {
        if self.try_record(|| RecordedMessage::Path(path.to_owned())) {
            return Ok(());
        }
        match self.stdout_owner.get() {
            None if closed_stdout::check_stdout().is_ok() => self.out_named(path, ""),
            Some(owner) if owner != JSON && owner != TAR_FLAG => {
                self.note(format_args!("{} written", path.display()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// One line of data about a file on stdout: its path (on Unix byte for byte) and `text`.
    ///
    /// # Errors
    /// As [`Console::out`].
    pub fn out_named(&self, path: &Path, text: &str) -> Result<()> {
        #[cfg(unix)]
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        #[cfg(not(unix))]
        let name = path.display().to_string();
        #[cfg(not(unix))]
        let bytes = name.as_bytes();
        self.write_out(&[bytes, text.as_bytes(), b"\n"])
    }

    /// Text of several lines on stdout, with its line ends.
    ///
    /// # Errors
    /// As [`Console::out`].
    pub fn out_text(&self, text: &[u8]) -> Result<()> {
        self.write_out(&[text])
    }

    /// Raw data on stdout.
    ///
    /// # Errors
    /// As [`Console::out`]; [`Error::Usage`] if stdout is a terminal.
    pub fn out_bytes(&self, bytes: &[u8]) -> Result<()> {
        if self.try_record(|| RecordedMessage::Raw(bytes.to_owned())) {
            return Ok(());
        }
        if io::stdout().is_terminal() {
            return Err(Error::Usage(BINARY_TO_TERMINAL.into()));
        }
        self.write_out(&[bytes])
    }

    fn write_out(&self, pieces: &[&[u8]]) -> Result<()> {
        if self.try_record(|| RecordedMessage::Text(pieces.concat())) {
            return Ok(());
        }
        closed_stdout::check_stdout()?;
        let _waiting = WaitGuard::begin();
        let written = self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            pieces
                .iter()
                .try_for_each(|piece| stdout.write_all(piece))?;
            stdout.flush()
        });
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                interrupt::end_now(BROKEN_PIPE_EXIT_CODE)
            }
            other => other.map_err(|error| Error::io("<stdout>", &error)),
        }
    }

    /// A note on stderr, such as which model is used; suppressed by `--quiet`.
    pub fn note(&self, message: impl Display) {
        if self.quiet || self.try_record(|| RecordedMessage::Note(message.to_string())) {
            return;
        }
        self.print_message(format_args!("{}", printable(&message.to_string())));
    }

    /// As [`Console::note`] for the first message of a `kind` in a run, and as [`Console::detail`] for later ones.
    pub fn note_once(&self, kind: &'static str, message: impl Display) {
        if self.try_record(|| RecordedMessage::NoteOnce(kind, message.to_string())) {
            return;
        }
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        match noted.insert(kind) {
            true => self.note(message),
            false => self.detail(message),
        }
    }

    /// A warning on stderr, also with `--quiet`.
    pub fn warn(&self, message: impl Display) {
        if self.try_record(|| RecordedMessage::Warning(message.to_string())) {
            return;
        }
        print_warning(&self.bars, message);
    }

    /// An error on stderr; never recorded.
    pub fn error(&self, message: impl Display) {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let message = message.to_string();
        self.print_message(format_args!(
            "{style}error:{style:#} {}",
            printable(&message)
        ));
    }

    /// A detail on stderr that only `-v` shows, such as the time of each stage.
    pub fn detail(&self, message: impl Display) {
        if self.verbose && !self.try_record(|| RecordedMessage::Detail(message.to_string())) {
            let style = Style::new().dimmed();
            let message = message.to_string();
            self.print_message(format_args!("{style}{}{style:#}", printable(&message)));
        }
    }

    fn print_message(&self, line: std::fmt::Arguments<'_>) {
        print_line(&self.bars, line);
    }
}

fn print_warning(bars: &MultiProgress, message: impl Display) {
    let style = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
    let message = message.to_string();
    print_line(
        bars,
        format_args!("{style}warning:{style:#} {}", printable(&message)),
    );
}

/// Prints a line on stderr, above the bars. A failure is ignored, since it could be reported nowhere else.
fn print_line(bars: &MultiProgress, line: std::fmt::Arguments<'_>) {
    bars.suspend(|| {
        let _ = writeln!(anstream::stderr().lock(), "{line}");
    });
}
