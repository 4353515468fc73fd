//! Photos shared out among jobs that know nothing of each other: which of them are whose follows from their names alone.
//!
//! The shard of a photo is the BLAKE3 digest of its path below the folder that was searched (`/` between the parts; its
//! name, if it was named itself), the first 8 bytes as a little-endian number, modulo the number of shards. All pages of
//! a file are in one shard. So it does not change with the machine, the order, or what else is in the folder.

use std::borrow::Cow;
use std::fmt;
use std::path::{MAIN_SEPARATOR_STR, Path};
use std::str::FromStr;

use crate::error::Result;
use crate::io::inputs::{CollectedInputs, Source};

/// One of several parts of all photos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 1.
    number: u32,
    count: u32,
}

/// Which shard is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardRequest {
    /// This one.
    Explicit(Shard),
    /// That of the array job that runs the program; with the number of shards, where the scheduler does not tell it or runs
    /// only some of them.
    Auto(Option<u32>),
}

impl Shard {
    /// The shard with this number, counted from 1.
    ///
    /// # Errors
    /// A sentence, if there is none.
    pub fn new(number: u32, of: u32) -> Result<Self, String> {
        match of {
            0 => Err("there must be one shard at least, such as 1/1".into()),
            _ if (1..=of).contains(&number) => Ok(Shard { number, count: of }),
            _ => Err(format!(
                "shards are counted from 1, so that those of {of} are 1/{of} to {of}/{of}"
            )),
        }
    }

    /// Its number, counted from 1.
    pub fn number(self) -> u32 {
        self.number
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// As names of files have it, `003-of-100`: in their order.
    pub fn label(self) -> String {
        let digits = self.count.to_string().len();
        format!("{:0digits$}-of-{}", self.number, self.count)
    }

    /// Whether it is a part and not all of it.
    pub fn is_part(self) -> bool {
        self.count > 1
    }

    /// Whether a photo is in it.
    pub fn contains(self, source: &Source) -> bool {
        self.contains_name(&shard_key(source))
    }

    fn contains_name(self, name: &[u8]) -> bool {
        shard_number(name, self.count) == self.number
    }

    /// Leaves the photos that are in it; those of `always`, by their numbers, too. An input that led to no photo is told of
    /// in one shard. Returns how many photos there were before.
    pub fn retain_sources(
        self,
        collected: &mut CollectedInputs,
        always: impl Fn(usize) -> bool,
    ) -> usize {
        let count = collected.sources.len();
        let kept = collected.sources.iter().enumerate();
        let kept: Vec<bool> = kept
            .map(|(index, source)| always(index) || self.contains(source))
            .collect();
        collected.failures.retain_mut(|failure| {
            failure.sources_before = kept[..failure.sources_before]
                .iter()
                .filter(|kept| **kept)
                .count();
            self.contains_name(&portable(&failure.path))
        });
        let mut kept = kept.into_iter();
        collected.sources.retain(|_| kept.next() == Some(true));
        count
    }
}

/// The shard of `of` that a photo is in, counted from 1.
pub fn shard_of(source: &Source, of: u32) -> u32 {
    shard_number(&shard_key(source), of)
}

fn shard_number(name: &[u8], of: u32) -> u32 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(name).as_bytes()[..8]);
    (u64::from_le_bytes(first) % u64::from(of)) as u32 + 1
}

/// By which the shard of a photo is found.
fn shard_key(source: &Source) -> Cow<'_, [u8]> {
    match source {
        Source::File { relative, .. } => portable(relative),
        other => portable(other.path()),
    }
}

/// The bytes of a path as they are on every system.
fn portable(path: &Path) -> Cow<'_, [u8]> {
    match (MAIN_SEPARATOR_STR, path.to_str()) {
        ("/", _) | (_, None) => path.as_os_str().as_encoded_bytes().into(),
        (separator, Some(text)) => text.replace(separator, "/").into_bytes().into(),
    }
}

/// `3/100`
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl FromStr for ShardRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected K/N such as 3/100, auto, or auto/N (shards are counted from 1 to N)"
                .to_owned()
        };
        let count = |text: &str| text.parse::<u32>().map_err(|_| expected());
        match text.split_once('/') {
            None if text == "auto" => Ok(ShardRequest::Auto(None)),
            None => Err(expected()),
            Some(("auto", of)) => {
                let of = count(of)?;
                Shard::new(1, of).map(|_| ShardRequest::Auto(Some(of)))
            }
            Some((number, of)) => {
                Shard::new(count(number)?, count(of)?).map(ShardRequest::Explicit)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "tests/shard.rs"]
mod tests;
