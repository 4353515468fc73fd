//! The only place that prints: data to stdout, everything else to stderr.
//!
//! Messages are worded and coloured as clap's are (`error: …`), appear above a running progress bar, and are plain
//! where stderr is no terminal or `NO_COLOR` is set.

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

/// Why a picture is not printed.
pub const BINARY_TO_TERMINAL: &str =
    "binary data is not written to a terminal; send it to a file (> out.png) or another program";

/// The flag whose data on stdout name the written files themselves.
const JSON: &str = "--json";

/// The flag by which files are packed after they were written, so that their paths are told to nobody.
pub(crate) const TAR_FLAG: &str = "--tar";

/// Where words and data go. Cheap to clone; all clones share one screen.
#[derive(Debug, Clone)]
pub struct Console {
    quiet: bool,
    verbose: bool,
    /// Whether stderr is a terminal.
    shows_bars: bool,
    bars: MultiProgress,
    warnings: Warnings,
    /// What stdout is kept for, if it is.
    stdout_owner: Arc<OnceLock<String>>,
    /// Kinds of notes that were made.
    noted: Arc<Mutex<HashSet<&'static str>>>,
    /// What is kept to be said later, where it is.
    record: Option<Arc<Mutex<Vec<RecordedMessage>>>>,
}

impl Console {
    /// `quiet` keeps notes and progress back, `verbose` adds details.
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

    /// Keeps `said` if it is to be said later.
    fn try_record(&self, said: impl FnOnce() -> RecordedMessage) -> bool {
        let Some(record) = &self.record else {
            return false;
        };
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        record.push(said());
        true
    }

    /// Whether notes and progress are kept back.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Warnings that many files may give rise to: each kind is said once, the rest is counted.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// One line of data on stdout.
    ///
    /// # Errors
    /// If stdout is closed or cannot be written. A reader that went away (`| head`) ends the program without a word.
    pub fn out(&self, line: &str) -> Result<()> {
        self.write_out(&[line.as_bytes(), b"\n"])
    }

    /// Keeps stdout for what `flag` stands for: written paths are not printed any more.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is kept for something else already; and if it is closed.
    pub fn claim_stdout(&self, flag: &str) -> Result<()> {
        closed_stdout::check_stdout()?;
        match self.stdout_owner.get_or_init(|| flag.to_owned()) {
            owner if owner == flag => Ok(()),
            owner => Err(Error::Usage(format!(
                "{owner} and {flag} both want stdout; send one of them to a file"
            ))),
        }
    }

    /// The path of a file that was written, on stdout, one line, byte for byte as the system has it. Where stdout is kept for
    /// data it is a note, unless the data are JSON, which names files itself, or files are packed; where it is closed it is not
    /// told.
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

    /// One line of data about a file on stdout: its path, byte for byte, and `text`.
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

    /// Text of many lines on stdout.
    ///
    /// # Errors
    /// As [`Console::out`].
    pub fn out_text(&self, text: &[u8]) -> Result<()> {
        self.write_out(&[text])
    }

    /// Raw data on stdout.
    ///
    /// # Errors
    /// As [`Console::out`]; and if stdout is a terminal, which a picture would only garble.
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

    /// Something good to know, such as which model is used.
    pub fn note(&self, message: impl Display) {
        if self.quiet || self.try_record(|| RecordedMessage::Note(message.to_string())) {
            return;
        }
        self.print_message(format_args!("{}", printable(&message.to_string())));
    }

    /// As [`Console::note`] for the first of a `kind` in a run; the others are details.
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

    /// Something that may not be as the user meant it.
    pub fn warn(&self, message: impl Display) {
        if self.try_record(|| RecordedMessage::Warning(message.to_string())) {
            return;
        }
        print_warning(&self.bars, message);
    }

    /// Something that failed.
    pub fn error(&self, message: impl Display) {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let message = message.to_string();
        self.print_message(format_args!(
            "{style}error:{style:#} {}",
            printable(&message)
        ));
    }

    /// What only `-v` asks for, such as the time each stage took.
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

/// A line on stderr, above the bars. If that fails there is nobody left to tell.
fn print_line(bars: &MultiProgress, line: std::fmt::Arguments<'_>) {
    bars.suspend(|| {
        let _ = writeln!(anstream::stderr().lock(), "{line}");
    });
}
