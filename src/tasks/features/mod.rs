//! Features of photos, stored in a dataset: see [`features`](crate::io::features).

mod collection;
mod tokens;
mod wish;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::engine::Seen;
use crate::engine::outcomes::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::error::{Error, Result};
use crate::io::features::{DatasetMeta, PointList, Row, pool};
use crate::io::manifest::Ledger;
use crate::io::output::{Job, OutputOptions, Plan, Subject};
use crate::model::backbone::Backbone;
use crate::model::head::Head;
use crate::model::input::Geometry;
use crate::model::input::Grid;
use crate::model::weights::Record;
use crate::system::files::{Digest, Stamp};
use crate::tasks::known::KnownModel;
use crate::tasks::recipe::{FeaturesRecipe, TokenKind};
use crate::tasks::settings::{Settings, unusual};
use crate::tasks::way::Way;
use crate::tasks::{Context, Finder, Finished, Found, Item, Task};
use crate::terminal::console::Console;

use collection::Collection;
pub use collection::{changed_part, name_of};
pub use tokens::{Taken, Tokens};
use wish::Wish;
pub use wish::describe_input;

/// Stores features of photos.
pub struct FeaturesTask {
    recipe: FeaturesRecipe,
    model: KnownModel,
    /// Number type of the backbone.
    computed: String,
    head: Option<Head>,
    wish: Wish,
    context: Context,
    console: Console,
    collection: Mutex<Collection>,
}

/// A row on its way into a part, and what is said of it once it is there.
#[derive(Debug)]
pub struct Gathered {
    /// What is stored.
    pub row: Row,
    /// The photo.
    pub job: Job,
    /// Of its bytes.
    pub stamp: Stamp,
    /// Where the time went.
    pub watch: Stopwatch,
}

impl FeaturesTask {
    /// Of tokens of `model`, which computes in `computed`; `head` is the one that the recipe names. Of `options` counts all
    /// but the place.
    ///
    /// # Errors
    /// [`Error::Usage`] for wishes that contradict each other or the model; names a file that cannot be used.
    pub fn new(
        recipe: FeaturesRecipe,
        head: Option<Head>,
        (model, computed): (&KnownModel, &str),
        (context, options): (Context, &OutputOptions),
        console: &Console,
    ) -> Result<Self> {
        let wish = Wish::new(&recipe, model, head.as_ref(), console)?;
        let collection = Collection::new(&recipe.output, recipe.part_size, options)?;
        Ok(FeaturesTask {
            wish,
            recipe,
            model: model.clone(),
            computed: computed.to_owned(),
            head,
            context,
            console: console.clone(),
            collection: Mutex::new(collection),
        })
    }

    /// What the dataset says of itself.
    fn meta(&self) -> DatasetMeta {
        let photos = self.context.decoder.options.tag();
        self.wish
            .meta(&self.recipe, &self.model, (&self.computed, &photos))
    }

    fn collection(&self) -> MutexGuard<'_, Collection> {
        self.collection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The pixels of a photo at which features are wanted.
    fn points_of<'p>(&'p self, points: &'p PointList, job: &Job) -> &'p [(f32, f32)] {
        let path = job.source.path();
        let names = [
            path.to_str(),
            job.name.to_str(),
            job.key.to_str(),
            path.file_name().and_then(|name| name.to_str()),
        ];
        points.of_photo(names.into_iter().flatten())
    }

    /// The row of a photo with these digests, of its `tokens`.
    fn row(
        &self,
        (job, digest, sha256): (&Job, Digest, String),
        geometry: &Geometry,
        tokens: Tokens,
    ) -> Result<Row> {
        let dim = self.model.config.dim;
        let Tokens {
            grid,
            cls,
            mut patches,
            registers,
            coarse,
        } = tokens;
        let layers = self.wish.layers.len();
        let points = match &self.wish.points {
            Some(points) => self.points_of(points, job).to_vec(),
            None => Vec::new(),
        };
        check_points(job, &points, geometry.photo)?;
        let layer = |tokens: &[f32], index: usize, width: usize| {
            let length = grid.len() * width;
            tokens[index * length..][..length].to_vec()
        };
        let mut at = Vec::with_capacity(points.len() * layers * dim);
        for &point in &points {
            for index in 0..layers {
                let tokens = &patches[index * grid.len() * dim..][..grid.len() * dim];
                at.extend(pool::sample(tokens, dim, geometry, point));
            }
        }
        let mut stored = Grid { ..grid };
        if !self.recipe.wants(TokenKind::Patches) {
            patches = Vec::new();
        }
        let mut width = dim;
        if let (Some((projection, ..)), false) = (&self.wish.basis, patches.is_empty()) {
            patches = projection.project(&patches)?.scores;
            width = projection.shown.len();
        }
        if let (Some(side), false) = (self.recipe.pool, patches.is_empty()) {
            let side = side as usize;
            let pooled = (0..layers)
                .flat_map(|index| pool::pool(&layer(&patches, index, width), width, grid, side));
            patches = pooled.collect();
            stored = Grid {
                rows: side,
                cols: side,
            };
        }
        Ok(Row {
            name: name_of(&job.source),
            key: job.key.to_string_lossy().into_owned(),
            sha256,
            digest,
            photo: geometry.photo,
            grid: stored,
            cls: match self.recipe.wants(TokenKind::Cls) {
                true => cls,
                false => Vec::new(),
            },
            patches,
            registers,
            coarse: coarse.map(|coarse| (coarse.grid, coarse.cls, coarse.patches)),
            points,
            at,
        })
    }
}

