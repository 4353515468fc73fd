//! Several tasks over one photo: those that see it alike share a pass of the backbone.

use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
use crate::engine::{
    AtOnce, BatchSize, Looks, Network, Pass, Ready, Seen, Views, advise, decoded_bytes, timed,
};
use crate::error::{Error, Result};
use crate::model::backbone::Backbone;
use crate::model::device;
use crate::model::input::{Geometry, Unpad};
use crate::tasks::stored::StoredFeatures;
use crate::tasks::way::Windows;
use crate::tasks::{Finder, Found, check_pixel};
use crate::terminal::console::Console;
use crate::vision::preprocess::{Prepared, Preprocessor};

/// The device's part of tasks.
pub struct TaskNetwork<'a> {
    /// The backbone.
    pub backbone: &'a Backbone,
    /// The tasks.
    pub tasks: Vec<&'a dyn Finder>,
    /// Which of them each photo is for, a bit a task.
    pub wanted: Vec<u64>,
    /// The same, of photos beyond those.
    wanted_beyond: u64,
    /// What photos are called.
    pub names: &'a (dyn Fn(usize) -> String + Sync),
    /// Windows that run at once.
    pub windows: AtOnce,
    /// Where words go.
    pub console: &'a Console,
    /// Is told how many percent of the passes over a photo as a whole are through.
    pub tick: &'a (dyn Fn(usize) + Sync),
    passes: Vec<SharedPass>,
    /// In the backbone's place, with the row of each photo.
    stored: Option<(&'a StoredFeatures, &'a [Option<usize>])>,
}

/// A pass, and the tasks that it is for.
struct SharedPass {
    pass: Pass,
    tasks: u64,
}

/// What there is for each task; nothing for those that were not wanted.
pub type FoundByTask = Vec<Option<Result<Given>>>;

/// What the device gives a task for a photo.
pub enum Given {
    /// What it needs.
    Found(Found),
    /// What it has still to find that in: on a CPU heads run where photos are finished, beside the backbone.
    Seen(Arc<Seen>),
}

impl<'a> TaskNetwork<'a> {
    /// Of `tasks` over photos, which `names` names, each of which is for the tasks that `wanted` has bits of.
    pub fn new(
        backbone: &'a Backbone,
        tasks: Vec<&'a dyn Finder>,
        (wanted, names): (Vec<u64>, &'a (dyn Fn(usize) -> String + Sync)),
        batch_size: BatchSize,
        console: &'a Console,
        tick: &'a (dyn Fn(usize) + Sync),
    ) -> Self {
        let mut passes: Vec<SharedPass> = Vec::new();
        for (index, task) in tasks.iter().enumerate() {
            if let Some(pass) = task.way().pass() {
                let shared = passes
                    .iter_mut()
                    .find_map(|shared| share(&shared.pass, pass).zip(Some(shared)));
                match shared {
                    Some((pass, shared)) => {
                        shared.pass = pass;
                        shared.tasks |= 1 << index;
                    }
                    None => passes.push(SharedPass {
                        pass: pass.clone(),
                        tasks: 1 << index,
                    }),
                }
            }
        }
        let free = device::free_memory(backbone.device());
        let windows = tasks
            .iter()
            .filter_map(|task| task.way().memory_of_window(backbone));
        let windows_at_once = batch_size.photos(free, windows.max());
        TaskNetwork {
            backbone,
            tasks,
            wanted,
            wanted_beyond: 0,
            names,
            windows: AtOnce::new(
                windows_at_once,
                "windows",
                device::name(backbone.device()),
                console,
            ),
            console,
            tick,
            passes,
            stored: None,
        }
    }

    /// With `stored` features in the backbone's place, and the row of each photo.
    #[must_use]
    pub fn with_stored(self, stored: Option<(&'a StoredFeatures, &'a [Option<usize>])>) -> Self {
        TaskNetwork { stored, ..self }
    }

    /// Over photos of which nobody knows how many there are, each for all tasks.
    #[must_use]
    pub fn for_all_photos(self) -> Self {
        let wanted_beyond = (1 << self.tasks.len()) - 1;
        TaskNetwork {
            wanted_beyond,
            ..self
        }
    }

    /// The tasks that a photo is for, a bit each.
    fn wanted_of(&self, photo: usize) -> u64 {
        let wanted = self.wanted.get(photo).copied();
        wanted.unwrap_or(self.wanted_beyond)
    }

    /// What is stored of a photo, for each task; why not, where nothing is.
    fn find_stored(
        &self,
        (stored, rows): (&StoredFeatures, &[Option<usize>]),
        photo: &mut Ready,
    ) -> FoundByTask {
        let mut found: FoundByTask = self.tasks.iter().map(|_| None).collect();
        let row = rows.get(photo.index).copied().flatten();
        for shared in self.passes_of(photo.index) {
            let seen = photo.watch.time("features", || match row {
                Some(row) => stored.seen(row, &shared.pass).map(Arc::new),
                None => Err(stored.lacks(&(self.names)(photo.index))),
            });
            // Each task has its own.
            let seen = seen.map_err(|error| error.to_string());
            for (index, _) in self.tasks_of(photo.index) {
                if shared.tasks & (1 << index) != 0 {
                    let own = seen.clone().map(Given::Seen);
                    found[index] = Some(own.map_err(Error::Model));
                }
            }
        }
        found
    }

    /// The passes of the backbone over a photo as a whole, in the order of its layouts.
    pub fn passes_of_photo(&self, index: usize) -> impl Iterator<Item = &Pass> {
        self.passes_of(index).map(|shared| &shared.pass)
    }

    fn is_wanted(&self, photo: usize, tasks: u64) -> bool {
        self.wanted_of(photo) & tasks != 0
    }

    fn passes_of(&self, photo: usize) -> impl Iterator<Item = &SharedPass> {
        self.passes
            .iter()
            .filter(move |shared| self.is_wanted(photo, shared.tasks))
    }

    fn tasks_of(&self, photo: usize) -> impl Iterator<Item = (usize, &'a dyn Finder)> {
        let tasks = self.tasks.iter().copied().enumerate();
        tasks.filter(move |(index, _)| self.is_wanted(photo, 1 << index))
    }

    /// Those of the tasks of a photo that see it in parts.
    fn windows_of(&self, photo: usize) -> impl Iterator<Item = (usize, &'a dyn Finder)> {
        self.tasks_of(photo)
            .filter(|(_, task)| task.way().pass().is_none())
    }

    /// How a photo lies in the input of a task.
    pub fn layout(&self, task: usize, ready: &Ready) -> Geometry {
        let way = self.tasks[task].way();
        let mut passes = self.passes_of(ready.index);
        let shared = passes.position(|shared| shared.tasks & (1 << task) != 0);
        match shared.and_then(|index| ready.prepared.get(index)) {
            Some(prepared) => prepared.geometry.with_unpad(way.preprocessor().unpad),
            None => way.layout(ready.photo.dimensions()),
        }
    }
}

impl Network for TaskNetwork<'_> {
    type Found = FoundByTask;

