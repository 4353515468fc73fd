//! Clips in place of photos: each task makes a film of a clip, and lossless video or files of the numbers behind its
//! frames.
//!
//! A clip passes five stages: [`Clip::probe`] reads its frames' times; `plan` names the outputs and skips what is up to
//! date; `feed` decodes the selected frames for the engine; `render` runs backbone and tasks over them and hands each
//! to its `ClipWriter`, which encodes parts of a film; when the last frame is there, the writer joins the parts, with
//! the sound. See [`dino::io::video`] for decoding and encoding, [`dino::tasks::clip`] for writers and `--resume`.

mod feed;
mod plan;
mod render;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use dino::engine::BatchSize;
use dino::engine::run_report::{Outcome, RunReport};
use dino::io::inputs::{ContrastStretch, PhotoDecoder, Source, has_video_extension};
use dino::io::output::{LineStatus, OutputOptions, OutputTarget};
use dino::io::video::{Clip, FrameSelection, Ratio, VideoCodec};
use dino::model::backbone::Backbone;
use dino::model::weights::ModelRecord;
use dino::tasks::Task;
use dino::tasks::clip::FilmOptions;
use dino::terminal::console::Console;
use dino::{Error, Result};
use serde_json::json;

use crate::cli::{InputArgs, VideoArgs};

/// Frames per second of folders of images, without `--fps`.
const FOLDER_RATE: u64 = 25;

/// The constant rate factor of VP9 without `--crf`; about the quality of 14 in H.264.
const WEBM_CRF: u8 = 20;

/// A run of tasks over clips.
pub struct ClipPipeline<'c> {
    /// The options of clips.
    pub video: &'c VideoArgs,
    /// Where results go.
    pub options: &'c OutputOptions,
    /// Whether one JSON object for each clip and task is printed instead of the written paths.
    pub json: bool,
    /// The decoder, with its memory limit and background colour.
    pub decoder: PhotoDecoder,
    /// Frames in a batch.
    pub batch_size: BatchSize,
    /// Fingerprint of the backbone's weights; none before they are installed.
    pub fingerprint: Option<String>,
    /// Number type of the backbone.
    pub dtype: String,
    /// Messages and progress.
    pub console: &'c Console,
}

/// The inputs, if they are clips: videos by their extension, with `--video` anything. None where they are photos.
///
/// # Errors
/// [`Error::Usage`] for options of clips without a clip, for clips among photos, and for options of photos beside
/// clips.
pub fn select_clips(input: &InputArgs, video: &VideoArgs) -> Result<Vec<PathBuf>> {
    let is_clip = |name: &&OsString| {
        let path = Path::new(name);
        video.video || (has_video_extension(path) && path.is_file())
    };
    let clips: Vec<PathBuf> = input
        .inputs
        .iter()
        .filter(is_clip)
        .map(PathBuf::from)
        .collect();
    match (clips.len(), video.first_given_flag()) {
        (0, Some(flag)) => {
            return Err(Error::Usage(format!(
                "{flag} is for clips, and no input is one by its name; --video takes animated pictures and folders of numbered \
                 frames as clips"
            )));
        }
        (0, None) => return Ok(clips),
        (count, _) if count < input.inputs.len() || !input.files_from.is_empty() => {
            let other = input.inputs.iter().find(|name| !is_clip(name));
            let other =
                other.map_or_else(|| "--files-from".into(), |name| name.display().to_string());
            return Err(Error::Usage(format!(
                "{} is a clip, and {other} is none; photos and clips are taken in runs of their own",
                clips[0].display()
            )));
        }
        _ => {}
    }
    let photos_alone = [
        ("--watch", input.watch.is_some()),
        ("--page", input.page.is_some()),
        ("--shard", input.shard.is_some()),
        ("--recursive", input.recursive),
    ];
    match photos_alone.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Error::Usage(format!(
            "{flag} is for photos, and {} is a clip; leave it out",
            clips[0].display()
        ))),
        None => Ok(clips),
    }
}

