//! Checks whether photos that an earlier run recorded by their paths still exist.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::collect::{InputRequest, collect};
use super::pages;
use super::remote::is_address;

/// Checks photos by their paths. The headers of each tar are read once.
#[derive(Debug, Default)]
pub(crate) struct PresenceCache {
    /// By the path of a tar: the number of images of each photo in it, by the photo's path.
    tars: HashMap<PathBuf, HashMap<PathBuf, u32>>,
}

impl PresenceCache {
    /// Whether page `page` (from 1) of the photo at `path` exists, or for 0 whether the photo exists and holds one
    /// image alone. A photo at a URL is not fetched and counts as existing.
    pub fn exists(&mut self, path: &Path, page: u32) -> bool {
        if path.to_str().is_some_and(is_address) {
            return true;
        }
        let pages = self.count_pages(path);
        match page {
            0 => pages == 1,
            page => pages > 1 && page <= pages,
        }
    }

    /// The number of images in the photo at `path`, a file or a member of a tar; 0 if it is missing.
    fn count_pages(&mut self, path: &Path) -> u32 {
        if path.is_file() {
            return pages::count_in_path(path, u64::MAX);
        }
        let Some(tar) = path.ancestors().skip(1).find(|above| above.is_file()) else {
            return 0;
        };
        let known = self.tars.entry(tar.to_owned());
        let known = known.or_insert_with(|| count_in_tar(tar));
        known.get(path).copied().unwrap_or(0)
    }
}

/// The number of images of each photo of a tar, by path; empty if the file is not a tar.
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
