//! Clips in place of photos: films, and the exact numbers behind their frames.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use dino::backbone::Backbone;
use dino::batch::{Outcome, Report};
use dino::console::{Console, PhotoProgress};
use dino::engine::{BatchSize, FrameFeed};
use dino::inputs::{PhotoDecoder, Source};
use dino::manifest::Digest;
use dino::output::{OutputOptions, Plan, Status, Target, put_path};
use dino::tasks::Task;
use dino::tasks::clip::{
    ClipFiles, ClipPlaces, ClipRun, ClipTask, FilmLook, LOOKS, folder_count, folder_made_from,
};
use dino::video::{self, Clip, Codec, Frames, Ratio, Selection, Spec};
use dino::weights::Record;
use dino::{Error, Result};
use image::RgbImage;
use serde_json::{Value, json};

use crate::cli::{InputArgs, VideoArgs};

/// Frames a second of folders of frames, where nothing is said.
const FOLDER_RATE: u64 = 25;

/// What is made of clips, and how.
pub struct Clips<'c> {
    /// The options of clips.
    pub video: &'c VideoArgs,
    /// Where results go.
    pub options: &'c OutputOptions,
    /// Whether an object a clip is printed, in place of the written paths.
    pub json: bool,
    /// What holds for decoding.
    pub decoder: PhotoDecoder,
    /// Frames in the network at once.
    pub batch_size: BatchSize,
    /// Of the backbone's weights, where they are installed.
    pub fingerprint: Option<String>,
    /// In what it computes.
    pub dtype: String,
    /// Where words go.
    pub console: &'c Console,
}

