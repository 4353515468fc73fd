//! The outputs of a clip: where films and numbers go, the digest of all settings that decide them, and whether they are
//! there and up to date.

use std::path::{Path, PathBuf};

use dino::io::inputs::{Source, has_video_extension};
use dino::io::output::{OutputOptions, OutputPlan, OutputTarget};
use dino::io::video::{self, Clip};
use dino::system::files::Digest;
use dino::tasks::Task;
use dino::tasks::clip::{
    ClipPaths, ClipTask, MADE_FROM, Smoothing, count_folder_frames, read_folder_origin,
};
use dino::{Error, Result};
use serde_json::json;

use super::ClipPipeline;

/// The outputs of one task for one clip.
pub(super) struct PlannedFilm {
    /// Their paths.
    pub places: ClipPaths,
    /// Digest of the settings, model and clip; written into the outputs.
    pub made_from: Digest,
    /// Whether all of them are there and up to date.
    pub is_complete: bool,
}

impl ClipPipeline<'_> {
    /// The extension of films, by `--codec`.
    fn film_extension(&self) -> &'static str {
        match self.video.codec.as_deref() {
            Some(name) if name.contains("vpx") || name.contains("vp8") || name.contains("vp9") => {
                "webm"
            }
            Some(name) if name.contains("prores") => "mov",
            Some("ffv1") => "mkv",
            _ => "mp4",
        }
    }

    /// The paths of the films, task by task; they are distinct over all clips.
    pub(super) fn plan_outputs(
        &self,
        tasks: &[Box<dyn Task>],
        sources: &[Source],
    ) -> Result<Vec<OutputPlan>> {
        let folder = match &self.options.target {
            OutputTarget::Folder(path) if !has_video_extension(path) => path.clone(),
            _ => PathBuf::new(),
        };
        let options = OutputOptions {
            target: OutputTarget::Folder(folder),
            // Existing files are checked once the clip is probed.
            force: true,
            ..self.options.clone()
        };
        let plans = tasks.iter().map(|task| {
            let ending = [self.film_extension()];
            OutputPlan::new(sources.to_vec(), &options, &task.kind(), &ending)
        });
        plans.collect()
    }

    /// The outputs of each task for one clip, compared with what is there.
    pub(super) fn plan_clip(
        &self,
        tasks: &[Box<dyn Task>],
        plans: &[OutputPlan],
        index: usize,
        clip: &Clip,
    ) -> Result<Vec<PlannedFilm>> {
        let frames = self.selection(clip)?;
        let frames = frames.plan(&clip.frames, clip.time_base, clip.origin);
        let count = frames.len() as u64;
        let tasks = tasks.iter().zip(plans);
        tasks
            .map(|(task, plan)| {
                let Some(drawn) = task.as_clip_task() else {
                    return Err(Error::Model("a task draws no clips".into()));
                };
                let film = match &self.options.target {
                    OutputTarget::Folder(path) if has_video_extension(path) => path.clone(),
                    _ => plan.jobs[index]
                        .output(self.film_extension())
                        .path()
                        .map(Path::to_owned)
                        .unwrap_or_default(),
                };
                let beside = |extension: &str| film.with_extension(extension);
                let has_frames = self.video.frames || !drawn.value_extensions().is_empty();
                let places = ClipPaths {
                    numbers: drawn.value_video().map(|film| beside(film.extension)),
                    folder: has_frames.then(|| beside("frames")),
                    folder_has_pictures: self.video.frames,
                    film: (!self.video.frames).then_some(film.clone()),
                };
                let made_from = self.made_from(task.as_ref(), clip, self.fingerprint.as_deref())?;
                let is_there = self.is_complete(&places, &made_from, count)?;
                Ok(PlannedFilm {
                    places,
                    made_from,
                    is_complete: is_there,
                })
            })
            .collect()
    }

    /// Digest of everything that decides the outputs of a task: settings, model, clip, times, codec and program
    /// version.
    pub(super) fn made_from(
        &self,
        task: &dyn Task,
        clip: &Clip,
        fingerprint: Option<&str>,
    ) -> Result<Digest> {
        let settings = task.settings("png")?.into_json();
        let numbers = task.as_clip_task().map(|task| {
            let film = task.value_video().map(|film| film.extension);
            json!([task.value_extensions(), film])
        });
        let metadata =
            std::fs::metadata(&clip.path).map_err(|error| Error::io(&clip.path, &error))?;
        let changed = metadata.modified().ok();
        let changed = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let video = self.video;
        let times = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
        let json = json!({
            "settings": settings,
            "model": [fingerprint, Some(&self.dtype)],
            "photos": self.decoder.options.tag(),
            "numbers": numbers,
            "clip": [metadata.len(), changed.map(|time| time.as_nanos().to_string()), clip.frames.len()],
            "times": [times(video.start), times(video.end)],
            "every": [video.every, video.max_frames],
            "fps": video.fps,
            // Part of a digest: the names of the codecs must stay.
            "film": [format!("{:?}", self.film_options().codec), video.audio.to_string(), video.frames.to_string()],
            "smooth": self.smoothing_of(task).to_string(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        Ok(Digest::of_json(&json))
    }

    /// The smoothing over time of a task: `--smooth`, else the task's own.
    pub(super) fn smoothing_of(&self, task: &dyn Task) -> Smoothing {
        let usual = task.as_clip_task().map(ClipTask::default_smoothing);
        let usual = usual.unwrap_or(Smoothing::Constant(0.0));
        self.video.smooth.map_or(usual, Smoothing::Constant)
    }

    /// Whether all of `places` exist with this `made_from` and `count` frames; prints a note about those that are made
    /// again.
    ///
    /// # Errors
    /// Names a file that dino did not make, unless `--force` may replace it.
    fn is_complete(&self, places: &ClipPaths, made_from: &Digest, count: u64) -> Result<bool> {
        let mut all = true;
        for path in places.all() {
            if path.symlink_metadata().is_err() {
                all = false;
                continue;
            }
            let told = match path.is_dir() {
                true => read_folder_origin(path),
                false => video::read_tag(path, MADE_FROM),
            };
            match told {
                Some(told) if told == made_from.to_string() && !self.options.force => {
                    let has = match path.is_dir() {
                        true => count_folder_frames(path),
                        false => video::count_frames(path),
                    };
                    // A film that was ended early has the same digest.
                    if has != Some(count) {
                        self.console.note(format_args!(
                            "{} has {} of {count} frames; it is made again",
                            path.display(),
                            has.unwrap_or(0)
                        ));
                        all = false;
                    }
                }
                Some(_) => {
                    if !self.options.force {
                        self.console.note(format_args!(
                            "{} was made with other settings, of another clip, or by another model or head; it is made again",
                            path.display()
                        ));
                    }
                    all = false;
                }
                None if self.options.force && path.is_file() => all = false,
                None => {
                    return Err(Error::file(
                        path,
                        "is there, and was not made by dino; --force replaces files, or choose another place (-o DIR)",
                    ));
                }
            }
        }
        Ok(all)
    }
}
