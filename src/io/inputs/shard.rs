//! Divides photos among jobs that do not communicate (`--shard K/N`): the shard of a photo depends on its name only.
//!
//! It is the first 8 bytes, as a little-endian number, of the BLAKE3 digest of the path below the searched folder (with
//! `/` between the parts; the file name if the user named the file), modulo the number of shards, plus 1. All pages of
//! a file are in one shard. The shard does not depend on the machine, the order, or what else is in the folder.

use std::borrow::Cow;
use std::fmt;
use std::path::{MAIN_SEPARATOR_STR, Path};
use std::str::FromStr;

use crate::error::Result;
use crate::io::inputs::{CollectedInputs, Source};

/// Shard `number` of `count`: one part of all photos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 1.
    number: u32,
    /// The number of shards, 1 or more.
    count: u32,
}

/// The value of `--shard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardRequest {
    /// A shard that the user states.
    Explicit(Shard),
    /// The shard of this task of an array job, by the variables of its scheduler; with the number of shards if the
    /// scheduler does not state it or runs only some of them.
    Auto(Option<u32>),
}

impl Shard {
    /// Shard `number`, counted from 1, of `count`.
    ///
    /// # Errors
    /// If `count` is 0, or `number` is not among 1 to `count`, as a sentence.
    pub fn new(number: u32, count: u32) -> Result<Self, String> {
        match count {
            0 => Err("there must be one shard at least, such as 1/1".into()),
            _ if (1..=count).contains(&number) => Ok(Shard { number, count }),
            _ => Err(format!(
                "shards are counted from 1, so that those of {count} are 1/{count} to {count}/{count}"
            )),
        }
    }

    /// The number of this shard, counted from 1.
    pub fn number(self) -> u32 {
        self.number
    }

    /// The number of shards.
    pub fn count(self) -> u32 {
        self.count
    }

    /// The shard in file names, such as `003-of-100`, padded so that names sort by number.
    pub fn label(self) -> String {
        let digits = self.count.to_string().len();
        format!("{:0digits$}-of-{}", self.number, self.count)
    }

    /// Whether there are several shards, so that this one is only a part of the photos.
    pub fn is_part(self) -> bool {
        self.count > 1
    }

    /// Whether a photo belongs to this shard.
    pub fn contains(self, source: &Source) -> bool {
        self.contains_name(&shard_key(source))
    }

    /// Whether the photo or input with this name belongs to this shard.
    fn contains_name(self, name: &[u8]) -> bool {
        shard_number(name, self.count) == self.number
    }

    /// Keeps the photos of this shard and those whose index `always` accepts, and the failures whose path belongs to
    /// this shard, so that each is reported once. Returns the previous number of photos.
    pub fn retain_sources(
        self,
        collected: &mut CollectedInputs,
        always: impl Fn(usize) -> bool,
    ) -> usize {
        let count = collected.sources.len();
        let sources = collected.sources.iter().enumerate();
        let kept: Vec<bool> = sources
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

/// The number, counted from 1, of the shard among `count` that a photo belongs to.
pub fn shard_of(source: &Source, count: u32) -> u32 {
    shard_number(&shard_key(source), count)
}

/// As [`shard_of`], by the name of a photo.
fn shard_number(name: &[u8], count: u32) -> u32 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(name).as_bytes()[..8]);
    (u64::from_le_bytes(first) % u64::from(count)) as u32 + 1
}

/// The name that determines the shard of a photo.
fn shard_key(source: &Source) -> Cow<'_, [u8]> {
    match source {
        Source::File { relative, .. } => portable(relative),
        other => portable(other.path()),
    }
}

/// The bytes of a path with `/` between its parts on every system.
fn portable(path: &Path) -> Cow<'_, [u8]> {
    match (MAIN_SEPARATOR_STR, path.to_str()) {
        ("/", _) | (_, None) => path.as_os_str().as_encoded_bytes().into(),
        (separator, Some(text)) => text.replace(separator, "/").into_bytes().into(),
    }
}

/// The form of `--shard`: `3/100`.
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
