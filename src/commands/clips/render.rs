//! One clip through the backbone and the tasks into its films, and the JSON lines or paths about them.

use dino::io::inputs::Source;
use dino::io::output::{LineStatus, put_path};
use dino::io::video::{Clip, EncoderConfig, FrameSelection, Frames};
use dino::model::backbone::Backbone;
use dino::tasks::Task;
use dino::tasks::clip::{
    ClipRun, ClipSpec, ClipState, ClipTask, ClipWriter, MAX_FIT_FRAMES, Smoothing,
};
use dino::terminal::console::PhotoProgress;
use dino::{Error, Result};
use serde_json::{Value, json};

use super::ClipPipeline;
use super::feed::ClipFeed;
use super::plan::PlannedFilm;

impl ClipPipeline<'_> {
    /// Fits the tasks that need it to some frames of the clip, then renders all selected frames.
    ///
    /// # Errors
    /// Names the clip or the film that failed; complete segments are kept for `--resume`.
    pub(super) fn render_clip(
        &self,
        source: &Source,
        clip: &Clip,
        (tasks, planned): (&[Box<dyn Task>], &[PlannedFilm]),
        backbones: &[Backbone],
    ) -> Result<()> {
        let started = std::time::Instant::now();
        let wanted: Vec<(&dyn Task, &PlannedFilm, &dyn ClipTask)> = tasks
            .iter()
            .zip(planned)
            .filter(|(_, planned)| !planned.is_complete)
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
        let total = selection
            .plan(&clip.frames, clip.time_base, clip.origin)
            .len();
        if drawn.iter().any(|task| task.needs_fit_frames()) {
            let every = selection.every.unwrap_or(1) * total.div_ceil(MAX_FIT_FRAMES) as u64;
            let some = FrameSelection {
                every: Some(every.max(1)),
                ..selection
            };
            let feed = ClipFeed::new(Frames::open(clip, &some, &self.decoder)?, clip);
            let name = clip.path.display();
            self.console
                .note(format_args!("{name}: looking at some of its frames"));
            run.fit(source, &feed)?;
        }
        let mut files = self.begin_files(&wanted, (clip, &selection), total)?;
        let (done, before) = align_resume_points(&mut files)?;
        let behind = files.first().and_then(ClipWriter::last_index);
        if done > 0 {
            let name = clip.path.display();
            self.console.note(format_args!(
                "{name}: goes on behind {done} of {total} frames"
            ));
        }
        let frames = Frames::open_after(behind, clip, &selection, &self.decoder)?;
        let feed = ClipFeed::new(frames, clip);
        let bar: PhotoProgress = self.console.progress_of_frames(total.saturating_sub(done));
        bar.begin(source.name());
        let ran = run.render(source, &feed, before.as_ref(), |drawn, state| {
            let moment = feed.take_time();
            for (number, (files, frame)) in files.iter_mut().zip(&drawn).enumerate() {
                files.write(moment, frame, (state.as_ref(), number))?;
            }
            bar.inc();
            Ok(())
        });
        drop(bar);
        let (cuts, ended) = match ran {
            Ok(cuts) => (cuts, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let frames = done + feed.written_frames();
        // A truncated clip has no more frames in a later run; after an interruption or a killed ffmpeg there may be
        // more.
        let is_over = ended.is_ok() || clip.truncated.is_some();
        for ((task, planned, _), files) in wanted.iter().zip(files) {
            let (clipped, kept) = (files.clipped(), files.done_frames());
            // Films of what was done until the clip broke off, or the user ended the run, are finished.
            let keeps = match &ended {
                Ok(()) | Err(Error::Interrupted) => true,
                Err(Error::File { path, .. }) => *path == clip.path,
                Err(_) => false,
            };
            if frames == 0 || !keeps {
                continue;
            }
            for note in files.finish(is_over)? {
                self.console.note(format_args!("{}: {note}", source.name()));
            }
            if !is_over && kept > 0 {
                self.console.note(format_args!(
                    "{}: {frames} of {total} frames are done; the same command with --resume goes on behind frame {kept}",
                    source.name()
                ));
            }
            let mut facts = json!({
                "frames": frames,
                "resumed_behind": done,
                "cuts": cuts,
                "smooth": match self.smoothing_of(*task) {
                    Smoothing::Constant(keep) => json!(keep),
                    other @ Smoothing::ByChange => json!(other.to_string()),
                },
                "frame_size": [clip.width, clip.height],
                "rate": [clip.rate.num(), clip.rate.den()],
                "clipped": clipped,
                "is_complete": ended.is_ok(),
                "seconds": started.elapsed().as_secs_f64(),
            });
            if let (Value::Object(facts), Some(drawn)) = (&mut facts, task.as_clip_task()) {
                facts.extend(drawn.metadata());
            }
            self.report_done(*task, source, planned, facts)?;
            if let Some(doubt) = task.as_clip_task().and_then(ClipTask::warning) {
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

    /// Opens the writers of `clip`, with the frames that an earlier run left for `--resume`.
    fn begin_files<'c>(
        &self,
        wanted: &[(&dyn Task, &PlannedFilm, &'c dyn ClipTask)],
        (clip, selection): (&'c Clip, &FrameSelection),
        total: usize,
    ) -> Result<Vec<ClipWriter<'c>>> {
        let (times, look) = (
            EncoderConfig::from_clip(clip, selection),
            self.film_options(),
        );
        let files = wanted.iter().map(|(_, planned, task)| {
            let spec = ClipSpec::new(
                *task,
                (clip, times.clone()),
                look.clone(),
                &planned.made_from,
            );
            let resumes = (total, self.video.resume);
            let files =
                ClipWriter::begin(spec, planned.places.clone(), &planned.made_from, resumes)?;
            let (kept, done, name) = (files.found_frames(), files.done_frames(), clip.path.display());
            if kept > done && done > 0 {
                self.console.note(format_args!(
                    "{name}: of {kept} frames that are kept, those behind {done} are damaged and made again"
                ));
            } else if kept > done {
                let why = match self.video.resume {
                    true => "are kept that were made otherwise, or are damaged",
                    false => "were kept, with which --resume would go on",
                };
                self.console.note(format_args!(
                    "{name}: {kept} frames {why}; it is made from the beginning"
                ));
            }
            Ok(files)
        });
        files.collect()
    }

    /// Prints the paths or the JSON line of a finished clip.
    fn report_done(
        &self,
        task: &dyn Task,
        source: &Source,
        planned: &PlannedFilm,
        facts: Value,
    ) -> Result<()> {
        if !self.json {
            return planned
                .places
                .all()
                .try_for_each(|path| self.console.out_path(path));
        }
        let mut object = task.subject().line(LineStatus::Done, source);
        put_path(&mut object, "picture", planned.places.film.as_deref());
        let mut files = serde_json::Map::new();
        let film = task.as_clip_task().and_then(ClipTask::value_video);
        if let (Some(film), Some(path)) = (film, &planned.places.numbers) {
            put_path(&mut files, film.extension, Some(path));
        }
        if let Some(folder) = &planned.places.folder {
            put_path(&mut files, "frames", Some(folder));
        }
        object.insert("files".to_owned(), Value::Object(files));
        if let Value::Object(facts) = facts {
            object.extend(facts);
        }
        self.console.out(&Value::Object(object).to_string())
    }

    /// The JSON line of a clip that was skipped or failed.
    pub(super) fn report_status(
        &self,
        task: &dyn Task,
        source: &Source,
        status: LineStatus,
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

/// Makes all tasks resume after the same frame; returns the number of frames before it and the state that was saved.
fn align_resume_points(files: &mut [ClipWriter<'_>]) -> Result<(usize, Option<ClipState>)> {
    let done = files
        .iter()
        .map(ClipWriter::done_frames)
        .min()
        .unwrap_or_default();
    let mut before = None;
    for files in files {
        files.truncate(done);
        if let Some((frames, own)) = files.state()? {
            let state = before.get_or_insert_with(ClipState::default);
            state.frames = frames;
            state.tasks.push(own);
        }
    }
    Ok((done, before))
}
