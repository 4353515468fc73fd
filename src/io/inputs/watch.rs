//! Watches a folder (`--watch`) for photos that are added to it over time.
//!
//! The folder is scanned once a second, which works on every file system, network file systems included. A file is
//! returned once it is unchanged between two scans and can be decoded; one that cannot be decoded must stay unchanged
//! for more scans, since copying may have paused.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use walkdir::WalkDir;

use super::collect::{CollectedInputs, collect_paths};
use super::decode::PhotoDecoder;
use super::natural;
use crate::error::{Error, Result};
use crate::system::files::modified_nanos;
use crate::system::interrupt;
use crate::terminal::console::Console;
use crate::terminal::warnings::Warnings;

/// The time between two scans.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which a wait checks for an interrupt.
const INTERRUPT_POLL: Duration = Duration::from_millis(20);
/// Number of scans at which a file that cannot be decoded must be unchanged before it counts as damaged.
const MAX_UNCHANGED_SCANS: u32 = 6;

/// The watched folder, and which of its files are taken.
#[derive(Debug, Clone)]
pub struct WatchRequest {
    /// The folder that photos are added to.
    pub folder: PathBuf,
    /// Whether subfolders are watched too.
    pub recursive: bool,
    /// The output folder, which is skipped if it is below the watched one.
    pub excluded: PathBuf,
    /// The page, counted from 1, to take of files with several; `None` for all pages.
    pub page: Option<u32>,
}

/// A file, as it was at the last scan.
#[derive(Debug)]
struct WatchedFile {
    /// Its size in bytes.
    bytes: u64,
    /// When it was last modified, in nanoseconds since 1970.
    modified: Option<u64>,
    /// The number of scans at which it was the same, the first included.
    unchanged_scans: u32,
    /// Whether it has been returned as a photo or a failure.
    is_taken: bool,
}

impl WatchedFile {
    /// A file that is new or has changed.
    fn of(metadata: &Metadata) -> Self {
        WatchedFile {
            bytes: metadata.len(),
            modified: modified_nanos(metadata),
            unchanged_scans: 1,
            is_taken: false,
        }
    }

    /// Whether size and modification time are the same.
    fn matches(&self, metadata: &Metadata) -> bool {
        (self.bytes, self.modified) == (metadata.len(), modified_nanos(metadata))
    }
}

/// Scans a folder repeatedly for new photos.
pub struct Watcher<'w> {
    request: WatchRequest,
    /// The real path of [`WatchRequest::excluded`], once it exists.
    excluded: Option<PathBuf>,
    /// Tests whether files can be decoded, without warnings.
    decoder: PhotoDecoder,
    /// The files of the last scan, by path.
    files: HashMap<PathBuf, WatchedFile>,
    /// By path, the reason why a file or folder could not be read, of which the user was warned.
    unreadable: HashMap<PathBuf, String>,
    /// Whether the folder could not be read at the last scan.
    is_gone: bool,
    console: &'w Console,
}

impl<'w> Watcher<'w> {
    /// Starts a watch; photos that are in the folder already are returned first.
    ///
    /// # Errors
    /// If the folder cannot be read or is not a folder; [`Error::Usage`] if it is the output folder.
    pub fn new(
        request: WatchRequest,
        decoder: &PhotoDecoder,
        console: &'w Console,
    ) -> Result<Self> {
        let folder = &request.folder;
        let metadata = fs::metadata(folder).map_err(|error| Error::io(folder, &error))?;
        if !metadata.is_dir() {
            return Err(Error::file(folder, "is no folder, as --watch wants one"));
        }
        let real = |path: &Path| fs::canonicalize(path).ok();
        let excluded = real(&request.excluded);
        if excluded.is_some() && excluded == real(folder) {
            return Err(Error::Usage(format!(
                "--watch {}: results would go into the watched folder itself; -o DIR puts them elsewhere, or into a folder below \
                 it",
                folder.display()
            )));
        }
        let decoder = PhotoDecoder {
            warnings: Warnings::silent(),
            ..decoder.clone()
        };
        Ok(Watcher {
            request,
            excluded,
            decoder,
            files: HashMap::new(),
            unreadable: HashMap::new(),
            is_gone: false,
            console,
        })
    }

