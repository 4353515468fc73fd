//! Films in segments, so that one whose making was ended can be gone on with: each segment is written whole, with what its
//! frames leave to those behind them, and all of them are joined at the end. Short films are written in one piece.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::manifest::Digest;
use crate::output::{UnfinishedFolder, write_atomic};
use crate::tasks::clip::files::{FilmFiles, join_folders};
use crate::tasks::clip::{ClipPlaces, ClipSpec, ClipState, DrawnFrame, SEGMENT, Vectors};
use crate::video::{FilmPart, Planned, ending_of_parts, join_parts};

/// The ending of the folder of segments, in the place of the film's.
const FOLDER: &str = "parts";

/// The file that tells what a segment is.
const SEGMENT_JSON: &str = "segment.json";

/// The file by which a run holds the folder.
const LOCK: &str = ".dino-lock";

/// What the frames up to the end of a segment leave.
const STATE: &str = "state.safetensors";

/// What is known of a segment that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Segment {
    /// Digest of all that decides how it came out.
    made_from: String,
    frames: usize,
    /// When the first frame appears, in ticks.
    begin: i64,
    /// When the last one does.
    last: i64,
    /// When it ends.
    end: i64,
    /// The number of the last frame in the clip.
    index: u64,
    /// Numbers that a format clipped.
    clipped: usize,
    /// Of the pictures, and of the numbers.
    sizes: [(u32, u32); 2],
    /// Digest of all other files of it.
    content: String,
}

/// The files of a clip under way, for one task.
pub struct ClipFiles<'c> {
    spec: ClipSpec<'c>,
    places: ClipPlaces,
    made_from: String,
    /// None where the film is written in one piece.
    parts: Option<PathBuf>,
    done: Vec<Segment>,
    files: Option<FilmFiles<'c>>,
    /// So that no other run writes there.
    _lock: Option<File>,
    /// The segment that is being written.
    under_way: Option<(Segment, Option<UnfinishedFolder>)>,
}

/// The folder of the segments of what goes to `places`.
fn parts_of(places: &ClipPlaces) -> Option<PathBuf> {
    places
        .all()
        .next()
        .map(|first| match places.film.as_deref() {
            Some(film) => film.with_extension(FOLDER),
            None => first.with_extension(FOLDER),
        })
}

/// How many frames lie in whole segments of what goes to `places`, of whatever they were made.
pub fn kept_frames(places: &ClipPlaces) -> usize {
    let kept = parts_of(places).map(|folder| segments_in(&folder));
    kept.map_or(0, |kept| kept.iter().map(|segment| segment.frames).sum())
}

