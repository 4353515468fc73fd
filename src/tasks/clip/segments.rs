//! Films in segments, so that an interrupted run can be resumed: each segment is completed on disk, with the state that
//! later frames need, and all are joined at the end. Films of no more than one segment are written in one piece.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::video::{FilmPart, PlannedFrame, join_parts, part_extension};
use crate::system::files::{Digest, UnfinishedFolder, write_atomic};
use crate::tasks::clip::files::{FilmWriter, join_folders};
use crate::tasks::clip::segment_store::{
    ClipSegment, SEGMENT_JSON, STATE_FILE, check_folder, digest_files, lock_folder, read_segments,
    remove_folder, segment_path, segments_folder,
};
use crate::tasks::clip::{
    ClipPaths, ClipSpec, ClipState, NamedVectors, RenderedFrame, SEGMENT_FRAMES,
};

/// Writes the files that one task makes of a clip.
pub struct ClipWriter<'c> {
    spec: ClipSpec<'c>,
    paths: ClipPaths,
    made_from: String,
    /// The folder of segments; `None` where the film is written in one piece.
    segments_folder: Option<PathBuf>,
    done_segments: Vec<ClipSegment>,
    found_frames: usize,
    writer: Option<FilmWriter<'c>>,
    /// The lock of the folder of segments, held against other runs.
    _lock: Option<File>,
    /// The segment that is being written, and its folder.
    current_segment: Option<(ClipSegment, Option<UnfinishedFolder>)>,
}

impl<'c> ClipWriter<'c> {
    /// Begins the film `spec` of `total` frames at `paths`. If the run `resumes`, the leading complete segments with
    /// the same `made_from` and unchanged files are kept; if none is kept, the folder of segments is removed.
    ///
    /// # Errors
    /// Names the folder of segments if it holds no segment but other files, or another run has locked it.
    pub fn begin(
        spec: ClipSpec<'c>,
        paths: ClipPaths,
        made_from: &Digest,
        (total, resumes): (usize, bool),
    ) -> Result<Self> {
        let made_from = made_from.to_string();
        let (mut parts, mut done) = (segments_folder(&paths), Vec::new());
        let (mut lock, mut found_frames) = (None, 0);
        if let Some(folder) = &parts {
            let kept = read_segments(folder);
            found_frames = count_frames(&kept);
            check_folder(folder, &kept)?;
            lock = lock_folder(folder)?;
            let is_same = |segment: &&ClipSegment| {
                segment.made_from == made_from && segment.frames == SEGMENT_FRAMES
            };
            if resumes {
                let same = kept
                    .iter()
                    .enumerate()
                    .take_while(|(_, segment)| is_same(segment));
                let whole = same.take_while(|(number, segment)| {
                    digest_files(&segment_path(folder, *number))
                        .is_ok_and(|content| content == segment.content)
                });
                done = whole.map(|(_, segment)| segment.clone()).collect();
            }
            if done.is_empty() {
                lock = None;
                remove_folder(folder)?;
            }
        }
        if total <= SEGMENT_FRAMES && done.is_empty() {
            parts = None;
        }
        if let (Some(folder), None) = (&parts, &lock) {
            fs::create_dir_all(folder).map_err(|error| Error::io(folder, &error))?;
            lock = lock_folder(folder)?;
        }
        Ok(ClipWriter {
            _lock: lock,
            found_frames,
            spec,
            paths,
            made_from,
            segments_folder: parts,
            done_segments: done,
            writer: None,
            current_segment: None,
        })
    }

    /// Frames in the complete segments that are kept.
    pub fn done_frames(&self) -> usize {
        count_frames(&self.done_segments)
    }

    /// Frames in the segments that were on disk, whatever they were made from.
    pub fn found_frames(&self) -> usize {
        self.found_frames
    }

    /// The index in the clip of the last frame of the kept segments.
    pub fn last_index(&self) -> Option<u64> {
        self.done_segments.last().map(|segment| segment.index)
    }

    /// Values that a format clipped.
    pub fn clipped(&self) -> usize {
        let done: usize = self
            .done_segments
            .iter()
            .map(|segment| segment.clipped)
            .sum();
        done + self.writer.as_ref().map_or(0, |files| files.clipped)
    }

    /// Drops the segments after the first `frames` frames.
    pub fn truncate(&mut self, frames: usize) {
        self.done_segments.truncate(frames / SEGMENT_FRAMES);
    }

    /// The state after the kept segments: of the frames themselves, and of this task.
    ///
    /// # Errors
    /// Names the file, if it is damaged.
    pub fn state(&self) -> Result<Option<(NamedVectors, NamedVectors)>> {
        let (Some(folder), false) = (&self.segments_folder, self.done_segments.is_empty()) else {
            return Ok(None);
        };
        let state = NamedVectors::read(
            &segment_path(folder, self.done_segments.len() - 1).join(STATE_FILE),
        )?;
        Ok(Some((state.group("frames"), state.group("own"))))
    }