    /// Waits until there are new photos or failures, and returns them.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the user ends the watch.
    pub fn wait_for_photos(&mut self) -> Result<CollectedInputs> {
        loop {
            let start = Instant::now();
            let unchanged = self.scan();
            let ready: Vec<PathBuf> = unchanged
                .into_iter()
                .filter(|path| self.check_ready(path))
                .collect();
            let found = collect_paths(
                &ready,
                &self.request.folder,
                self.request.page,
                self.decoder.options.max_memory,
            );
            if !found.sources.is_empty() || !found.failures.is_empty() {
                return Ok(found);
            }
            // Scans of a huge folder take at most a third of the time.
            wait(SCAN_INTERVAL.max(2 * start.elapsed()))?;
        }
    }

    /// Scans all files; returns those that are unchanged since the last scan and not taken yet.
    fn scan(&mut self) -> Vec<PathBuf> {
        let depth = if self.request.recursive {
            usize::MAX
        } else {
            1
        };
        let excluded = self
            .excluded
            .clone()
            .or_else(|| fs::canonicalize(&self.request.excluded).ok());
        self.excluded.clone_from(&excluded);
        let is_wanted = |entry: &walkdir::DirEntry| {
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            let is_results = entry.file_type().is_dir()
                && excluded.is_some()
                && fs::canonicalize(entry.path()).ok() == excluded;
            entry.depth() == 0 || !is_hidden && !is_results
        };
        let walk = WalkDir::new(&self.request.folder)
            .follow_links(true)
            .max_depth(depth)
            .sort_by(|a, b| natural::compare(a.file_name(), b.file_name()));
        let mut former = std::mem::take(&mut self.files);
        let mut unchanged = Vec::new();
        let mut is_gone = false;
        for entry in walk.into_iter().filter_entry(is_wanted) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.loop_ancestor().is_some() => continue,
                Err(error) if error.depth() == 0 => {
                    is_gone = true;
                    continue;
                }
                Err(error) => {
                    self.warn_unreadable(&error);
                    continue;
                }
            };
            if !entry.file_type().is_file() {
                continue;
            }
            // The file may have been removed meanwhile.
            let Ok(metadata) = fs::metadata(entry.path()) else {
                continue;
            };
            let path = entry.into_path();
            let known = match former.remove(&path) {
                Some(known) if known.matches(&metadata) => WatchedFile {
                    unchanged_scans: known.unchanged_scans.saturating_add(1),
                    ..known
                },
                _ => WatchedFile::of(&metadata),
            };
            if known.unchanged_scans > 1 && !known.is_taken {
                unchanged.push(path.clone());
            }
            self.files.insert(path, known);
        }
        if is_gone {
            // Keep the known files, for when the folder comes back.
            self.files = former;
        }
        self.report_gone(is_gone);
        unchanged
    }

    /// Whether to return an unchanged file now: it can be decoded, is not a photo, or was unchanged for
    /// [`MAX_UNCHANGED_SCANS`] scans.
    fn check_ready(&mut self, path: &Path) -> bool {
        let folder = &self.request.folder;
        let found = collect_paths(
            &[path.to_owned()],
            folder,
            self.request.page,
            self.decoder.options.max_memory,
        );
        let decodes = |source| self.decoder.decode(source).is_ok();
        let is_ready = found.sources.first().is_none_or(decodes);
        let Some(known) = self.files.get_mut(path) else {
            return false;
        };
        known.is_taken = is_ready || known.unchanged_scans >= MAX_UNCHANGED_SCANS;
        known.is_taken
    }

    /// Warns once about a file or folder that cannot be read.
    fn warn_unreadable(&mut self, error: &walkdir::Error) {
        let path = error.path().unwrap_or(&self.request.folder).to_owned();
        // A dangling link, or a file that was removed meanwhile.
        if error
            .io_error()
            .is_none_or(|io| io.kind() == std::io::ErrorKind::NotFound)
        {
            return;
        }
        let why = error.to_string();
        if self.unreadable.get(&path) != Some(&why) {
            self.console.warn(format_args!("{}: {why}", path.display()));
            self.unreadable.insert(path, why);
        }
    }

    /// Tells the user when the folder disappears and when it comes back.
    fn report_gone(&mut self, is_gone: bool) {
        if is_gone == self.is_gone {
            return;
        }
        self.is_gone = is_gone;
        let folder = self.request.folder.display();
        match is_gone {
            true => self.console.warn(format_args!(
                "{folder}: cannot be looked into any more; waiting for it to come back"
            )),
            false => self.console.note(format_args!("{folder}: is there again")),
        }
    }
}