/// The segments in a folder, in order, as far as there are no gaps.
fn segments_in(folder: &Path) -> Vec<Segment> {
    let read = |number: usize| {
        let bytes = fs::read(name_of(folder, number).join(SEGMENT_JSON)).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    (0..).map_while(read).collect()
}

fn name_of(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{:06}", number + 1))
}

impl<'c> ClipFiles<'c> {
    /// Begins what `spec` tells of `total` frames, to go to `places`. What lies there of segments made from the same is gone
    /// on with if it `resumes`, else it is removed.
    ///
    /// # Errors
    /// Names a folder in the place of the segments that is not of this program.
    pub fn begin(
        spec: ClipSpec<'c>,
        places: ClipPlaces,
        made_from: &Digest,
        (total, resumes): (usize, bool),
    ) -> Result<Self> {
        let made_from = made_from.to_string();
        let (mut parts, mut done) = (parts_of(&places), Vec::new());
        let mut lock = None;
        if let Some(folder) = &parts {
            let kept = segments_in(folder);
            check_folder(folder, &kept)?;
            lock = hold(folder)?;
            let is_same =
                |segment: &&Segment| segment.made_from == made_from && segment.frames == SEGMENT;
            if resumes {
                let same = kept
                    .iter()
                    .enumerate()
                    .take_while(|(_, segment)| is_same(segment));
                let whole = same.take_while(|(number, segment)| {
                    content_of(&name_of(folder, *number))
                        .is_ok_and(|content| content == segment.content)
                });
                done = whole.map(|(_, segment)| segment.clone()).collect();
            }
            if done.is_empty() {
                lock = None;
                remove(folder)?;
            }
        }
        if total <= SEGMENT && done.is_empty() {
            parts = None;
        }
        if let (Some(folder), None) = (&parts, &lock) {
            fs::create_dir_all(folder).map_err(|error| Error::io(folder, &error))?;
            lock = hold(folder)?;
        }
        Ok(ClipFiles {
            _lock: lock,
            spec,
            places,
            made_from,
            parts,
            done,
            files: None,
            under_way: None,
        })
    }

    /// Frames in whole segments.
    pub fn done(&self) -> usize {
        self.done.iter().map(|segment| segment.frames).sum()
    }

    /// The number in the clip of the last of them.
    pub fn last_index(&self) -> Option<u64> {
        self.done.last().map(|segment| segment.index)
    }

    /// Numbers that a format clipped.
    pub fn clipped(&self) -> usize {
        let done: usize = self.done.iter().map(|segment| segment.clipped).sum();
        done + self.files.as_ref().map_or(0, |files| files.clipped)
    }

    /// Forgets what lies behind so many frames of whole segments.
    pub fn cut_to(&mut self, frames: usize) {
        self.done.truncate(frames / SEGMENT);
    }

    /// What the frames of whole segments leave: of the frames themselves, and of this task.
    ///
    /// # Errors
    /// Names the file, if it is damaged.
    pub fn state(&self) -> Result<Option<(Vectors, Vectors)>> {
        let (Some(folder), false) = (&self.parts, self.done.is_empty()) else {
            return Ok(None);
        };
        let state = Vectors::read(&name_of(folder, self.done.len() - 1).join(STATE))?;
        Ok(Some((state.under("frames"), state.under("own"))))
    }

    /// Adds a frame; `state`, of which this is the task of this number, ends a segment.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn write(
        &mut self,
        moment: Planned,
        frame: &DrawnFrame,
        (state, number): (Option<&ClipState>, usize),
    ) -> Result<()> {
        if self.files.is_none() {
            self.begin_files()?;
        }
        let (Some(files), Some((segment, _))) = (&mut self.files, &mut self.under_way) else {
            return Err(Error::Model("no segment was begun".into()));
        };
        files.write(moment, frame)?;
        if segment.frames == 0 {
            segment.begin = moment.time;
            segment.sizes = [frame.picture.dimensions(), frame.size];
        }
        segment.frames += 1;
        (segment.last, segment.end) = (moment.time, moment.time + moment.duration.max(1));
        segment.index = moment.index;
        match state {
            Some(state) if self.parts.is_some() => self.end_segment(state, number),
            _ => Ok(()),
        }
    }

    fn begin_files(&mut self) -> Result<()> {
        let segment = Segment {
            made_from: self.made_from.clone(),
            frames: 0,
            begin: 0,
            last: 0,
            end: 0,
            index: 0,
            clipped: 0,
            sizes: [(0, 0); 2],
            content: String::new(),
        };
        let Some(folder) = &self.parts else {
            self.files = Some(FilmFiles::new(self.spec.clone(), self.places.clone(), None));
            self.under_way = Some((segment, None));
            return Ok(());
        };
        let unfinished = UnfinishedFolder::begin(&name_of(folder, self.done.len()), |_| Ok(()))?;
        let places = self.places_in(unfinished.folder());
        self.files = Some(FilmFiles::new(self.spec.clone(), places, Some(self.done())));
        self.under_way = Some((segment, Some(unfinished)));
        Ok(())
    }

    /// Where the files of a segment lie.
    fn places_in(&self, folder: &Path) -> ClipPlaces {
        let film = |path: &Option<PathBuf>, name: &str| {
            let ending = path.as_deref()?.extension()?.to_str()?.to_ascii_lowercase();
            Some(folder.join(name).with_extension(ending_of_parts(&ending)))
        };
        ClipPlaces {
            film: film(&self.places.film, "film"),
            numbers: film(&self.places.numbers, "numbers"),
            folder: self.places.folder.is_some().then(|| folder.join("frames")),
            folder_has_pictures: self.places.folder_has_pictures,
        }
    }

    fn end_segment(&mut self, state: &ClipState, number: usize) -> Result<()> {
        let (Some(files), Some((mut segment, Some(unfinished)))) =
            (self.files.take(), self.under_way.take())
        else {
            return Err(Error::Model("no segment was begun".into()));
        };
        segment.clipped = files.clipped;
        files.finish()?;
        let mut vectors = Vectors::default();
        vectors.put_under("frames", &state.frames);
        if let Some(own) = state.tasks.get(number) {
            vectors.put_under("own", own);
        }
        vectors.write(&unfinished.folder().join(STATE))?;
        segment.content = content_of(unfinished.folder())?;
        let json = serde_json::to_vec(&segment).map_err(|error| Error::Model(error.to_string()))?;
        write_atomic(&unfinished.folder().join(SEGMENT_JSON), |writer| {
            writer.write_all(&json)
        })?;
        unfinished.finish()?;
        self.done.push(segment);
        Ok(())
    }

    /// Puts the files in their places, with the frames that they have; returns what is good to know. Segments stay if that
    /// is not the `whole` clip.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn finish(mut self, whole: bool) -> Result<Vec<String>> {
        let Some(folder) = self.parts.clone() else {
            return self.files.map_or_else(|| Ok(Vec::new()), FilmFiles::finish);
        };
        let rest = match (self.files.take(), self.under_way.take()) {
            (Some(files), Some((segment, Some(unfinished)))) if segment.frames > 0 => {
                files.finish()?;
                Some((segment, unfinished))
            }
            _ => None,
        };
        let mut lie: Vec<(PathBuf, &Segment)> = Vec::new();
        for (number, segment) in self.done.iter().enumerate() {
            lie.push((name_of(&folder, number), segment));
        }
        if let Some((segment, unfinished)) = &rest {
            lie.push((unfinished.folder().to_owned(), segment));
        }
        let notes = self.join(&folder, &lie)?;
        drop(rest);
        if whole || self.done.is_empty() {
            remove(&folder)?;
        }
        Ok(notes)
    }

    fn join(&self, folder: &Path, lie: &[(PathBuf, &Segment)]) -> Result<Vec<String>> {
        let Some((_, first)) = lie.first() else {
            return Ok(Vec::new());
        };
        let parts = |of: fn(&ClipPlaces) -> Option<&PathBuf>| -> Vec<FilmPart> {
            let part = |(place, segment): &(PathBuf, &Segment)| {
                let places = self.places_in(place);
                Some(FilmPart {
                    file: of(&places)?.clone(),
                    begin: segment.begin,
                    last: segment.last,
                    end: segment.end,
                })
            };
            lie.iter().filter_map(part).collect()
        };
        let [picture, numbers] = first.sizes;
        let mut notes = Vec::new();
        if let Some(path) = &self.places.film {
            let parts = parts(|places| places.film.as_ref());
            notes.extend(join_parts(
                path,
                &self.spec.of_film(picture),
                folder,
                &parts,
            )?);
        }
        if let (Some(path), Some(kind)) = (&self.places.numbers, self.spec.task().number_film()) {
            let parts = parts(|places| places.numbers.as_ref());
            notes.extend(join_parts(
                path,
                &self.spec.of_numbers(&kind, numbers),
                folder,
                &parts,
            )?);
        }
        if let Some(path) = &self.places.folder {
            let folders = lie
                .iter()
                .filter_map(|(place, _)| self.places_in(place).folder);
            join_folders(path, &self.spec, &folders.collect::<Vec<_>>())?;
        }
        Ok(notes)
    }
}