/// The inputs that are clips, of all that are named; none where photos are meant.
///
/// # Errors
/// [`Error::Usage`] for options of clips without any, and for clips among photos.
pub fn clips_of(input: &InputArgs, video: &VideoArgs) -> Result<Vec<PathBuf>> {
    let is_clip = |name: &&OsString| {
        let path = Path::new(name);
        video.video || (video::looks_like_video(path) && path.is_file())
    };
    let clips: Vec<PathBuf> = input
        .inputs
        .iter()
        .filter(is_clip)
        .map(PathBuf::from)
        .collect();
    match (clips.len(), video.named()) {
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

/// What a folder of frames or a film gets, for one task.
struct Planned {
    places: ClipPlaces,
    made_from: Digest,
    /// Whether all of it is there already.
    is_there: bool,
}

impl Clips<'_> {
    /// Runs over `clips`; tasks are set up anew for each by `set_up`, and the backbones loaded by `load` once there is anything
    /// to do. Returns the exit code.
    ///
    /// # Errors
    /// What concerns the whole run.
    pub fn run(
        &self,
        clips: &[PathBuf],
        set_up: impl Fn() -> Result<Vec<Box<dyn Task>>>,
        load: impl FnOnce() -> Result<(Vec<Backbone>, Record)>,
    ) -> Result<u8> {
        let sources: Vec<Source> = clips.iter().map(Source::named).collect();
        let tasks = set_up()?;
        self.check(&tasks, clips)?;
        let plans = self.plan(&tasks, &sources)?;
        if self.json {
            self.console.claim_stdout("--json")?;
        }
        let mut report = Report {
            json: self.json,
            ..Report::default()
        };
        let (mut load, mut loaded) = (Some(load), None);
        for (index, (source, path)) in sources.iter().zip(clips).enumerate() {
            let mut tasks = set_up()?;
            let mut work = || -> Result<Outcome> {
                let clip = self.open(path)?;
                let planned = self.settle(&tasks, &plans, index, &clip)?;
                if planned.iter().all(|planned| planned.is_there) {
                    for task in &tasks {
                        self.tell(task.as_ref(), source, Status::Skipped, None)?;
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
                    task.meet(backbones, record, self.console)?;
                    planned.made_from =
                        self.made_from(task.as_ref(), &clip, Some(&record.fingerprint))?;
                }
                self.draw(source, &clip, (&tasks, &planned), backbones)?;
                Ok(Outcome::Done)
            };
            let done = work();
            if let Err(error) = &done
                && !matches!(error, Error::Interrupted)
                && self.json
            {
                for task in &tasks {
                    self.tell(
                        task.as_ref(),
                        source,
                        Status::Failed,
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
        report.finish(self.console);
        Ok(report.exit_code())
    }

    /// Refuses what films are not made for.
    fn check(&self, tasks: &[Box<dyn Task>], clips: &[PathBuf]) -> Result<()> {
        if let Some(task) = tasks.iter().find(|task| task.as_clip_task().is_none()) {
            return Err(Error::Usage(format!(
                "{} is a clip, of which {} makes nothing; `ffmpeg -i CLIP frames/%06d.png` makes photos of it",
                clips[0].display(),
                task.kind()
            )));
        }
        let is_film = |path: &Path| video::looks_like_video(path);
        match &self.options.target {
            Target::Folder(path) if is_film(path) && (tasks.len() > 1 || clips.len() > 1) => {
                Err(Error::Usage(format!(
                    "-o {}: there is one film for each clip and task; name a folder",
                    path.display()
                )))
            }
            Target::Folder(_) => Ok(()),
            Target::File(path, _) => Err(Error::Usage(format!(
                "-o {} is a picture, and a clip becomes a film; name a folder, or a file such as out.mp4",
                path.display()
            ))),
            Target::Stdout => Err(Error::Usage(
                "-o -: films are not written to stdout; name a folder, or a file such as out.mp4"
                    .into(),
            )),
        }
    }

    fn open(&self, path: &Path) -> Result<Clip> {
        let clip = match path.is_dir() {
            true => Clip::of_folder(path, self.rate()?.unwrap_or(folder_rate()))?,
            false => Clip::probe(path)?,
        };
        clip.notes.iter().chain(&clip.truncated).for_each(|note| {
            self.console
                .warn(format_args!("{}: {note}", path.display()))
        });
        Ok(clip)
    }

    /// The value of `--fps`.
    fn rate(&self) -> Result<Option<Ratio>> {
        let Some(text) = &self.video.fps else {
            return Ok(None);
        };
        let rate = text.parse::<Ratio>();
        let why = |why| Error::Usage(format!("--fps {text}: {why}"));
        rate.map(Some).map_err(why)
    }

    fn selection(&self, clip: &Clip) -> Result<Selection> {
        // Of a folder, it is the rate that its frames have.
        let fps = match clip.path.is_dir() {
            true => None,
            false => self.rate()?,
        };
        Ok(Selection {
            start: self.video.start,
            end: self.video.end,
            every: self.video.every,
            fps,
            max_frames: self.video.max_frames,
        })
    }

    fn look(&self) -> FilmLook {
        let crf = self.video.crf.map(|crf| crf as u8);
        let codec = match (self.video.codec.as_deref(), Codec::default()) {
            (None | Some("libx264" | "h264"), Codec::H264 { crf: usual, preset }) => Codec::H264 {
                crf: crf.unwrap_or(usual),
                preset,
            },
            (Some("ffv1"), _) => Codec::Ffv1,
            (Some(name), _) => Codec::Named {
                encoder: name.to_owned(),
                crf,
            },
            (None, other) => other,
        };
        FilmLook {
            codec,
            audio: self.video.audio,
        }
    }

    /// The end of the names of films.
    fn film_ending(&self) -> &'static str {
        match self.video.codec.as_deref() {
            Some(name) if name.contains("vpx") || name.contains("vp8") || name.contains("vp9") => {
                "webm"
            }
            Some(name) if name.contains("prores") => "mov",
            Some("ffv1") => "mkv",
            _ => "mp4",
        }
    }

    /// Where all files go, task by task.
    fn plan(&self, tasks: &[Box<dyn Task>], sources: &[Source]) -> Result<Vec<Plan>> {
        let folder = match &self.options.target {
            Target::Folder(path) if !video::looks_like_video(path) => path.clone(),
            _ => PathBuf::new(),
        };
        let options = OutputOptions {
            target: Target::Folder(folder),
            // What is there is looked at when the clip is known.
            force: true,
            ..self.options.clone()
        };
        let plans = tasks.iter().map(|task| {
            let ending = [self.film_ending()];
            Plan::new(sources.to_vec(), &options, &task.kind(), &ending)
        });
        plans.collect()
    }

    /// What each task makes of a clip, against what is there.
    fn settle(
        &self,
        tasks: &[Box<dyn Task>],
        plans: &[Plan],
        index: usize,
        clip: &Clip,
    ) -> Result<Vec<Planned>> {
        let frames = self.selection(clip)?;
        let frames = frames.plan(&clip.frames, clip.time_base, clip.zero);
        let count = frames.len() as u64;
        let tasks = tasks.iter().zip(plans);
        tasks
            .map(|(task, plan)| {
                let Some(drawn) = task.as_clip_task() else {
                    return Err(Error::Model("a task draws no clips".into()));
                };
                let film = match &self.options.target {
                    Target::Folder(path) if video::looks_like_video(path) => path.clone(),
                    _ => plan.jobs[index]
                        .output(self.film_ending())
                        .path()
                        .map(Path::to_owned)
                        .unwrap_or_default(),
                };
                let beside = |extension: &str| film.with_extension(extension);
                let has_frames = self.video.frames || !drawn.number_files().is_empty();
                let places = ClipPlaces {
                    numbers: drawn.number_film().map(|film| beside(film.extension)),
                    folder: has_frames.then(|| beside("frames")),
                    folder_has_pictures: self.video.frames,
                    film: (!self.video.frames).then_some(film.clone()),
                };
                let made_from = self.made_from(task.as_ref(), clip, self.fingerprint.as_deref())?;
                let is_there = self.is_there(&places, &made_from, count)?;
                Ok(Planned {
                    places,
                    made_from,
                    is_there,
                })
            })
            .collect()
    }

    /// Digest of all that decides how the files of a task come out.
    fn made_from(&self, task: &dyn Task, clip: &Clip, fingerprint: Option<&str>) -> Result<Digest> {
        let settings = task.settings("png")?.into_json();
        let numbers = task.as_clip_task().map(|task| {
            let film = task.number_film().map(|film| film.extension);
            json!([task.number_files(), film])
        });
        let met = std::fs::metadata(&clip.path).map_err(|error| Error::io(&clip.path, &error))?;
        let changed = met.modified().ok();
        let changed = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let video = self.video;
        let times = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
        let json = json!({
            "settings": settings,
            "model": [fingerprint, Some(&self.dtype)],
            "photos": self.decoder.options.tag(),
            "numbers": numbers,
            "clip": [met.len(), changed.map(|time| time.as_nanos().to_string()), clip.frames.len()],
            "times": [times(video.start), times(video.end)],
            "every": [video.every, video.max_frames],
            "fps": video.fps,
            "film": [format!("{:?}", self.look().codec), video.audio.to_string(), video.frames.to_string()],
            "smooth": self.smooth_of(task),
            "version": env!("CARGO_PKG_VERSION"),
        });
        Ok(Digest::of_json(&json))
    }

    /// How much of the mean over time each frame leaves.
    fn smooth_of(&self, task: &dyn Task) -> f32 {
        let usual = task.as_clip_task().map_or(0.0, ClipTask::usual_smooth);
        self.video.smooth.unwrap_or(usual)
    }

    /// Whether all of `places` is there and was made from the same; says what is made again.
    ///
    /// # Errors
    /// Names a file that this program did not make, unless it may be replaced.
    fn is_there(&self, places: &ClipPlaces, made_from: &Digest, count: u64) -> Result<bool> {
        let mut all = true;
        for path in places.all() {
            if path.symlink_metadata().is_err() {
                all = false;
                continue;
            }
            let told = match path.is_dir() {
                true => folder_made_from(path),
                false => video::tag_of(path, dino::tasks::clip::MADE_FROM),
            };
            match told {
                Some(told) if told == made_from.to_string() && !self.options.force => {
                    let has = match path.is_dir() {
                        true => folder_count(path),
                        false => video::count_of(path),
                    };
                    // One that was ended early says the same of itself.
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

    /// Looks at the clip where tasks want to, and draws it.
    fn draw(
        &self,
        source: &Source,
        clip: &Clip,
        (tasks, planned): (&[Box<dyn Task>], &[Planned]),
        backbones: &[Backbone],
    ) -> Result<()> {
        let started = std::time::Instant::now();
        let wanted: Vec<(&dyn Task, &Planned, &dyn ClipTask)> = tasks
            .iter()
            .zip(planned)
            .filter(|(_, planned)| !planned.is_there)
            .filter_map(|(task, planned)| Some((task.as_ref(), planned, task.as_clip_task()?)))
            .collect();
        let drawn: Vec<&dyn ClipTask> = wanted.iter().map(|(.., task)| *task).collect();
        let run = ClipRun {
            tasks: &drawn,
            backbones,
            decoder: self.decoder.clone(),
            batch_size: self.batch_size,
            smooth: self.video.smooth,
            console: self.console,
        };
        let selection = self.selection(clip)?;
        if drawn.iter().any(|task| task.looks_first()) {
            let count = selection
                .plan(&clip.frames, clip.time_base, clip.zero)
                .len();
            let every = selection.every.unwrap_or(1) * count.div_ceil(LOOKS) as u64;
            let some = Selection {
                every: Some(every.max(1)),
                ..selection
            };
            let feed = Feed::new(Frames::open(clip, &some, &self.decoder)?, clip);
            let name = clip.path.display();
            self.console
                .note(format_args!("{name}: looking at some of its frames"));
            run.look(source, &feed)?;
        }
        let frames = Frames::open(clip, &selection, &self.decoder)?;
        let (spec, count) = (Spec::of_frames(&frames, clip.size()), frames.plan().len());
        let feed = Feed::new(frames, clip);
        let look = self.look();
        let mut files: Vec<ClipFiles<'_>> = wanted
            .iter()
            .map(|(_, planned, task)| {
                let made = (planned.places.clone(), look.clone());
                ClipFiles::new(*task, (clip, spec.clone()), made, &planned.made_from)
            })
            .collect();
        let bar: PhotoProgress = self.console.progress_of_photos(count.max(2));
        bar.begin(source.name());
        let ran = run.draw(source, &feed, |_, drawn| {
            let moment = feed.take_moment();
            for (files, frame) in files.iter_mut().zip(&drawn) {
                files.write(moment, frame)?;
            }
            bar.inc();
            Ok(())
        });
        drop(bar);
        let (cuts, ended) = match ran {
            Ok(cuts) => (cuts, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let frames = feed.given();
        for ((task, planned, _), files) in wanted.iter().zip(files) {
            let clipped = files.clipped;
            // What was done until the clip broke off, or the user ended it, can be played.
            let keeps = match &ended {
                Ok(()) | Err(Error::Interrupted) => true,
                Err(Error::File { path, .. }) => *path == clip.path,
                Err(_) => false,
            };
            if frames == 0 || !keeps {
                continue;
            }
            for note in files.finish()? {
                self.console.note(format_args!("{}: {note}", source.name()));
            }
            let mut facts = json!({
                "frames": frames,
                "cuts": cuts,
                "smooth": self.smooth_of(*task),
                "frame_size": [clip.width, clip.height],
                "rate": [clip.rate.num(), clip.rate.den()],
                "clipped": clipped,
                "is_complete": ended.is_ok(),
                "seconds": started.elapsed().as_secs_f64(),
            });
            if let (Value::Object(facts), Some(drawn)) = (&mut facts, task.as_clip_task()) {
                facts.extend(drawn.facts());
            }
            self.tell_done(*task, source, planned, facts)?;
            if let Some(doubt) = task.as_clip_task().and_then(ClipTask::doubt) {
                self.console
                    .warn(format_args!("{}: {doubt}", source.name()));
            }
            if clipped > 0 {
                self.console.warn(format_args!(
                    "{}: {clipped} numbers are too large for 16 bits and were clipped; a smaller --depth-scale holds them",
                    source.name()
                ));
            }
        }
        ended
    }

    fn tell_done(
        &self,
        task: &dyn Task,
        source: &Source,
        planned: &Planned,
        facts: Value,
    ) -> Result<()> {
        if !self.json {
            return planned
                .places
                .all()
                .try_for_each(|path| self.console.out_path(path));
        }
        let mut object = task.subject().line(Status::Done, source);
        put_path(&mut object, "picture", planned.places.film.as_deref());
        let mut files = serde_json::Map::new();
        put_path(&mut files, "numbers", planned.places.numbers.as_deref());
        put_path(&mut files, "frames", planned.places.folder.as_deref());
        object.insert("files".to_owned(), Value::Object(files));
        if let Value::Object(facts) = facts {
            object.extend(facts);
        }
        self.console.out(&Value::Object(object).to_string())
    }

    /// A line about a clip of which nothing was made.
    fn tell(
        &self,
        task: &dyn Task,
        source: &Source,
        status: Status,
        facts: Option<Value>,
    ) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut object = task.subject().line(status, source);
        if let Some(Value::Object(facts)) = facts {
            object.extend(facts);
        }
        self.console.out(&Value::Object(object).to_string())
    }
}

fn folder_rate() -> Ratio {
    // 25 is no fraction with a zero.
    #[allow(clippy::expect_used)]
    Ratio::new(FOLDER_RATE, 1).expect("a rate")
}

/// The frames of a clip for the engine; their times wait here until they are written.
struct Feed {
    frames: Mutex<Frames>,
    size: (u32, u32),
    moments: Mutex<(VecDeque<video::Planned>, usize)>,
}

impl Feed {
    fn new(frames: Frames, clip: &Clip) -> Self {
        Feed {
            frames: Mutex::new(frames),
            size: clip.size(),
            moments: Mutex::default(),
        }
    }

    /// When the next frame that is written appears.
    fn take_moment(&self) -> video::Planned {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.1 += 1;
        moments.0.pop_front().unwrap_or(video::Planned {
            index: 0,
            time: 0,
            duration: 1,
        })
    }

    /// Frames that were written.
    fn given(&self) -> usize {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.1
    }
}

impl FrameFeed for Feed {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn next_frame(&self) -> Result<Option<RgbImage>> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(frame) = frames.next().transpose()? else {
            return Ok(None);
        };
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.0.push_back(video::Planned {
            index: frame.index,
            time: frame.time,
            duration: frame.duration,
        });
        Ok(Some(frame.rgb))
    }
}