    fn device(&self) -> String {
        device::name(self.backbone.device())
    }

    fn key(&self, photo: usize) -> u64 {
        self.wanted_of(photo)
    }

    fn layouts(&self, index: usize, photo: (u32, u32)) -> Vec<Geometry> {
        let passes = self
            .passes_of(index)
            .map(|shared| shared.pass.preprocessor.geometry(photo));
        let windows = self
            .windows_of(index)
            .map(|(_, task)| task.way().layout(photo));
        passes.chain(windows).collect()
    }

    fn prepare(&self, index: usize, photo: &RgbImage) -> Result<Vec<Prepared>> {
        if self.stored.is_some() {
            let layouts = self.layouts(index, photo.dimensions()).into_iter();
            let unseen = layouts.map(|geometry| Prepared {
                pixels: Vec::new(),
                geometry,
            });
            return Ok(unseen.collect());
        }
        let passes = self.passes_of(index).map(|shared| {
            let preprocessor = &shared.pass.preprocessor;
            preprocessor.lay_out(photo, preprocessor.geometry(photo.dimensions()))
        });
        let windows = self
            .windows_of(index)
            .map(|(_, task)| task.way().prepare(photo));
        passes.chain(windows).collect()
    }

    fn memory(&self, index: usize, photo: (u32, u32)) -> u64 {
        let passes = self.passes_of(index).map(|shared| {
            let layout = shared.pass.preprocessor.geometry(photo);
            shared.pass.memory(self.backbone, &layout, None)
        });
        let ways = self.tasks_of(index).map(|(_, task)| {
            let layout = task.way().layout(photo);
            let windows = task
                .way()
                .memory(self.backbone, &layout, self.windows.most());
            windows.max(task.memory(&layout))
        });
        let seen = self.passes_of(index).map(|shared| {
            let layout = shared.pass.preprocessor.geometry(photo);
            match self.backbone.device().is_cpu() {
                true => shared.pass.feature_memory(self.backbone, &layout),
                false => 0,
            }
        });
        // What is prepared for one pass is there while another runs, and what was seen and found while it is finished.
        let (passes, seen): (u64, u64) = (passes.sum(), seen.sum());
        decoded_bytes(photo) + passes.max(seen + ways.sum::<u64>())
    }

    fn device_memory(&self, index: usize, layouts: &[Geometry]) -> Option<u64> {
        // One pass is over before the next begins.
        let passes = self.passes_of_photo(index).zip(layouts);
        passes
            .map(|(pass, layout)| pass.device_memory(self.backbone, layout))
            .max()
    }

    fn accept(&self, index: usize, photo: (u32, u32)) -> Result<(), String> {
        let mut pixels = self.tasks_of(index).flat_map(|(_, task)| task.pixels());
        pixels.try_for_each(|&pixel| check_pixel(pixel, photo))
    }