/// Waits for `time`.
///
/// # Errors
/// [`Error::Interrupted`] as soon as the user interrupts.
fn wait(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        interrupt::check()?;
        thread::sleep(INTERRUPT_POLL);
    }
    interrupt::check()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;

    use image::{ImageFormat, RgbImage};
    use tempfile::TempDir;

    use super::*;

    fn photo(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::new(8, 8)
            .save_with_format(path, ImageFormat::Png)
            .unwrap();
    }

    fn watcher<'w>(folder: &TempDir, recursive: bool, console: &'w Console) -> Watcher<'w> {
        let watched = WatchRequest {
            folder: folder.path().to_owned(),
            recursive,
            excluded: folder.path().join("out"),
            page: None,
        };
        Watcher::new(watched, &PhotoDecoder::plain(), console).unwrap()
    }

    /// The names of the files that are ready at the next scan.
    fn ready(watcher: &mut Watcher<'_>) -> Vec<String> {
        let still = watcher.scan();
        let mut names = Vec::new();
        for path in still {
            if watcher.check_ready(&path) {
                let name = path.strip_prefix(&watcher.request.folder).unwrap();
                names.push(name.display().to_string());
            }
        }
        names
    }

    #[test]
    fn a_file_is_taken_once_after_it_stood_still() {
        let (folder, console) = (tempfile::tempdir().unwrap(), Console::new(true, false));
        let at = |name: &str| folder.path().join(name);
        let mut watcher = watcher(&folder, true, &console);
        photo(&at("a.png"));
        photo(&at("out/b.png"));
        photo(&at("sub/c.png"));
        photo(&at(".hidden.png"));
        assert!(ready(&mut watcher).is_empty());
        assert_eq!(ready(&mut watcher), ["a.png", "sub/c.png"]);
        assert!(ready(&mut watcher).is_empty());
        // Renamed into place.
        photo(&at(".d.part"));
        fs::rename(at(".d.part"), at("d.png")).unwrap();
        assert!(ready(&mut watcher).is_empty());
        assert_eq!(ready(&mut watcher), ["d.png"]);
        // Removed before it was unchanged for a scan.
        photo(&at("e.png"));
        assert!(ready(&mut watcher).is_empty());
        fs::remove_file(at("e.png")).unwrap();
        assert!(ready(&mut watcher).is_empty());
    }

    #[test]
    fn what_is_half_copied_has_time_and_what_is_broken_is_given_up() {
        let (folder, console) = (tempfile::tempdir().unwrap(), Console::new(true, false));
        let at = |name: &str| folder.path().join(name);
        photo(&at("a.png"));
        let whole = fs::read(at("a.png")).unwrap();
        fs::write(at("a.png"), &whole[..whole.len() / 2]).unwrap();
        fs::write(at("words.txt"), "words").unwrap();
        let mut watcher = watcher(&folder, false, &console);
        assert!(ready(&mut watcher).is_empty());
        assert_eq!(ready(&mut watcher), ["words.txt"]);
        assert!(ready(&mut watcher).is_empty());
        fs::write(at("a.png"), &whole).unwrap();
        assert!(ready(&mut watcher).is_empty());
        assert_eq!(ready(&mut watcher), ["a.png"]);
        fs::write(at("b.png"), &whole[..whole.len() / 2]).unwrap();
        let ready_files: Vec<usize> = (0..9).map(|_| ready(&mut watcher).len()).collect();
        assert_eq!(ready_files, [0, 0, 0, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn a_folder_may_go_and_come_back() {
        let (folder, console) = (tempfile::tempdir().unwrap(), Console::new(true, false));
        let at = |name: &str| folder.path().join(name);
        let mut watcher = watcher(&folder, false, &console);
        photo(&at("a.png"));
        ready(&mut watcher);
        assert_eq!(ready(&mut watcher), ["a.png"]);
        let away = folder.path().with_extension("away");
        fs::rename(folder.path(), &away).unwrap();
        assert!(ready(&mut watcher).is_empty() && watcher.is_gone);
        fs::rename(&away, folder.path()).unwrap();
        photo(&at("b.png"));
        assert!(ready(&mut watcher).is_empty() && !watcher.is_gone);
        assert_eq!(ready(&mut watcher), ["b.png"]);
    }

    #[test]
    fn results_do_not_go_where_photos_come_from() {
        let (folder, console) = (tempfile::tempdir().unwrap(), Console::new(true, false));
        let watched = WatchRequest {
            folder: folder.path().to_owned(),
            recursive: true,
            excluded: folder.path().join("."),
            page: None,
        };
        let decoder = PhotoDecoder::plain();
        assert!(Watcher::new(watched.clone(), &decoder, &console).is_err());
        let file = folder.path().join("file");
        File::create(&file).unwrap();
        let of_file = WatchRequest {
            folder: file,
            ..watched
        };
        assert!(Watcher::new(of_file, &decoder, &console).is_err());
    }
}