/// Holds the folder of segments, if it is there, until what is returned is dropped.
///
/// # Errors
/// Names the folder, if another run holds it.
fn hold(folder: &Path) -> Result<Option<File>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let failed = |error: std::io::Error| Error::io(folder, &error);
    let file = File::create(folder.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::file(
            folder,
            "another run is making this film; wait for it, end it, or choose another place (-o DIR)",
        )),
        // Where a file system has no locks, nobody can be told.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Digest of the names and contents of all files of a segment but what tells of it.
fn content_of(folder: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        let failed = |error: std::io::Error| Error::io(&current, &error);
        let entries = fs::read_dir(&current).map_err(failed)?;
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()
            .map_err(failed)?;
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default();
            match path.is_dir() {
                true => open.push(path),
                false if name == SEGMENT_JSON => {}
                false => {
                    hasher.update(name.as_encoded_bytes());
                    let read = File::open(&path)
                        .and_then(|mut file| std::io::copy(&mut file, &mut hasher));
                    read.map_err(|error| Error::io(&path, &error))?;
                }
            }
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Refuses to take a folder for one of segments that has something else in it.
fn check_folder(folder: &Path, kept: &[Segment]) -> Result<()> {
    let is_vacant = folder.symlink_metadata().is_err();
    // A segment that was never finished has a hidden name.
    let is_bare = || {
        let mut entries = fs::read_dir(folder).into_iter().flatten();
        entries.all(|entry| {
            entry.is_ok_and(|entry| entry.file_name().as_encoded_bytes().starts_with(b".dino-"))
        })
    };
    match is_vacant || !kept.is_empty() || folder.is_dir() && is_bare() {
        true => Ok(()),
        false => Err(Error::file(
            folder,
            "is where segments of the film go, and has something else in it; move it, or choose another place (-o DIR)",
        )),
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(folder, &error))
        }
        _ => Ok(()),
    }
}
