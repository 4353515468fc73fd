//! The frames of one clip through the backbone and the tasks, in order.

use std::num::NonZeroUsize;

use image::RgbImage;

use crate::backbone::Backbone;
use crate::console::Console;
use crate::engine::{BatchSize, Decoding, Engine, FrameFeed, Ready, seats};
use crate::error::{Error, Result};
use crate::inputs::{PhotoDecoder, Source};
use crate::memory::Permit;
use crate::preprocess::Geometry;
use crate::tasks::clip::{ClipTask, CutDetector, CutFinder, DrawnFrame, RunningMean, stage};
use crate::tasks::network::FoundByTask;
use crate::tasks::{Finder, Found, TaskNetwork};

/// What runs over clips.
pub struct ClipRun<'r> {
    /// What is made of frames.
    pub tasks: &'r [&'r dyn ClipTask],
    /// The backbone, on each device.
    pub backbones: &'r [Backbone],
    /// How much memory there is for frames.
    pub decoder: PhotoDecoder,
    /// Frames in the network at once.
    pub batch_size: BatchSize,
    /// How much of the mean of earlier frames each keeps; as each task has it if nothing is said.
    pub smooth: Option<f32>,
    /// Where words go.
    pub console: &'r Console,
}

/// A frame in which everything was found.
struct SeenFrame {
    photo: RgbImage,
    geometries: Vec<Geometry>,
    found: Vec<Found>,
    /// For the memory of all that.
    permit: Permit,
}

impl ClipRun<'_> {
    /// Looks at the frames of `feed`, some of the clip's, so that tasks fit to them what they fit.
    ///
    /// # Errors
    /// If a frame cannot be read, or a task cannot fit anything.
    pub fn look(&self, clip: &Source, feed: &dyn FrameFeed) -> Result<()> {
        self.through(clip, feed, |_, seen| {
            let tasks = self.tasks.iter();
            let found = seen.found.into_iter().zip(&seen.geometries);
            for (task, (found, geometry)) in tasks.zip(found).filter(|(task, _)| task.looks_first())
            {
                task.look(geometry, found)?;
            }
            Ok(())
        })?;
        let mut fitting = self.tasks.iter().filter(|task| task.looks_first());
        fitting.try_for_each(|task| task.settle(self.console))
    }

    /// Draws every frame of `feed`, and hands what the tasks made of it to `take`, in order. Returns the first frames of new
    /// shots.
    ///
    /// # Errors
    /// What `take` returns; if a frame cannot be read or drawn; [`Error::Interrupted`]. What was drawn before was taken.
    pub fn draw(
        &self,
        clip: &Source,
        feed: &dyn FrameFeed,
        mut take: impl FnMut(usize, Vec<DrawnFrame>) -> Result<()> + Send,
    ) -> Result<Vec<usize>> {
        let mut cuts = Vec::new();
        let means = self.tasks.iter();
        let means = means.map(|task| RunningMean::new(self.smooth, task.usual_smooth()));
        let mut means: Vec<RunningMean> = means.collect();
        let mut shots = CutDetector::default();
        let feed_stage = |give: &mut dyn FnMut(SeenFrame) -> Result<()>| {
            self.through(clip, feed, |index, mut seen| {
                let Some(Found::Tokens(mean, _)) = seen.found.pop() else {
                    return Err(Error::Model("a frame lacks its mean token".into()));
                };
                let is_cut = shots.is_cut(mean);
                if is_cut {
                    cuts.push(index);
                }
                let found = std::mem::take(&mut seen.found);
                let mut followed = Vec::with_capacity(found.len());
                let tasks = self.tasks.iter().zip(&mut means);
                for ((task, mean), (mut found, geometry)) in
                    tasks.zip(found.into_iter().zip(&seen.geometries))
                {
                    mean.smooth(&mut found, is_cut)?;
                    followed.push(task.follow(found, &seen.photo, geometry)?);
                }
                seen.found = followed;
                give(seen)
            })
        };
        let draw = |seen: SeenFrame| {
            let SeenFrame {
                photo,
                geometries,
                found,
                permit,
            } = seen;
            let drawn = self.tasks.iter().zip(geometries.iter().zip(found));
            let drawn = drawn.map(|(task, (geometry, found))| task.draw(&photo, geometry, found));
            let drawn: Vec<DrawnFrame> = drawn.collect::<Result<_>>()?;
            Ok((drawn, permit))
        };
        let threads = NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN);
        let ran = stage::in_order(threads, feed_stage, draw, |index, (drawn, permit)| {
            let taken = take(index, drawn);
            drop(permit);
            taken
        });
        ran.map(|()| cuts)
    }

    /// Takes the frames through the backbone, and hands what was found in each to `report`, in order: for every task, and
    /// the mean token last.
    fn through(
        &self,
        clip: &Source,
        feed: &dyn FrameFeed,
        mut report: impl FnMut(usize, SeenFrame) -> Result<()>,
    ) -> Result<()> {
        let Some(first) = self.tasks.first() else {
            return Ok(());
        };
        let depth = self
            .backbones
            .first()
            .map_or(0, |backbone| backbone.config().depth);
        let cuts = CutFinder::beside(first.way().any_pass(), depth);
        let name = |_: usize| clip.name();
        let tick = |_: usize| ();
        let networks = seats(self.backbones).into_iter().map(|backbone| {
            let mut tasks: Vec<&dyn Finder> = Vec::new();
            for task in self.tasks {
                tasks.push(*task);
            }
            tasks.push(&cuts);
            TaskNetwork::new(
                backbone,
                tasks,
                (Vec::new(), &name),
                self.batch_size,
                self.console,
                &tick,
            )
            .for_all_photos()
        });
        let networks: Vec<TaskNetwork<'_>> = networks.collect();
        let Some(network) = networks.first() else {
            return Err(Error::Model("there is no backbone to run".into()));
        };
        let decoding = Decoding::new(self.decoder.clone());
        let engine = Engine::new(self.backbones, decoding, self.batch_size, self.console)?;
        let finish = |mut ready: Ready, given: FoundByTask| {
            let mut found = Vec::with_capacity(given.len());
            for (task, given) in given.into_iter().enumerate() {
                let given = given.ok_or_else(|| Error::Model("a task was left out".into()))??;
                found.push(network.find(task, given, &mut ready.watch)?);
            }
            let geometries = (0..found.len()).map(|task| network.layout(task, &ready));
            Ok(SeenFrame {
                geometries: geometries.collect(),
                photo: ready.photo,
                found,
                permit: ready.permit,
            })
        };
        engine.run_frames(
            (clip, feed),
            &networks,
            |_, _, _| (),
            finish,
            |index, seen| report(index, seen?),
        )
    }
}
