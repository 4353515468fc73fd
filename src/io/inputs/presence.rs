//! Which photos that were seen once are there still.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::collect::{InputRequest, collect, count_pages};
use super::remote::is_address;

/// What is there of photos known by their paths. The headers of a tar are read once.
#[derive(Debug, Default)]
pub(crate) struct PresenceCache {
    /// By tar and photo, how many images it has.
    tars: HashMap<PathBuf, HashMap<PathBuf, u32>>,
}

impl PresenceCache {
    /// Whether page `page` of the photo at `path` is there, 0 where it is to have one alone; of one at an address that is
    /// not known, and it counts as there.
    pub fn has(&mut self, path: &Path, page: u32) -> bool {
        if path.to_str().is_some_and(is_address) {
            return true;
        }
        let pages = self.count_pages(path);
        match page {
            0 => pages == 1,
            page => pages > 1 && page <= pages,
        }
    }

    /// How many images there are in the photo at `path`, a file or in a tar; 0 where it is gone.
    fn count_pages(&mut self, path: &Path) -> u32 {
        if path.is_file() {
            return count_pages(path, u64::MAX);
        }
        let Some(tar) = path.ancestors().skip(1).find(|above| above.is_file()) else {
            return 0;
        };
        let known = self.tars.entry(tar.to_owned());
        let known = known.or_insert_with(|| count_in_tar(tar));
        known.get(path).copied().unwrap_or(0)
    }
}

/// How many images each photo of a tar has; none of what is no tar.
fn count_in_tar(tar: &Path) -> HashMap<PathBuf, u32> {
    let request = InputRequest {
        inputs: &[tar.into()],
        max_bytes: u64::MAX,
        ..InputRequest::default()
    };
    let mut count = HashMap::new();
    for source in collect(&request).map_or(Vec::new(), |found| found.sources) {
        *count.entry(source.path().to_owned()).or_default() += 1;
    }
    count
}
