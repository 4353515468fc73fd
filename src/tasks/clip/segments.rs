//! Films in segments, so that one whose making was ended can be gone on with: each segment is written whole, with what its
//! frames leave to those behind them, and all of them are joined at the end. Short films are written in one piece.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::video::{FilmPart, Planned, ending_of_parts, join_parts};
use crate::system::files::Digest;
use crate::system::files::{UnfinishedFolder, write_atomic};
use crate::tasks::clip::files::{FilmFiles, join_folders};
use crate::tasks::clip::kept::{
    SEGMENT_JSON, STATE, Segment, check_folder, content_of, hold, name_of, parts_of, remove,
    segments_in,
};
use crate::tasks::clip::{ClipPlaces, ClipSpec, ClipState, DrawnFrame, SEGMENT, Vectors};

/// The files of a clip under way, for one task.
pub struct ClipFiles<'c> {
    spec: ClipSpec<'c>,
    places: ClipPlaces,
    made_from: String,
    /// None where the film is written in one piece.
    parts: Option<PathBuf>,
    done: Vec<Segment>,
    found: usize,
    files: Option<FilmFiles<'c>>,
    /// So that no other run writes there.
    _lock: Option<File>,
    /// The segment that is being written.
    under_way: Option<(Segment, Option<UnfinishedFolder>)>,
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
        let (mut lock, mut found) = (None, 0);
        if let Some(folder) = &parts {
            let kept = segments_in(folder);
            found = frames_of(&kept);
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
            found,
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
        frames_of(&self.done)
    }

    /// Frames in the segments that were there, of whatever they were made.
    pub fn found(&self) -> usize {
        self.found
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
            ..Segment::default()
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

fn frames_of(segments: &[Segment]) -> usize {
    segments.iter().map(|segment| segment.frames).sum()
}