    fn run(&self, photos: &mut [Ready]) -> Result<Vec<FoundByTask>> {
        if let Some(stored) = self.stored {
            let found = photos
                .iter_mut()
                .map(|photo| self.find_stored(stored, photo));
            return Ok(found.collect());
        }
        let first = photos.first().map_or(0, |photo| photo.index);
        let mut found: Vec<FoundByTask> = photos
            .iter()
            .map(|_| self.tasks.iter().map(|_| None).collect())
            .collect();
        let work = |shared: &SharedPass, number: usize| {
            let layout = photos.first().and_then(|photo| photo.prepared.get(number));
            layout.map_or(0, |layout| shared.pass.patches(&layout.geometry))
        };
        let numbered: Vec<(usize, &SharedPass)> = self.passes_of(first).enumerate().collect();
        let works: Vec<usize> = numbered
            .iter()
            .map(|(n, shared)| work(shared, *n))
            .collect();
        let all = works.iter().sum::<usize>().max(1);
        let mut before = 0;
        for (&(number, shared), work) in numbered.iter().zip(&works) {
            let start = before;
            let tick = |done: usize| (self.tick)(100 * (start + done) / all);
            let batch = timed(photos, number, "backbone", |prepared| {
                shared.pass.run(self.backbone, prepared, &tick)
            })?;
            before += work;
            if self.backbone.device().is_cpu() {
                for (found, seen) in found.iter_mut().zip(batch.each()?) {
                    let seen = Arc::new(seen);
                    for (index, _) in self.tasks_of(first) {
                        if shared.tasks & (1 << index) != 0 {
                            found[index] = Some(Ok(Given::Seen(seen.clone())));
                        }
                    }
                }
                continue;
            }
            let are_several = photos.len() > 1;
            for (index, task) in self.tasks_of(first) {
                if shared.tasks & (1 << index) == 0 {
                    continue;
                }
                let start = Instant::now();
                let all = task.find_all(&batch)?;
                let share = start.elapsed() / photos.len().max(1) as u32;
                for ((photo, found), own) in photos.iter_mut().zip(&mut found).zip(all) {
                    photo.watch.add("head", share);
                    found[index] = match own {
                        // What the others hold of the device may be what a head lacks.
                        Err(error) if are_several && device::is_out_of_memory(&error) => {
                            return Err(error);
                        }
                        own => Some(
                            own.map(Given::Found)
                                .map_err(|error| advise(error, &self.device())),
                        ),
                    };
                }
            }
        }
        for (photo, found) in photos.iter_mut().zip(&mut found) {
            let whole = numbered.len();
            for (number, (index, task)) in self.windows_of(photo.index).enumerate() {
                let windows = self.by_windows(task, photo, whole + number);
                found[index] = Some(windows.map(Given::Found));
            }
        }
        Ok(found)
    }
}

impl TaskNetwork<'_> {
    /// What a task needs of what it was given.
    ///
    /// # Errors
    /// If a head gives no numbers.
    pub fn find(&self, task: usize, given: Given, watch: &mut Stopwatch) -> Result<Found> {
        match given {
            Given::Found(found) => Ok(found),
            Given::Seen(seen) => watch.time("head", || self.tasks[task].find(&seen)),
        }
    }

    /// What `task` finds in a photo that the backbone sees in parts, by the layout of this `number`.
    fn by_windows(&self, task: &dyn Finder, ready: &mut Ready, number: usize) -> Result<Found> {
        let windows = Windows {
            backbone: self.backbone,
            task,
            at_once: &self.windows,
            console: self.console,
            name: &(self.names)(ready.index),
        };
        let found = windows.run(ready, number);
        found.map_err(|error| advise(error, &self.device()))
    }
}

/// One pass that serves two, if there is one: what differs may be the layers, whether the mirror image is seen too,
/// whether a coarser look is taken too, and what becomes of padding afterwards.
fn share(one: &Pass, other: &Pass) -> Option<Pass> {
    let alike = |preprocessor: Preprocessor| Preprocessor {
        unpad: Unpad::Crop,
        ..preprocessor
    };
    let looks = match (one.looks, other.looks) {
        (a, b) if a == b => a,
        (Looks::Once, also @ Looks::AlsoCoarse(_)) | (also @ Looks::AlsoCoarse(_), Looks::Once) => {
            also
        }
        _ => return None,
    };
    let views = match (one.views, other.views) {
        (a, b) if a == b => a,
        (Views::Plain, Views::Both) | (Views::Both, Views::Plain) => Views::Both,
        _ => return None,
    };
    let mut requests = one.requests.clone();
    requests.extend(
        other
            .requests
            .iter()
            .filter(|request| !one.requests.contains(request)),
    );
    (alike(one.preprocessor) == alike(other.preprocessor)).then_some(Pass {
        preprocessor: one.preprocessor,
        requests,
        views,
        looks,
    })
}
