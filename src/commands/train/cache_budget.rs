//! Room for the features that training keeps.

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

/// Photos of a set, with what their features are found by.
pub struct HashedPhotos {
    /// With the fold whose training each is kept out of.
    pub pairs: Vec<(LabelledPair, Option<usize>)>,
    /// Their files.
    pub photos: Vec<PathBuf>,
    /// Of those that can be read.
    pub hashes: Vec<Option<String>>,
}

impl HashedPhotos {
    /// Reads the photos.
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

/// How much room the features of this and earlier trainings may take.
pub struct CacheBudget {
    folder: CacheFolder,
    limit: Option<u64>,
    /// Photos of this training.
    own: HashSet<PhotoKey>,
}

impl CacheBudget {
    /// Notes what is in use, and makes room for what is to come.
    pub fn reserve(
        args: &TrainArgs,
        folder: CacheFolder,
        cache: &FeatureCache,
        known: &[(String, HashedPhotos, HashedPhotos)],
        console: &Console,
    ) -> Result<Self> {
        let model = cache.model_folder();
        let names = |learnt: &HashedPhotos, judged: &HashedPhotos| -> BTreeSet<String> {
            learnt.names().chain(judged.names()).collect()
        };
        let of_sets = known
            .iter()
            .flat_map(|(_, learnt, judged)| names(learnt, judged));
        let room = CacheBudget {
            limit: args.features.cache_limit.or_else(|| folder.default_limit()),
            folder,
            own: of_sets.map(|photo| (model.to_owned(), photo)).collect(),
        };
        room.prune(console);
        // Not before: of a set that has no features yet, nothing is kept.
        for (set, learnt, judged) in known {
            let photos = names(learnt, judged);
            // A cache that others keep can be read, and is not ours to bound.
            if let Err(error) = room.folder.note_use(model, set, photos) {
                console.detail(format_args!("{error}"));
            }
        }
        Ok(room)
    }

    /// Once everything is computed.
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