    /// Adds a frame. With a `state`, in which the task has this number, it is the last of its segment.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn write(
        &mut self,
        moment: PlannedFrame,
        frame: &RenderedFrame,
        (state, number): (Option<&ClipState>, usize),
    ) -> Result<()> {
        if self.writer.is_none() {
            self.begin_segment()?;
        }
        let (Some(files), Some((segment, _))) = (&mut self.writer, &mut self.current_segment)
        else {
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
            Some(state) if self.segments_folder.is_some() => self.end_segment(state, number),
            _ => Ok(()),
        }
    }

    /// Begins the next segment, or the film of one piece.
    fn begin_segment(&mut self) -> Result<()> {
        let segment = ClipSegment {
            made_from: self.made_from.clone(),
            ..ClipSegment::default()
        };
        let Some(folder) = &self.segments_folder else {
            self.writer = Some(FilmWriter::new(self.spec.clone(), self.paths.clone(), None));
            self.current_segment = Some((segment, None));
            return Ok(());
        };
        let unfinished =
            UnfinishedFolder::begin(&segment_path(folder, self.done_segments.len()), |_| Ok(()))?;
        let paths = self.segment_paths(unfinished.folder());
        self.writer = Some(FilmWriter::new(
            self.spec.clone(),
            paths,
            Some(self.done_frames()),
        ));
        self.current_segment = Some((segment, Some(unfinished)));
        Ok(())
    }

    /// The paths of a segment's files.
    fn segment_paths(&self, folder: &Path) -> ClipPaths {
        let film = |path: &Option<PathBuf>, name: &str| {
            let ending = path.as_deref()?.extension()?.to_str()?.to_ascii_lowercase();
            Some(folder.join(name).with_extension(part_extension(&ending)))
        };
        ClipPaths {
            film: film(&self.paths.film, "film"),
            numbers: film(&self.paths.numbers, "numbers"),
            folder: self.paths.folder.is_some().then(|| folder.join("frames")),
            folder_has_pictures: self.paths.folder_has_pictures,
        }
    }

    /// Completes the current segment with its state and its description.
    fn end_segment(&mut self, state: &ClipState, number: usize) -> Result<()> {
        let (Some(files), Some((mut segment, Some(unfinished)))) =
            (self.writer.take(), self.current_segment.take())
        else {
            return Err(Error::Model("no segment was begun".into()));
        };
        segment.clipped = files.clipped;
        files.finish()?;
        let mut vectors = NamedVectors::default();
        vectors.put_group("frames", &state.frames);
        if let Some(own) = state.tasks.get(number) {
            vectors.put_group("own", own);
        }
        vectors.write(&unfinished.folder().join(STATE_FILE))?;
        segment.content = digest_files(unfinished.folder())?;
        let json = serde_json::to_vec(&segment).map_err(|error| Error::Model(error.to_string()))?;
        write_atomic(&unfinished.folder().join(SEGMENT_JSON), |writer| {
            writer.write_all(&json)
        })?;
        unfinished.finish()?;
        self.done_segments.push(segment);
        Ok(())
    }

    /// Completes the files with the frames so far, and moves them to their paths; returns notes for the user. Complete
    /// segments are kept for `--resume` unless these are the frames of the `whole` clip.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn finish(mut self, whole: bool) -> Result<Vec<String>> {
        let Some(folder) = self.segments_folder.clone() else {
            return self
                .writer
                .map_or_else(|| Ok(Vec::new()), FilmWriter::finish);
        };
        let rest = match (self.writer.take(), self.current_segment.take()) {
            (Some(files), Some((segment, Some(unfinished)))) if segment.frames > 0 => {
                files.finish()?;
                Some((segment, unfinished))
            }
            _ => None,
        };
        let mut located: Vec<(PathBuf, &ClipSegment)> = Vec::new();
        for (number, segment) in self.done_segments.iter().enumerate() {
            located.push((segment_path(&folder, number), segment));
        }
        if let Some((segment, unfinished)) = &rest {
            located.push((unfinished.folder().to_owned(), segment));
        }
        let notes = self.join_segments(&folder, &located)?;
        drop(rest);
        if whole || self.done_segments.is_empty() {
            remove_folder(&folder)?;
        }
        Ok(notes)
    }

    /// Joins the segments in these folders to the films and the folder of frames.
    fn join_segments(
        &self,
        folder: &Path,
        located: &[(PathBuf, &ClipSegment)],
    ) -> Result<Vec<String>> {
        let Some((_, first)) = located.first() else {
            return Ok(Vec::new());
        };
        let parts = |of: fn(&ClipPaths) -> Option<&PathBuf>| -> Vec<FilmPart> {
            let part = |(place, segment): &(PathBuf, &ClipSegment)| {
                let paths = self.segment_paths(place);
                Some(FilmPart {
                    file: of(&paths)?.clone(),
                    begin: segment.begin,
                    last: segment.last,
                    end: segment.end,
                })
            };
            located.iter().filter_map(part).collect()
        };
        let [picture, numbers] = first.sizes;
        let mut notes = Vec::new();
        if let Some(path) = &self.paths.film {
            let parts = parts(|paths| paths.film.as_ref());
            notes.extend(join_parts(
                path,
                &self.spec.film_spec(picture),
                folder,
                &parts,
            )?);
        }
        if let (Some(path), Some(kind)) = (&self.paths.numbers, self.spec.task().value_video()) {
            let parts = parts(|paths| paths.numbers.as_ref());
            notes.extend(join_parts(
                path,
                &self.spec.value_video_spec(&kind, numbers),
                folder,
                &parts,
            )?);
        }
        if let Some(path) = &self.paths.folder {
            let folders = located
                .iter()
                .filter_map(|(place, _)| self.segment_paths(place).folder);
            join_folders(path, &self.spec, &folders.collect::<Vec<_>>())?;
        }
        Ok(notes)
    }
}

fn count_frames(segments: &[ClipSegment]) -> usize {
    segments.iter().map(|segment| segment.frames).sum()
}
