//! The files that a task makes of one clip: a film of its pictures, or a folder of numbered ones, and the values behind
//! them as lossless video or one file a frame. All of them appear under their names when they are complete.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::io::output::{PictureFormat, write_picture};
use crate::io::video::{
    AudioTrack, Clip, EncoderConfig, PlannedFrame, RawPixelFormat, VideoCodec, VideoEncoder,
};
use crate::system::files::{Digest, UnfinishedFolder, write_atomic};
use crate::tasks::clip::{ClipTask, RenderedFrame, ValueVideo};

/// The metadata key under which files of clips keep the digest of the settings and inputs that decide their content.
pub const MADE_FROM: &str = "dino:made-from";

/// The metadata file of a folder of frames; only a folder that has it is replaced.
pub const FRAMES_JSON: &str = "frames.json";

/// The list of frames in such a folder: number, index in the clip, seconds, duration in seconds.
const FRAMES_CSV: &str = "frames.csv";

/// The destinations of the files of one task for one clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipPaths {
    /// The film of pictures, if there is one.
    pub film: Option<PathBuf>,
    /// The video of values, if there is one.
    pub numbers: Option<PathBuf>,
    /// The folder of frames, if there is one.
    pub folder: Option<PathBuf>,
    /// Whether the folder has pictures, beside values.
    pub folder_has_pictures: bool,
}

impl ClipPaths {
    /// The paths of all films and folders, the film of pictures first.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        let all = [&self.film, &self.numbers, &self.folder];
        all.into_iter().flatten().map(PathBuf::as_path)
    }
}

/// How films of pictures are encoded.
#[derive(Debug, Clone)]
pub struct FilmOptions {
    /// The encoder.
    pub codec: VideoCodec,
    /// Whether the clip's sound is copied into the film.
    pub audio: bool,
}

/// The film that a task makes of a clip: what is common to all its files and segments.
#[derive(Clone)]
pub struct ClipSpec<'c> {
    task: &'c dyn ClipTask,
    clip: &'c Clip,
    /// The time base and the time of the first frame.
    pub(super) spec: EncoderConfig,
    film_options: FilmOptions,
    tags: Vec<(String, String)>,
}

impl<'c> ClipSpec<'c> {
    /// The film that `task` makes of `clip`, with the time base of `spec`. `made_from` is noted under [`MADE_FROM`].
    pub fn new(
        task: &'c dyn ClipTask,
        (clip, spec): (&'c Clip, EncoderConfig),
        film_options: FilmOptions,
        made_from: &Digest,
    ) -> Self {
        let facts = task.metadata().into_iter();
        let simple = facts.filter(|(_, value)| !value.is_null());
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let tags = simple.map(|(key, value)| (format!("dino:{key}"), text(value)));
        let made_from = (MADE_FROM.to_owned(), made_from.to_string());
        ClipSpec {
            task,
            clip,
            spec,
            film_options,
            tags: tags.chain([made_from]).collect(),
        }
    }

    /// The task that renders the frames.
    pub(super) fn task(&self) -> &'c dyn ClipTask {
        self.task
    }

    /// The encoder's settings for the film of pictures of (width, height).
    pub(super) fn film_spec(&self, (width, height): (u32, u32)) -> EncoderConfig {
        EncoderConfig {
            width,
            height,
            codec: self.film_options.codec.clone(),
            tags: self.tags.clone(),
            audio: AudioTrack::of(self.clip).filter(|_| self.film_options.audio),
            ..self.spec.clone()
        }
    }

    /// The encoder's settings for the video of values of (width, height).
    pub(super) fn value_video_spec(
        &self,
        kind: &ValueVideo,
        (width, height): (u32, u32),
    ) -> EncoderConfig {
        EncoderConfig {
            width,
            height,
            codec: VideoCodec::Ffv1,
            pixel_format: if kind.bytes == 1 {
                RawPixelFormat::Gray8
            } else {
                RawPixelFormat::Gray16
            },
            tags: self.tags.clone(),
            ..self.spec.clone()
        }
    }
}

/// Writes the files of a film, or of one segment of it.
pub(super) struct FilmWriter<'c> {
    spec: ClipSpec<'c>,
    paths: ClipPaths,
    /// Frames before the segment; `None` for a whole film.
    frames_before: Option<usize>,
    film: Option<VideoEncoder>,
    numbers: Option<VideoEncoder>,
    folder: Option<FrameFolder>,
    /// Values that a format clipped so far.
    pub clipped: usize,
}

/// A folder of frames that is being written.
struct FrameFolder {
    unfinished: UnfinishedFolder,
    rows: Vec<String>,
}