/// Refuses pixels that a photo does not have.
fn check_points(job: &Job, points: &[(f32, f32)], photo: (u32, u32)) -> Result<()> {
    let (width, height) = photo;
    let is_outside = |(x, y): &&(f32, f32)| {
        let within = |at: f32, size: u32| at >= -0.5 && at <= size as f32 - 0.5;
        !within(*x, width) || !within(*y, height)
    };
    match points.iter().find(is_outside) {
        None => Ok(()),
        Some((x, y)) => Err(Error::file(
            job.source.path(),
            format!(
                "--at: the pixel {x},{y} lies outside of the photo, which is {width} x {height} pixels (counted from 0,0)"
            ),
        )),
    }
}

impl Finder for FeaturesTask {
    fn way(&self) -> &Way {
        &self.wish.way
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        // As they came, once more while they are pooled or projected, and as they are stored.
        let numbers = geometry.grid().len() * self.model.config.dim * self.wish.layers.len();
        (4 + 4 + 4) * numbers as u64
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        let taken = Taken {
            patches: self.recipe.wants(TokenKind::Patches) || self.wish.points.is_some(),
            registers: self.recipe.wants(TokenKind::Registers),
            coarse: self.wish.has_coarse(),
        };
        let tokens = Tokens::of(&seen.features, &self.wish.layers, taken)?;
        Ok(Found::Features(Box::new(tokens)))
    }

    fn wants_sha256(&self) -> bool {
        true
    }

    fn needs_photo(&self) -> bool {
        false
    }
}

impl Task for FeaturesTask {
    fn subject(&self) -> Subject {
        self.context.subject("features")
    }

    fn extensions(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn settings(&self, _: &str) -> Result<Settings> {
        let recipe = FeaturesRecipe {
            output: Default::default(),
            ..self.recipe.clone()
        };
        Settings::of(&recipe)
    }

    fn siblings(&self) -> &'static [&'static str] {
        &[]
    }

    fn reads(&self) -> Vec<&Path> {
        let files = [&self.recipe.head, &self.recipe.basis, &self.recipe.at];
        files.into_iter().filter_map(Option::as_deref).collect()
    }

    fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    fn begin(&mut self, plan: &mut Plan, console: &Console) -> Result<()> {
        if let Some(points) = self
            .wish
            .points
            .as_ref()
            .filter(|points| points.names_photos())
        {
            let without = |job: &&Job| self.points_of(points, job).is_empty();
            let count = plan.jobs.iter().filter(without).count();
            if count > 0 {
                console.warn(format_args!(
                    "--at: of {count} of {} photos the list names no pixel",
                    plan.jobs.len()
                ));
            }
        }
        let most = self.context.decoder.options.max_memory;
        let meta = self.model.fingerprint.is_some().then(|| self.meta());
        self.collection().settle((plan, meta), most, console)
    }

    fn has(&self, photo: usize, _: &Job) -> bool {
        self.collection().has(photo)
    }

    fn ledger(&self) -> Option<Ledger> {
        Some(self.collection().ledger().clone())
    }

    fn is_broken(&self) -> bool {
        self.collection().is_broken()
    }

    fn records_itself(&self) -> bool {
        true
    }

    fn parameters(&self) -> Value {
        unusual(&self.recipe)
    }

    fn meet(&mut self, _: &[Backbone], record: &Record, _: &Console) -> Result<()> {
        let origin = self.wish.basis.as_ref().map(|(_, origin, _)| origin);
        self.model
            .meet(record, self.recipe.basis.as_deref().zip(origin))?;
        let meta = self.meta();
        let facts = json!({
            "model": {"name": self.model.name, "fingerprint": self.model.fingerprint},
            "dtype": self.computed,
            "parameters": self.parameters(),
        });
        let collection = self
            .collection
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        collection.open(meta, facts)
    }

    fn finish(&self, item: Item<'_>, _: &Console) -> Result<Finished> {
        let Item {
            job,
            geometry,
            found: Found::Features(tokens),
            stamp: Some(stamp),
            sha256: Some(sha256),
            mut watch,
            ..
        } = item
        else {
            return Err(Error::Model(
                "features are of tokens of a photo that was read".into(),
            ));
        };
        let origin = (job, stamp.digest, sha256);
        let row = watch.time("gather", || self.row(origin, &geometry, *tokens))?;
        Ok(Finished::Gathered(Box::new(Gathered {
            row,
            job: job.clone(),
            stamp,
            watch,
        })))
    }

    fn take(&self, finished: Finished) -> Result<Option<Outcome>> {
        match finished {
            Finished::Written(outcome) | Finished::Annotated(outcome, _) => Ok(Some(outcome)),
            Finished::Gathered(gathered) => {
                self.collection().push(
                    *gathered,
                    (self.context.json, &self.subject()),
                    &self.console,
                )?;
                Ok(Some(Outcome::Done))
            }
            Finished::Kept(_) => Err(Error::Model("no photo waits".into())),
        }
    }

    fn wind_up(&self, words: &Console) -> Result<()> {
        self.collection()
            .finish((self.context.json, &self.subject()), words)
    }
}
