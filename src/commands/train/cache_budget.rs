//! The limit of the feature cache on disk (`--cache-limit`), and the hashes by which photos are found in it.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use dino::Result;
use dino::engine::run_report::RunReport;
use dino::learn::data::LabelledPair;
use dino::learn::train::cache::{CacheFolder, PHOTO_HASH_DIGITS, PhotoKey, RemovedFeatures};
use dino::learn::train::feature_cache::FeatureCache;
use dino::system::memory::format_bytes;
use dino::terminal::console::Console;

use crate::cli::TrainArgs;

/// Photos of a set with the hashes by which the cache knows them.
pub struct HashedPhotos {
    /// Pairs, each with the fold whose training it is kept out of.
    pub pairs: Vec<(LabelledPair, Option<usize>)>,
    /// The photos' files, in the same order.
    pub photos: Vec<PathBuf>,
    /// Hashes of the photos' bytes; none for photos that cannot be read.
    pub hashes: Vec<Option<String>>,
}

impl HashedPhotos {
    /// Hashes the photos; those that cannot be read are recorded in `report`.
    pub fn new(pairs: Vec<(LabelledPair, Option<usize>)>, report: &mut RunReport) -> Result<Self> {
        let photos: Vec<PathBuf> = pairs.iter().map(|(pair, _)| pair.photo.clone()).collect();
        Ok(HashedPhotos {
            hashes: FeatureCache::hash_photos(&photos, report)?,
            photos,
            pairs,
        })
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.hashes
            .iter()
            .flatten()
            .map(|hash| hash[..PHOTO_HASH_DIGITS].to_owned())
    }
}

/// The bytes on disk that features of this and earlier trainings may take.
pub struct CacheBudget {
    folder: CacheFolder,
    /// Bytes; none for no limit.
    limit: Option<u64>,
    /// Photos of this training, which are never removed.
    own: HashSet<PhotoKey>,
}

impl CacheBudget {
    /// Removes the least recently used features over the limit, and records the photos of this training as used.
    pub fn reserve(
        args: &TrainArgs,
        folder: CacheFolder,
        cache: &FeatureCache,
        sets: &[(String, HashedPhotos, HashedPhotos)],
        console: &Console,
    ) -> Result<Self> {
        let model = cache.model_folder();
        let names = |learnt: &HashedPhotos, judged: &HashedPhotos| -> BTreeSet<String> {
            learnt.names().chain(judged.names()).collect()
        };
        let of_sets = sets
            .iter()
            .flat_map(|(_, learnt, judged)| names(learnt, judged));
        let budget = CacheBudget {
            limit: args.features.cache_limit.or_else(|| folder.default_limit()),
            folder,
            own: of_sets.map(|photo| (model.to_owned(), photo)).collect(),
        };
        budget.prune(console);
        // After pruning, which would drop a set without features.
        for (set, learnt, judged) in sets {
            let photos = names(learnt, judged);
            // A read-only cache is shared: it is used, and not pruned.
            if let Err(error) = budget.folder.note_use(model, set, photos) {
                console.detail(format_args!("{error}"));
            }
        }
        Ok(budget)
    }

    /// Prunes again once all features are computed; notes if this training alone is over the limit.
    pub fn enforce(&self, console: &Console) {
        self.prune(console);
        let bytes = self.folder.bytes().unwrap_or(0);
        if let Some(limit) = self.limit.filter(|limit| bytes > *limit) {
            console.note(format_args!(
                "the features of this training take {}, which is over --cache-limit ({}); they stay until others are wanted",
                format_bytes(bytes),
                format_bytes(limit)
            ));
        }
    }

    fn prune(&self, console: &Console) {
        let pruned = self
            .folder
            .prune(None, self.limit, |photo| self.own.contains(photo));
        match pruned {
            Ok(RemovedFeatures { photos: 0, .. }) => {}
            Ok(RemovedFeatures { photos, bytes }) => console.note(format_args!(
                "features of {photos} photos that were longest not in use are removed ({}; --cache-limit)",
                format_bytes(bytes)
            )),
            Err(error) => console.note(format_args!("{error}; the features there stay")),
        }
    }
}