impl ClipPipeline<'_> {
    /// Runs over `clips`. `set_up` builds the tasks anew for each clip; `load` loads the backbones once, when a clip
    /// needs them. Returns the exit code.
    ///
    /// # Errors
    /// What ends the whole run; the failure of one clip is reported and does not stop the rest.
    pub fn run(
        &self,
        clips: &[PathBuf],
        set_up: impl Fn() -> Result<Vec<Box<dyn Task>>>,
        load: impl FnOnce() -> Result<(Vec<Backbone>, ModelRecord)>,
    ) -> Result<u8> {
        if self.video.resume && self.options.force {
            return Err(Error::Usage(
                "--resume goes on with what is there, and --force begins anew; leave one of them out".into(),
            ));
        }
        let sources: Vec<Source> = clips.iter().map(Source::from_path).collect();
        let tasks = set_up()?;
        self.check_options(&tasks, clips)?;
        let plans = self.plan_outputs(&tasks, &sources)?;
        if self.json {
            self.console.claim_stdout("--json")?;
        }
        let mut report = RunReport {
            json: self.json,
            ..RunReport::default()
        };
        let (mut load, mut loaded) = (Some(load), None);
        for (index, (source, path)) in sources.iter().zip(clips).enumerate() {
            let mut tasks = set_up()?;
            let mut work = || -> Result<Outcome> {
                let clip = self.open(path)?;
                let planned = self.plan_clip(&tasks, &plans, index, &clip)?;
                if planned.iter().all(|planned| planned.is_complete) {
                    for task in &tasks {
                        self.report_status(task.as_ref(), source, LineStatus::Skipped, None)?;
                    }
                    return Ok(Outcome::Skipped);
                }
                let (backbones, record) = match &mut loaded {
                    Some(loaded) => loaded,
                    none => match load.take() {
                        Some(load) => none.insert(load()?),
                        None => {
                            return Err(Error::Model("the backbone could not be loaded".into()));
                        }
                    },
                };
                let mut planned = planned;
                for (task, planned) in tasks.iter_mut().zip(&mut planned) {
                    task.attach_backbones(backbones, record, self.console)?;
                    planned.made_from =
                        self.made_from(task.as_ref(), &clip, Some(&record.fingerprint))?;
                }
                self.render_clip(source, &clip, (&tasks, &planned), backbones)?;
                Ok(Outcome::Done)
            };
            let done = work();
            if let Err(error) = &done
                && !matches!(error, Error::Interrupted)
                && self.json
            {
                for task in &tasks {
                    self.report_status(
                        task.as_ref(),
                        source,
                        LineStatus::Failed,
                        Some(json!({"error": error.to_string()})),
                    )?;
                }
            }
            if let Some(outcome) = report.record(path.display().to_string(), done)? {
                match outcome {
                    Outcome::Skipped => report.skipped += 1,
                    _ => report.done += 1,
                }
            }
        }
        report.print_summary(self.console);
        Ok(report.exit_code())
    }

    /// Refuses tasks, codecs and outputs from which no film can be made.
    fn check_options(&self, tasks: &[Box<dyn Task>], clips: &[PathBuf]) -> Result<()> {
        if let Some(task) = tasks.iter().find(|task| task.as_clip_task().is_none()) {
            return Err(Error::Usage(format!(
                "{} is a clip, of which {} makes nothing; `ffmpeg -i CLIP frames/%06d.png` makes photos of it",
                clips[0].display(),
                task.kind()
            )));
        }
        if let (Some("ffv1"), Some(crf)) = (self.video.codec.as_deref(), self.video.crf) {
            return Err(Error::Usage(format!(
                "--crf {crf}: ffv1 loses nothing and has no quality; leave it out"
            )));
        }
        let is_film = |path: &Path| has_video_extension(path);
        match &self.options.target {
            OutputTarget::Folder(path) if is_film(path) && (tasks.len() > 1 || clips.len() > 1) => {
                Err(Error::Usage(format!(
                    "-o {}: there is one film for each clip and task; name a folder",
                    path.display()
                )))
            }
            OutputTarget::Folder(_) => Ok(()),
            OutputTarget::File(path, _) => Err(Error::Usage(format!(
                "-o {} is a picture, and a clip becomes a film; name a folder, or a file such as out.mp4",
                path.display()
            ))),
            OutputTarget::Stdout => Err(Error::Usage(
                "-o -: films are not written to stdout; name a folder, or a file such as out.mp4"
                    .into(),
            )),
        }
    }

    /// Probes a clip and warns of what is wrong with it.
    fn open(&self, path: &Path) -> Result<Clip> {
        let clip = match path.is_dir() {
            true => Clip::from_folder(path, self.frame_rate()?.unwrap_or(folder_rate()))?,
            false => Clip::probe(path)?,
        };
        let photos = &self.decoder.options;
        let of_photos = [
            ("--bands", photos.bands.is_some()),
            ("--stretch", photos.stretch != ContrastStretch::Auto),
            ("--no-icc", !photos.icc),
        ];
        let mut of_photos = of_photos.iter().filter(|(_, given)| *given);
        if let (false, Some((flag, _))) = (path.is_dir(), of_photos.next()) {
            return Err(Error::Usage(format!(
                "{flag} is for photos and folders of frames, and {} is a film; `ffmpeg -i CLIP frames/%06d.png` makes such a folder",
                path.display()
            )));
        }
        if self.video.audio && clip.audio.is_none() {
            self.console
                .warn(format_args!("{}: --audio: it has no sound", path.display()));
        }
        clip.notes.iter().chain(&clip.truncated).for_each(|note| {
            self.console
                .warn(format_args!("{}: {note}", path.display()))
        });
        Ok(clip)
    }

    /// The value of `--fps` in frames per second.
    fn frame_rate(&self) -> Result<Option<Ratio>> {
        let Some(text) = &self.video.fps else {
            return Ok(None);
        };
        let rate = text.parse::<Ratio>();
        let why = |why| Error::Usage(format!("--fps {text}: {why}"));
        rate.map(Some).map_err(why)
    }

    /// Which frames of `clip` the options select.
    fn selection(&self, clip: &Clip) -> Result<FrameSelection> {
        // Of a folder, --fps is the rate of its frames, not a selection.
        let fps = match clip.path.is_dir() {
            true => None,
            false => self.frame_rate()?,
        };
        Ok(FrameSelection {
            start: self.video.start,
            end: self.video.end,
            every: self.video.every,
            fps,
            max_frames: self.video.max_frames,
        })
    }

    /// Codec and sound of films of pictures.
    fn film_options(&self) -> FilmOptions {
        let crf = self.video.crf.map(|crf| crf as u8);
        let is_webm = matches!(&self.options.target, OutputTarget::Folder(path) if has_extension(path, "webm"));
        let codec = match (self.video.codec.as_deref(), VideoCodec::default()) {
            // WebM holds no H.264.
            (None, _) if is_webm => VideoCodec::Named {
                encoder: "libvpx-vp9".into(),
                crf: Some(crf.unwrap_or(WEBM_CRF)),
            },
            (None | Some("libx264" | "h264"), VideoCodec::H264 { crf: usual, preset }) => {
                VideoCodec::H264 {
                    crf: crf.unwrap_or(usual),
                    preset,
                }
            }
            (Some("ffv1"), _) => VideoCodec::Ffv1,
            (Some(name), _) => VideoCodec::Named {
                encoder: name.to_owned(),
                crf,
            },
            (None, other) => other,
        };
        FilmOptions {
            codec,
            audio: self.video.audio,
        }
    }
}

fn has_extension(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|own| own.eq_ignore_ascii_case(ending))
}

fn folder_rate() -> Ratio {
    // 25 is no fraction with a zero.
    #[allow(clippy::expect_used)]
    Ratio::new(FOLDER_RATE, 1).expect("a rate")
}