impl<'c> FilmWriter<'c> {
    /// A writer of the whole film, or of a segment after `frames_before` frames; films of segments begin at time 0 and
    /// have no sound.
    pub fn new(spec: ClipSpec<'c>, paths: ClipPaths, frames_before: Option<usize>) -> Self {
        FilmWriter {
            spec,
            paths,
            frames_before,
            film: None,
            numbers: None,
            folder: None,
            clipped: 0,
        }
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn write(&mut self, moment: PlannedFrame, frame: &RenderedFrame) -> Result<()> {
        let of_part = |spec: EncoderConfig| match self.frames_before {
            None => spec,
            Some(_) => EncoderConfig {
                origin: moment.time,
                audio: None,
                ..spec
            },
        };
        if let Some(path) = &self.paths.film {
            let film = match &mut self.film {
                Some(film) => film,
                none => {
                    let spec = self.spec.film_spec(frame.picture.dimensions());
                    none.insert(VideoEncoder::new(path, of_part(spec))?)
                }
            };
            film.write(frame.picture.as_raw(), moment.time, moment.duration)?;
        }
        if let (Some(path), Some(kind)) = (&self.paths.numbers, self.spec.task.value_video()) {
            let film = match &mut self.numbers {
                Some(film) => film,
                none => {
                    let spec = self.spec.value_video_spec(&kind, frame.size);
                    none.insert(VideoEncoder::new(path, of_part(spec))?)
                }
            };
            let (bytes, clipped) = self.spec.task.encode_values(frame);
            self.clipped += clipped;
            film.write(&bytes, moment.time, moment.duration)?;
        }
        self.write_to_folder(moment, frame)
    }

    /// Writes a frame's picture and values to the folder of frames, if there is one.
    fn write_to_folder(&mut self, moment: PlannedFrame, frame: &RenderedFrame) -> Result<()> {
        let Some(path) = &self.paths.folder else {
            return Ok(());
        };
        let folder = match &mut self.folder {
            Some(folder) => folder,
            none => none.insert(FrameFolder {
                unfinished: UnfinishedFolder::begin(path, check_replaceable)?,
                rows: Vec::new(),
            }),
        };
        let number = self.frames_before.unwrap_or_default() + folder.rows.len() + 1;
        let file = |extension: &str| {
            folder
                .unfinished
                .folder()
                .join(format!("{number:06}.{extension}"))
        };
        if self.paths.folder_has_pictures {
            write_atomic(&file("png"), |writer| {
                write_picture(writer, PictureFormat::Png, &frame.picture, &[])
            })?;
        }
        for extension in self.spec.task.value_extensions() {
            let mut clipped = 0;
            write_atomic(&file(extension), |mut writer| {
                clipped = self.spec.task.write_values(extension, &mut writer, frame)?;
                Ok(())
            })?;
            self.clipped += clipped;
        }
        let tick = self.spec.clip.time_base.value();
        let seconds = (moment.time - self.spec.spec.origin) as f64 * tick;
        let stays = moment.duration as f64 * tick;
        let row = format!("{number},{},{seconds:.6},{stays:.6}", moment.index);
        folder.rows.push(row);
        Ok(())
    }

    /// Completes the files with the frames so far and moves them to their paths; returns notes for the user.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn finish(self) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        for film in self.film.into_iter().chain(self.numbers) {
            notes.extend(film.finish()?.notes);
        }
        if let Some(FrameFolder { unfinished, rows }) = self.folder {
            write_frame_list(unfinished.folder(), &self.spec.tags, rows)?;
            unfinished.finish()?;
        }
        Ok(notes)
    }
}

/// Writes the metadata and the list of frames of a folder.
fn write_frame_list(folder: &Path, tags: &[(String, String)], rows: Vec<String>) -> Result<()> {
    write_atomic(&folder.join(FRAMES_CSV), |writer| {
        writeln!(writer, "number,frame,seconds,duration")?;
        rows.iter().try_for_each(|row| writeln!(writer, "{row}"))
    })?;
    let tags = tags.iter().map(|(key, value)| (key.clone(), json!(value)));
    let tags = Value::Object(tags.collect::<Map<_, _>>());
    write_atomic(&folder.join(FRAMES_JSON), |writer| {
        writeln!(writer, "{tags}")
    })
}

/// Joins the folders of frames `parts` to the folder `path`.
///
/// # Errors
/// Names the file that cannot be read or written.
pub(super) fn join_folders(path: &Path, spec: &ClipSpec<'_>, parts: &[PathBuf]) -> Result<()> {
    let whole = UnfinishedFolder::begin(path, check_replaceable)?;
    let mut rows = Vec::new();
    for part in parts {
        let list = part.join(FRAMES_CSV);
        let text = fs::read_to_string(&list).map_err(|error| Error::io(&list, &error))?;
        rows.extend(text.lines().skip(1).map(str::to_owned));
        for entry in fs::read_dir(part).map_err(|error| Error::io(part, &error))? {
            let entry = entry.map_err(|error| Error::io(part, &error))?.path();
            let Some(name) = entry
                .file_name()
                .filter(|name| *name != FRAMES_CSV && *name != FRAMES_JSON)
            else {
                continue;
            };
            let to = whole.folder().join(name);
            // Parts are kept until the joined folder is complete.
            let linked = fs::hard_link(&entry, &to).or_else(|_| fs::copy(&entry, &to).map(|_| ()));
            linked.map_err(|error| Error::io(&to, &error))?;
        }
    }
    write_frame_list(whole.folder(), &spec.tags, rows)?;
    whole.finish()
}

/// Refuses to replace a folder that is neither empty nor a folder of frames that dino wrote.
fn check_replaceable(folder: &Path) -> Result<()> {
    let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    match is_empty || folder.join(FRAMES_JSON).is_file() {
        true => Ok(()),
        false => Err(Error::file(
            folder,
            format!(
                "would be replaced, but has no {FRAMES_JSON} of dino's in it; move it, or choose another place"
            ),
        )),
    }
}

/// The number of frames in a folder of frames; `None` if it is no such folder.
pub fn count_folder_frames(folder: &Path) -> Option<u64> {
    let list = fs::read_to_string(folder.join(FRAMES_CSV)).ok()?;
    Some(list.lines().count().saturating_sub(1) as u64)
}

/// The digest that a folder of frames has under [`MADE_FROM`]; `None` if it is no such folder.
pub fn read_folder_origin(folder: &Path) -> Option<String> {
    let text = fs::read(folder.join(FRAMES_JSON)).ok()?;
    let tags: Value = serde_json::from_slice(&text).ok()?;
    Some(tags.get(MADE_FROM)?.as_str()?.to_owned())
}
